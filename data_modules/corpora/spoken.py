"""The voice prompts' transcripts to what was said: their own signs, and notes about the recording removed."""

from __future__ import annotations

import re

from data_modules.text.light import address_words
from data_modules.text.numbers import digit_words, written_number

#: A telephone's keys, and what these prompts say for other signs.
_SIGNS = {"*": "star", "#": "pound", "@": "at", "&": "and", "%": "percent", "+": "plus"}
#: Notes that tell of sounds beside the speech.
_SOUNDS = re.compile(r"\b(sound|tone|tones|beep|silence)\b", re.IGNORECASE)
_NOTE = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>")


def without_notes(text: str) -> tuple[str, bool]:
    """Remove bracketed notes; the second value tells whether one spoke of sounds that are no speech."""
    notes = _NOTE.findall(text)
    return " ".join(_NOTE.sub(" ", text).split()), any(_SOUNDS.search(note) for note in notes)


def spoken(text: str) -> str:
    """Write a prompt as it is said.

    ``Press 1 or #`` becomes ``Press one or pound``; digits beside letters, and those after a dot, are read one by one
    (``H.323``); web addresses and dotted initials are spelled (``www.asterisk.org``, ``A.M.``); leading dots go.
    """
    text = re.sub(r"\b(?:[a-z0-9-]+\.){2,}[a-z]{2,}\b", lambda match: address_words(match[0]), text)
    text = re.sub(r"\b(?:[A-Z]\.){2,}", lambda match: " ".join(match[0].replace(".", " ").split()), text)
    text = re.sub(r"\b([A-Z])\.(\d+)", lambda match: f"{match[1]} {digit_words(match[2])}", text)
    text = re.sub(r"\d+(?=[A-Za-z])|(?<=[A-Za-z])\d+", lambda match: f" {digit_words(match[0])} ", text)
    text = re.sub(r"\d+", lambda match: written_number(match[0]).replace("-", " "), text)
    text = re.sub(r"[*#@&%+]", lambda match: f" {_SIGNS[match[0]]} ", text)
    text = re.sub(r"\s+([,.;:?!])", r"\1", " ".join(text.split()))
    return text.lstrip(". ")
