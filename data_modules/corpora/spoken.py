"""Transcripts to what was said: numbers and signs as words, notes about the recording removed."""

from __future__ import annotations

import re

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SIGNS = {"*": "star", "#": "pound", "@": "at", "&": "and", "%": "percent", "+": "plus"}
#: Notes that tell of sounds beside the speech.
_SOUNDS = re.compile(r"\b(sound|tone|tones|beep|silence)\b", re.IGNORECASE)
_NOTE = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>")


def number_words(number: int) -> str:
    """Spell a number from 0 to 999,999 as an American speaker says it: 8500 is ``eight thousand five hundred``."""
    if not 0 <= number < 1_000_000:
        raise ValueError(f"{number} is not between 0 and 999,999")
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f" {_ONES[ones]}" if ones else "")
    unit, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, unit)
    return f"{number_words(head)} {name}" + (f" {number_words(rest)}" if rest else "")


def without_notes(text: str) -> tuple[str, bool]:
    """Remove bracketed notes; the second value tells whether one spoke of sounds that are no speech."""
    notes = _NOTE.findall(text)
    return " ".join(_NOTE.sub(" ", text).split()), any(_SOUNDS.search(note) for note in notes)


def spoken(text: str) -> str:
    """Write a prompt as it is said.

    ``Press 1 or #`` becomes ``Press one or pound``; digits beside letters, and those after a dot, are read one by one
    (``H.323``); web addresses and dotted initials are spelled (``www.asterisk.org``, ``A.M.``); leading dots go.
    """
    text = re.sub(r"\b(?:[a-z0-9-]+\.){2,}[a-z]{2,}\b", lambda match: _address(match[0]), text)
    text = re.sub(r"\b(?:[A-Z]\.){2,}", lambda match: " ".join(match[0].replace(".", " ").split()), text)
    text = re.sub(r"\b([A-Z])\.(\d+)", lambda match: f"{match[1]} {_digits(match[2])}", text)
    text = re.sub(r"\d+(?=[A-Za-z])|(?<=[A-Za-z])\d+", lambda match: f" {_digits(match[0])} ", text)
    text = re.sub(r"\d+", lambda match: _number(match[0]), text)
    text = re.sub(r"[*#@&%+]", lambda match: f" {_SIGNS[match[0]]} ", text)
    text = re.sub(r"\s+([,.;:?!])", r"\1", " ".join(text.split()))
    return text.lstrip(". ")


def _number(digits: str) -> str:
    if len(digits) > 6 or (digits.startswith("0") and digits != "0"):
        return _digits(digits)
    return number_words(int(digits))


def _digits(digits: str) -> str:
    return " ".join(_ONES[int(digit)] for digit in digits)


def _address(address: str) -> str:
    parts = [" ".join("w" * len(part)) if set(part) == {"w"} else part for part in address.split(".")]
    return " dot ".join(parts)
