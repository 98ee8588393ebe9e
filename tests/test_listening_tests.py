"""A listening test: anchors that meet the standard, one loudness, groups that hear all, codes that tell nothing."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import freqz

from prosody_tts.cli import run
from prosody_tts.errors import UserError
from prosody_tts.listening.anchors import ANCHORS, anchor, taps
from prosody_tts.listening.exchange import Heard
from prosody_tts.listening.ratings import Choice, Score
from prosody_tts.listening.stimuli import loudness, matched, read
from prosody_tts.listening.test import Kind, ListeningTest, build_test, grouped
from prosody_tts.listening.webmushra import write_webmushra

RATE = 16000
SYSTEMS = ("recording", "baseline", "camp")


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


def noise(seed: int, seconds: float = 0.7, scale: float = 0.05) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, int(seconds * RATE))


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


def clips(place: Path, systems: tuple[str, ...] = SYSTEMS, count: int = 3) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    place.mkdir(exist_ok=True)
    for item in range(count):
        for number, system in enumerate(systems):
            path = place / f"{item}-{system}.wav"
            rate = 22050 if system == "recording" else RATE
            soundfile.write(path, noise(10 * item + number), rate)
            found.setdefault(f"s{item}", {})[system] = path
    return found


def built(
    place: Path, kind: Kind = "mushra", systems: tuple[str, ...] = SYSTEMS, each: int | None = 2
) -> ListeningTest:
    given = clips(place / "clips", systems)
    texts = {name: f"Sentence {name} <b>." for name in given}
    return build_test(place / "test", kind, "How natural?", given, texts, each, RATE, -23.0, 0, {"sweep": "x"})


def test_listeners_get_clips_under_names_that_tell_nothing(tmp_path: Path) -> None:
    made = built(tmp_path)
    pages = write_webmushra(made, tmp_path / "test")
    assert ListeningTest.read(tmp_path / "test") == made and len(pages) == 3
    public = tmp_path / "test" / "public"
    names = {path.stem for path in (public / "stimuli").iterdir()}
    assert names == {code for item in made.items for code in item.codes.values()} and len(names) == 3 * 5
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
        built(tmp_path, "mos", tuple(f"s{number}" for number in range(12)))
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
