"""A range test for the learning rate (Smith, arXiv 1506.01186): a short training whose rate rises step by step."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor

from data_modules.corpora.contract import Progress
from prosody_tts.config import OptimConfig, RunConfig
from prosody_tts.errors import UserError
from prosody_tts.files import atomic, read_json, write_json
from prosody_tts.stages.fit.devices import precision
from prosody_tts.stages.fit.guards import StepSeed
from prosody_tts.stages.fit.optimiser import TrainedModule

CURVE, PICTURE = "rate.json", "rate.png"
#: Rates tried, and the lowest and the highest of them.
STEPS, LOWEST, HIGHEST = 100, 1e-6, 1.0
#: Share of the losses before in the smoothed loss, and how many times the best it is when the test is over (ours).
SMOOTHING, OVER = 0.9, 4.0
#: Steps at the beginning whose smoothed loss is of too few.
FIRST = 10


class _RisingRate(Callback):
    """Sets the rate of every step, keeps its loss, and stops when it is lost."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.rates: list[float] = []
        self.losses: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        rate = LOWEST * (HIGHEST / LOWEST) ** (trainer.global_step / (STEPS - 1))
        optimizer = trainer.optimizers[0]
        for group in optimizer.param_groups:  # one with a peak of its own keeps its distance from the rest
            group["lr"] = rate * group["initial_lr"] / optimizer.defaults["lr"]
        self.rates.append(rate)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: Any, batch_idx: int
    ) -> None:
        assert outputs is not None
        self.losses.append(float(outputs if isinstance(outputs, Tensor) else outputs["loss"]))
        self.progress(len(self.losses), STEPS, "looking for the learning rate")
        smooth = smoothed(self.losses)
        if not math.isfinite(smooth[-1]) or (len(smooth) > FIRST and smooth[-1] > OVER * min(smooth)):
            trainer.should_stop = True


def find_rate(
    module: TrainedModule,
    data: LightningDataModule,
    optim: OptimConfig,
    run: RunConfig,
    seed: int,
    folder: Path,
    progress: Progress,
) -> float:
    """The rate at which the loss falls fastest; the module stays as it is.

    Writes the curve to ``folder/rate.json`` and ``folder/rate.png``; where they are, they are believed, so that a
    resumed training goes on at its rate. Runs on one device; the same seed finds the same rate.

    Raises:
        UserError: the loss falls at no rate.
    """
    if (folder / CURVE).exists():
        return float(read_json(folder / CURVE)["suggested"])
    rising = _RisingRate(progress)
    trainer = Trainer(
        max_steps=STEPS,
        accelerator=run.accelerator,
        devices=1,
        precision=precision(optim, run),
        logger=False,
        gradient_clip_val=optim.clip,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=[StepSeed(seed), rising],
    )
    trainer.fit(copy.deepcopy(module), data.train_dataloader())
    rates, losses = rising.rates[: len(rising.losses)], rising.losses
    rate = suggested(rates, losses)
    _draw(folder / PICTURE, rates, losses, rate)
    kept = [loss if math.isfinite(loss) else None for loss in losses]
    write_json(folder / CURVE, {"suggested": rate, "rates": rates, "losses": kept})
    return rate


def smoothed(losses: Sequence[float]) -> list[float]:
    """Exponential moving average, without its bias towards the beginning."""
    mean, found = 0.0, []
    for count, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**count))
    return found


def suggested(rates: Sequence[float], losses: Sequence[float]) -> float:
    """The rate, of geometrically rising ones, at which the smoothed loss falls fastest before it is lowest.

    Raises:
        UserError: it falls nowhere.
    """
    smooth = [value for value in smoothed(losses) if math.isfinite(value)]
    lowest = min(range(len(smooth)), key=lambda i: smooth[i], default=0)
    slopes = {i: smooth[i + 1] - smooth[i - 1] for i in range(FIRST, lowest)}
    if not slopes or min(slopes.values()) >= 0:
        raise UserError("optim.find_rate found no rate at which the loss falls; leave it out and give learning_rate")
    return rates[min(slopes, key=lambda i: slopes[i])]


def _draw(path: Path, rates: Sequence[float], losses: Sequence[float], rate: float) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, color="0.7", label="loss of a step")
    axes.plot(rates, smoothed(losses), label="smoothed")
    axes.axvline(rate, color="C1", linestyle="--", label=f"suggested: {rate:.2g}")
    smooth = [value for value in smoothed(losses) if math.isfinite(value)]
    axes.set(
        xscale="log", xlabel="learning rate", ylabel="loss", ylim=(min(smooth) * 0.9, max(smooth[: FIRST + 1]) * 1.3)
    )
    axes.legend()
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
