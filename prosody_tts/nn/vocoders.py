"""Mel spectrograms to waveforms: one contract, one registry."""

from __future__ import annotations

import math
from typing import Literal, Protocol

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
    logarithms of magnitudes behind Slaney's filters of unit area, or with ``htk`` or without ``unit_area`` as librosa
    has them; frame ``t`` is centred on sample ``t * hop``, with ``half_hop`` half a hop later.
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
        htk: bool = False,
        unit_area: bool = True,
        half_hop: bool = False,
    ) -> None:
        super().__init__()
        from librosa.filters import mel as mel_filters

        self.sample_rate, self.hop, self.window, self.fft = sample_rate, hop, window, fft
        self.iterations, self.momentum = iterations, momentum
        self.half_hop = half_hop
        norm: Literal["slaney"] | None = "slaney" if unit_area else None
        bank = mel_filters(sr=sample_rate, n_fft=fft, n_mels=mels, fmin=low, fmax=high, htk=htk, norm=norm)
        filters = torch.from_numpy(bank).double()
        self.register_buffer("inverse", torch.linalg.pinv(filters).float(), persistent=False)
        self.register_buffer("hann", torch.hann_window(window), persistent=False)

    inverse: Tensor
    hann: Tensor

    def samples(self, lengths: Tensor) -> Tensor:
        """[B] samples of clips of ``lengths`` frames: one hop less than frames, with ``half_hop`` as many."""
        return (lengths - (0 if self.half_hop else 1)).clamp(min=0) * self.hop

    @torch.no_grad()
    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Log-mel [B, T, M] with lengths [B] -> waveforms [B, L], zeros after each clip's ``samples``."""
        waves = mel.new_zeros(mel.shape[0], int(self.samples(lengths).max()), dtype=torch.float32)
        # Clip by clip: in a padded batch the transform would carry each clip's end into its padding and back.
        for row, frames in enumerate(lengths.tolist()):
            # From the first frame's centre to the last one's; what lies half a hop outside stays silent.
            first, spoken = self.hop // 2 * self.half_hop, (frames - 1) * self.hop
            if spoken > 0:
                waves[row, first : first + spoken] = self._clip(mel[row, :frames].float(), spoken)
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
