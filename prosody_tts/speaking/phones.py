"""Phones of a text as a line that can be read, edited and given back: ``1:The = DH AH0 | 2:cat = K AE1 T``.

Words are separated by a bar of its own, phones by spaces. What stands before ``=`` is the word, with or without its
number, and may be left out; where it is there, it must be the text's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from data_modules.text.sentence import PAUSE, Sentence
from data_modules.text.words import excerpt
from prosody_tts.errors import UserError, close

BAR, EQUALS = "|", "="


def write_phones(words: Sequence[str], phones: Sequence[Sequence[str]]) -> str:
    """The line of a text's words and their phones."""
    pairs = enumerate(zip(words, phones, strict=True), start=1)
    return f" {BAR} ".join(f"{number}:{word} {EQUALS} {' '.join(spoken)}" for number, (word, spoken) in pairs)


def read_phones(line: str, words: Sequence[str]) -> list[tuple[str, ...]]:
    """Phones of every word of a text; the inverse of ``write_phones``.

    Raises:
        UserError: there are more or fewer than the text has words, a word is another than the text's, has no phones or
            a pause among them.
    """
    parts: list[list[str]] = [[]]
    for token in line.split():
        if token == BAR:
            parts.append([])
        else:
            parts[-1].append(token)
    if len(parts) != len(words):
        raise UserError(
            f"the phones '{excerpt(line)}' are of {len(parts)} words and the text has {len(words)} "
            f"({excerpt(' '.join(words))}); separate words by ' {BAR} '"
        )
    return [_word(part, number, word) for number, (part, word) in enumerate(zip(parts, words, strict=True), start=1)]


def _word(part: list[str], number: int, word: str) -> tuple[str, ...]:
    if EQUALS in part[1:]:
        at = part.index(EQUALS, 1)
        label, part = " ".join(part[:at]), part[at + 1 :]
        if label not in (word, f"{number}:{word}"):
            raise UserError(f"the phones give word {number} as '{excerpt(label)}' and the text as '{word}'")
    if not part or PAUSE in part:
        raise UserError(
            f"the phones give word {number}, '{word}', {'a pause' if part else 'none'}; every word needs phones of its "
            "own (pauses are asked for by --word, as in 3:pause=300ms)"
        )
    return tuple(part)


def phones_of(sentence: Sentence) -> list[tuple[str, ...]]:
    """Phones of every word of a sentence."""
    spoken: list[list[str]] = [[] for _ in sentence.words]
    for phone, token in zip(sentence.phones, sentence.phone_to_word, strict=True):
        if token % 2 == 1:
            spoken[token // 2].append(phone)
    return [tuple(phones) for phones in spoken]


def check_phones(sentence: Sentence, known: Collection[str]) -> None:
    """Raise ``UserError`` for a phone that a system never heard; names it, its word, and the nearest."""
    for word, phones in zip(sentence.words, phones_of(sentence), strict=True):
        for phone in phones:
            if phone not in known:
                raise UserError(
                    f"'{word.text}' in '{excerpt(sentence.text)}' has the phone {phone}, which the corpus never had; "
                    f"the nearest it has are {close(phone, known)}: reword it, or give its phones"
                )
