"""A vocoder small enough to train on a corpus in minutes: pulses and noise, shaped frame by frame in the STFT."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prosody_tts.nn.vocoders.contract import ClipVocoder, MelFormat
from prosody_tts.nn.vocoders.excitation import pulse_train
from prosody_tts.nn.vocoders.pitch import PitchHead

#: Nepers by which one correction of the envelope may raise or lower a bin (ours).
LARGEST_CORRECTION = 2.0
#: Mean magnitude of a Rayleigh variable whose square has mean one.
RAYLEIGH = math.sqrt(math.pi) / 2


class ConvNeXtBlock(nn.Module):
    """One-dimensional ConvNeXt block, as in Vocos (arXiv 2306.00814, section 3.2): [B, T, D] -> [B, T, D].

    Convolution over time channel by channel, normalisation, two linear layers, scale, residual.
    """

    def __init__(self, width: int, kernel: int, scale: float, expansion: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen, self.narrow = nn.Linear(width, expansion * width), nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.conv(x.transpose(1, 2)).transpose(1, 2))
        return x + self.scale * self.narrow(nn.functional.gelu(self.widen(hidden)))


class Backbone(nn.Module):
    """Normalised mel [B, T, M] -> states [B, T, D]: a convolution and ``layers`` ConvNeXt blocks."""

    def __init__(self, mels: int, width: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(mels, width, kernel, padding=kernel // 2)
        self.first = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(width, kernel, 1 / layers) for _ in range(layers)))
        self.last = nn.LayerNorm(width)

    def forward(self, mel: Tensor) -> Tensor:
        return self.last(self.blocks(self.first(self.embed(mel.transpose(1, 2)).transpose(1, 2))))


class Rendered(NamedTuple):
    """What training looks at: ``wave`` [B, L] and the scores of F0, ``pitch`` [B, T, K]."""

    wave: Tensor
    pitch: Tensor


class SourceFilter(ClipVocoder):
    """Harmonic-plus-noise excitation, filtered in the STFT domain and turned to samples by an inverse STFT.

    As in neural source-filter models (Wang, Takaki and Yamagishi, arXiv 1904.12088) and DDSP (arXiv 2001.04643) the
    source is made, not learned: pulses at an F0 that is read from the mel itself, and noise. As in Vocos (arXiv
    2306.00814) everything that is learned works at the rate of frames: a ConvNeXt backbone gives each STFT frame a
    complex filter for the pulses (magnitude and phase) and a magnitude for the noise, on top of the envelope that the
    mel itself says. Phase coherence from frame to frame then comes with the source, which is what makes a short
    training enough (ours). At last ``corrections`` times the envelope of the result is measured as the mel was, and
    each frame is scaled by what is missing.

    ``mean`` and ``scale`` normalise the mel; ``f0_low`` and ``f0_high`` bound F0, in Hz.
    """

    def __init__(
        self,
        mel: MelFormat,
        mean: list[float],
        scale: list[float],
        f0_low: float,
        f0_high: float,
        width: int,
        layers: int,
        kernel: int,
        corrections: int,
    ) -> None:
        super().__init__(mel)
        self.corrections = corrections
        self._numbers = {
            "mel": asdict(mel),
            "mean": list(mean),
            "scale": list(scale),
            "f0_low": f0_low,
            "f0_high": f0_high,
            "width": width,
            "layers": layers,
            "kernel": kernel,
            "corrections": corrections,
        }
        bins = mel.fft // 2 + 1
        self.backbone = Backbone(mel.mels, width, layers, kernel)
        self.pitch = PitchHead(width, f0_low, f0_high)
        # Log-magnitudes of pulses and of noise, and the phase of the pulses' filter, for every bin.
        self.filters = nn.Linear(width, 3 * bins)
        nn.init.normal_(self.filters.weight, std=1e-3)
        nn.init.zeros_(self.filters.bias)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("spread", torch.tensor(scale), persistent=False)
        weights, offset = envelope_of_mel(mel)
        self.register_buffer("weights", torch.from_numpy(weights), persistent=False)
        self.register_buffer("offset", torch.from_numpy(offset), persistent=False)
        self.register_buffer("analysis", torch.from_numpy(mel.filters.T.copy()), persistent=False)
        self.register_buffer("hann", torch.hann_window(mel.window), persistent=False)

    mean: Tensor
    spread: Tensor
    weights: Tensor
    offset: Tensor
    analysis: Tensor
    hann: Tensor

    def numbers(self) -> dict[str, Any]:
        """What it was made of, plain values: kept in a checkpoint, it rebuilds the model."""
        return self._numbers

    @staticmethod
    def from_numbers(numbers: dict[str, Any]) -> SourceFilter:
        """The inverse of ``numbers``, without weights."""
        return SourceFilter(**{**numbers, "mel": MelFormat(**numbers["mel"])})

    def clip(self, mel: Tensor, size: int) -> Tensor:
        """One clip; its noise is always the same."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(1, size + 2 * self.mel.hop, generator=generator).to(mel.device)
        return self.render(mel[None], None, noise).wave[0]

    def render(self, mel: Tensor, f0: Tensor | None, noise: Tensor) -> Rendered:
        """Clips of equal length: log-mel [B, T, M] -> samples [B, samples(T)].

        ``f0`` [B, T] in Hz, above 0 everywhere, drives the pulses; none takes what the mel says. ``noise`` [B, L] is
        white, of variance one, at least two hops longer than the clips.
        """
        size = int(self.samples(torch.tensor(mel.shape[1])))
        # With frames half a hop late, one frame more at both ends covers the first and the last samples.
        extra = int(self.mel.half_hop)
        padded = _padded(mel, extra)
        states = self.backbone((padded - self.mean) / self.spread)
        logits = self.pitch(states)
        hertz = self.pitch.hertz(logits.detach()) if f0 is None else _padded(f0[..., None], extra)[..., 0]
        # Frame t of the padded clip is centred on sample t hop of what follows.
        length = (padded.shape[1] - 1) * self.mel.hop
        pulses = pulse_train(hertz, self.mel.hop, self.mel.sample_rate)
        loud, quiet, phase = self.filters(states).transpose(1, 2).chunk(3, dim=1)
        base = self.envelope(padded)
        voiced = self._stft(pulses * (2 / self.hann.sum()))
        unvoiced = self._stft(noise[:, :length] / (RAYLEIGH * self.hann.square().sum().sqrt()))
        spectrum = voiced * torch.polar((base + loud).exp(), phase) + unvoiced * (base + quiet).exp()
        wave = self._istft(spectrum, length)
        for _ in range(self.corrections):
            wave = self._corrected(wave, padded)
        first = extra * self.mel.hop - self.mel.first_centre
        return Rendered(wave[:, first : first + size], logits[:, extra : logits.shape[1] - extra])

    def envelope(self, mel: Tensor) -> Tensor:
        """Log-magnitude of each bin [B, F, T] that a log-mel [B, T, M] says, smooth between the filters' centres."""
        return ((mel + self.offset) @ self.weights).transpose(1, 2)

    def _corrected(self, wave: Tensor, mel: Tensor) -> Tensor:
        spectrum = self._stft(wave)
        heard = (spectrum.abs().transpose(1, 2) @ self.analysis).clamp(min=self.mel.floor).log()
        missing = (mel - heard).clamp(-LARGEST_CORRECTION, LARGEST_CORRECTION) @ self.weights
        return self._istft(spectrum * missing.transpose(1, 2).exp(), wave.shape[1])

    def _stft(self, wave: Tensor) -> Tensor:
        fft, hop, window = self.mel.fft, self.mel.hop, self.mel.window
        return torch.stft(wave, fft, hop, window, self.hann, center=True, pad_mode="constant", return_complex=True)

    def _istft(self, spectrum: Tensor, size: int) -> Tensor:
        fft, hop, window = self.mel.fft, self.mel.hop, self.mel.window
        return torch.istft(spectrum, fft, hop, window, self.hann, center=True, length=size)


def _padded(x: Tensor, extra: int) -> Tensor:
    """Repeat the first and the last frame of x [B, T, D] ``extra`` times."""
    return nn.functional.pad(x.transpose(1, 2), (extra, extra), "replicate").transpose(1, 2)


def envelope_of_mel(mel: MelFormat) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights [M, F] that interpolate log-magnitudes from the mel filters' centres to the bins, and what to add before.

    The second value [M] is minus the logarithm of each filter's area: a filter's output over its area is the mean
    magnitude it sees. Filters too narrow to hold a bin have no say; beyond the outermost centres the curve is level.
    """
    filters = mel.filters.astype(np.float64)
    area = filters.sum(1)
    sound = np.flatnonzero(area > 0)
    centres = (filters[sound] @ np.arange(filters.shape[1])) / area[sound]
    weights = np.zeros(filters.shape)
    for row, channel in enumerate(sound):
        weights[channel] = np.interp(np.arange(filters.shape[1]), centres, np.eye(len(sound))[row])
    offset = -np.log(np.where(area > 0, area, 1.0))
    return weights.astype(np.float32), offset.astype(np.float32)
