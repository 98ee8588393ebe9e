"""Raw text is written as it is said; what is words already stays as it is."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_modules.text.analysis import TextAnalyser
from data_modules.text.normalise import NORMALISERS, Light, Nemo, needs_normalising
from data_modules.text.numbers import MOST_DIGITS, number_words, ordinal_words, roman_value, written_number, year_words
from prosody_tts.config import Experiment, TextConfig
from prosody_tts.errors import UserError

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prosody_tts"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "It costs $3.50 on 5 May 1999.",
            "It costs three dollars fifty cents on the fifth of May nineteen ninety-nine.",
        ),
        # Money.
        ("$1,000.50 or $1", "one thousand dollars fifty cents or one dollar"),
        ("£2.01 or $0.05", "two pounds one penny or five cents"),
        ("€5 million; $5–$10", "five million euros; five dollars to ten dollars"),
        # Dates and times.
        ("On the 18th December, 1812,", "On the eighteenth of December, eighteen twelve,"),
        ("May 5th, 2003; Nov. 3", "May fifth, two thousand three; November third"),
        ("2001-09-11", "September eleventh, two thousand one"),
        ("12/25/1905", "December twenty-fifth, nineteen oh five"),
        ("in the 1990s, the '60s and 1066", "in the nineteen nineties, the sixties and ten sixty-six"),
        ("5:30 p.m., 5:05, 7:00 or 5pm", "five thirty p.m., five oh five, seven o'clock or five p.m."),
        # Numbers.
        ("the 21st, the 112th and 1,000", "the twenty-first, the one hundred twelfth and one thousand"),
        ("1/2, 2½ and 24/7", "one half, two and one half and twenty-four seven"),
        ("pages 3-5, 1914–18", "pages three to five, nineteen fourteen to eighteen"),
        ("version 1.2.3, 3.14, 007", "version one point two point three, three point one four, zero zero seven"),
        ("call 555-1234", "call five five five, one two three four"),
        ("COVID-19, B2B, a 5-year-old", "COVID-nineteen, B two B, a five-year-old"),
        ("٣ and １２", "three and twelve"),
        # Units and signs.
        ("-10°C, 3.5%", "minus ten degrees Celsius, three point five percent"),
        ("5 km at 60 km/h", "five kilometers at sixty kilometers per hour"),
        ("1 kg, 10 m², R & D", "one kilogram, ten square meters, R and D"),
        # Abbreviations.
        ("Mr. Smith of 12 St. James St. met Dr. Jones.", "Mister Smith of twelve Saint James Street met Doctor Jones."),
        ("He lives on Main St.", "He lives on Main Street."),
        ("apples, pears, etc. Then no. 5 vs. No. 6", "apples, pears, et cetera. Then number five versus number six"),
        ("It fell. No. I said no.", "It fell. No. I said no."),
        # Roman numerals.
        ("Henry VIII, Louis XIV, World War II", "Henry the eighth, Louis the fourteenth, World War two"),
        ("Chapter XLV, as I said to Malcolm X", "Chapter forty-five, as I said to Malcolm X"),
        # Addresses.
        ("see https://www.example.com/a", "see w w w dot example dot com slash a"),
        ("me@example.org", "me at example dot org"),
    ],
)  # fmt: skip
def test_what_is_written_is_said(text: str, said: str) -> None:
    assert Light()(text) == said
    assert Light()(said) == said


@pytest.mark.parametrize(
    "text", ["Don't  stop — “now” …", "שלום 😀", "", "WAIT ... what?!", "AT and T, p.m. and U.S.A."]
)
def test_words_stay_as_they_are(text: str) -> None:
    assert not needs_normalising(text)
    assert all(normalise()(text) == text for normalise in NORMALISERS.values())


PIECES = st.one_of(
    st.sampled_from("$ £ % # & - – / . , : ' ° ² ½ 0 1 5 12 99 1999 1,000 St. Dr. No. May Jan. XIV p.m. am km".split()),
    st.sampled_from(["st", "s", "th", "@", "www.", "http://", "a.com", "٣", "１", "\u200b", "\ud800", "\n", " ", "①"]),
    st.text(max_size=4),
)  # fmt: skip


@given(st.lists(PIECES, max_size=16).map("".join))
@example("9" * 400 + "," + "9" * 400)
@example("$" + "1" * 50 + ".5 " + "1" * 900 + "th")
@settings(max_examples=300, deadline=None)
def test_any_text_is_normalised_to_no_digits(text: str) -> None:
    said = Light()(text)
    assert not any(character.isdecimal() for character in said)
    if not needs_normalising(text):
        assert said == text


@given(st.integers(0, 10**MOST_DIGITS - 1))
def test_numbers_are_words_and_their_commas_change_nothing(number: int) -> None:
    words = number_words(number)
    assert words.replace("-", "").replace(" ", "").isalpha() and " and " not in words
    assert written_number(f"{number:,}") == words or number < 1000
    assert number_words(-number) == (f"minus {words}" if number else words)


def test_years_and_ordinals() -> None:
    assert [year_words(year) for year in (1066, 1500, 1905, 2000, 2001, 2026)] == [
        *("ten sixty-six", "fifteen hundred", "nineteen oh five", "two thousand", "two thousand one"),
        "twenty twenty-six",
    ]
    assert ordinal_words(112) == "one hundred twelfth"


def test_roman_numerals_have_one_spelling() -> None:
    assert {name: roman_value(name) for name in ("IV", "XIV", "XLV", "MCMXCIX")} == {
        **{"IV": 4, "XIV": 14, "XLV": 45, "MCMXCIX": 1999}
    }
    assert [roman_value(name) for name in ("IIX", "MILD", "VV", "", "x")] == [None] * 5


def test_nemo_not_installed_is_the_users_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "nemo_text_processing.text_normalization.normalize", None)
    monkeypatch.setattr(importlib.metadata, "version", missing)
    for call in (Nemo().identity, lambda: Nemo()("It costs $5.")):
        with pytest.raises(UserError, match="pip install nemo_text_processing"):
            call()


@pytest.mark.slow
def test_nemo_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nemo_text_processing")
    if not list(CACHE.glob("nemo-*/*.far")):
        pytest.skip(f"no grammars of NeMo in {CACHE}; their building takes a minute, text.normaliser=nemo does it once")
    said = Nemo()("It costs $3.50 on 5 May 1999.").lower().replace("-", " ")
    assert said == "it costs three dollars fifty cents on the fifth of may nineteen ninety nine."


def test_texts_are_split_where_sentences_end() -> None:
    analyser = TextAnalyser(Experiment(text=TextConfig(pronouncer="cmudict")))
    assert analyser.prepare(
        [
            'It costs $3.50. Mr. Smith left at 5 p.m. He said "Go!" and went. Really?!',
            "One sentence only",
            "He met J. R. R. Tolkien, Ph.D., in the U.S. of old. 😀",
            "...",
            "",
        ]
    ) == [
        [
            "It costs three dollars fifty cents.",
            "Mister Smith left at five p.m.",
            'He said "Go!" and went.',
            "Really?!",
        ],
        ["One sentence only"],
        ["He met J. R. R. Tolkien, Ph.D., in the U.S. of old. 😀"],
        ["..."],
        [""],
    ]
    raw = TextAnalyser(Experiment(text=TextConfig(pronouncer="cmudict", normaliser="none")))
    assert raw.prepare(["It is 5 p.m."]) == [["It is 5 p.m."]]
    with pytest.raises(UserError, match="give at most"):
        raw.prepare(["word. " * 200_000])


@given(
    st.lists(st.one_of(PIECES, st.sampled_from(["Yes. ", "No! ", "He said so? ", "... "])), max_size=10).map("".join)
)
@settings(max_examples=50, deadline=None)
def test_splitting_loses_nothing(text: str) -> None:
    analyser = TextAnalyser(Experiment(text=TextConfig(pronouncer="cmudict")))
    (sentences,) = analyser.prepare([text])
    from data_modules.text.words import clean

    assert "".join("".join(sentences).split()) == "".join(clean(Light()(text)).split())
    if any(character.isalnum() for character in "".join(sentences)):
        assert all(any(character.isalnum() for character in sentence) for sentence in sentences)
