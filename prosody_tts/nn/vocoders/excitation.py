"""The source of a source-filter vocoder: a pulse train that follows F0."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def pulse_train(f0: Tensor, hop: int, sample_rate: int) -> Tensor:
    """All harmonics of F0 below half the sample rate, as cosines of amplitude one: F0 [B, T] -> [B, (T - 1) hop].

    F0, in Hz and above 0 everywhere, is interpolated linearly in its logarithm between frames, ``hop`` samples apart.
    The sum over harmonics has a closed form, Dirichlet's kernel, so that it costs no more than one of them.
    """
    size = (f0.shape[1] - 1) * hop
    logs = f0.double().log()[:, None]
    hertz = torch.nn.functional.interpolate(logs, size=size + 1, mode="linear", align_corners=True)[:, 0, :-1].exp()
    phase = 2 * math.pi * ((hertz / sample_rate).cumsum(1) % 1.0)
    harmonics = (0.5 * sample_rate / hertz).floor()
    half = (0.5 * phase).sin()
    at_pulse = half.abs() < 1e-5
    kernel = 0.5 * (((harmonics + 0.5) * phase).sin() / torch.where(at_pulse, 1.0, half) - 1)
    return torch.where(at_pulse, harmonics, kernel).to(f0.dtype)
