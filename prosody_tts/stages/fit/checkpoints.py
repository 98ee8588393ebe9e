"""Whole checkpoints of plain types, written at the end of every epoch and between, from which a run goes on exactly."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from prosody_tts.errors import UserError
from prosody_tts.files import atomic
from prosody_tts.nn.means import over_processes, processes, total

CHECKPOINT = "last.ckpt"
BEST = "best.ckpt"
#: Key of a checkpoint under which this module keeps what Lightning does not.
PLACE = "place"


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


@dataclass(frozen=True)
class Place:
    """Where in a training a checkpoint was written.

    Attributes:
        epoch: the epoch that goes on, from 0.
        batches: batches of it that are done.
        finished: whether nothing is left to do.
        metrics: the last epoch's, of a checkpoint between epochs.
        sums: of a checkpoint within an epoch: name -> the metric's sum so far and its weight.
    """

    epoch: int
    batches: int
    finished: bool
    metrics: dict[str, float]
    sums: dict[str, tuple[float, float]]

    @staticmethod
    def read(path: Path) -> Place | None:
        """The place that a checkpoint keeps; none where there is no checkpoint.

        Raises:
            UserError: it is damaged, or keeps none.
        """
        if not path.exists():
            return None
        kept = load_checkpoint(path).get(PLACE)
        if kept is None:
            raise UserError(f"{path} does not say where its training was; delete its folder to train it again")
        sums = {name: (value, weight) for name, (value, weight) in kept["sums"].items()}
        return Place(kept["epoch"], kept["batches"], kept["finished"], kept["metrics"], sums)


class KeepLast(Checkpoint):
    """Writes ``last.ckpt`` after every epoch, and within one every ``steps`` steps or ``minutes`` minutes.

    ``best`` is the callback that keeps the best epoch; it runs before. Besides Lightning's state the checkpoint holds
    the ``Place``. An epoch's mean of a training metric goes over all its batches, those before an interruption too: the
    sums so far come back before the first new one is added.
    """

    def __init__(
        self,
        folder: Path,
        steps: int | None,
        minutes: float | None,
        resumed: Place | None = None,
        best: ModelCheckpoint | None = None,
    ) -> None:
        self.best = best
        self.path = folder / CHECKPOINT
        self.steps = steps
        self.seconds = math.inf if minutes is None else 60 * minutes
        self._saved = time.monotonic()
        self._sums = {} if resumed is None else dict(resumed.sums)
        self._between = False  # whether an epoch is over and the next has not begun

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._between = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        for name, (value, weight) in self._sums.items():
            metric = trainer.fit_loop.epoch_loop._results[name]
            metric.value = torch.tensor(value, device=metric.value.device) + metric.value
            metric.cumulated_batch_size = metric.cumulated_batch_size + int(weight)
        self._sums = {}
        if batch_idx + 1 < trainer.num_training_batches and self._due(trainer):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._between = True
        self._save(trainer)

    def _due(self, trainer: Trainer) -> bool:
        if self.steps is not None and trainer.global_step % self.steps == 0:
            return True
        if math.isinf(self.seconds):
            return False
        # All processes write together, when the clock of one says so.
        return total(int(time.monotonic() - self._saved >= self.seconds)) > 0

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        metrics, sums = {}, {}
        if self._between:
            metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
            if self.best is not None and self.best.best_model_score is not None:
                metrics[f"best/{self.best.monitor}"] = float(self.best.best_model_score)
        else:
            kept = trainer.fit_loop.epoch_loop._results
            sums = {name: [_averaged(item.value), int(item.cumulated_batch_size)] for name, item in kept.items()}
        over = trainer.should_stop or trainer.current_epoch + 1 >= (trainer.max_epochs or 0)
        checkpoint[PLACE] = {
            "epoch": trainer.current_epoch + int(self._between),
            "batches": 0 if self._between else trainer.fit_loop.epoch_loop.batch_idx + 1,
            "finished": self._between and over,
            "metrics": metrics,
            "sums": sums,
        }


def _averaged(value: Tensor) -> float:
    """The mean over processes, which all go on from the same checkpoint; of one, the value itself."""
    return float(over_processes(value) / processes())
