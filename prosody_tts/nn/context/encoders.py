"""Context encoders over sequences: phones, syntax tags."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batches import TextBatch
from prosody_tts.nn.layers import BiLSTM, ConvStack
from prosody_tts.nn.units import length_mask, pool_mean


class PhoneContext(nn.Module):
    """Phones only, the control: embedding and convolutions over phones, averaged per token, then a BiLSTM."""

    def __init__(self, phones: int, width: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(phones, width, padding_idx=0)
        self.stack = ConvStack(width, 5, 2, dropout)
        self.recurrent = BiLSTM(width, width)

    def forward(self, text: TextBatch) -> Tensor:
        mask = length_mask(text.phone_lengths, text.phones.shape[1])
        states = self.stack(self.embedding(text.phones), mask)
        tokens = pool_mean(states, text.phone_to_word, mask, int(text.word_lengths.max()))
        return self.recurrent(tokens, text.word_lengths)


class TagContext(nn.Module):
    """CAMP's syntax encoders (section 2.3): one a tag, each an embedding, two convolutions and a BiLSTM."""

    def __init__(self, tags: dict[str, int], width: int, dropout: float) -> None:
        super().__init__()
        if width % (2 * len(tags)):
            raise ValueError(f"the width of the tag encoders must be a multiple of {2 * len(tags)}, not {width}")
        share = width // len(tags)
        self.embeddings = nn.ModuleDict({name: nn.Embedding(count, share) for name, count in tags.items()})
        self.stacks = nn.ModuleDict({name: ConvStack(share, 3, 2, dropout) for name in tags})
        self.recurrents = nn.ModuleDict({name: BiLSTM(share, share) for name in tags})

    def forward(self, text: TextBatch) -> Tensor:
        mask = length_mask(text.word_lengths)
        states = []
        for name, embedding in self.embeddings.items():
            hidden = self.stacks[name](embedding(text.tags[name]), mask)
            states.append(hidden + self.recurrents[name](hidden, text.word_lengths))
        return torch.cat(states, dim=2)


class PunctuationContext(TagContext):
    """The last of CAMP's syntax encoders alone: where commas and stops are, which a text-to-speech system always has.

    Beside all four it tells what syntax adds to punctuation.
    """

    def __init__(self, marks: int, width: int, dropout: float) -> None:
        super().__init__({"punctuation": marks}, width, dropout)
