"""Praat TextGrids as the Montreal Forced Aligner writes them: words and phones with their times.

A TextGrid in text form, long or short, is a list of free-standing numbers and quoted strings; all else is comment
(Praat manual, "TextGrid file formats"). Reading it that way is strict. Praatio, which writes our grids, does not read
them: it drops the sign of a negative time and takes a short grid that is cut off for a whole one.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from data_modules.corpora.contract import PhoneTime
from data_modules.text.sentence import PAUSE
from prosody_tts.errors import UserError

#: Labels of intervals in which nothing is said, by MFA 1 (``sp``, ``sil``), 2 and 3, and Kaldi (``<eps>``).
SILENT = frozenset(("", "sp", "sil", "<eps>", "<sil>", "sp1"))
#: MFA's phone for a word that its dictionary lacks, and for noises.
UNKNOWN_PHONE = "spn"
#: MFA's label of a word that its dictionary lacks.
UNKNOWN_WORD = "<unk>"
#: Seconds by which rounded times may disagree.
SLACK = 1.5e-3
#: Seconds by which a grid may be longer than its audio, or its intervals longer than the grid: a frame or so.
LONGER = 0.02

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: A quoted string, in which a quotation mark is doubled; a comment; a free-standing number or flag.
_TOKEN = re.compile(
    r'(?<!\S)"([^"]*(?:""[^"]*)*)"(?!\S)|(?<!\S)![^\n]*|(?<!\S)([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?!\S)|(<exists>)'
)
_TIER = re.compile(r"(?:.*\s-\s*)?(words|phones)", re.DOTALL)


@dataclass(frozen=True)
class Interval:
    """A label from ``start`` to ``end``, in seconds."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class Grid:
    """What a TextGrid says.

    ``words`` are those that are no silence. ``phones`` follow each other without gaps from 0 to ``end``, in seconds;
    ``word`` of each is an index into ``words``, or -1 for a pause, whose label is ``PAUSE``.
    """

    words: tuple[Interval, ...]
    phones: tuple[PhoneTime, ...]
    end: float


def read_grid(content: bytes) -> Grid:
    """Read a TextGrid from the bytes of its file.

    Raises:
        UserError: it is no TextGrid, is cut off, lacks a tier or has two of a kind, its times are negative, overlap or
            fall, or a phone lies in no word; without the file's name, which the caller knows.
    """
    tiers, promised = read_tiers(content)
    words, phones = (_tier(tiers, kind) for kind in ("words", "phones"))
    spoken = tuple(word for word in words if word.label.casefold() not in SILENT)
    last = max((*words, *phones), key=lambda interval: interval.end)
    if last.end > promised + LONGER:
        raise UserError(
            f"the grid has '{_short(last.label)}' end at {last.end:g} s, after the grid's own end at {promised:g} s"
        )
    end = max(last.end, promised)
    return Grid(spoken, _tied(spoken, phones, end), end)


def read_tiers(content: bytes) -> tuple[dict[str, tuple[Interval, ...]], float]:
    """Read all interval tiers, by name, and the grid's own end in seconds; tiers of points are passed over.

    Raises:
        UserError: as for ``read_grid``.
    """
    tokens = _tokens(_decoded(content))
    if _string(tokens, "header") not in {"ooTextFile", "ooTextFile short"} or _string(tokens, "header") != "TextGrid":
        raise UserError("the grid is not a TextGrid in text form; export it from Praat as a text file")
    _number(tokens)
    end = _number(tokens)
    if not 0 < end < math.inf:
        raise UserError(f"the grid is damaged: it says that it ends at {end:g} s")
    if next(tokens, None) != ("<exists>",):
        raise UserError("the grid is a TextGrid without tiers; it needs 'words' and 'phones'")
    tiers: dict[str, tuple[Interval, ...]] = {}
    for _ in range(_count(tokens)):
        kind, name = _string(tokens, "tier"), _string(tokens, "tier")
        _number(tokens), _number(tokens)
        # Not a list of the promised length: a damaged file may promise anything.
        if kind == "IntervalTier":
            found = tuple(_interval(tokens) for _ in range(_count(tokens)))
            if name in tiers:
                raise UserError(f"the grid has two tiers named '{name}'; keep one of them")
            tiers[name] = found
        elif kind == "TextTier":
            for _ in range(_count(tokens)):
                _number(tokens), _string(tokens, "point")
        else:
            raise UserError(f"the grid is damaged: '{_short(kind)}' stands where a tier should begin")
    return tiers, end


def _decoded(content: bytes) -> str:
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise UserError("the grid is neither UTF-8 nor UTF-16; save it as text from Praat") from None


