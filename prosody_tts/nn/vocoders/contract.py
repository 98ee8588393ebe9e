"""The role of a vocoder, and the numbers of the mel spectrogram that one is given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class MelFormat:
    """What a mel spectrogram says and where its frames lie; plain numbers, kept in checkpoints.

    ``sample_rate``, ``low`` and ``high`` are in Hz; ``hop`` and ``window`` (Hann) in samples; ``fft`` in points.
    Values are natural logarithms of magnitudes behind Slaney's filters of unit area, or with ``htk`` or without
    ``unit_area`` as librosa has them, clipped below ``floor`` before the logarithm. Frame ``t`` is centred on sample
    ``t * hop``, with ``half_hop`` half a hop later.
    """

    sample_rate: int
    hop: int
    window: int
    fft: int
    mels: int
    low: float
    high: float
    floor: float = 1e-5
    htk: bool = False
    unit_area: bool = True
    half_hop: bool = False

    @property
    def first_centre(self) -> int:
        """The sample on which the first frame is centred."""
        return self.hop // 2 if self.half_hop else 0

    def samples(self, lengths: Tensor) -> Tensor:
        """[B] samples of clips of ``lengths`` frames: one hop less than frames, with ``half_hop`` as many."""
        return (lengths - (0 if self.half_hop else 1)).clamp(min=0) * self.hop

    @cached_property
    def filters(self) -> NDArray[np.float32]:
        """Mel filters [M, fft // 2 + 1]."""
        from librosa.filters import mel

        norm: Literal["slaney"] | None = "slaney" if self.unit_area else None
        bank = mel(
            sr=self.sample_rate,
            n_fft=self.fft,
            n_mels=self.mels,
            fmin=self.low,
            fmax=self.high,
            htk=self.htk,
            norm=norm,
        )
        return bank.astype(np.float32)


class Vocoder(Protocol):
    """A role: log-mel spectrograms ``mel`` [B, T, M] with ``lengths`` [B] to waveforms [B, L].

    Clip ``b`` has ``samples(lengths)[b]`` samples, zeros after them; nothing of it depends on the rest of the batch,
    and the same mel always gives the same samples.
    """

    def __call__(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Log-mel [B, T, M] with lengths [B] -> waveforms [B, L]."""
        ...

    def samples(self, lengths: Tensor) -> Tensor:
        """[B] samples of clips of ``lengths`` frames."""
        ...


class ClipVocoder(nn.Module):
    """A vocoder that renders clip by clip, so that neither neighbours nor padding can touch a sample.

    A padded batch would carry each clip's end into its padding and back, and gain next to nothing on a CPU.
    """

    def __init__(self, mel: MelFormat) -> None:
        super().__init__()
        self.mel = mel

    def samples(self, lengths: Tensor) -> Tensor:
        return self.mel.samples(lengths)

    @torch.no_grad()
    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Log-mel [B, T, M] with lengths [B] -> waveforms [B, L], zeros after each clip's ``samples``."""
        sizes = self.samples(lengths).tolist()
        waves = mel.new_zeros(mel.shape[0], max(sizes, default=0), dtype=torch.float32)
        for row, (frames, size) in enumerate(zip(lengths.tolist(), sizes, strict=True)):
            if size > 0:
                waves[row, :size] = self.clip(mel[row, :frames].float(), size)
        return waves

    def clip(self, mel: Tensor, size: int) -> Tensor:
        """One clip: log-mel [T, M] -> samples [size]."""
        raise NotImplementedError
