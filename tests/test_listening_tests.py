"""A listening test: anchors that meet the standard, one loudness, groups that hear all, codes that tell nothing."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import given
from hypothesis import strategies as st
from listening_material import RATE, SYSTEMS, built, noise
from scipy.signal import freqz

from prosody_tts.cli import run
from prosody_tts.errors import UserError
from prosody_tts.listening.analysis import Question, analyse
from prosody_tts.listening.anchors import ANCHORS, anchor, taps
from prosody_tts.listening.exchange import Heard
from prosody_tts.listening.kinds import KINDS, Kind
from prosody_tts.listening.ordering import screens_of, williams
from prosody_tts.listening.ratings import Choice, Score
from prosody_tts.listening.stimuli import loudness, matched, read
from prosody_tts.listening.test import CHECK, ListeningTest, grouped
from prosody_tts.listening.webmushra import write_webmushra


@pytest.mark.parametrize("sample_rate", [16000, 22050, 24000, 48000])
def test_the_low_anchor_meets_the_mask_of_the_standard(sample_rate: int) -> None:
    """BS.1534-3, section 5.1: ripple of .1 dB up to 3.5 kHz, 25 dB down at 4 kHz, 50 dB at 4.5 kHz."""
    frequencies, response = freqz(taps(ANCHORS["anchor35"], sample_rate), worN=1 << 14, fs=sample_rate)
    gain = 20 * np.log10(np.maximum(np.abs(response), 1e-12))
    assert np.abs(gain[frequencies <= 3500]).max() <= 0.1
    assert gain[frequencies >= 4000].max() <= -25
    assert gain[frequencies >= 4500].max() <= -50


def test_the_mid_anchor_keeps_what_lies_below_seven_kilohertz() -> None:
    frequencies, response = freqz(taps(ANCHORS["anchor70"], 24000), worN=1 << 14, fs=24000)
    gain = 20 * np.log10(np.maximum(np.abs(response), 1e-12))
    assert np.abs(gain[frequencies <= 7000]).max() <= 0.1 and gain[frequencies >= 8000].max() <= -50


def test_an_anchor_is_neither_early_nor_late() -> None:
    wave = np.zeros(4001)
    wave[2000] = 1.0
    low = anchor(wave, 3500.0, RATE)
    assert len(low) == len(wave) and np.argmax(np.abs(low)) == 2000
    assert np.allclose(low, low[::-1])
    with pytest.raises(UserError, match="takes nothing from audio of 8000 Hz"):
        anchor(wave, 7000.0, 8000)


def test_loudness_is_that_of_the_standard() -> None:
    """ITU-R BS.1770-4: a full-scale sine of 997 Hz on one channel reads -3.01."""
    time = np.arange(2 * 48000) / 48000
    assert loudness(np.sin(2 * np.pi * 997 * time), 48000) == pytest.approx(-3.01, abs=0.05)


def test_clips_of_a_screen_have_one_loudness_and_one_length() -> None:
    made = matched({"a": noise(0), "b": noise(1, 1.1, 0.01), "c": noise(2, 0.2)}, RATE)
    assert {len(wave) for wave in made.values()} == {int(1.1 * RATE)}
    for name, own in (("a", 0.7), ("b", 1.1)):
        assert loudness(made[name][: int(own * RATE)], RATE) == pytest.approx(-23, abs=0.2)
    assert all(abs(wave[0]) < 1e-3 for wave in made.values())
    with pytest.raises(UserError, match="quiet is silent"):
        matched({"quiet": np.zeros(RATE)}, RATE)
    spiky = noise(3, 2.0, 0.0001)
    spiky[5000] = 0.9
    with pytest.raises(UserError, match="lower --loudness"):
        matched({"spiky": spiky}, RATE)


@given(st.integers(1, 40), st.integers(1, 45))
def test_groups_hear_every_sentence_equally_often(count: int, each: int) -> None:
    items = [str(number) for number in range(count)]
    groups = grouped(items, each)
    assert all(len(set(group)) == len(group) == min(each, count) for group in groups)
    times = Counter(item for group in groups for item in group)
    assert set(times) == set(items) and len(set(times.values())) == 1
    assert len(groups) == math.lcm(count, min(each, count)) // min(each, count)


def test_listeners_get_clips_under_names_that_tell_nothing(tmp_path: Path) -> None:
    made = built(tmp_path)
    pages = write_webmushra(made, tmp_path / "test")
    assert ListeningTest.read(tmp_path / "test") == made and len(pages) == 3
    public = tmp_path / "test" / "public"
    names = {path.stem for path in (public / "stimuli").iterdir()}
    codes = [code for item in made.items for code in (*item.codes.values(), item.reference)]
    # The open reference has a clip of its own, so that no address tells which version is the hidden one.
    assert names == set(codes) and len(names) == len(codes) == 3 * (5 + 1)
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert not any(system in text for system in ("baseline", "camp", "anchor35:", "recording"))
        page = yaml.safe_load(text)["pages"][2]
        assert page[0] == "random" and len(page) == 3
        assert all((public / clip).is_file() for screen in page[1:] for clip in screen["stimuli"].values())
        lengths = [
            {len(read(public / clip, RATE)) for clip in (screen["reference"], *screen["stimuli"].values())}
            for screen in page[1:]
        ]
        assert all(len(found) == 1 for found in lengths)


def test_ratings_of_codes_are_ratings_of_systems_again(tmp_path: Path) -> None:
    made = built(tmp_path, each=None)
    truth = {"recording": 97.0, "baseline": 40.0, "camp": 60.0, "anchor35": 10.0, "anchor70": 30.0}
    head = "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score,rating_time,rating_comment"
    rows = [head]
    for listener in range(6):
        for number, item in enumerate(made.items):
            for system, score in truth.items():
                code = "reference" if system == "recording" else item.codes[system]
                rows.append(f"t,u{listener},{item.id},{code},{min(100, score + (listener + number) % 3)},1,")
    path = tmp_path / "mushra.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    out = tmp_path / "out"
    assert run(["listen", "analyse", str(path), "--test", str(tmp_path / "test"), "--out", str(out)]) == 0
    (scores,) = (
        grid for grid in json.loads((out / "analysis.json").read_text())["tables"] if grid["title"] == "Scores"
    )
    assert {line[0] for line in scores["lines"]} == set(truth)
    (camp,) = (line for line in scores["lines"] if line[0] == "camp")
    # The recording has its 97 and up, which screens nobody out, and the gap closed is 20 of 57 points.
    assert camp[1].startswith("61.0") and camp[4].startswith("35")
    with pytest.raises(UserError, match="not in this test"):
        made.named(Heard([Score("a", "s0", "0123456789ab", 1.0)]))


def test_two_systems_are_compared_and_five_grades_given(tmp_path: Path) -> None:
    pair = built(tmp_path, "preference", ("baseline", "camp"))
    item = pair.items[0]
    chosen = pair.named(Heard(choices=[Choice("a", item.id, "reference", item.codes["camp"], item.codes["camp"])]))
    assert (chosen.choices[0].one, chosen.choices[0].other, chosen.choices[0].chosen) == ("baseline", "camp", "camp")
    write_webmushra(pair, tmp_path / "test")
    page = yaml.safe_load((tmp_path / "test" / "public" / "group-1.yaml").read_text())["pages"][2][1]
    assert page["type"] == "paired_comparison" and len(page["stimuli"]) == 1
    grades = built(tmp_path / "mos", "mos") if (tmp_path / "mos").mkdir() is None else None
    assert grades is not None
    write_webmushra(grades, tmp_path / "mos" / "test")
    page = yaml.safe_load((tmp_path / "mos" / "test" / "public" / "group-1.yaml").read_text())["pages"][2][1]
    assert len(page["stimuli"]) == 3 and [grade["value"] for grade in page["response"]] == [5, 4, 3, 2, 1]


def test_what_makes_no_test_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs the reference"):
        built(tmp_path, "mushra", ("baseline", "camp"))
    with pytest.raises(UserError, match="compares two systems"):
        built(tmp_path, "preference")
    with pytest.raises(UserError, match="too many to compare"):
        built(tmp_path, "mos", tuple(f"s{number}" for number in range(13)))
    built(tmp_path)
    with pytest.raises(UserError, match="holds a listening test already"):
        built(tmp_path)
    with pytest.raises(UserError, match="holds no listening test"):
        ListeningTest.read(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "key.json").write_text('{"items": 3}')
    with pytest.raises(UserError, match="holds no listening test"):
        ListeningTest.read(tmp_path / "broken")
    (tmp_path / "x.wav").write_text("no audio")
    with pytest.raises(UserError, match="cannot read"):
        read(tmp_path / "x.wav", RATE)
    soundfile.write(tmp_path / "two.wav", np.zeros((100, 2)), RATE)
    with pytest.raises(UserError, match="2 channels"):
        read(tmp_path / "two.wav", RATE)
    assert run(["listen", "build", "paper_tables", "--kind", "musra"]) == 2


@given(st.integers(1, 12))
def test_every_version_stands_everywhere_and_after_every_other_equally_often(count: int) -> None:
    rows = williams(count)
    assert all(sorted(row) == list(range(count)) for row in rows)
    assert {Counter(column).most_common()[-1][1] for column in zip(*rows, strict=True)} <= {len(rows) // count}
    follows = Counter(pair for row in rows for pair in pairwise(row))
    assert len(follows) == count * (count - 1) and len(set(follows.values())) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_listeners_hear_every_version_at_every_place_in_an_order_that_is_the_same_again(
    tmp_path: Path, kind: Kind
) -> None:
    systems = ("recording", "camp") if kind == "preference" else SYSTEMS
    made = built(tmp_path, kind, systems, each=None, training=1, checks=1)
    rows = len(williams(len(made.rated[0].codes)))
    places: Counter[tuple[str, str, int]] = Counter()
    orders = set()
    for ordinal in range(rows):
        screens = screens_of(made, 0, ordinal)
        assert screens == screens_of(made, 0, ordinal)
        assert screens[0].item.role == "training" and screens[1].item.role == "rated"
        assert Counter(screen.item.role for screen in screens) == {"training": 1, "rated": 3, "check": 1}
        orders.add(tuple(screen.item.id for screen in screens))
        for screen in screens:
            of = {code: system for system, code in screen.item.codes.items()}
            places.update((screen.item.id, of[code], place) for place, code in enumerate(screen.codes))
    assert set(places.values()) == {rows // len(made.rated[0].codes)} and len(orders) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_check_says_aloud_what_it_wants_and_looks_like_any_other_screen(tmp_path: Path, kind: Kind) -> None:
    systems = ("recording", "camp") if kind == "preference" else SYSTEMS
    made = built(tmp_path, kind, systems, each=None, checks=2)
    rated, (one, other) = made.rated[0], [item for item in made.items if item.role == "check"]
    assert len(one.codes) == len(other.codes) == len(rated.codes) and CHECK in one.codes and CHECK not in rated.codes
    assert bool(one.text) == bool(rated.text) and (one.reference is None) == (rated.reference is None)
    place = tmp_path / "test" / "public" / "stimuli"
    said, beside = (read(place / f"{one.codes[name]}.wav", RATE) for name in (CHECK, min(set(one.codes) - {CHECK})))
    assert len(said) == len(beside) > 1.5 * RATE and loudness(said, RATE) == pytest.approx(-23, abs=1.5)
    scale = KINDS[kind].scale
    for check in made.checks:
        assert check.system == CHECK and (scale is None or scale[0] <= check.low <= check.high <= scale[1])


def test_who_does_not_do_what_a_check_says_is_left_out(tmp_path: Path) -> None:
    made = built(tmp_path, "mushra_like", each=None, checks=1)
    (check,) = made.checks
    rows = ["listener,item,system,score"]
    for listener in range(5):
        for item in made.items:
            given_to = {
                CHECK: check.low + 2 if listener else check.high + 20,
                "recording": 90,
                "camp": 60,
                "baseline": 40,
            }
            rows += [
                f"l{listener},{item.id},{code},{given_to[name] + listener % 2}" for name, code in item.codes.items()
            ]
    path, out = tmp_path / "long.csv", tmp_path / "out"
    path.write_text("\n".join(rows) + "\n")
    assert run(["listen", "analyse", str(path), "--test", str(tmp_path / "test"), "--out", str(out)]) == 0
    told = json.loads((out / "analysis.json").read_text())
    (excluded,) = told["excluded"]
    assert excluded["listener"] == "l0" and "check-1" in excluded["reason"]
    (scores,) = (grid for grid in told["tables"] if grid["title"] == "Scores")
    assert {line[0]: line[3] for line in scores["lines"]} == {"recording": "12", "baseline": "12", "camp": "12"}


def test_of_a_preference_the_version_that_speaks_must_be_chosen(tmp_path: Path) -> None:
    made = built(tmp_path, "preference", ("baseline", "camp"), each=None, checks=1)
    choices = []
    for listener in range(4):
        for item in made.items:
            one, other = item.codes.values()
            wanted = item.codes[CHECK] if item.role == "check" else item.codes["camp"]
            choices.append(Choice(f"l{listener}", item.id, one, other, "" if listener == 0 else wanted))
    found = analyse(made.named(Heard(choices=choices)), Question(checks=made.checks))
    assert [one.listener for one in found.excluded] == ["l0"] and "neither" in found.excluded[0].reason
    (row,) = found.preferences
    assert row.n == 9 and dict(zip((row.one, "", row.other), row.shares, strict=True))["camp"] == 1.0


def test_only_what_webmushra_has_is_written_for_it(tmp_path: Path) -> None:
    assert write_webmushra(built(tmp_path, "bs2132"), tmp_path / "test") == []
