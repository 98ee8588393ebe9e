"""How far two waveforms lie apart, seen through short-time spectra of several resolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Seconds of the Hann windows; each is moved on by a quarter of itself.
WINDOWS = (0.010, 0.025, 0.050, 0.100)
#: Magnitudes below it count as silent: -100 dB of a full-scale sine.
FLOOR = 1e-5


class SpectralDistance(nn.Module):
    """Multi-resolution STFT distance (Yamamoto, Song and Kim, Parallel WaveGAN, arXiv 1910.11480, section 2.2).

    For every resolution: spectral convergence, the Frobenius norm of the difference of magnitudes over that of the
    target, plus the mean absolute difference of log-magnitudes in nepers; the mean over resolutions. Magnitudes are
    scaled so that a full-scale sine has one.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.sizes = [4 * max(4, round(seconds * sample_rate / 4)) for seconds in WINDOWS]
        for size in self.sizes:
            self.register_buffer(f"hann{size}", torch.hann_window(size), persistent=False)

    def forward(self, wave: Tensor, target: Tensor) -> Tensor:
        """Waves [B, L] against recordings [B, L] -> scalar."""
        convergence, log_distance = self.terms(wave, target)
        return convergence + log_distance

    def terms(self, wave: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Spectral convergence and log-magnitude distance, each a scalar."""
        convergence, log_distance = wave.new_zeros(()), wave.new_zeros(())
        for size in self.sizes:
            mine, theirs = self._magnitude(wave, size), self._magnitude(target, size)
            convergence = convergence + (theirs - mine).norm() / theirs.norm().clamp(min=FLOOR)
            log_distance = log_distance + (theirs.log() - mine.log()).abs().mean()
        return convergence / len(self.sizes), log_distance / len(self.sizes)

    def _magnitude(self, wave: Tensor, size: int) -> Tensor:
        window = getattr(self, f"hann{size}")
        spectrum = torch.stft(
            wave, size, size // 4, window=window, center=True, pad_mode="constant", return_complex=True
        )
        return (spectrum.abs() * (2 / window.sum())).clamp(min=FLOOR)
