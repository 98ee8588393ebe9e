"""TextGrids of every MFA are read, disagreements with transcripts are told, and what is written reads back."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.alignment.export import phone_times, textgrid
from data_modules.alignment.matching import match_words, timed_phones
from data_modules.alignment.textgrids import read_grid, read_tiers
from data_modules.corpora.contract import PhoneTime
from data_modules.text.pronounce import ARPABET
from data_modules.text.sentence import PAUSE, TAGS, ParseGraph, Sentence, Word
from data_modules.tokens import exact_durations
from prosody_tts.errors import UserError

HOP = 0.0125
Tier = list[tuple[float, float, str]]

WORDS: Tier = [(0.0, 0.25, ""), (0.25, 0.6, "the"), (0.6, 1.0, "cat"), (1.0, 1.2, "")]
PHONES: Tier = [(0.25, 0.4, "DH"), (0.4, 0.6, "AH0"), (0.6, 0.7, "K"), (0.7, 0.9, "AE1"), (0.9, 1.0, "T")]
EXPECTED = (
    PhoneTime(PAUSE, 0.0, 0.25, -1),
    PhoneTime("DH", 0.25, 0.4, 0),
    PhoneTime("AH0", 0.4, 0.6, 0),
    PhoneTime("K", 0.6, 0.7, 1),
    PhoneTime("AE1", 0.7, 0.9, 1),
    PhoneTime("T", 0.9, 1.0, 1),
    PhoneTime(PAUSE, 1.0, 1.2, -1),
)

# A grid as MFA 1 writes it: tabs, silences with names.
MFA_1 = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0.0
xmax = 1.2
tiers? <exists>
size = 2
item []:
	item [1]:
		class = "IntervalTier"
		name = "words"
		xmin = 0.0
		xmax = 1.2
		intervals: size = 4
			intervals [1]:
				xmin = 0.000
				xmax = 0.250
				text = ""
			intervals [2]:
				xmin = 0.250
				xmax = 0.600
				text = "the"
			intervals [3]:
				xmin = 0.600
				xmax = 1.000
				text = "cat"
			intervals [4]:
				xmin = 1.000
				xmax = 1.200
				text = ""
	item [2]:
		class = "IntervalTier"
		name = "phones"
		xmin = 0.0
		xmax = 1.2
		intervals: size = 7
			intervals [1]:
				xmin = 0.000
				xmax = 0.250
				text = "sil"
			intervals [2]:
				xmin = 0.250
				xmax = 0.400
				text = "DH"
			intervals [3]:
				xmin = 0.400
				xmax = 0.600
				text = "AH0"
			intervals [4]:
				xmin = 0.600
				xmax = 0.700
				text = "K"
			intervals [5]:
				xmin = 0.700
				xmax = 0.900
				text = "AE1"
			intervals [6]:
				xmin = 0.900
				xmax = 1.000
				text = "T"
			intervals [7]:
				xmin = 1.000
				xmax = 1.200
				text = "sp"
"""


