"""Discriminators that tell recordings from renderings, for long trainings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

#: Periods, in samples, that HiFi-GAN's multi-period discriminator folds waves by (arXiv 2010.05646, section 2.3).
PERIODS = (2, 3, 5, 7, 11)
#: Seconds of the windows through which spectra are judged (ours; UnivNet, arXiv 2106.07889, has three resolutions too).
WINDOWS = (0.0125, 0.025, 0.05)


class PeriodDiscriminator(nn.Module):
    """Folds a wave into rows of ``period`` samples and judges each column: [B, L] -> features, the last the scores."""

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        sizes = [1, width, 2 * width, 4 * width]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0)) for a, b in pairwise(sizes))
        self.score = nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0))

    def forward(self, wave: Tensor) -> list[Tensor]:
        x = nn.functional.pad(wave, (0, -wave.shape[1] % self.period)).unflatten(1, (-1, self.period))[:, None]
        return _judge(x, self.layers, self.score)


class ResolutionDiscriminator(nn.Module):
    """Judges log-magnitudes of one short-time spectrum, as UnivNet's does: [B, L] -> features, the last the scores."""

    def __init__(self, window: int, width: int) -> None:
        super().__init__()
        self.window = window
        self.register_buffer("hann", torch.hann_window(window), persistent=False)
        self.layers = nn.ModuleList(nn.Conv2d(a, width, (5, 3), (2, 1), (2, 1)) for a in (1, width, width))
        self.score = nn.Conv2d(width, 1, 3, padding=1)

    hann: Tensor

    def forward(self, wave: Tensor) -> list[Tensor]:
        hop = self.window // 4
        spectrum = torch.stft(wave, self.window, hop, window=self.hann, pad_mode="constant", return_complex=True)
        x = (spectrum.abs() * (2 / self.hann.sum())).clamp(min=1e-5).log()[:, None]
        return _judge(x, self.layers, self.score)


def _judge(x: Tensor, layers: nn.ModuleList, score: nn.Module) -> list[Tensor]:
    features = []
    for layer in layers:
        x = nn.functional.leaky_relu(layer(x), 0.1)
        features.append(x)
    return [*features, score(x)]


class Discriminators(nn.Module):
    """Several periods and resolutions, their hinge losses and the distance of their features averaged."""

    def __init__(self, sample_rate: int, width: int = 16) -> None:
        super().__init__()
        windows = [4 * round(seconds * sample_rate / 4) for seconds in WINDOWS]
        self.members = nn.ModuleList(
            [
                *(PeriodDiscriminator(period, width) for period in PERIODS),
                *(ResolutionDiscriminator(window, width) for window in windows),
            ]
        )

    def loss(self, wave: Tensor, target: Tensor) -> Tensor:
        """What the discriminators make small: hinge loss of renderings [B, L] (no gradient) and recordings [B, L]."""
        losses = [
            (1 - member(target)[-1]).relu().mean() + (1 + member(wave.detach())[-1]).relu().mean()
            for member in self.members
        ]
        return torch.stack(losses).mean()

    def judge(self, wave: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What the vocoder makes small: its hinge loss, and the mean absolute distance of features (arXiv 1910.06711).

        No gradient reaches the discriminators.
        """
        self.requires_grad_(False)
        try:
            pairs = [(member(wave), member(target)) for member in self.members]
        finally:
            self.requires_grad_(True)
        hinge = torch.stack([(1 - mine[-1]).relu().mean() for mine, _ in pairs]).mean()
        matching = torch.stack([_distance(mine[:-1], theirs[:-1]) for mine, theirs in pairs]).mean()
        return hinge, matching


def _distance(mine: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    return torch.stack([(a - b.detach()).abs().mean() for a, b in zip(mine, theirs, strict=True)]).mean()
