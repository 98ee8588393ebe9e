"""Phone encoders: phones in, contextual states out; one contract, one registry."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.layers import BiLSTM, ConvStack, NormedConvolutions
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
    """The contract: ``(phones [B, P], lengths [B]) -> [B, P, width]``, zero outside the lengths."""

    def forward(self, phones: Tensor, lengths: Tensor) -> Tensor:
        raise NotImplementedError


class FastPhoneEncoder(PhoneEncoder):
    """Embedding, residual convolutions and a BiLSTM, after Tacotron-2 and CAMP (section 2.1).

    Where a phone stands in its sentence is given besides (ours): an utterance's vector speaks of early and late, and a
    short training cannot teach the BiLSTM to count.
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


class TacotronPhoneEncoder(PhoneEncoder):
    """Embedding, convolutions with batch normalisation, BiLSTMs (Tacotron-2, arXiv 1712.05884, section 2.2).

    Tacotron-2 has three convolutions and one BiLSTM. CAMP names the same encoder (section 2.1) and draws two BiLSTMs
    (Hodari's thesis, figure 6.2): ``recurrent`` is their number.
    """

    def __init__(self, phones: int, width: int, kernel: int, layers: int, recurrent: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(phones, width, padding_idx=0)
        self.stack = NormedConvolutions([width] * (layers + 1), kernel, dropout, nn.functional.relu)
        self.recurrent = nn.ModuleList(BiLSTM(width, width) for _ in range(recurrent))

    def forward(self, phones: Tensor, lengths: Tensor) -> Tensor:
        states = self.stack(self.embedding(phones), length_mask(lengths, phones.shape[1]))
        for layer in self.recurrent:
            states = layer(states, lengths)
        return states


ENCODERS: dict[str, type[PhoneEncoder]] = {"fast": FastPhoneEncoder, "tacotron2": TacotronPhoneEncoder}
