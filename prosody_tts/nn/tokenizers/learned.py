"""A learned tokenizer: convolutions hear segments, a quantizer names them, a decoder says them again."""

from __future__ import annotations

from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders import Decoded, Decoder
from prosody_tts.nn.layers import ConvStack
from prosody_tts.nn.means import ratio
from prosody_tts.nn.tokenizers.contract import Tokenised, Tokenizer
from prosody_tts.nn.tokenizers.quantizers import Quantizer
from prosody_tts.nn.units import length_mask


class SegmentEncoder(nn.Module):
    """Residual convolutions over frames, a segment's frames side by side, residual convolutions over segments.

    Shapes: segments [B, N, segment, M], frames inside [B, N, segment] -> [B, N, width].
    """

    def __init__(self, mels: int, segment: int, width: int, kernel: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Linear(mels, width)
        self.frames = ConvStack(width, kernel, layers, dropout)
        self.join = nn.Linear(width * segment, width)
        self.segments = ConvStack(width, 3, 1, dropout)

    def forward(self, segments: Tensor, inside: Tensor) -> Tensor:
        frames, mask = segments.flatten(1, 2), inside.flatten(1)
        heard = self.frames(self.enter(frames) * mask[:, :, None], mask).unflatten(1, segments.shape[1:3])
        return self.segments(self.join(heard.flatten(2)), inside.any(2))


class LearnedTokenizer(Tokenizer):
    """A VQ-VAE on mels (after arXiv 1711.00937 and 2402.08093, section 2.1), whose decoder is one of stage one's.

    A segment is to the decoder what a phone is to stage one: a state that lasts so many frames.
    """

    def __init__(self, encoder: SegmentEncoder, quantizer: Quantizer, decoder: Decoder, segment: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.quantizer = quantizer
        self.decoder = decoder
        self.segment = segment
        self.codebooks, self.size = quantizer.codebooks, quantizer.size

    def forward(self, mel: Tensor, lengths: Tensor, recording: AcousticBatch | None = None) -> Tokenised:
        states, there = self._heard(mel, lengths)
        # Rows without padding: it must neither move a codebook nor count as a use of it.
        found = self.quantizer(states[there])
        decoded = self._say(_placed(found.vectors, there), lengths, recording)
        commitment = ratio(found.distance.sum(), there.sum())
        return Tokenised(_placed(found.codes, there), there.sum(1), decoded, commitment)

    def encode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        states, there = self._heard(mel, lengths)
        return _placed(self.quantizer(states[there]).codes, there)

    def decode(self, codes: Tensor, frames: Tensor, recording: AcousticBatch | None = None) -> Decoded:
        there = length_mask(self.segments(frames), codes.shape[1])
        return self._say(self.quantizer.vectors(codes) * there[:, :, None], frames, recording)

    def _heard(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        segments, inside = self.segmented(mel, lengths)
        return self.encoder(segments, inside), inside.any(2)

    def _say(self, states: Tensor, frames: Tensor, recording: AcousticBatch | None) -> Decoded:
        return self.decoder(states, self.segments(frames), self.spans(frames), recording)


def _placed(rows: Tensor, there: Tensor) -> Tensor:
    """Rows [R, D] at their places [B, N, D], zeros elsewhere."""
    return rows.new_zeros(*there.shape, rows.shape[1]).masked_scatter(there[:, :, None], rows)