def grid(tiers: dict[str, Tier], end: float = 1.2, short: bool = False) -> str:
    """A TextGrid with these tiers, written by hand from Praat's manual."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    head = ["0", f"{end}", "<exists>", f"{len(tiers)}"]
    lines += head if short else [f"xmin = {head[0]}", f"xmax = {head[1]}", "tiers? <exists>", f"size = {head[3]}"]
    lines += [] if short else ["item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        values = ['"IntervalTier"', f'"{name}"', "0", f"{end}", f"{len(intervals)}"]
        keys = ["class", "name", "xmin", "xmax", "intervals: size"]
        lines += (
            values if short else [f"    item [{number}]:", *(f"{k} = {v}" for k, v in zip(keys, values, strict=True))]
        )
        for place, (first, last, label) in enumerate(intervals, start=1):
            row = [f"{first!r}", f"{last!r}", '"' + label.replace('"', '""') + '"']
            named = [f"{k} = {v} " for k, v in zip(("xmin", "xmax", "text"), row, strict=True)]
            lines += row if short else [f"intervals [{place}]:", *named]
    return "\n".join(lines) + "\n"


def cut(tier: Tier) -> Tier:
    """Without the intervals in which nothing is said."""
    return [interval for interval in tier if interval[2]]


DIALECTS = {
    "MFA 1, long": MFA_1,
    "MFA 1, short, silences named": grid(
        {"words": WORDS, "phones": [(0.0, 0.25, "sil"), *PHONES, (1.0, 1.2, "sp")]}, short=True
    ),
    "MFA 2, speaker in the names, phones first": grid(
        {"ann - phones": PHONES, "ann - words": cut(WORDS), "ann": WORDS}
    ),
    "MFA 3, empty labels": grid({"words": WORDS, "phones": [(0.0, 0.25, ""), *PHONES, (1.0, 1.2, "")]}),
    "Kaldi's silences, a pause in two parts": grid(
        {
            "words": [(0.0, 0.25, "<eps>"), *WORDS[1:3], (1.0, 1.2, "<eps>")],
            "phones": [(0.0, 0.1, "<eps>"), (0.1, 0.25, "sp"), *PHONES, (1.0, 1.2, "<eps>")],
        }
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_dialect_and_encoding_says_the_same(dialect: str, encoding: str, newline: str) -> None:
    content = ("\ufeff" if encoding == "utf-16-be" else "") + DIALECTS[dialect].replace("\n", newline)
    found = read_grid(content.encode(encoding))
    assert [word.label for word in found.words] == ["the", "cat"]
    assert found.phones == EXPECTED and found.end == 1.2


@pytest.mark.parametrize("short", [False, True])
def test_praat_reads_the_same_intervals(tmp_path: Path, short: bool) -> None:
    """Praat itself is the judge of what a grid says, quotation marks, spaces and points among its labels."""
    parselmouth = pytest.importorskip("parselmouth")
    text = grid({"words": [(0.0, 0.5, 'so "it" 1.5 is'), (0.5, 1.2, "é ! no")], "phones": PHONES}, short=short)
    (tmp_path / "a.TextGrid").write_text(text, encoding="utf-8")
    praat = parselmouth.read(str(tmp_path / "a.TextGrid"))
    tiers = list(read_tiers(text.encode())[0].values())
    for number, tier in enumerate(tiers, start=1):
        shown = [
            parselmouth.praat.call(praat, "Get label of interval...", number, place)
            for place in range(1, int(parselmouth.praat.call(praat, "Get number of intervals...", number)) + 1)
        ]
        assert [label for label in shown if label] == [interval.label for interval in tier]


HOSTILE = {
    "nothing": (b"", "not a TextGrid"),
    "another file": (b"RIFF\x00\x00\x00\x00WAVEfmt ", "not a TextGrid"),
    "binary": (b"ooBinaryFile\x08TextGrid\x00\xff\xfe", "neither UTF-8 nor UTF-16"),
    "odd UTF-16": (b"\xff\xfe\x41", "neither UTF-8 nor UTF-16"),
    "another Praat object": (MFA_1.replace('"TextGrid"', '"PitchTier"').encode(), "not a TextGrid"),
    "no tiers": (b'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<absent>\n', "without tiers"),
    "a promise of a billion intervals": (MFA_1.replace("size = 4", "size = 1000000000").encode(), "is damaged"),
    "an infinite count": (MFA_1.replace("size = 4", "size = 1e999").encode(), "cannot be a number of"),
    "half an interval": (MFA_1.replace("size = 4", "size = 3.5").encode(), "cannot be a number of"),
    "infinite times": (MFA_1.replace("1.200", "1e999").encode(), "begin at 1 s and end at inf s"),
    "no number": (MFA_1.replace("0.600", "nan").encode(), "is damaged"),
    "negative times": (MFA_1.replace("0.000", "-0.100").encode(), "begin at -0.1 s"),
    "falling times": (MFA_1.replace("xmax = 0.900", "xmax = 0.650").encode(), "begin at 0.7 s and end at 0.65 s"),
    "overlap": (MFA_1.replace("xmin = 0.900", "xmin = 0.800").encode(), "'T' begin at 0.8 s"),
    "no words": (grid({"phones": PHONES}).encode(), "no tier 'words'"),
    "longer than itself": (MFA_1.replace("xmax = 1.200", "xmax = 1.300").encode(), "1.3 s, after the grid's own end"),
    "no end": (MFA_1.replace("xmax = 1.2\ntiers", "xmax = 0\ntiers").encode(), "it says that it ends at 0 s"),
    "two speakers": (grid({"a - words": WORDS, "b - words": WORDS, "phones": PHONES}).encode(), "one speaker"),
    "an empty tier": (grid({"words": [], "phones": PHONES}).encode(), "nothing in its tier 'words'"),
    "phones in no word": (grid({"words": WORDS[:2] + WORDS[3:], "phones": PHONES}).encode(), "outside of its words"),
    "phones across words": (
        grid({"words": [(0.0, 0.5, "the"), (0.5, 1.0, "cat")], "phones": PHONES}).encode(),
        "phone 'AH0' from 0.4 s to 0.6 s",
    ),
    "words without phones": (grid({"words": WORDS, "phones": PHONES[:2]}).encode(), "'cat' at 0.6 s without phones"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_grid_is_one_sentence(name: str) -> None:
    content, reason = HOSTILE[name]
    with pytest.raises(UserError) as found:
        read_grid(content)
    assert reason in str(found.value) and "\n" not in str(found.value)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(MFA_1) - 1), st.booleans())
def test_a_grid_that_is_cut_off_is_never_taken_for_a_whole_one(length: int, short: bool) -> None:
    text = DIALECTS["MFA 1, short, silences named"] if short else MFA_1
    content = text[: min(length, len(text) - 2)]  # without its last newline it is whole
    with pytest.raises(UserError):
        read_grid(content.encode())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(MFA_1) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_bytes_gone_wrong_never_crash_the_reader(changes: list[tuple[int, int]]) -> None:
    content = bytearray(MFA_1.encode())
    for place, value in changes:
        content[place] = value
    try:
        found = read_grid(bytes(content))
    except UserError:
        return
    assert all(phone.start < phone.end for phone in found.phones)


# Words


@pytest.mark.parametrize(
    ("aligned", "words", "owners"),
    [
        (["the", "cat"], ["The", "cat"], [0, 1]),
        (["forty", "two", "men"], ["forty-two", "men"], [0, 0, 1]),
        (["jenson", "'s", "type"], ["Jenson’s", "type"], [0, 0, 1]),
        (["do", "n't"], ["don't"], [0, 0]),
        (["pm"], ["p.m"], [0]),
        (["dogs", "'", "tails"], ["dogs", "tails"], [0, 0, 1]),
        (["fifty", "percent"], ["fifty", "%"], [0, 1]),
        (["muller"], ["Müller"], [0]),
        (["mister", "fox"], ["Mr", "Fox"], [0, 1]),
        (["saint", "james", "street"], ["St", "James", "St"], [0, 1, 2]),
    ],
)
def test_words_agree_by_their_letters(aligned: list[str], words: list[str], owners: list[int]) -> None:
    assert match_words(aligned, words) == owners


@pytest.mark.parametrize(
    ("aligned", "words", "reason"),
    [
        (["the", "dog"], ["the", "cat"], "the grid says 'dog' where the transcript has 'cat'"),
        (["anyone"], ["any", "one"], "the grid says 'anyone' where the transcript has 'any one'"),
        (["the"], ["the", "cat"], "the grid ends before the transcript's 'cat'"),
        (["the", "cat", "sat"], ["the", "cat"], "the grid goes on with 'sat' after the transcript's 'cat'"),
        (["<unk>", "cat"], ["Guttenberg's", "cat"], "'<unk>', a word its dictionary did not know, where the"),
        (["mister"], ["Mrs"], "the grid says 'mister' where the transcript has 'Mrs'"),
    ],
)
def test_words_that_disagree_are_quoted_from_both_sides(aligned: list[str], words: list[str], reason: str) -> None:
    with pytest.raises(UserError) as found:
        match_words(aligned, words)
    assert reason in str(found.value)


def test_a_word_without_phones_of_its_own_is_told() -> None:
    unknown = grid({"words": WORDS, "phones": [*PHONES[:2], (0.6, 1.0, "spn")]})
    with pytest.raises(UserError, match=r"no phones \('spn'\) for the transcript's word 'Cat'"):
        timed_phones(read_grid(unknown.encode()), "The Cat.", ARPABET)
    # A noise between words is a pause.
    noise = read_grid(grid({"words": WORDS, "phones": [(0.0, 0.2, "spn"), *PHONES]}).encode())
    assert timed_phones(noise, "The cat.", ARPABET)[:-1] == EXPECTED[:-1]


def test_phones_of_another_alphabet_are_told() -> None:
    strange = grid({"words": WORDS, "phones": [(0.25, 0.6, "ð"), *PHONES[2:]]})
    with pytest.raises(UserError, match="the phone 'ð' in the transcript's word 'The'"):
        timed_phones(read_grid(strange.encode()), "The cat.", ARPABET)
    assert timed_phones(read_grid(strange.encode()), "The cat.", None)[1].label == "ð"


def test_a_pause_inside_a_word_is_told() -> None:
    split = grid({"words": [(0.0, 0.5, "forty"), (0.7, 1.0, "two")], "phones": [(0.0, 0.5, "F"), (0.7, 1.0, "T")]})
    with pytest.raises(UserError, match=r"a pause of 0.20 s inside 'forty two', .* 'forty-two'"):
        timed_phones(read_grid(split.encode()), "Forty-two".lower(), ARPABET)


# Round trips


def sentence(phones_of_words: list[int]) -> Sentence:
    """Words ``aa``, ``ab`` … of so many phones each."""
    names = [f"{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(len(phones_of_words))]
    text, words = " ".join(names), [Word(name, 3 * i, 3 * i + 2) for i, name in enumerate(names)]
    phones, owner = [PAUSE], [0]
    for index, count in enumerate(phones_of_words):
        phones += [ARPABET[(7 * index + k) % len(ARPABET)] for k in range(count)] + [PAUSE]
        owner += [2 * index + 1] * count + [2 * index + 2]
    width = 1 + 2 * len(names)
    graph = ParseGraph((0,), (), (0,) * width, 0)
    tags = {name: (0,) * width for name in TAGS}
    return Sentence(text, tuple(words), tuple(phones), tuple(owner), tags, (0,), ((0, 1),) * width, graph)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.sampled_from([0.0, HOP / 2, 0.31]), st.data())
def test_what_is_written_reads_back_to_the_same_frames(counts: list[int], first: float, data: st.DataObject) -> None:
    """Of recordings trimmed at the start too: their grids tell the times of the whole recording."""
    made = sentence(counts)
    durations = [data.draw(st.integers(0 if label == PAUSE else 1, 40)) for label in made.phones]
    times = phone_times(made, durations, HOP, first)
    assert all(after.start == before.end for before, after in itertools.pairwise(times))
    back = timed_phones(read_grid(textgrid([w.text for w in made.words], times).encode()), made.text, ARPABET)
    # What was trimmed reads as a pause, of no frame.
    trimmed = [(PAUSE, -1)] if first > HOP and durations[0] == 0 else []
    assert [(p.label, p.word) for p in back] == [*trimmed, *((p.label, p.word) for p in times)]
    assert exact_durations(made.phones, back, sum(durations), HOP, first, least=1) == durations


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(-1, 90), st.data())
def test_durations_sum_to_the_frames_and_the_rest_is_the_last_pause(
    counts: list[int], spare: int, data: st.DataObject
) -> None:
    """A grid that ends before its audio leaves the rest to the last pause; a frame too many is clipped."""
    made = sentence(counts)
    lengths = [data.draw(st.floats(0.013, 0.3)) for _ in made.phones if _ != PAUSE]
    ends = np.cumsum(lengths)
    spoken = [
        (label, (token - 1) // 2) for label, token in zip(made.phones, made.phone_to_word, strict=True) if token % 2
    ]
    times = [
        PhoneTime(label, end - length, float(end), word)
        for (label, word), end, length in zip(spoken, ends, lengths, strict=True)
    ]
    whole = int(np.ceil(ends[-1] / HOP - 1e-6))
    frames = max(whole + spare, len(lengths))
    durations = exact_durations(made.phones, times, frames, HOP, least=1)
    assert sum(durations) == frames and durations[-1] == max(frames - whole, 0)
    assert all(d >= 1 for d, label in zip(durations, made.phones, strict=True) if label != PAUSE)
