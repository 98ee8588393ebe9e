"""Orthographic words of a text with their character offsets, and the punctuation between them.

Numbers should be spelled out beforehand; what is left of digits and of a few symbols (``SYMBOLS``) is a word all the
same and is pronounced character by character. Other symbols and emoji are not spoken: they count as punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from data_modules.text.sentence import PUNCTUATION, Word
from prosody_tts.errors import UserError

#: Longest text analysed at once: a sentence, or a few.
MOST_CHARACTERS = 20_000

#: Longest stretch of a text without a space: the longest addresses of the web are no longer, and what rules cost grows
#: faster than its length.
LONGEST_CHUNK = 1_000

#: Symbols that are spoken, and how.
SYMBOLS = {
    "&": "and",
    "%": "percent",
    "+": "plus",
    "@": "at",
    "$": "dollars",
    "£": "pounds",
    "€": "euros",
    "°": "degrees",
}

_TOO_LONG = re.compile(rf"\S{{{LONGEST_CHUNK + 1},}}")
_CORE = rf"(?:[^\W_][\u0300-\u036f]*|[{re.escape(''.join(SYMBOLS))}])+"
# One joiner keeps a word whole. A full stop does not after a lower-case word and before a capital: "end.Then".
_JOINER = r"(?:['’_-]|(?<![a-z]{2})\.|\.(?![A-Z])|(?<=\d)[,:](?=\d))"
_WORD = re.compile(f"{_CORE}(?:{_JOINER}{_CORE})*")

# A full stop that belongs to the word before it ends no sentence: "p.m.", "Mr.".
_ABBREVIATED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]|mr|mrs|ms|dr|st|prof|capt|col|gen|lt|rev|hon|vs", re.IGNORECASE)

_HYPHENS = str.maketrans({"\u2010": "-", "\u2011": "-", "\u02bc": "\u2019"})

# A slot with several marks takes the strongest, in this order.
_STRONGEST = ("question", "exclamation", "full_stop", "semicolon", "colon", "comma", "dash", "quote")
_MARKS = {
    **dict.fromkeys("?¿؟", "question"),
    **dict.fromkeys("!¡", "exclamation"),
    **dict.fromkeys(".。", "full_stop"),
    **dict.fromkeys(";؛", "semicolon"),
    **dict.fromkeys(":", "colon"),
    **dict.fromkeys(",،、", "comma"),
    **dict.fromkeys("-–—―−‒", "dash"),
    **dict.fromkeys("\"'“”„‟‘’‚‛«»‹›`´″′", "quote"),
}


def clean(text: str) -> str:
    """Return the text in Unicode's composed form, one space between chunks, without control and format characters."""
    composed = unicodedata.normalize("NFC", text).translate(_HYPHENS)
    kept = []
    if composed.isascii() and composed.isprintable():
        return " ".join(composed.split())
    for character in composed:
        if character.isspace():
            kept.append(" ")
        # Cc control, Cf format (zero-width, bidi), Cs lone surrogates, Co private, Cn unassigned.
        elif unicodedata.category(character)[0] != "C":
            kept.append(character)
    return " ".join("".join(kept).split())


def excerpt(text: str, width: int = 60) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def check_chunks(text: str) -> None:
    """Raise ``UserError`` for a text that has more than ``LONGEST_CHUNK`` characters without a space."""
    if (found := _TOO_LONG.search(text)) is not None:
        raise UserError(
            f"the text has {len(found[0])} characters without a space ('{excerpt(found[0])}'), which are no words; "
            f"leave them out, or write them in chunks of at most {LONGEST_CHUNK}"
        )


def find_words(text: str) -> tuple[Word, ...]:
    """Words of a ``clean`` text, in order.

    Whitespace, dashes, slashes, ellipses, brackets and repeated marks separate words; a single apostrophe, hyphen,
    underscore or full stop inside a word does not (``don't``, ``forty-two``, ``p.m``), nor a comma or colon in
    a number.

    Raises:
        UserError: there is no letter or digit, the text is longer than ``MOST_CHARACTERS``, or a chunk of it longer
            than ``LONGEST_CHUNK``.
    """
    if len(text) > MOST_CHARACTERS:
        raise UserError(
            f"the text '{excerpt(text)}' has {len(text)} characters; split it into sentences of at most "
            f"{MOST_CHARACTERS} characters"
        )
    check_chunks(text)
    words = tuple(Word(match.group(), match.start(), match.end()) for match in _WORD.finditer(text))
    if not any(character.isalnum() for word in words for character in word.text):
        raise UserError(f"the text '{excerpt(text)}' has no word to speak; give at least one letter or digit")
    return words


def gaps(text: str, words: Sequence[Word]) -> list[tuple[int, int]]:
    """Character offsets of the pause slots, end excluded: what stands before, between and after words; 1 + words."""
    starts = [0, *(word.end for word in words)]
    ends = [*(word.start for word in words), len(text)]
    return list(zip(starts, ends, strict=True))


@lru_cache(maxsize=4096)
def mark(characters: str) -> int:
    """Class (index of ``PUNCTUATION``) of what stands between two words."""
    marks = {
        _MARKS.get(character, "other")
        for character in characters + unicodedata.normalize("NFKC", characters)
        if not character.isspace()
    }
    if not marks:
        return PUNCTUATION.index("none")
    return PUNCTUATION.index(next((name for name in _STRONGEST if name in marks), "other"))


def slot_marks(text: str, words: Sequence[Word]) -> tuple[int, ...]:
    """Class (index of ``PUNCTUATION``) of each of the 1 + words pause slots."""
    marks = []
    for slot, (start, end) in enumerate(gaps(text, words)):
        inside = 0 < slot < len(words)
        if inside and end - start == 1 and text[start] == " ":
            marks.append(0)
            continue
        if inside and text[start] == "." and _ABBREVIATED.fullmatch(words[slot - 1].text):
            start += 1
        marks.append(mark(text[start:end]))
    return tuple(marks)
