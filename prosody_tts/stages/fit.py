"""How every stage is trained: one Trainer, whole checkpoints, exact resume, a rate and time left."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from data_modules.batches import VocoderBatch
from data_modules.corpora.contract import Progress
from prosody_tts.config import OptimConfig, RunConfig
from prosody_tts.errors import UserError
from prosody_tts.files import atomic

CHECKPOINT = "last.ckpt"
BEST = "best.ckpt"


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint to a temporary name and renames it; reads plain types only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write atomically."""
        with atomic(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read without executing anything the file holds."""
        return load_checkpoint(Path(path))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of plain types.

    Raises:
        UserError: the file is missing, damaged, or holds more than plain types.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}; train its stage first") from None
    except Exception as error:  # torch names no common base for what a damaged file raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot read the checkpoint {path} ({reason}); delete its folder to train it again") from None


class StepSeed(Callback):
    """Seeds every step by its number, so that a resumed run draws what the uninterrupted one drew.

    Not every epoch: data loaders draw from the same generator between an epoch's start and its first step.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        torch.manual_seed(self.seed * 1_000_003 + trainer.global_step)


class ReportProgress(Callback):
    """Tells ``progress`` the batches done, of how many, and the epoch."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        self.progress(trainer.global_step, int(trainer.estimated_stepping_batches), f"epoch {epoch} of {epochs}")


class StopOnNaN(Callback):
    """Stops training at the first loss that is not finite and names the batch."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if not math.isfinite(float(loss)):
            ids = batch.ids if isinstance(batch, VocoderBatch) else batch.text.ids
            names = ", ".join(ids[:8])
            raise UserError(
                f"the loss is not finite at step {trainer.global_step} on the utterances {names}; "
                "lower the learning rate or remove what is wrong with them"
            )


def adam(module: LightningModule, settings: OptimConfig) -> tuple[list[Optimizer], list[dict[str, Any]]]:
    """AdamW with linear warm-up, then exponential decay to ``final_rate`` of the peak at the last step."""
    optimizer = AdamW(
        module.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    total = int(module.trainer.estimated_stepping_batches)
    warmup = max(1, round(settings.warmup * total))

    def factor(step: int) -> float:
        return min((step + 1) / warmup, settings.final_rate ** (step / total))

    return [optimizer], [{"scheduler": LambdaLR(optimizer, factor), "interval": "step"}]


def fit(
    module: LightningModule,
    data: LightningDataModule,
    optim: OptimConfig,
    run: RunConfig,
    seed: int,
    folder: Path,
    loggers: Sequence[Logger],
    progress: Progress,
    monitor: str | None = None,
) -> dict[str, float]:
    """Train to the last epoch, resuming from ``folder/last.ckpt`` where there is one.

    With ``monitor``, a metric of the development split to make small, the epoch that was best by it is kept in
    ``folder/best.ckpt``. Returns the last metrics, and the best of the monitored one. The same settings give the same
    weights, interrupted or not.
    """
    _quieten()
    checkpoint = folder / CHECKPOINT
    best = ModelCheckpoint(
        dirpath=folder,
        filename="best",
        monitor=monitor,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
        auto_insert_metric_name=False,
    )
    trainer = Trainer(
        max_epochs=optim.epochs,
        accelerator=run.accelerator,
        devices=1,
        logger=list(loggers),
        gradient_clip_val=optim.clip,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        plugins=[WholeCheckpoints()],
        callbacks=[
            StepSeed(seed),
            StopOnNaN(),
            ReportProgress(progress),
            *([best] if monitor is not None else []),
            ModelCheckpoint(
                dirpath=folder, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
            ),
        ],
    )
    trainer.fit(module, data, ckpt_path=str(checkpoint) if checkpoint.exists() else None)
    if trainer.interrupted:
        raise KeyboardInterrupt
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    if monitor is not None and best.best_model_score is not None:
        metrics[f"best/{monitor}"] = float(best.best_model_score)
    return metrics


def _quieten() -> None:
    """Silence advice that does not apply: the items are in memory, so worker processes would only cost time."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for message in (".*does not have many workers.*", ".*`isinstance\\(treespec, LeafSpec\\)`.*", ".*litlogger.*"):
        warnings.filterwarnings("ignore", message=message)
