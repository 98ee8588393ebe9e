"""The network of priors that learn to take noise away: from noisy vectors of a sentence, and their context."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from prosody_tts.nn.priors.contract import Known

#: Numbers that tell the network how much noise there is.
LEVEL = 32
#: Convolutions are this wide, in units, and each layer reaches twice as far as the one before, up to ``FARTHEST``.
KERNEL, FARTHEST = 3, 16


class LevelEmbedding(nn.Module):
    """Sines and cosines of a noise level, from slow to fast, and two layers: levels [B] -> [B, width]."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        frequencies = torch.logspace(math.log10(0.5), math.log10(32.0), LEVEL // 2)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(nn.Linear(LEVEL, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, levels: Tensor) -> Tensor:
        angles = levels[:, None] * self.frequencies
        return self.layers(torch.cat([angles.sin(), angles.cos()], dim=1))


class DenoiserBlock(nn.Module):
    """A residual convolution whose normalised input is scaled and shifted by the noise level (FiLM).

    Beside the convolution every unit hears the mean of the sentence, so that however long it is its units agree.

    Shapes: x [B, U, H], level [B, H], inside [B, U, 1] -> [B, U, H].
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(width, 2 * width)
        self.conv = nn.Conv1d(width, width, KERNEL, padding=dilation * (KERNEL // 2), dilation=dilation)
        self.whole = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, level: Tensor, inside: Tensor) -> Tensor:
        scale, shift = self.film(level)[:, None].chunk(2, dim=2)
        hidden = (self.norm(x) * (1 + scale) + shift) * inside
        mean = hidden.sum(1, keepdim=True) / inside.sum(1, keepdim=True).clamp(min=1)
        hidden = self.conv(hidden.transpose(1, 2)).transpose(1, 2) + self.whole(mean)
        return x + self.out(nn.functional.silu(hidden))


class Denoiser(nn.Module):
    """Dilated residual convolutions over the units of a sentence; the noise they hear is their only dropout.

    Some units may be given as they are (``Known``): the network then sees their vectors beside the noisy ones, and has
    learned to draw the others given them.

    Shapes: noisy [B, U, D], levels [B], context [B, U, C], mask [B, U] -> [B, U, D].
    """

    def __init__(self, context: int, latent: int, width: int, layers: int) -> None:
        super().__init__()
        self.latent = latent
        self.inputs = nn.Linear(context + 2 * latent + 1, width)
        self.level = LevelEmbedding(width)
        self.blocks = nn.ModuleList(DenoiserBlock(width, min(2**layer, FARTHEST)) for layer in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, latent)

    def forward(self, noisy: Tensor, levels: Tensor, context: Tensor, mask: Tensor, known: Known) -> Tensor:
        inside = mask[:, :, None].to(noisy.dtype)
        given = known.where[:, :, None].to(noisy.dtype)
        x = self.inputs(torch.cat([noisy, context, known.values * given, given], dim=2))
        level = self.level(levels)
        for block in self.blocks:
            x = block(x, level, inside)
        return self.out(self.norm(x)) * inside
