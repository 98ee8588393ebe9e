"""Mel spectrograms to waveforms: one contract, one registry."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn


class Vocoder(Protocol):
    """A role: log-mel spectrograms ``mel`` [B, T, M] with ``lengths`` [B] to waveforms [B, L].

    Clip ``b`` has ``samples(lengths)[b]`` samples, zeros after them; nothing of it depends on the rest of the batch.
    """

    def __call__(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Log-mel [B, T, M] with lengths [B] -> waveforms [B, L]."""
        ...

    def samples(self, lengths: Tensor) -> Tensor:
        """[B] samples of clips of ``lengths`` frames."""
        ...


class GriffinLim(nn.Module):
    """Fast Griffin-Lim (Perraudin, Balazs and Sondergaard 2013) on the pseudo-inverse of the mel filters.

    No weights, and the same start for every clip, so that the same mel always gives the same samples. ``sample_rate``,
    ``low`` and ``high`` are in Hz; ``hop`` and ``window`` in samples; ``fft`` in points. Mel spectrograms are natural
    logarithms of magnitudes behind Slaney's filters, frame ``t`` centred on sample ``t * hop``.
    """

    def __init__(
        self,
        sample_rate: int,
        hop: int,
        window: int,
        fft: int,
        mels: int,
        low: float,
        high: float,
        iterations: int,
        momentum: float = 0.99,
    ) -> None:
        super().__init__()
        from librosa.filters import mel as mel_filters

        self.sample_rate, self.hop, self.window, self.fft = sample_rate, hop, window, fft
        self.iterations, self.momentum = iterations, momentum
        filters = torch.from_numpy(mel_filters(sr=sample_rate, n_fft=fft, n_mels=mels, fmin=low, fmax=high)).double()
        self.register_buffer("inverse", torch.linalg.pinv(filters).float(), persistent=False)
        self.register_buffer("hann", torch.hann_window(window), persistent=False)

    inverse: Tensor
    hann: Tensor

    def samples(self, lengths: Tensor) -> Tensor:
        """[B] samples of clips of ``lengths`` frames: the distance between their first and last frame's centres."""
        return (lengths - 1).clamp(min=0) * self.hop

    @torch.no_grad()
    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Log-mel [B, T, M] with lengths [B] -> waveforms [B, L], zeros after each clip's ``samples``."""
        sizes = self.samples(lengths).tolist()
        waves = mel.new_zeros(mel.shape[0], max(sizes), dtype=torch.float32)
        # Clip by clip: in a padded batch the transform would carry each clip's end into its padding and back.
        for row, (frames, size) in enumerate(zip(lengths.tolist(), sizes, strict=True)):
            if size > 0:
                waves[row, :size] = self._clip(mel[row, :frames].float(), size)
        return waves

    def _clip(self, mel: Tensor, size: int) -> Tensor:
        magnitude = (self.inverse @ mel.exp().T).clamp_(min=1e-8)
        generator = torch.Generator().manual_seed(0)
        phase = 2 * math.pi * torch.rand(magnitude.shape, generator=generator).to(magnitude.device)
        spectrum = torch.polar(magnitude, phase)
        share = self.momentum / (1 + self.momentum)
        previous = torch.zeros_like(spectrum)
        for _ in range(self.iterations):
            rebuilt = self._analyse(self._synthesise(spectrum, size))
            direction = rebuilt - share * previous
            spectrum = direction * (magnitude / (direction.abs() + 1e-16))
            previous = rebuilt
        return self._synthesise(spectrum, size)

    def _analyse(self, wave: Tensor) -> Tensor:
        return torch.stft(
            wave, self.fft, self.hop, self.window, self.hann, center=True, pad_mode="constant", return_complex=True
        )

    def _synthesise(self, spectrum: Tensor, size: int) -> Tensor:
        return torch.istft(spectrum, self.fft, self.hop, self.window, self.hann, center=True, length=size)


#: Vocoders by name, built from the numbers of ``GriffinLim.__init__``.
VOCODERS: dict[str, type[GriffinLim]] = {"griffin_lim": GriffinLim}
