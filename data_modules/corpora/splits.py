"""Which sentences are held out: decided by a hash, so that adding or losing one moves no other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from data_modules.corpora.contract import Split, Utterance
from prosody_tts.config import DataConfig


def position(sentence: str, seed: int) -> float:
    """A number in [0, 1) that depends on nothing but the sentence's id and the seed."""
    name = hashlib.sha256(f"{seed}:{sentence}".encode()).digest()
    return int.from_bytes(name[:8], "big") / 2**64


def split_sentences(sentences: Sequence[str], data: DataConfig) -> dict[str, Split]:
    """Assign each distinct sentence id to a split by its ``position``.

    Shares are ``data.test_share`` and ``data.dev_share``. With three sentences or more each split with a positive
    share, and training, has at least one: where the hash gives none, the nearest sentence is taken.
    """
    order = sorted(set(sentences), key=lambda name: (position(name, data.seed), name))
    test = sum(position(name, data.seed) < data.test_share for name in order)
    held = sum(position(name, data.seed) < data.test_share + data.dev_share for name in order)
    if len(order) >= 3:
        wanted_test, wanted_dev = int(data.test_share > 0), int(data.dev_share > 0)
        test = min(max(test, wanted_test), len(order) - 1 - wanted_dev)
        held = min(max(held, test + wanted_dev), len(order) - 1)
    return {name: "test" if row < test else "dev" if row < held else "train" for row, name in enumerate(order)}


def limited(utterances: Sequence[Utterance], data: DataConfig) -> Sequence[Utterance]:
    """Keep at most ``data.limit`` utterances: those lowest in a second hash, so that a larger limit only adds some."""
    if data.limit is None or len(utterances) <= data.limit:
        return utterances
    ranked = sorted(utterances, key=lambda item: (position(f"limit:{item.id}", data.seed), item.id))
    chosen = {item.id for item in ranked[: data.limit]}
    return [item for item in utterances if item.id in chosen]


def with_splits(utterances: Sequence[Utterance], data: DataConfig) -> tuple[Utterance, ...]:
    """Give every utterance the split of its sentence, after keeping at most ``data.limit`` of them."""
    utterances = limited(utterances, data)
    splits = split_sentences([item.sentence for item in utterances], data)
    return tuple(replace(item, split=splits[item.sentence]) for item in utterances)
