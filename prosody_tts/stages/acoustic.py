"""LightningModule of stage one, the autoencoder: rebuild mels, learn prosody vectors on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from data_modules.store import Specification
from prosody_tts.config import AcousticConfig
from prosody_tts.nn.acoustic import AcousticModel
from prosody_tts.nn.means import masked_mean, ratio, total
from prosody_tts.nn.reference import Posterior
from prosody_tts.nn.units import length_mask
from prosody_tts.stages.fit import TrainedModule

#: Distances of mels by the names of ``acoustic.mel_loss``.
MEL_LOSSES: dict[str, Callable[..., Tensor]] = {
    "l1": nn.functional.l1_loss,
    "l2": nn.functional.mse_loss,
}


class AcousticStage(TrainedModule):
    """Wires loss, annealing and optimiser to an ``AcousticModel``.

    Loss: L1 of the normalised mel (CAMP, section 2.4) or L2, before a post-net and after it, ``kl`` times the KL
    divergence to N(0, I) in nats per mel channel and frame of a unit's mean length, annealed linearly, L1 of log
    durations, the decoder's own losses, and L1 of word F0 and energy as read from the decoder's states and, in the
    contour, from the vectors alone.
    """

    watched = "dev/mel"

    def __init__(self, model: AcousticModel, settings: AcousticConfig, specification: Specification) -> None:
        super().__init__(settings.optim)
        self.model = model
        self.settings = settings
        self.specification = specification

    def losses(self, batch: AcousticBatch) -> dict[str, Tensor]:
        """Every term, un-weighted."""
        rebuilt = self.model(batch)
        rendered, posterior, text = rebuilt.rendered, rebuilt.posterior, batch.text
        decoded = rendered.decoded
        frames = length_mask(batch.frame_lengths, batch.mel.shape[1])
        terms = {
            "mel": self._distance(decoded.mel, batch.mel, frames),
            "readout": self._prosody(rendered.readout, batch),
            **self.model.decoder.losses(decoded, batch),
        }
        if decoded.drafts:
            terms["draft"] = torch.stack([self._distance(d, batch.mel, frames) for d in decoded.drafts]).sum()
        if self.model.durations is not None:
            terms["duration"] = self.model.durations.loss(
                rebuilt.conditioned, text.phone_lengths, text.pauses, batch.durations
            )
        if rebuilt.contour is not None:
            terms["contour"] = self._prosody(rebuilt.contour, batch)
        if posterior is not None and posterior.scale is not None:
            units = length_mask(text.unit_lengths(self.model.units), posterior.mean.shape[1])
            terms["kl"] = masked_mean(posterior.kl(), units)
        return terms

    def _distance(self, mel: Tensor, recorded: Tensor, frames: Tensor) -> Tensor:
        return masked_mean(MEL_LOSSES[self.settings.mel_loss](mel, recorded, reduction="none"), frames)

    def weights(self) -> dict[str, float]:
        """Weight of each term at the present step."""
        settings = self.settings
        return {
            "mel": 1.0,
            "draft": 1.0,
            "duration": settings.duration_weight,
            "source": settings.source_weight,
            "stop": settings.stop_weight,
            "guide": settings.guide_weight,
            "readout": settings.readout_weight,
            "contour": settings.contour_weight,
            "kl": self.weight_of_kl(),
        }

    @staticmethod
    def _prosody(predicted: Tensor, batch: AcousticBatch) -> Tensor:
        """L1 of word F0 and energy, [B, W, 2] against the recording's, over voiced words and words with frames."""
        present = batch.durations.new_zeros(batch.word_f0.shape).scatter_add(
            1, batch.text.phone_to_word, batch.durations
        )
        f0 = (predicted[:, :, 0] - batch.word_f0).abs() * batch.word_voiced
        energy = (predicted[:, :, 1] - batch.word_energy).abs() * (present > 0)
        return ratio(f0.sum(), batch.word_voiced.sum()) + ratio(energy.sum(), (present > 0).sum())

    def weight_of_kl(self) -> float:
        """The annealed weight: linear from 0 (CopyCat, arXiv 2004.14617)."""
        return self.settings.kl * self._risen(self.settings.kl_warmup)

    def _risen(self, warmup: float) -> float:
        """How far something that grows linearly over a share of the steps has come, 0 to 1."""
        return min(1.0, self.global_step / max(1.0, warmup * self.trainer.estimated_stepping_batches))

    def training_step(self, batch: AcousticBatch, batch_idx: int) -> Tensor:
        self.model.decoder.anneal(self.settings.own_frames * self._risen(self.settings.own_warmup))
        terms, weights = self.losses(batch), self.weights()
        loss = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        self._log("train", {"loss": loss, **terms}, batch)
        return loss

    def validation_step(self, batch: AcousticBatch, batch_idx: int) -> None:
        self._log("dev", self.losses(batch), batch)

    def _log(self, split: str, terms: dict[str, Tensor], batch: AcousticBatch) -> None:
        values = {f"{split}/{name}": value.detach() for name, value in terms.items()}
        self.log_dict(values, on_step=False, on_epoch=True, sync_dist=True, batch_size=total(len(batch.text.ids)))

    @torch.inference_mode()
    def posterior(self, batch: AcousticBatch) -> Posterior | None:
        """Prosody vectors of recordings."""
        return self.model.encode(batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = self.specification.to_dict()


def active_dimensions(means: Tensor, threshold: float = 0.01) -> int:
    """Active units (Burda et al., arXiv 1509.00519): dimensions whose posterior mean varies over data, means [N, D]."""
    return int((means.var(0) > threshold).sum())


__all__ = ["AcousticStage", "active_dimensions"]
