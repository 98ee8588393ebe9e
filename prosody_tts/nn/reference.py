"""Reference encoders: what a recording's prosody is, one vector a unit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prosody_tts.nn.layers import BiLSTM, ConvStack
from prosody_tts.nn.units import POOLS, length_mask


@dataclass
class Heard:
    """What a reference encoder may hear of a batch of recordings.

    Attributes:
        mel: [B, T, M] normalised log-mel.
        states: [B, T, D] phone states, spread to frames.
        frame_to_unit: [B, T] prosody unit of each frame.
        lengths: [B] frames.
        units: U, the largest number of units.
        log_f0: [B, T] natural log of F0 in Hz, zero where unvoiced.
        voiced: [B, T] whether a frame has F0.
        energy: [B, T] normalised log-energy.
    """

    mel: Tensor
    states: Tensor
    frame_to_unit: Tensor
    lengths: Tensor
    units: int
    log_f0: Tensor
    voiced: Tensor
    energy: Tensor


@dataclass
class Posterior:
    """Prosody vectors of a batch: ``mean`` and ``scale`` [B, U, D]; no scale where the encoder is deterministic.

    ``exists`` [B, U, D] tells which dimensions of explicit vectors exist on which units; none where all do.
    """

    mean: Tensor
    scale: Tensor | None
    exists: Tensor | None = None

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw vectors by reparametrisation; the mean where there is no scale: [B, U, D]."""
        if self.scale is None:
            return self.mean
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + self.scale * noise

    def kl(self) -> Tensor:
        """KL divergence to N(0, I) in nats of each unit: [B, U]; zeros where there is no scale."""
        if self.scale is None:
            return self.mean.new_zeros(self.mean.shape[:2])
        variance = self.scale.square()
        return 0.5 * (variance + self.mean.square() - 1 - variance.log()).sum(2)


class ReferenceEncoder(nn.Module):
    """Mel frames, and with ``states`` above zero the spread phone states, in; one vector a unit out.

    The phone states tell the encoder what is said, so that the vector need only hold how (CAMP, section 2.1); Kathaka's
    hears the mel alone (section 3.1). Frames are read at
    ``stride``; convolutions, a BiLSTM, then ``pool`` takes one state a unit.

    Contract: ``Heard -> Posterior`` of [B, U, D].
    """

    def __init__(
        self, mels: int, states: int, width: int, latent: int, kernel: int, pool: str, stride: int, dropout: float
    ) -> None:
        super().__init__()
        self.stride = stride
        self.states = states
        self.pool, factor = POOLS[pool]
        self.reduce = nn.Linear((mels + states) * stride, width)
        self.stack = ConvStack(width, kernel, 2, dropout)
        self.recurrent = BiLSTM(width, width)
        self.mean = nn.Linear(width * factor, latent)

    def pooled(self, heard: Heard) -> Tensor:
        """One state per unit, [B, U, width * factor]."""
        lengths, size = heard.lengths, heard.mel.shape[1]
        mask = length_mask(lengths, size)
        joined = torch.cat([heard.mel, heard.states[:, :, : self.states]], dim=2) * mask[:, :, None]
        pad = -joined.shape[1] % self.stride
        joined = nn.functional.pad(joined, (0, 0, 0, pad))
        steps = self.reduce(joined.reshape(joined.shape[0], joined.shape[1] // self.stride, -1))
        step_lengths = torch.div(lengths + self.stride - 1, self.stride, rounding_mode="floor")
        steps = self.stack(steps, length_mask(step_lengths, steps.shape[1]))
        steps = steps + self.recurrent(steps, step_lengths)
        frames = steps.repeat_interleave(self.stride, dim=1)[:, :size]
        return self.pool(frames, heard.frame_to_unit, mask, heard.units)

    def forward(self, heard: Heard) -> Posterior:
        return Posterior(self.mean(self.pooled(heard)), None)


class VariationalReferenceEncoder(ReferenceEncoder):
    """A diagonal Gaussian per unit (Kathaka, section 3.1; its latent size is not printed)."""

    def __init__(
        self, mels: int, states: int, width: int, latent: int, kernel: int, pool: str, stride: int, dropout: float
    ) -> None:
        super().__init__(mels, states, width, latent, kernel, pool, stride, dropout)
        self.log_scale = nn.Linear(self.mean.in_features, latent)
        # A small first scale lets the decoder listen to the vector before the KL term quietens it.
        nn.init.zeros_(self.log_scale.weight)
        nn.init.constant_(self.log_scale.bias, -1.0)

    def forward(self, heard: Heard) -> Posterior:
        pooled = self.pooled(heard)
        return Posterior(self.mean(pooled), self.log_scale(pooled).clamp(-7, 3).exp())


REFERENCES: dict[str, type[ReferenceEncoder]] = {
    "deterministic": ReferenceEncoder,
    "variational": VariationalReferenceEncoder,
}
