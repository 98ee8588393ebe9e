"""Callbacks of every training: its random draws, its progress, its numbers' soundness, its averaged weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from torch import Tensor, distributed
from torch.optim import Optimizer

from data_modules.corpora.contract import Progress
from prosody_tts.errors import UserError
from prosody_tts.nn.means import over_processes, processes

#: Utterances of a batch that an error names.
NAMED = 8


class StepSeed(Callback):
    """Seeds every step by its number, so that a resumed run draws what the uninterrupted one drew.

    Not every epoch: data loaders draw from the same generator between an epoch's start and its first step. Processes
    that share a batch draw differently.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        torch.manual_seed(self.seed * 1_000_003 + trainer.global_step + (trainer.global_rank << 40))


class ReportProgress(Callback):
    """Tells ``progress`` the batches done, of how many, and the epoch."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        self.progress(trainer.global_step, int(trainer.estimated_stepping_batches), f"epoch {epoch} of {epochs}")


class StopOnNaN(Callback):
    """Stops training at the first loss or gradient that is not finite, before the step is taken, and names the batch.

    All processes that share the batch stop together.
    """

    def __init__(self) -> None:
        self._ids: Sequence[str] = ()
        self._loss = torch.zeros(())

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._ids = batch.ids

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._loss = loss.detach()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        gradients = [item.grad for item in pl_module.parameters() if item.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        sound = torch.stack([self._loss.isfinite(), norm.isfinite()])
        wrong = over_processes((~sound).int()).tolist()
        if any(wrong):
            what = "the loss is" if wrong[0] else "the loss is finite but its gradient is"
            names = ", ".join(self._blamed(wrong[0] > 0)[:NAMED])
            raise UserError(
                f"{what} not finite at step {trainer.global_step} on the utterances {names}; "
                "lower the learning rate or remove what is wrong with them"
            )

    def _blamed(self, by_loss: bool) -> list[str]:
        """Utterances of the processes whose loss is not finite, or of all where only the gradient is not."""
        if processes() == 1:
            return list(self._ids)
        shares: list[Any] = [None] * processes()
        distributed.all_gather_object(shares, (bool(self._loss.isfinite()), list(self._ids)))
        return [name for sound, ids in shares if not (by_loss and sound) for name in ids]


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights; buffers, which are statistics already, are kept as they are.

    The averaged weights are those that are validated and kept: ``state_dict`` of a checkpoint, whose raw weights are in
    ``current_model_state``. The first steps weigh more, so that a short training is no average of its beginning: the
    decay at step n is at most (1 + n) / (10 + n), as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: Any, current: Any, count: Tensor | int) -> None:
            steps = int(count)
            torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + steps) / (10 + steps)))

        super().__init__(use_buffers=False, multi_avg_fn=average)


class Patience(EarlyStopping):
    """Stops when ``monitor`` has not improved for ``epochs`` epochs; the count goes on over interruptions."""

    def __init__(self, monitor: str, epochs: int) -> None:
        super().__init__(monitor, patience=epochs, check_on_train_epoch_end=False, check_finite=False)
