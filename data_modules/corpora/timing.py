"""When each word and phone of a recording was said, from an aligner's TextGrid, tied to the transcript's words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from data_modules.corpora.contract import PhoneTime
from data_modules.text.sentence import Word
from prosody_tts.errors import UserError

#: Labels of silence on either tier, as the Montreal Forced Aligner writes them.
SILENCES = frozenset(("", "sp", "sil"))
#: Label of a word the aligner's dictionary did not have; its phone is noise.
UNKNOWN_WORD = "<unk>"
#: Seconds within which two times are one.
SAME = 1e-4

_HEADER = re.compile(r'\s*File type = "ooTextFile"\s+Object class = "TextGrid"')
_TIER = re.compile(r"^\s*item \[\d+\]:\s*$", re.MULTILINE)
_CLASS = re.compile(r'class = "(\w+)"\s+name = "([^"]*)"')
_SIZE = re.compile(r"intervals: size = (\d+)")
_NUMBER = r"(\d+(?:\.\d+)?(?:[eE]-?\d+)?)"
_INTERVAL = re.compile(rf'intervals \[\d+\]:\s+xmin = {_NUMBER}\s+xmax = {_NUMBER}\s+text = "((?:[^"]|"")*)"')


class Interval(NamedTuple):
    """A label from ``start`` to ``end``, in seconds of the clip."""

    label: str
    start: float
    end: float


def read_grid(text: str) -> tuple[list[Interval], list[Interval]]:
    """Read the tiers ``words`` and ``phones`` of a TextGrid in Praat's long text form, silences included.

    Raises:
        UserError: it is no such file, lacks a tier, or its intervals are not those it announces, in order; the
            sentence's subject is the file.
    """
    if not _HEADER.match(text.removeprefix("\ufeff")):
        raise UserError("is not a TextGrid in Praat's long text form")
    tiers: dict[str, list[Interval]] = {}
    for part in _TIER.split(text)[1:]:
        kind = _CLASS.search(part)
        if kind is not None and kind[1] == "IntervalTier":
            tiers.setdefault(kind[2], _intervals(part, kind[2]))
    for name in ("words", "phones"):
        if name not in tiers:
            raise UserError(f"has no tier of intervals named '{name}' (it has: {', '.join(tiers) or 'none'})")
    return tiers["words"], tiers["phones"]


def _intervals(part: str, name: str) -> list[Interval]:
    announced = _SIZE.search(part)
    found = [
        Interval(label.replace('""', '"').strip(), float(start), float(end))
        for start, end, label in _INTERVAL.findall(part)
    ]
    if announced is None or int(announced[1]) != len(found):
        size = "no" if announced is None else announced[1]
        raise UserError(f"announces {size} intervals in tier '{name}' and holds {len(found)}; it is cut or damaged")
    for before, after in pairwise(found):
        if abs(after.start - before.end) > SAME or min(before.end - before.start, after.end - after.start) < 0:
            raise UserError(f"has intervals out of order at {after.start:g} s in tier '{name}'")
    return found


def has_unknown_word(words: Sequence[Interval]) -> bool:
    """Whether the aligner met a word it did not know, and so knows no phones of."""
    return any(word.label == UNKNOWN_WORD for word in words)


def tie(words: Sequence[Word], spoken: Sequence[Interval], phones: Sequence[Interval]) -> tuple[PhoneTime, ...]:
    """Give each timed phone the transcript's word it belongs to, silences -1.

    A word of the transcript is one spoken word or several in a row (``forty-two``) that spell it letter for letter.

    Raises:
        UserError: the spoken words are not the transcript's, a word's phones do not fill it, or a pause lies in a word;
            the sentence's subject is the alignment.
    """
    said = [interval for interval in spoken if interval.label not in SILENCES]
    spans: list[tuple[float, float]] = []
    at = 0
    for word in words:
        letters, first = _letters(word.text), at
        joined = ""
        while at < len(said) and len(joined) < len(letters):
            joined += _letters(said[at].label)
            at += 1
        if not letters or joined != letters:
            raise UserError(f"says '{joined}' where the transcript has '{word.text}'")
        if any(abs(a.end - b.start) > SAME for a, b in pairwise(said[first:at])):
            raise UserError(f"has a pause within '{word.text}'")
        spans.append((said[first].start, said[at - 1].end))
    if at < len(said):
        raise UserError(f"says '{said[at].label}' after the transcript's last word")
    return _in_words(words, spans, phones)


def _in_words(
    words: Sequence[Word], spans: Sequence[tuple[float, float]], phones: Sequence[Interval]
) -> tuple[PhoneTime, ...]:
    timed: list[PhoneTime] = []
    filled = [0.0] * len(spans)
    at = 0
    for phone in phones:
        middle = (phone.start + phone.end) / 2
        while at < len(spans) and spans[at][1] <= middle:
            at += 1
        inside = at < len(spans) and spans[at][0] <= middle
        silent = phone.label in SILENCES
        if inside == silent and phone.end - phone.start > SAME:
            what = f"a pause within '{words[at].text}'" if inside else f"the phone '{phone.label}' outside all words"
            raise UserError(f"has {what} at {phone.start:g} s")
        if inside and not silent:
            filled[at] += phone.end - phone.start
        timed.append(PhoneTime(phone.label or "sil", phone.start, phone.end, at if inside and not silent else -1))
    for word, (start, end), length in zip(words, spans, filled, strict=True):
        if length <= 0 or abs(end - start - length) > SAME * (len(phones) + 1):
            raise UserError(f"gives '{word.text}' phones that do not fill its {end - start:.3f} s")
    return tuple(timed)


def _letters(text: str) -> str:
    """Letters and digits alone, without case."""
    return re.sub(r"[\W_]", "", text.casefold())
