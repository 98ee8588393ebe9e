"""Phone encoder: phones in, contextual states out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.layers import BiLSTM, ConvStack
from prosody_tts.nn.units import length_mask

#: Half-periods over a sentence that tell a phone's place.
HARMONICS = 3


def places(lengths: Tensor, size: int) -> Tensor:
    """Cosines and sines of each phone's place between a sentence's first (0) and last (1): [B, size, 2 HARMONICS]."""
    index = torch.arange(size, device=lengths.device)
    share = (index / (lengths[:, None] - 1).clamp(min=1)).clamp(max=1)
    angles = torch.pi * share[:, :, None] * torch.arange(1, HARMONICS + 1, device=lengths.device)
    return torch.cat([angles.cos(), angles.sin()], dim=2)


class PhoneEncoder(nn.Module):
    """Embedding, convolutions and a BiLSTM, as in Tacotron-2 and CAMP (section 2.1).

    Where a phone stands in its sentence is given besides (ours): an utterance's vector speaks of early and late, and a
    short training cannot teach the BiLSTM to count.

    Shapes: phones [B, P], lengths [B] -> [B, P, width].
    """

    def __init__(self, phones: int, width: int, kernel: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(phones, width, padding_idx=0)
        self.place = nn.Linear(2 * HARMONICS, width)
        self.stack = ConvStack(width, kernel, layers, dropout)
        self.recurrent = BiLSTM(width, width)

    def forward(self, phones: Tensor, lengths: Tensor) -> Tensor:
        embedded = self.embedding(phones) + self.place(places(lengths, phones.shape[1]))
        states = self.stack(embedded, length_mask(lengths, phones.shape[1]))
        return states + self.recurrent(states, lengths)
