"""Whether a grid says what the transcript says: its words tied to the transcript's, or the disagreement in words."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from data_modules.alignment.textgrids import UNKNOWN_PHONE, UNKNOWN_WORD, Grid
from data_modules.corpora.contract import PhoneTime
from data_modules.text.words import SYMBOLS, clean, find_words
from prosody_tts.errors import UserError

#: Abbreviations, and the words that a normaliser may have written for the aligner: it is said which one was spoken.
READINGS = {
    **{"mr": ("mister",), "mrs": ("missus", "misses", "mistress"), "dr": ("doctor", "drive"), "drs": ("doctors",)},
    **{"st": ("saint", "street"), "ft": ("fort", "feet"), "co": ("company",), "ltd": ("limited",), "jr": ("junior",)},
    **{"maj": ("major",), "rev": ("reverend",), "lt": ("lieutenant",), "sgt": ("sergeant",), "capt": ("captain",)},
    **{"col": ("colonel",), "gen": ("general",), "hon": ("honorable", "honourable"), "esq": ("esquire",)},
}


def timed_phones(grid: Grid, text: str, inventory: Sequence[str] | None) -> tuple[PhoneTime, ...]:
    """The phones of a grid, ``word`` an index into ``find_words(clean(text))``.

    Args:
        grid: what was aligned.
        text: the transcript.
        inventory: phones that are known, or none where all are welcome.

    Raises:
        UserError: words, or a word's phones, disagree; quotes both sides.
    """
    words = [word.text for word in find_words(clean(text))]
    owners = match_words([word.label for word in grid.words], words)
    phones = tuple(replace(p, word=owners[p.word] if p.word >= 0 else -1) for p in grid.phones)
    for before, pause, after in zip(phones, phones[1:], phones[2:], strict=False):
        if pause.word < 0 and before.word == after.word:
            said = " ".join(w.label for w, owner in zip(grid.words, owners, strict=True) if owner == before.word)
            raise UserError(
                f"the grid has a pause of {pause.end - pause.start:.2f} s inside '{said}', which the transcript "
                f"writes as one word, '{words[before.word]}'"
            )
    for phone in phones:
        if phone.word >= 0 and phone.label == UNKNOWN_PHONE:
            raise UserError(
                f"the grid has no phones ('{UNKNOWN_PHONE}') for the transcript's word '{words[phone.word]}', "
                "which its dictionary did not know"
            )
        if phone.word >= 0 and inventory is not None and phone.label not in inventory:
            raise UserError(
                f"the grid has the phone '{phone.label}' in the transcript's word '{words[phone.word]}', "
                f"which is none of the {len(inventory)} that are known, such as '{inventory[-1]}'"
            )
    return phones


def match_words(aligned: Sequence[str], words: Sequence[str]) -> list[int]:
    """Index of the transcript's word [words] of each word of the grid [aligned].

    Words agree by their letters and digits, whatever their case, accents and punctuation; an abbreviation agrees with
    the words it stands for (``READINGS``). Several words of the grid may be one of the transcript (``forty two``,
    ``forty-two``), not the other way round: nobody knows where the phones part.

    Raises:
        UserError: they disagree; quotes both sides.
    """
    owners: list[int] = []
    at = 0
    for index, word in enumerate(words):
        wanted, found, first = letters(word), "", at
        if at < len(aligned) and letters(aligned[at]) in READINGS.get(wanted, ()):
            wanted = letters(aligned[at])
        while at < len(aligned) and (len(found) < len(wanted) or at == first):
            if aligned[at] == UNKNOWN_WORD:
                raise UserError(
                    f"the grid has '{UNKNOWN_WORD}', a word its dictionary did not know, where the transcript has "
                    f"'{word}'"
                )
            found += letters(aligned[at])
            at += 1
        if found != wanted:
            said = " ".join(aligned[first:at])
            written = _covered(found, words[index:])
            raise UserError(
                f"the grid says '{said}' where the transcript has '{written}'"
                if said
                else f"the grid ends before the transcript's '{written}'"
            )
        while at < len(aligned) and not letters(aligned[at]):
            at += 1  # an apostrophe by itself belongs to the word before it
        owners += [index] * (at - first)
    if at < len(aligned):
        raise UserError(
            f"the grid goes on with '{' '.join(aligned[at : at + 4])}' after the transcript's '{words[-1]}'"
        )
    return owners


def letters(word: str) -> str:
    """Letters and digits of a word in lower case, without accents; symbols as they are spoken."""
    plain = unicodedata.normalize("NFKD", "".join(SYMBOLS.get(character, character) for character in word))
    return "".join(character for character in plain.casefold() if character.isalnum())


def _covered(found: str, words: Sequence[str]) -> str:
    """The transcript's words that a word of the grid spans, for the message."""
    for count in range(1, min(len(words), 4) + 1):
        joined = "".join(letters(word) for word in words[:count])
        if joined == found:
            return " ".join(words[:count])
        if len(joined) > len(found):
            break
    return words[0]
