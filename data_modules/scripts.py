"""Speech and text as one sequence: what a language model reads, and which of it is to be predicted.

An element is a symbol (a task, a character, a phone) or a segment of speech with its codes. To speak, the model reads
the phones, then says segments; ``interleaved``, each phone stands again before its own segments, and what is predicted
after the last of them is that the next phone begins (after ELLA-V, arXiv 2401.07333): where it is in the text is told
and never guessed. To recognise, it reads segments, then writes characters. To write it reads nothing and says
characters, to go on segments: a language model of text alone, and one of speech alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Symbols that every vocabulary begins with: padding, four tasks, what separates their halves, and two ends.
CONTROLS = ("", "<speak>", "<recognise>", "<write>", "<continue>", "<speech>", "<text>", "<next>", "<end>")
PAD, SPEAK, RECOGNISE, WRITE, CONTINUE, SPEECH, TEXT, NEXT, END = range(len(CONTROLS))
#: What is written: no capitals and no punctuation, as recognisers are scored.
CHARACTERS = (" ", "'", *"abcdefghijklmnopqrstuvwxyz")
#: Number of the first character, and of the first phone.
FIRST_CHARACTER = len(CONTROLS)
FIRST_PHONE = FIRST_CHARACTER + len(CHARACTERS)
#: No symbol, no segment or no phone.
NONE = -1


@dataclass(frozen=True)
class Script:
    """One sequence of L elements.

    Attributes:
        symbols: [L] what is read: a symbol, or ``NONE`` where a segment stands.
        segments: [L] number of the segment, or ``NONE`` where a symbol stands.
        phones: [L] number in the sentence of the phone that a symbol stands for, or ``NONE``.
        targets: [L] what the element before is to predict: a symbol, or ``NONE`` where it is this segment's codes.
        said: [L] whether this element is to be predicted.
    """

    symbols: Tensor
    segments: Tensor
    phones: Tensor
    targets: Tensor
    said: Tensor


class _Writer:
    """Lays elements one after another."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int, bool]] = []

    def symbol(self, symbol: int, phone: int = NONE, target: int | None = None, said: bool = False) -> None:
        self.rows.append((symbol, NONE, phone, symbol if target is None else target, said))

    def segment(self, number: int, said: bool = False) -> None:
        self.rows.append((NONE, number, NONE, NONE, said))

    def segments(self, count: int, said: bool = False) -> None:
        for number in range(count):
            self.segment(number, said)

    def characters(self, written: Sequence[int]) -> None:
        """Characters to be predicted, and the end."""
        for character in (*written, END):
            self.symbol(character, said=True)

    def script(self) -> Script:
        symbols, segments, phones, targets, said = map(torch.tensor, zip(*self.rows, strict=True))
        return Script(symbols, segments, phones, targets, said)


def speaking(phones: Sequence[int], owners: Sequence[int], interleaved: bool) -> Script:
    """Phones, then the segments that say them.

    Args:
        phones: [P] inventory indices.
        owners: [N] the phone in which each segment lies, never decreasing.
        interleaved: whether every phone stands again before its segments.
    """
    writer = _prompt(phones)
    if not interleaved:
        writer.segments(len(owners), said=True)
        writer.symbol(END, said=True)
        return writer.script()
    number = 0
    for place, phone in enumerate(phones):
        writer.symbol(FIRST_PHONE + phone, place, target=NEXT, said=place > 0)
        while number < len(owners) and owners[number] == place:
            writer.segment(number, said=True)
            number += 1
    writer.symbol(END, target=NEXT, said=True)
    return writer.script()


def prompt(phones: Sequence[int]) -> Script:
    """What is read before anything is said."""
    return _prompt(phones).script()


def _prompt(phones: Sequence[int]) -> _Writer:
    writer = _Writer()
    writer.symbol(SPEAK)
    for place, phone in enumerate(phones):
        writer.symbol(FIRST_PHONE + phone, place)
    writer.symbol(SPEECH)
    return writer


def recognising(segments: int, written: Sequence[int]) -> Script:
    """Segments, then the characters they say, numbered as symbols."""
    writer = _Writer()
    writer.symbol(RECOGNISE)
    writer.segments(segments)
    writer.symbol(TEXT)
    writer.characters(written)
    return writer.script()


def writing(written: Sequence[int]) -> Script:
    """Characters alone, numbered as symbols."""
    writer = _Writer()
    writer.symbol(WRITE)
    writer.symbol(TEXT)
    writer.characters(written)
    return writer.script()


def continuing(segments: int) -> Script:
    """Segments alone."""
    writer = _Writer()
    writer.symbol(CONTINUE)
    writer.symbol(SPEECH)
    writer.segments(segments, said=True)
    writer.symbol(END, said=True)
    return writer.script()


def spelled(words: Sequence[str]) -> list[int]:
    """Words as symbols of characters, those that are none of ``CHARACTERS`` left out."""
    numbers = {character: FIRST_CHARACTER + index for index, character in enumerate(CHARACTERS)}
    return [numbers[character] for character in " ".join(words).lower().replace("’", "'") if character in numbers]


def read(symbols: Sequence[int]) -> str:
    """Symbols of characters as text; other symbols are left out."""
    inside = range(FIRST_CHARACTER, FIRST_PHONE)
    return "".join(CHARACTERS[symbol - FIRST_CHARACTER] for symbol in symbols if symbol in inside)
