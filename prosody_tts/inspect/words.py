"""The words of an analysed text, one entry each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_modules.text.sentence import COMPOUND, POS, PUNCTUATION, WORD_CLASSES, Sentence
from prosody_tts.inspect.parse import Arc

ROOT = "root"


@dataclass(frozen=True)
class Entry:
    """A word: its phones, its tags (``data_modules.text.sentence``), its relation to the word that governs it.

    ``punctuation`` is of the slot after it; ``head`` is empty for a root, whose relation is ``root``.
    """

    word: str
    phones: tuple[str, ...]
    pos: str
    word_class: str
    compound: str
    punctuation: str
    relation: str
    head: str


def entries(sentence: Sentence, arcs: Sequence[Arc]) -> list[Entry]:
    """One entry a word; ``arcs`` are those of ``inspect.parse``, one a word."""
    phones: list[list[str]] = [[] for _ in range(sentence.tokens)]
    for phone, token in zip(sentence.phones, sentence.phone_to_word, strict=True):
        phones[token].append(phone)
    found = []
    for place, (word, arc) in enumerate(zip(sentence.words, arcs, strict=True)):
        token = 2 * place + 1
        found.append(
            Entry(
                word=word.text,
                phones=tuple(phones[token]),
                pos=POS[sentence.tags["pos"][token]],
                word_class=WORD_CLASSES[sentence.tags["word_class"][token]],
                compound=COMPOUND[sentence.tags["compound"][token]],
                punctuation=PUNCTUATION[sentence.tags["punctuation"][token + 1]],
                relation=ROOT if arc.head is None else arc.label,
                head="" if arc.head is None else sentence.words[arc.head].text,
            )
        )
    return found
