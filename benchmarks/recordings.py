"""Recordings of random phones, mels and prosody, whose shapes alone matter to what a step costs."""

from __future__ import annotations

import torch
from torch import Tensor

from data_modules.collate import AcousticItem, TextItem
from data_modules.text.sentence import TAGS


def random_recording(
    name: str, to_word: Tensor, durations: Tensor, phones: int, mels: int, bert: int, generator: torch.Generator
) -> AcousticItem:
    """One recording.

    Args:
        name: its id.
        to_word: [P] token of each phone.
        durations: [P] frames of each phone.
        phones: size of the inventory; the first three stand for no phone.
        mels: channels.
        bert: dimensions of BERT's states.
        generator: of all that is drawn.
    """
    tokens, frames = int(to_word[-1]) + 1, int(durations.sum())
    voiced = torch.rand(frames, generator=generator) > 0.4
    text = TextItem(
        id=name,
        phones=torch.randint(3, phones, to_word.shape, generator=generator),
        phone_to_word=to_word,
        tags={tag: torch.zeros(tokens, dtype=torch.long) for tag in TAGS},
        bert=torch.zeros(tokens, bert),
        node_labels=torch.zeros(tokens // 2, dtype=torch.long),
        edges=torch.zeros(0, 2, dtype=torch.long),
        word_to_node=torch.zeros(tokens, dtype=torch.long),
    )
    return AcousticItem(
        text=text,
        durations=durations,
        mel=torch.randn(frames, mels, generator=generator),
        log_f0=(5 + 0.2 * torch.randn(frames, generator=generator)) * voiced,
        voiced=voiced,
        energy=torch.randn(frames, generator=generator),
        word_f0=torch.randn(tokens, generator=generator),
        word_voiced=torch.rand(tokens, generator=generator) > 0.5,
        word_energy=torch.randn(tokens, generator=generator),
    )
