"""Random but well-formed batches, for tests of models over sizes."""

from __future__ import annotations

import torch

from data_modules.batches import AcousticBatch, SamplerBatch, TextBatch
from data_modules.collate import AcousticItem, SamplerItem, TextItem, acoustic_batch, sampler_batch, text_batch
from data_modules.text.sentence import NODE_LABELS, TAGS

PHONES, MELS, BERT = 20, 12, 24


def text_item(name: str, words: int, generator: torch.Generator) -> TextItem:
    """A sentence of random phones, tags, states and a random tree."""
    counts = [1]
    for _ in range(words):
        counts += [int(torch.randint(1, 5, (1,), generator=generator)), 1]
    tokens = 2 * words + 1
    phone_to_word = torch.repeat_interleave(torch.arange(tokens), torch.tensor(counts))
    phones = torch.randint(3, PHONES, (len(phone_to_word),), generator=generator)
    phones[phone_to_word % 2 == 0] = 2
    parents = [int(torch.randint(0, i, (1,), generator=generator)) for i in range(1, words)]
    return TextItem(
        id=name,
        phones=phones,
        phone_to_word=phone_to_word,
        tags={tag: torch.randint(0, count, (tokens,), generator=generator) for tag, count in TAGS.items()},
        bert=torch.randn(tokens, BERT, generator=generator),
        node_labels=torch.randint(0, len(NODE_LABELS), (words,), generator=generator),
        edges=torch.tensor([[i + 1, parent] for i, parent in enumerate(parents)], dtype=torch.long).reshape(-1, 2),
        word_to_node=torch.tensor([max(0, min(words - 1, (t - 1) // 2)) for t in range(tokens)]),
    )


def acoustic_item(name: str, words: int, generator: torch.Generator) -> AcousticItem:
    """A recording of a random sentence; every fourth pause is absent."""
    text = text_item(name, words, generator)
    durations = torch.randint(1, 6, text.phones.shape, generator=generator)
    durations[(text.phones == 2) & (torch.arange(len(text.phones)) % 4 == 0)] = 0
    tokens = len(text.word_to_node)
    frames = int(durations.sum())
    voiced = torch.rand(frames, generator=generator) > 0.3
    return AcousticItem(
        text=text,
        durations=durations,
        mel=torch.randn(frames, MELS, generator=generator),
        log_f0=(5 + 0.3 * torch.randn(frames, generator=generator)) * voiced,
        voiced=voiced,
        energy=torch.randn(frames, generator=generator),
        word_f0=torch.randn(tokens, generator=generator),
        word_voiced=torch.rand(tokens, generator=generator) > 0.3,
        word_energy=torch.randn(tokens, generator=generator),
    )


def texts(sizes: list[int], seed: int = 0) -> TextBatch:
    """Sentences of the given numbers of words."""
    generator = torch.Generator().manual_seed(seed)
    return text_batch([text_item(str(i), words, generator) for i, words in enumerate(sizes)])


def recordings(sizes: list[int], seed: int = 0) -> AcousticBatch:
    """Recordings of sentences of the given numbers of words."""
    generator = torch.Generator().manual_seed(seed)
    return acoustic_batch([acoustic_item(str(i), words, generator) for i, words in enumerate(sizes)])


def vectors(sizes: list[int], units: str, latent: int, seed: int = 0) -> SamplerBatch:
    """Sentences with random vectors for the units."""
    generator = torch.Generator().manual_seed(seed)
    items = []
    for i, words in enumerate(sizes):
        text = text_item(str(i), words, generator)
        count = {"utterance": 1, "word": len(text.word_to_node), "phone": len(text.phones)}[units]
        mean = torch.randn(count, latent, generator=generator)
        items.append(SamplerItem(text, mean, 0.1 + torch.rand(count, latent, generator=generator)))
    return sampler_batch(items)
