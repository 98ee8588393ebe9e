"""LightningModule of stage one, the autoencoder: rebuild mels, learn prosody vectors on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from data_modules.store import Specification
from prosody_tts.config import AcousticConfig
from prosody_tts.nn.acoustic import AcousticModel, Reconstruction
from prosody_tts.nn.means import gathered, masked_mean, over_processes, processes, ratio
from prosody_tts.nn.reference import Posterior
from prosody_tts.nn.units import length_mask
from prosody_tts.stages.fit import TrainedModule

#: Distances of mels by the names of ``acoustic.mel_loss``.
MEL_LOSSES: dict[str, Callable[..., Tensor]] = {
    "l1": nn.functional.l1_loss,
    "l2": nn.functional.mse_loss,
}

#: A posterior is called collapsed with fewer active dimensions, or with fewer nats a unit (ours).
LEAST_ACTIVE, LEAST_NATS = 2, 0.1
#: Variance below which a dimension of deterministic vectors counts as still (ours).
STILL = 1e-6


class AcousticStage(TrainedModule):
    """Wires loss, annealing and optimiser to an ``AcousticModel``.

    Loss: L1 of the normalised mel (CAMP, section 2.4) or L2, before a post-net and after it, ``kl`` times the KL
    divergence to N(0, I) in nats per mel channel and frame of a unit's mean length, annealed linearly, free below
    ``kl_free`` and counted every ``kl_every`` steps, the duration model's and the decoder's own losses, and L1 of word
    F0 and energy as read from the decoder's states and, in the contour, from the vectors alone.
    """

    watched = "dev/mel"

    def __init__(self, model: AcousticModel, settings: AcousticConfig, specification: Specification) -> None:
        super().__init__(settings.optim)
        self.model = model
        self.settings = settings
        self.specification = specification
        self._heard: list[tuple[Tensor, Tensor]] = []

    def losses(self, batch: AcousticBatch) -> dict[str, Tensor]:
        """Every term, un-weighted."""
        return self._terms(self.model(batch), batch)

    def _terms(self, rebuilt: Reconstruction, batch: AcousticBatch) -> dict[str, Tensor]:
        rendered, posterior, text, settings = rebuilt.rendered, rebuilt.posterior, batch.text, self.settings
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
            terms["kl"] = kl_with_free_bits(self._of_units(posterior, batch), settings.kl_free, settings.kl_free_of)
        return terms

    def _of_units(self, posterior: Posterior, batch: AcousticBatch) -> Tensor:
        """Nats of every unit and dimension, without the padding: [units, D]."""
        units = length_mask(batch.text.unit_lengths(self.model.units), posterior.mean.shape[1])
        return posterior.kl_by_dimension()[units]

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
        """Weight of the Kullback-Leibler term at the present step."""
        return kl_weight(self.settings, self.global_step, int(self.trainer.estimated_stepping_batches))

    def _risen(self, warmup: float) -> float:
        """How far something that grows linearly over a share of the steps has come, 0 to 1."""
        return min(1.0, self.global_step / max(1.0, warmup * self.trainer.estimated_stepping_batches))

    def training_step(self, batch: AcousticBatch, batch_idx: int) -> Tensor:
        self.model.decoder.anneal(self.settings.own_frames * self._risen(self.settings.own_warmup))
        terms, weights = self.losses(batch), self.weights()
        loss = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        self.log_epoch("train", {"loss": loss, **terms}, batch.ids)
        return loss

    def validation_step(self, batch: AcousticBatch, batch_idx: int) -> None:
        rebuilt = self.model(batch)
        self.log_epoch("dev", self._terms(rebuilt, batch), batch.ids)
        if rebuilt.posterior is not None:
            units = length_mask(batch.text.unit_lengths(self.model.units), rebuilt.posterior.mean.shape[1])
            self._heard.append((rebuilt.posterior.mean[units].detach(), self._of_units(rebuilt.posterior, batch)))

    def on_validation_epoch_end(self) -> None:
        """Log how much the vectors of the development split say."""
        if self._heard:
            means, nats = (gathered(torch.cat(parts)) for parts in zip(*self._heard, strict=True))
            watched = watch(means, nats)
            self.log_dict({f"dev/{name}": float(value) for name, value in watched.items() if name != "kl_nats_each"})
            self._heard.clear()

    @torch.inference_mode()
    def posterior(self, batch: AcousticBatch) -> Posterior | None:
        """Prosody vectors of recordings."""
        return self.model.encode(batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = self.specification.to_dict()


def kl_with_free_bits(nats: Tensor, free: float, of: Literal["dimension", "unit"]) -> Tensor:
    """Mean divergence of a unit, of which the first ``free`` nats cost nothing; nats [units, D] -> a scalar.

    Of a dimension: ``sum_d max(free, mean over units of nats_d)`` (Kingma et al., arXiv 1606.04934, equation 15, its
    groups our dimensions); of a unit: the mean over units of ``max(free, sum_d nats_d)``. What is below is constant
    and has no gradient.
    """
    count = torch.tensor(len(nats), device=nats.device)
    if free == 0:
        return ratio(nats.sum(), count)
    if of == "unit":
        return ratio(nats.sum(1).clamp(min=free).sum(), count)
    share = ratio(nats.sum(0), count)
    whole = over_processes(share.detach()) / processes()
    return torch.where(whole > free, share, free).sum()


def kl_weight(settings: AcousticConfig, step: int, steps: int) -> float:
    """Weight of the divergence at a step of so many: grows from 0 linearly (CopyCat, arXiv 2004.14617).

    The divergence counts every ``kl_every`` steps, from step ``kl_later`` every ``kl_every_later`` (Zhang et al., arXiv
    1812.04342, section 3).
    """
    later = settings.kl_every_later
    if step % (settings.kl_every if later is None or step < settings.kl_later else later):
        return 0.0
    return settings.kl * min(1.0, step / max(1.0, settings.kl_warmup * steps))


def active_dimensions(means: Tensor, threshold: float = 0.01) -> int:
    """Active units (Burda et al., arXiv 1509.00519): dimensions whose posterior mean varies over data, means [N, D]."""
    return int((means.var(0, correction=0) > threshold).sum())


def watch(means: Tensor, nats: Tensor) -> dict[str, Any]:
    """What vectors say: posterior means and divergences, both [units, D].

    Returns:
        ``active_dimensions``; ``kl_nats`` a unit, ``kl_nats_dimension`` a dimension of a unit, both means, and
        ``kl_nats_each``, the mean of every dimension.
    """
    each = nats.mean(0)
    return {
        "active_dimensions": active_dimensions(means),
        "kl_nats": float(each.sum()),
        "kl_nats_dimension": float(each.mean()),
        "kl_nats_each": [round(value, 4) for value in each.tolist()],
    }


def collapse_warning(means: Tensor, nats: Tensor, variational: bool) -> str | None:
    """A sentence if vectors have collapsed: hardly any dimension moves, or a posterior is nearly its prior.

    ``means`` and ``nats`` are [units, D]. Without a prior vectors have no scale of their own, so that only dimensions
    that hardly move at all count as still.
    """
    dimensions, divergence = means.shape[1], float(nats.sum(1).mean())
    active = active_dimensions(means) if variational else active_dimensions(means, STILL)
    if active >= min(LEAST_ACTIVE, dimensions) and (divergence >= LEAST_NATS or not variational):
        return None
    told = f"{active} of {dimensions} dimensions are active"
    if variational:
        return (
            f"the posterior has collapsed: {told}, {divergence:.3g} nats a unit; lower acoustic.kl, train longer "
            "(acoustic.optim.epochs), or give acoustic.kl_free"
        )
    return f"the vectors have collapsed: {told}; train longer (acoustic.optim.epochs)"


__all__ = ["AcousticStage", "active_dimensions", "collapse_warning", "kl_weight", "kl_with_free_bits", "watch"]
