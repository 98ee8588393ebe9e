"""From raw text to what is said: a registry of normalisers with one contract.

Only texts that nobody has normalised are: those to synthesise, and those of corpora without a normalised column.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import unicodedata
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from data_modules.text.light import ABBREVIATED, spell_out
from data_modules.text.words import check_chunks, excerpt
from prosody_tts.errors import UserError

#: Raise it when a rule of the light normaliser changes what a text becomes.
RULES = 1
#: Words that NeMo is given at once: it refuses 500, and its time grows faster than the text.
NEMO_WORDS = 100

_NEEDED = re.compile(
    r"\d|[$£€¥¢°&%=+@#×÷§¼-¾⅐-⅞²³¹⁰-⁹①-⑳]"
    r"|\b(?:www|https?|ftp)\b"
    r"|[A-Za-z0-9-]\.[a-z]{2,4}\b"
    r"|\b[A-Z][a-z]+ [IVXLC]+\b"
)


class Normaliser(Protocol):
    """Writes a raw text as it is said.

    Calling it with a text returns the text in words; a text with nothing to normalise comes back as it is. It raises
    ``UserError`` for what it cannot. ``identity`` is plain data that changes whenever the outcome could.
    """

    def __call__(self, text: str) -> str: ...

    def identity(self) -> dict[str, Any]: ...


class AsItIs:
    """For texts that are normalised already."""

    def __call__(self, text: str) -> str:
        """The text."""
        return text

    def identity(self) -> dict[str, Any]:
        """Its name."""
        return {"name": "none"}


class Light:
    """Small rules on num2words (``data_modules.text.light``): fast, without a grammar.

    Raises:
        UserError: a text has a chunk that is too long (``words.LONGEST_CHUNK``).
    """

    def __call__(self, text: str) -> str:
        """See ``Normaliser``."""
        if not needs_normalising(text):
            return text
        check_chunks(text)
        return spell_out(_plain(text))

    def identity(self) -> dict[str, Any]:
        """Versions of the rules and of num2words."""
        return {"name": "light", "rules": RULES, "num2words": importlib.metadata.version("num2words")}


class Nemo:
    """NVIDIA's grammars of English (nemo_text_processing); built on first use, then kept in the user's cache folder.

    Raises:
        UserError: the package is not installed.
    """

    def __call__(self, text: str) -> str:
        """See ``Normaliser``."""
        if not needs_normalising(text):
            return text
        words = _plain(text).split()
        try:
            spoken = [
                self._grammar.normalize(" ".join(words[start : start + NEMO_WORDS]), punct_post_process=False)
                for start in range(0, len(words), NEMO_WORDS)
            ]
        except UserError:
            raise
        except Exception as error:  # the grammars' errors share no base
            raise UserError(
                f"text.normaliser=nemo cannot normalise '{excerpt(text)}' ({' '.join(str(error).split())[:200]}); "
                "write it as it is spoken or set text.normaliser=light"
            ) from None
        return " ".join(spoken)

    def identity(self) -> dict[str, Any]:
        """Version of the package."""
        try:
            return {"name": "nemo", "nemo_text_processing": importlib.metadata.version("nemo_text_processing")}
        except importlib.metadata.PackageNotFoundError:
            raise _not_installed() from None

    @cached_property
    def _grammar(self) -> Any:
        import logging

        from filelock import FileLock

        try:
            from nemo_text_processing.text_normalization.normalize import Normalizer
        except ImportError:
            raise _not_installed() from None
        logging.getLogger("NeMo-text-processing").setLevel(logging.ERROR)
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "prosody_tts" / f"nemo-{self.identity()['nemo_text_processing']}"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "grammars.lock"):  # two processes would write the same files
            return Normalizer(input_case="cased", lang="en", cache_dir=str(folder))


#: Name of ``text.normaliser`` -> normaliser.
NORMALISERS: dict[str, Callable[[], Normaliser]] = {"none": AsItIs, "light": Light, "nemo": Nemo}


def needs_normalising(text: str) -> bool:
    """Whether a text may hold anything but words; quick, and wrong to the safe side."""
    return _NEEDED.search(text) is not None or ABBREVIATED.search(text) is not None


def _plain(text: str) -> str:
    """Digits of every script, fractions and circled digits in ASCII."""
    plain = []
    for character in text:
        digit = unicodedata.decimal(character, None)
        if digit is not None:
            plain.append(str(digit))
        elif character not in "²³" and unicodedata.category(character) == "No":
            parts = unicodedata.normalize("NFKC", character)
            plain.append((" " if plain and plain[-1].isdigit() else "") + parts)
        else:
            plain.append(character)
    return "".join(plain)


def _not_installed() -> UserError:
    return UserError(
        "text.normaliser=nemo needs a package that is not installed; 'pip install nemo_text_processing' or set "
        "text.normaliser=light"
    )
