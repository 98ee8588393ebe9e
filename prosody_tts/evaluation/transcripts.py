"""What was said against what a recogniser wrote of it: words and characters wrong, both sides normalised alike."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

#: How both sides are made alike, as a sentence under a table.
NORMALISED = (
    "Both sides are normalised as Whisper's authors do (arXiv 2212.04356, appendix C): lower case, no punctuation, "
    "contractions written out, numbers as digits, no fillers; British and American spellings stay two."
)


@lru_cache(maxsize=1)
def _normaliser() -> Any:
    """Whisper's English normaliser, without its list of British spellings, which is not part of transformers."""
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return EnglishTextNormalizer({})


@lru_cache(maxsize=1 << 14)
def normalised(text: str) -> str:
    """A text as it is scored (``NORMALISED``).

    What holds no letter or digit is no word: Whisper's normaliser leaves a full stop of "..." behind.
    """
    words = _normaliser()(text).split()
    return " ".join(word for word in words if any(map(str.isalnum, word)))


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """Words substituted, left out or put in by the alignment with the fewest (Levenshtein, by jiwer), and words said.

    Both texts are normalised; without a word said there is nothing to align, and all that was heard is wrong.
    """
    import jiwer

    said, heard = normalised(said), normalised(heard)
    if not said:
        return len(heard.split()), 0
    found = jiwer.process_words(said, heard)
    return found.substitutions + found.deletions + found.insertions, len(said.split())


def character_errors(said: str, heard: str) -> tuple[int, int]:
    """As ``word_errors``, of characters, blanks included."""
    import jiwer

    said, heard = normalised(said), normalised(heard)
    if not said:
        return len(heard), 0
    found = jiwer.process_characters(said, heard)
    return found.substitutions + found.deletions + found.insertions, len(said)
