"""Griffin-Lim: a phase that fits the magnitudes, found by iteration."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from prosody_tts.nn.vocoders.contract import ClipVocoder, MelFormat


class GriffinLim(ClipVocoder):
    """Fast Griffin-Lim (Perraudin, Balazs and Sondergaard 2013) on the pseudo-inverse of the mel filters.

    No weights, and the same start for every clip, so that the same mel always gives the same samples.
    """

    def __init__(self, mel: MelFormat, iterations: int, momentum: float = 0.99) -> None:
        super().__init__(mel)
        self.iterations, self.momentum = iterations, momentum
        filters = torch.from_numpy(mel.filters).double()
        self.register_buffer("inverse", torch.linalg.pinv(filters).float(), persistent=False)
        self.register_buffer("hann", torch.hann_window(mel.window), persistent=False)

    inverse: Tensor
    hann: Tensor

    def clip(self, mel: Tensor, size: int) -> Tensor:
        """One clip; what lies outside the first and the last frame's centre stays silent."""
        wave = mel.new_zeros(size)
        spoken = (len(mel) - 1) * self.mel.hop
        if spoken > 0:
            first = self.mel.first_centre
            wave[first : first + spoken] = self._spoken(mel, spoken)
        return wave

    def _spoken(self, mel: Tensor, size: int) -> Tensor:
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
        fft, hop, window = self.mel.fft, self.mel.hop, self.mel.window
        return torch.stft(wave, fft, hop, window, self.hann, center=True, pad_mode="constant", return_complex=True)

    def _synthesise(self, spectrum: Tensor, size: int) -> Tensor:
        fft, hop, window = self.mel.fft, self.mel.hop, self.mel.window
        return torch.istft(spectrum, fft, hop, window, self.hann, center=True, length=size)
