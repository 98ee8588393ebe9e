"""The planted prosody: what each factor does, and where the gold tree or chance puts it.

Every effect is a ratio of F0, of loudness (amplitude) and of speaking rate; effects on the same word multiply.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from data_modules.corpora.testbed.tree import Tree
from data_modules.espeak import Manner

#: Mean F0 in Hz of a neutral utterance before its register.
BASE_F0 = 165.0
#: What a neutral utterance is spoken with, on eSpeak's scales.
BASE = Manner(range=45, rate=175, volume=50)
#: Mean F0 of the voice is ``a 2^(pitch / 50) + b + c range``: fitted to 27 settings of 8 sentences, within 2 Hz.
VOICE_F0 = (64.6, 30.3, 0.384)
#: Parts of speech of function words.
FUNCTION = {"DT", "PRP$", "IN", "CC", "WP"}
#: F0 ratios of the two registers.
REGISTERS = (1.18, 0.86)
ACCENTS = ("early", "late")


@dataclass(frozen=True)
class Effect:
    """Ratios to an unmarked word or utterance; ``range`` is of the excursions of F0 in an utterance."""

    f0: float = 1.0
    volume: float = 1.0
    rate: float = 1.0
    range: float = 1.0

    def __mul__(self, other: Effect) -> Effect:
        """Both effects together."""
        return Effect(self.f0 * other.f0, self.volume * other.volume, self.rate * other.rate, self.range * other.range)


#: Sentiment of the adjectives -> the whole utterance.
SENTIMENT: dict[int, Effect] = {
    1: Effect(f0=1.1, volume=1.35, rate=1.15, range=1.6),
    0: Effect(),
    -1: Effect(f0=0.91, volume=0.7, rate=0.87, range=0.4),
}
#: Factor -> the words it holds for.
WORD_EFFECTS: dict[str, Effect] = {
    "compound": Effect(f0=1.2, volume=1.25),
    "subordinate": Effect(f0=0.86, volume=0.8),
    "final": Effect(rate=0.65),
    "function": Effect(f0=0.94, volume=0.75),
    "attachment": Effect(f0=1.12, rate=0.6),
    "accent": Effect(f0=1.3, volume=1.35),
}


def factors(tree: Tree, sentiment: int, register: float, accent: str) -> dict[str, Any]:
    """What is planted: ``utterance`` maps a factor to its value, ``words`` maps a factor to 0 or 1 a word."""
    words = planted(tree)
    words["accent"] = [0] * len(words["compound"])
    words["accent"][accented(tree, accent)] = 1
    return {"utterance": {"sentiment": sentiment, "register": register, "accent": accent}, "words": words}


def planted(tree: Tree) -> dict[str, list[int]]:
    """Read the syntactic factors off a gold tree, one value a word.

    ``compound``: a noun before a noun. ``subordinate``: inside an SBAR. ``final``: the last word before an SBAR that
    is no relative clause, or of an SBAR that does not end the sentence. ``function``: by part of speech.
    ``attachment``: the last word of a noun phrase that ends where the other reading would go on: before a
    prepositional phrase of the verb, or before an "and" that the adjective does not reach across.
    """
    words = tree.words()
    flags = {name: [0] * len(words) for name in WORD_EFFECTS if name != "accent"}
    for index, (leaf, following) in enumerate(zip(words, [*words[1:], None], strict=True)):
        flags["function"][index] = int(leaf.label in FUNCTION)
        flags["compound"][index] = int(leaf.label == "NN" and following is not None and following.label == "NN")
    for phrase, parent, start, end in _phrases(tree, Tree(""), 0):
        if phrase.label == "SBAR":
            flags["subordinate"][start:end] = [1] * (end - start)
            if start > 0 and parent.label != "NP":
                flags["final"][start - 1] = 1
            if end < len(words):
                flags["final"][end - 1] = 1
        for one, other, boundary in _neighbours(phrase, start):
            if one.label == "NP" and (phrase.label, other.label) in {("VP", "PP"), ("NP", "CC")}:
                flags["attachment"][boundary - 1] = 1
    return flags


def _phrases(tree: Tree, parent: Tree, start: int) -> Iterator[tuple[Tree, Tree, int, int]]:
    """Every phrase with its parent, first word and end, outer ones first."""
    yield tree, parent, start, start + len(tree.words())
    for child in tree.children:
        if child.children:
            yield from _phrases(child, tree, start)
        start += len(child.words())


def _neighbours(phrase: Tree, start: int) -> Iterator[tuple[Tree, Tree, int]]:
    """Pairs of neighbouring children and the word the second begins with."""
    for one, other in pairwise(phrase.children):
        start += len(one.words())
        yield one, other, start


def accented(tree: Tree, accent: str) -> int:
    """The word an early or late accent falls on: the first or last noun that is not the first of a compound."""
    words = tree.words()
    heads = [
        index
        for index, leaf in enumerate(words)
        if leaf.label in {"NN", "NNS"} and not (index + 1 < len(words) and words[index + 1].label == "NN")
    ]
    return heads[0] if accent == ACCENTS[0] else heads[-1]


def effects(planted_factors: dict[str, Any]) -> tuple[Effect, list[Effect]]:
    """The effect on the utterance, and that on every word beyond it."""
    whole = planted_factors["utterance"]
    flags = planted_factors["words"]
    each = []
    for values in zip(*flags.values(), strict=True):
        effect = Effect()
        for name, value in zip(flags, values, strict=True):
            effect = effect * WORD_EFFECTS[name] if value else effect
        each.append(effect)
    return Effect(f0=whole["register"]) * SENTIMENT[whole["sentiment"]], each


def renditions(count: int, random: np.random.Generator) -> list[tuple[float, str]]:
    """Registers and accents of a sentence's renditions: all four pairs in turn, opposite pairs next to each other."""
    (high, low), (early, late) = REGISTERS, ACCENTS
    pairs = [[(high, early), (low, late)], [(high, late), (low, early)]]
    order = [pair[int(i)] for pair in (pairs[int(i)] for i in random.permutation(2)) for i in random.permutation(2)]
    return [order[index % len(order)] for index in range(count)]


def pitch(f0: float, range_: int) -> int:
    """ESpeak's pitch for a mean F0 in Hz at a range.

    Raises:
        ValueError: the voice cannot reach it.
    """
    a, b, c = VOICE_F0
    wanted = (f0 - b - c * range_) / a
    value = round(50 * math.log2(wanted)) if wanted > 0 else -1
    if not 0 <= value <= 100:
        raise ValueError(f"the voice cannot reach {f0:.0f} Hz at range {range_}")
    return value


def manner(effect: Effect) -> Manner:
    """What an utterance is spoken with."""
    range_ = round(BASE.range * effect.range)
    return Manner(
        pitch=pitch(BASE_F0 * effect.f0, range_),
        range=range_,
        rate=round(BASE.rate * effect.rate),
        volume=round(BASE.volume * effect.volume),
    )


def attributes(whole: Effect, word: Effect) -> dict[str, int]:
    """SSML attributes of a word in per cent of the utterance's, those that differ from 100."""
    base = manner(whole)
    height = pitch(BASE_F0 * whole.f0 * word.f0, base.range)
    values = {
        "pitch": 100 if word.f0 == 1 else round(100 * height / base.pitch),
        "rate": round(100 * word.rate),
        "volume": round(100 * word.volume),
    }
    return {name: value for name, value in values.items() if value != 100}
