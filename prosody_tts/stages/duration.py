"""LightningModule of a duration model that is trained by itself: Kathaka's baseline, and its third step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from data_modules.batches import DurationBatch
from data_modules.store import Specification
from prosody_tts.config import DurationConfig
from prosody_tts.nn.durations import SeparateDurations
from prosody_tts.nn.means import masked_mean
from prosody_tts.nn.reference import Posterior
from prosody_tts.nn.sampler import SamplerModel
from prosody_tts.nn.units import length_mask
from prosody_tts.stages.fit import TrainedModule

#: ``(batch, training) -> vectors [B, U, D] or none``: drawn in training, the mean of the draws otherwise.
VectorSource = Callable[[DurationBatch, bool], Tensor | None]


def no_vectors(batch: DurationBatch, training: bool) -> Tensor | None:
    """A system without prosody vectors."""
    return None


def recorded_vectors(batch: DurationBatch, training: bool) -> Tensor | None:
    """The recording's own, drawn from their posterior as stage one's decoder hears them."""
    assert batch.mean is not None and batch.scale is not None
    return Posterior(batch.mean, batch.scale).sample() if training else batch.mean


class SampledVectors:
    """Stage two's, drawn anew at every step from what it knows of the text (Kathaka, section 3.4).

    Stage two is read and never trained: it is no part of the stage, nor of its checkpoints.
    """

    def __init__(self, sampler: SamplerModel) -> None:
        self.sampler = sampler.eval().requires_grad_(False)

    @torch.no_grad()
    def __call__(self, batch: DurationBatch, training: bool) -> Tensor | None:
        self.sampler.to(batch.durations.device)
        return self.sampler.sample(batch.text, temperature=1.0 if training else 0.0)


class DurationStage(TrainedModule):
    """Wires loss, vectors and optimiser to a ``SeparateDurations``.

    ``trained_on`` names the stages whose vectors it learns from, kind -> identity; none for a system without vectors.
    Training draws vectors with a step's own seed, so a resumed run draws what the uninterrupted one drew.
    """

    watched = "dev/loss"

    def __init__(
        self,
        model: SeparateDurations,
        settings: DurationConfig,
        specification: Specification,
        source: VectorSource,
        trained_on: dict[str, str],
    ) -> None:
        super().__init__(settings.optim)
        self.model = model
        self.settings = settings
        self.specification = specification
        self.source = source
        self.trained_on = trained_on

    def training_step(self, batch: DurationBatch, batch_idx: int) -> Tensor:
        loss = self.model.loss(batch.text, self.source(batch, True), batch.durations)
        self.log_epoch("train", {"loss": loss}, batch.ids)
        return loss

    def validation_step(self, batch: DurationBatch, batch_idx: int) -> None:
        vectors = self.source(batch, False)
        missed = (self.model.frames(batch.text, vectors) - batch.durations).abs()
        inside = length_mask(batch.text.phone_lengths, missed.shape[1])
        values = {
            "loss": self.model.loss(batch.text, vectors, batch.durations),
            "frames": masked_mean(missed.float(), inside),
        }
        self.log_epoch("dev", values, batch.ids)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = self.specification.to_dict()
        checkpoint["trained_on"] = self.trained_on
