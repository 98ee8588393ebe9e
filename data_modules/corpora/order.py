"""Where an utterance stands in its book, as far as its name tells."""

from __future__ import annotations

import re
from typing import NamedTuple


class Place(NamedTuple):
    """The chapter and the place in it: numbers that rise as it is read."""

    chapter: str
    position: tuple[int, ...]


def libritts_place(name: str) -> Place | None:
    """Of LibriTTS's ``SPEAKER_CHAPTER_PARAGRAPH_SENTENCE``; none of other names."""
    found = re.fullmatch(r"(\d+_\d+)_(\d+)_(\d+)", name)
    return None if found is None else Place(found[1], (int(found[2]), int(found[3])))


def ljspeech_place(name: str) -> Place | None:
    """Of LJSpeech's ``CHAPTER-NUMBER``, as in ``LJ001-0001``; none of other names."""
    found = re.fullmatch(r"(LJ\d+)-(\d+)", name)
    return None if found is None else Place(found[1], (int(found[2]),))
