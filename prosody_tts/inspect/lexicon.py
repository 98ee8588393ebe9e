"""Which words CMUdict has."""

from __future__ import annotations

from data_modules.text.pronounce import dictionary, latin, with_apostrophes
from data_modules.text.sentence import Word
from prosody_tts.errors import UserError


def in_cmudict(text: str, word: Word) -> bool:
    """Whether CMUdict has a word as it is written, whatever its case; a hyphenated one if it has every part.

    What it lacks, possessives and digits included, gets its phones from parts or from letters.
    """
    try:
        plain = latin(with_apostrophes(text, word), text)
    except UserError:  # no Latin letters, so no entry; its phones were given
        return False
    known = dictionary()
    parts = [part for part in plain.split("-") if part]
    # "p.m" is "p.m." there.
    return plain in known or f"{plain}." in known or (bool(parts) and all(part in known for part in parts))
