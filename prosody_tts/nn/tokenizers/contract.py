"""What an acoustic tokenizer is: mel spectrograms to integers, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders import Decoded
from prosody_tts.nn.units import length_mask


@dataclass
class Tokenised:
    """A recording sent through the tokenizer.

    Attributes:
        codes: [B, N, Q] of each segment, zeros past the lengths.
        lengths: [B] segments.
        decoded: what the codes are heard as.
        commitment: mean squared distance between what was quantised and its code; none where nothing is learned.
    """

    codes: Tensor
    lengths: Tensor
    decoded: Decoded
    commitment: Tensor | None


class Tokenizer(nn.Module):
    """The contract of an acoustic tokenizer.

    A segment of ``segment`` mel frames becomes ``codebooks`` integers, each below ``size``.

    ``forward(mel [B, T, M], lengths [B], recording or none) -> Tokenised``: ``lengths`` are frames;
    ``encode(mel, lengths) -> codes [B, N, Q]``; ``decode(codes, frames [B]) -> Decoded``.
    """

    segment: int
    codebooks: int
    size: int

    def forward(self, mel: Tensor, lengths: Tensor, recording: AcousticBatch | None = None) -> Tokenised:
        raise NotImplementedError

    def encode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Codes of mels [B, T, M] with ``lengths`` [B] frames: [B, N, Q], zeros past the last segment."""
        raise NotImplementedError

    def decode(self, codes: Tensor, frames: Tensor, recording: AcousticBatch | None = None) -> Decoded:
        """Mels of codes [B, N, Q] that last ``frames`` [B]."""
        raise NotImplementedError

    def segments(self, frames: Tensor) -> Tensor:
        """Segments that so many frames take; the last may be shorter than the others: [B] -> [B]."""
        return torch.div(frames + self.segment - 1, self.segment, rounding_mode="floor")

    def segmented(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames side by side in segments [B, N, segment, M], and which frames there are [B, N, segment]."""
        padded = nn.functional.pad(mel, (0, 0, 0, -mel.shape[1] % self.segment))
        inside = length_mask(frames, padded.shape[1])
        padded = padded * inside[:, :, None]
        return padded.unflatten(1, (-1, self.segment)), inside.unflatten(1, (-1, self.segment))

    def spans(self, frames: Tensor) -> Tensor:
        """Frames of each segment [B, N]: ``segment``, fewer in the last, none past it."""
        index = torch.arange(int(self.segments(frames).max()), device=frames.device)
        return (frames[:, None] - index * self.segment).clamp(0, self.segment)
