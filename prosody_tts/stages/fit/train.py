"""``fit``: one Trainer for every stage, on one device or several, interrupted or not."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.utils.data import DataLoader

from data_modules.corpora.contract import Progress, silent
from data_modules.loaders import BucketSampler
from prosody_tts.config import OptimConfig, RunConfig
from prosody_tts.stages.fit.checkpoints import CHECKPOINT, KeepLast, Place, WholeCheckpoints, load_checkpoint
from prosody_tts.stages.fit.devices import on_gpu, precision
from prosody_tts.stages.fit.guards import AveragedWeights, Patience, ReportProgress, StepSeed, StopOnNaN
from prosody_tts.stages.fit.optimiser import TrainedModule
from prosody_tts.stages.fit.ranks import Rank, Ranks, companions
from prosody_tts.stages.fit.rate import find_rate


@dataclass(frozen=True)
class _Training:
    """What every process of a training is told."""

    optim: OptimConfig
    run: RunConfig
    seed: int
    folder: Path
    monitor: str | None


def fit(
    module: TrainedModule,
    data: LightningDataModule,
    optim: OptimConfig,
    run: RunConfig,
    seed: int,
    folder: Path,
    loggers: Sequence[Logger],
    progress: Progress,
    monitor: str | None = None,
    callbacks: Sequence[Callback] = (),
) -> dict[str, float]:
    """Train to the last epoch, resuming from ``folder/last.ckpt`` where there is one.

    With ``monitor``, a metric of the development split to make small, the epoch that was best by it is kept in
    ``folder/best.ckpt``. The module ends with the weights that ``last.ckpt`` keeps for use. The same settings give the
    same weights, interrupted or not; on ``run.devices`` devices they are those of one, but for rounding and for what is
    drawn at random.

    Args:
        module: what is trained.
        data: its batches, from ``BucketSampler``.
        optim: how, ``optim.batch`` utterances a step on all devices together.
        run: where.
        seed: of the batches and of what steps draw.
        folder: where checkpoints lie.
        loggers: told of metrics.
        progress: told of steps.
        monitor: a metric of the development split.
        callbacks: only watch; they live in this process alone.

    Returns:
        The last metrics, the best of the monitored one, the bits of the numbers that are multiplied, and the rate found
        where one was looked for.

    Raises:
        UserError: a loss or gradient is not finite, or the checkpoint cannot be used.
    """
    _quieten()
    found: dict[str, float] = {"precision_bits": 16.0 if precision(optim, run) == "bf16-mixed" else 32.0}
    if optim.find_rate:
        found["learning_rate"] = find_rate(module, data, optim, run, seed, folder, progress)
        optim = replace(optim, learning_rate=found["learning_rate"])
    module.optim = optim
    training = _Training(optim, run, seed, folder, monitor)
    with ExitStack() as stack:
        rank = Rank()
        if run.devices > 1 and not _finished(folder):
            told = (module, data, training)
            rank = stack.enter_context(companions(run.devices, on_gpu(run), _follow, told))
        if not _finished(folder):
            _train(module, data, training, rank, loggers, progress, callbacks)
    module.load_state_dict(load_checkpoint(folder / CHECKPOINT)["state_dict"])
    place = Place.read(folder / CHECKPOINT)
    assert place is not None
    return {**place.metrics, **found}


def _finished(folder: Path) -> bool:
    place = Place.read(folder / CHECKPOINT)
    return place is not None and place.finished


def _follow(rank: Rank, module: TrainedModule, data: LightningDataModule, training: _Training) -> None:
    """What the further processes do."""
    _quieten()
    _train(module, data, training, rank, (), silent, ())


def _train(
    module: TrainedModule,
    data: LightningDataModule,
    training: _Training,
    rank: Rank,
    loggers: Sequence[Logger],
    progress: Progress,
    callbacks: Sequence[Callback],
) -> None:
    optim, run, folder = training.optim, training.run, training.folder
    place = Place.read(folder / CHECKPOINT)
    best = ModelCheckpoint(
        dirpath=folder,
        filename="best",
        monitor=training.monitor,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
        auto_insert_metric_name=False,
    )
    trainer = Trainer(
        max_epochs=optim.epochs,
        accelerator=run.accelerator,
        devices=rank.of,
        strategy=DDPStrategy() if rank.of > 1 else "auto",
        precision=precision(optim, run),
        logger=list(loggers),
        gradient_clip_val=optim.clip,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        plugins=[WholeCheckpoints(), *([Ranks(rank)] if rank.of > 1 else [])],
        callbacks=[
            StepSeed(training.seed),
            StopOnNaN(),
            ReportProgress(progress),
            *callbacks,  # before the averaged weights leave the module again
            *([AveragedWeights(optim.ema)] if optim.ema is not None else []),
            *([Patience(training.monitor or module.watched, optim.patience)] if optim.patience is not None else []),
            *([best] if training.monitor is not None else []),
            KeepLast(
                folder,
                run.checkpoint_steps,
                run.checkpoint_minutes,
                place,
                best if training.monitor is not None else None,
            ),
        ],
    )
    if optim.compile:
        compile_parts(module)
    # Lightning asks for the order of the first epoch before it says which that is.
    resumed = (place.epoch, place.batches) if place is not None else (0, 0)
    train = _served(data.train_dataloader(), rank, run.loader_workers, resumed)
    dev = _served(data.val_dataloader(), rank, run.loader_workers)
    trainer.fit(module, train, dev, ckpt_path=str(folder / CHECKPOINT) if place is not None else None)
    if trainer.interrupted:
        raise KeyboardInterrupt


def _served(loader: DataLoader[Any], rank: Rank, workers: int, resumed: tuple[int, int] = (0, 0)) -> DataLoader[Any]:
    """This process's share of a loader's batches, prepared by ``workers`` processes, from where a training was left."""
    sampler = loader.batch_sampler
    if isinstance(sampler, BucketSampler):
        sampler.share(rank.number, rank.of)
        sampler.resume(*resumed)
    if workers == 0:
        return loader
    return DataLoader(
        loader.dataset,
        batch_sampler=sampler,
        collate_fn=loader.collate_fn,
        num_workers=workers,
        persistent_workers=True,
    )


def compile_parts(module: TrainedModule) -> None:
    """Let ``torch.compile`` make the model's parts faster; lengths vary from batch to batch."""
    model = module.get_submodule("model")
    for part in model.children():
        if not isinstance(part, nn.Linear):
            part.compile(dynamic=True)


def _quieten() -> None:
    """Silence advice that does not apply: the items are in memory, so worker processes would only cost time; layers of
    a BERT that are not trained have no dropout."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*in eval mode at the start.*",
        ".*`isinstance\\(treespec, LeafSpec\\)`.*",
        ".*litlogger.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    # The order of a resumed epoch is that of ``BucketSampler.resume``.
    warnings.filterwarnings("ignore", message=".*dataloader is not resumable.*")
