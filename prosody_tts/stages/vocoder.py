"""LightningModule of the trained vocoder: mels of recordings back to their samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from data_modules.batches import VocoderBatch
from prosody_tts.config import VocoderConfig
from prosody_tts.nn.vocoders.discriminators import Discriminators
from prosody_tts.nn.vocoders.losses import SpectralDistance
from prosody_tts.nn.vocoders.pitch import bridge
from prosody_tts.nn.vocoders.source_filter import Rendered, SourceFilter
from prosody_tts.stages.fit import TrainedModule


class VocoderStage(TrainedModule):
    """Wires losses and optimiser to a ``SourceFilter`` and, where there are some, to ``Discriminators``.

    Loss: ``SpectralDistance`` between the rendering and the recording, and the cross-entropy of F0 read from the mel.
    Pulses follow the recording's own F0 in training, so that the filter learns what harmonics of the true pitch look
    like, and the F0 that was read on the development split, as in use. Discriminators and vocoder take their steps
    together, each along the gradient of its own loss alone (ours); for the first ``adversarial_from`` of the steps
    the vocoder does not hear them.
    """

    watched = "dev/distance"

    def __init__(self, model: SourceFilter, settings: VocoderConfig, discriminators: Discriminators | None) -> None:
        super().__init__(settings.optim)
        self.model = model
        self.settings = settings
        self.discriminators = discriminators
        self.distance = SpectralDistance(model.mel.sample_rate)

    def training_step(self, batch: VocoderBatch, batch_idx: int) -> Tensor:
        rendered = self._render(batch, bridge(batch.f0))
        terms = self._terms(rendered, batch)
        loss = terms["convergence"] + terms["log_distance"] + self.settings.pitch_weight * terms["pitch"]
        if self.discriminators is not None:
            loss = loss + self._against(self.discriminators, rendered.wave, batch.wave, terms)
        self.log_epoch("train", {"loss": loss, **terms}, batch.ids)
        return loss

    def validation_step(self, batch: VocoderBatch, batch_idx: int) -> None:
        terms = self._terms(self._render(batch, None), batch)
        self.log_epoch("dev", {"distance": terms["convergence"] + terms["log_distance"], **terms}, batch.ids)

    def _render(self, batch: VocoderBatch, f0: Tensor | None) -> Rendered:
        shape = batch.wave.shape[0], batch.wave.shape[1] + 2 * self.model.mel.hop
        if f0 is not None:  # StepSeed has seeded the generator by the step's number
            return self.model.render(batch.mel, f0, torch.randn(shape, device=batch.mel.device))
        generator = torch.Generator().manual_seed(0)
        return self.model.render(batch.mel, None, torch.randn(shape, generator=generator).to(batch.mel.device))

    def _terms(self, rendered: Rendered, batch: VocoderBatch) -> dict[str, Tensor]:
        """Every term, un-weighted."""
        convergence, log_distance = self.distance.terms(rendered.wave, batch.wave)
        pitch = self.model.pitch.loss(rendered.pitch, batch.f0)
        return {"convergence": convergence, "log_distance": log_distance, "pitch": pitch}

    def _against(self, judges: Discriminators, wave: Tensor, target: Tensor, terms: dict[str, Tensor]) -> Tensor:
        """What the discriminators add to the loss: their own, and the vocoder's once it hears them."""
        terms["discriminators"] = judges.loss(wave, target)
        if self.global_step < self.settings.adversarial_from * self.trainer.estimated_stepping_batches:
            return terms["discriminators"]
        terms["hinge"], terms["matching"] = judges.judge(wave, target)
        settings = self.settings
        mine = settings.adversarial_weight * terms["hinge"] + settings.matching_weight * terms["matching"]
        return terms["discriminators"] + mine

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["vocoder"] = self.model.numbers()
