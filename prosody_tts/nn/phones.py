"""Phone encoder: phones in, contextual states out."""

from __future__ import annotations

from torch import Tensor, nn

from prosody_tts.nn.layers import BiLSTM, ConvStack
from prosody_tts.nn.units import length_mask


class PhoneEncoder(nn.Module):
    """Embedding, convolutions and a BiLSTM, as in Tacotron-2 and CAMP (section 2.1).

    Shapes: phones [B, P], lengths [B] -> [B, P, width].
    """

    def __init__(self, phones: int, width: int, kernel: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(phones, width, padding_idx=0)
        self.stack = ConvStack(width, kernel, layers, dropout)
        self.recurrent = BiLSTM(width, width)

    def forward(self, phones: Tensor, lengths: Tensor) -> Tensor:
        states = self.stack(self.embedding(phones), length_mask(lengths, phones.shape[1]))
        return states + self.recurrent(states, lengths)
