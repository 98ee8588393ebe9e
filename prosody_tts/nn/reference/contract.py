"""What a reference encoder is: a recording in, one prosody vector a unit out; and its two halves, ear and head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Heard:
    """What a reference encoder may hear of a batch of recordings.

    Attributes:
        mel: [B, T, M] normalised log-mel.
        states: [B, T, D] phone states, spread to frames.
        frame_to_unit: [B, T] prosody unit of each frame.
        lengths: [B] frames.
        phones: [B, U] phones of each unit; 0 for padding.
        log_f0: [B, T] natural log of F0 in Hz, zero where unvoiced.
        voiced: [B, T] whether a frame has F0.
        energy: [B, T] normalised log-energy.
    """

    mel: Tensor
    states: Tensor
    frame_to_unit: Tensor
    lengths: Tensor
    phones: Tensor
    log_f0: Tensor
    voiced: Tensor
    energy: Tensor

    @property
    def units(self) -> int:
        """U, the largest number of units."""
        return self.phones.shape[1]


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

    def kl_by_dimension(self) -> Tensor:
        """KL divergence to N(0, I) in nats of each dimension: [B, U, D]; zeros where there is no scale."""
        if self.scale is None:
            return torch.zeros_like(self.mean)
        variance = self.scale.square()
        return 0.5 * (variance + self.mean.square() - 1 - variance.log())

    def kl(self) -> Tensor:
        """KL divergence to N(0, I) in nats of each unit: [B, U]; zeros where there is no scale."""
        return self.kl_by_dimension().sum(2)


class Hearing(nn.Module):
    """The contract of what hears: ``Heard -> [B, U, width]``, one state a unit, whatever stands in the padding."""

    #: Dimensions of a unit's state.
    width: int

    def forward(self, heard: Heard) -> Tensor:
        raise NotImplementedError


class Head(nn.Module):
    """The contract of a posterior's kind: states [B, U, width] -> ``Posterior`` of [B, U, latent]."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()

    def forward(self, states: Tensor) -> Posterior:
        raise NotImplementedError


class ReferenceEncoder(nn.Module):
    """The contract of a reference encoder: ``Heard -> Posterior`` of [B, U, D]."""

    def forward(self, heard: Heard) -> Posterior:
        raise NotImplementedError


class LearnedReference(ReferenceEncoder):
    """Any hearing below any head."""

    def __init__(self, hearing: Hearing, head: Head) -> None:
        super().__init__()
        self.hearing = hearing
        self.head = head

    def forward(self, heard: Heard) -> Posterior:
        return self.head(self.hearing(heard))
