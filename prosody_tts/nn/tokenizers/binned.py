"""A tokenizer without training: every mel channel of a segment in bins of its own (dMel, arXiv 2407.15835)."""

from __future__ import annotations

import torch
from torch import Tensor

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders import Decoded
from prosody_tts.nn.tokenizers.contract import Tokenised, Tokenizer
from prosody_tts.nn.units import length_mask


class BinnedTokenizer(Tokenizer):
    """A segment's mean mel, each channel the number of its bin; bins of a channel are equally wide (dMel, section 2.1).

    There are as many codebooks as channels. ``low`` and ``high`` [M] bound the values, set from the training split's
    extremes; what lies beyond goes into the outermost bins.
    """

    low: Tensor
    high: Tensor

    def __init__(self, mels: int, segment: int, size: int) -> None:
        super().__init__()
        self.segment, self.codebooks, self.size = segment, mels, size
        self.register_buffer("low", -torch.ones(mels))
        self.register_buffer("high", torch.ones(mels))

    def encode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        segments, inside = self.segmented(mel, lengths)
        count = inside.sum(2)[:, :, None]
        place = (segments.sum(2) / count.clamp(min=1) - self.low) / (self.high - self.low)
        return (place * self.size).floor().clamp(0, self.size - 1).long() * (count > 0)

    def decode(self, codes: Tensor, frames: Tensor, recording: AcousticBatch | None = None) -> Decoded:
        centres = self.low + (codes + 0.5) / self.size * (self.high - self.low)
        longest = int(frames.max())
        mel = centres.repeat_interleave(self.segment, dim=1)[:, :longest]
        mel = mel * length_mask(frames, longest)[:, :, None]
        return Decoded(mel, mel, self.spans(frames), frames, {})

    def forward(self, mel: Tensor, lengths: Tensor, recording: AcousticBatch | None = None) -> Tokenised:
        codes = self.encode(mel, lengths)
        return Tokenised(codes, self.segments(lengths), self.decode(codes, lengths), None)