def _tokens(text: str) -> Iterator[tuple[str] | str | float]:
    """Strings as ``str``, numbers as ``float``, the flag as a tuple."""
    for match in _TOKEN.finditer(text):
        if match[1] is not None:
            yield match[1].replace('""', '"')
        elif match[2] is not None:
            yield float(match[2])
        elif match[3] is not None:
            yield (match[3],)


def _string(tokens: Iterator[object], where: str) -> str:
    found = next(tokens, None)
    if not isinstance(found, str):
        if where == "header":
            raise UserError("the grid is not a TextGrid in text form; export it from Praat as a text file")
        raise _broken(found, f"the label of a {where}")
    return found


def _number(tokens: Iterator[object]) -> float:
    found = next(tokens, None)
    if not isinstance(found, float):
        raise _broken(found, "a number")
    return found


def _count(tokens: Iterator[object]) -> int:
    found = _number(tokens)
    if not (math.isfinite(found) and found >= 0 and found == int(found)):
        raise UserError(f"the grid is damaged: {found:g} cannot be a number of tiers or intervals")
    return int(found)


def _interval(tokens: Iterator[object]) -> Interval:
    start, end = _number(tokens), _number(tokens)
    return Interval(_string(tokens, "interval").strip(), start, end)


def _broken(found: object, wanted: str) -> UserError:
    if found is None:
        return UserError(f"the grid is cut off: {wanted} is missing at its end")
    return UserError(f"the grid is damaged: '{_short(str(found))}' stands where {wanted} should be")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _tier(tiers: dict[str, tuple[Interval, ...]], kind: str) -> tuple[Interval, ...]:
    """The tier ``words`` or ``phones``, by itself or as ``speaker - words``, its times checked, no empty intervals."""
    matches = {name: _TIER.fullmatch(name.strip().casefold()) for name in tiers}
    names = [name for name, match in matches.items() if match is not None and match[1] == kind]
    if not names:
        has = ", ".join(f"'{_short(name)}'" for name in tiers) or "none"
        raise UserError(f"the grid has no tier '{kind}' (its tiers: {has})")
    if len(names) > 1:
        raise UserError(
            f"the grid has the tiers {' and '.join(repr(_short(n)) for n in names)}; one recording has one speaker"
        )
    tier = [item for item in tiers[names[0]] if item.end != item.start or item.label.casefold() not in SILENT]
    if not tier:
        raise UserError(f"the grid has nothing in its tier '{names[0]}'")
    for item in tier:
        if not (math.isfinite(item.start) and math.isfinite(item.end)) or item.start < 0 or item.end <= item.start:
            raise UserError(
                f"the grid has '{_short(item.label)}' in tier '{kind}' begin at {item.start:g} s and end at "
                f"{item.end:g} s"
            )
    for left, right in pairwise(tier):
        if right.start < left.end - SLACK or right.end <= left.end:
            raise UserError(
                f"the grid has '{_short(right.label)}' begin at {right.start:g} s in tier '{kind}', before "
                f"'{_short(left.label)}' ends at {left.end:g} s"
            )
    return tuple(tier)


def _tied(words: tuple[Interval, ...], phones: tuple[Interval, ...], end: float) -> tuple[PhoneTime, ...]:
    """Phones with their words, pauses between them joined; times meet."""
    times: list[PhoneTime] = []
    clock, word, used = 0.0, 0, set()
    for phone in phones:
        if phone.label.casefold() in SILENT:
            continue
        middle = (phone.start + phone.end) / 2
        while word < len(words) and words[word].end <= middle:
            word += 1
        inside = word < len(words) and words[word].start <= middle
        if not inside and phone.label == UNKNOWN_PHONE:
            continue  # a noise, where the words say that nothing is said
        if not inside:
            raise UserError(f"the grid has the phone '{_short(phone.label)}' at {phone.start:g} s outside of its words")
        if phone.start < words[word].start - SLACK or phone.end > words[word].end + SLACK:
            raise UserError(
                f"the grid has the phone '{_short(phone.label)}' from {phone.start:g} s to {phone.end:g} s, and its "
                f"word '{_short(words[word].label)}' from {words[word].start:g} s to {words[word].end:g} s"
            )
        if phone.start > clock + SLACK:
            times.append(PhoneTime(PAUSE, clock, phone.start, -1))
            clock = phone.start
        times.append(PhoneTime(phone.label, clock, phone.end, word))
        clock = phone.end
        used.add(word)
    for index, item in enumerate(words):
        if index not in used:
            raise UserError(f"the grid has the word '{_short(item.label)}' at {item.start:g} s without phones")
    if end > clock + SLACK:
        times.append(PhoneTime(PAUSE, clock, end, -1))
    return tuple(times)
