"""A corpus with TextGrids takes its times from them, leaves out what disagrees, and what it exports it takes back."""

from __future__ import annotations

import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from data_modules.alignment import grid_files
from data_modules.alignment.attach import attach
from data_modules.alignment.export import textgrid
from data_modules.alignment.grid_files import read_grids
from data_modules.alignment.report import RATE_FACTOR, rate_factor, read_suspicious, report, summary
from data_modules.corpora.contract import Corpus, PhoneTime, Utterance, silent
from data_modules.corpora.screening import sentence_id
from data_modules.text.sentence import PAUSE, TAGS, ParseGraph, Sentence, Word
from prosody_tts import cli
from prosody_tts.config import Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.files import read_json
from prosody_tts.pipeline import RESULT, folder, plan

RATE = 16000
SECONDS = 2.0
TEXTS = {
    "a1": "The cat sat.",
    "a2": "A cat sat?",
    "a3": "The cat!",
    "a4": "Sat, the cat.",
    "a5": "Cat and cat.",
    "a6": "The sat, sat.",
}
PHONES = {
    "the": ["DH", "AH0"],
    "a": ["AH0"],
    "cat": ["K", "AE1", "T"],
    "sat": ["S", "AE1", "T"],
    "and": ["AE1", "N", "D"],
}


def write_corpus(root: Path) -> Path:
    """A folder of noisy clips with transcripts."""
    (root / "wavs").mkdir(parents=True)
    for seed, name in enumerate(TEXTS):
        # Noise on a hum: every recording needs a voiced frame.
        hum = 0.2 * np.sin(2 * np.pi * 120 * np.arange(round(SECONDS * RATE)) / RATE)
        wave = hum + np.random.default_rng(seed).normal(0, 0.02, len(hum))
        soundfile.write(root / "wavs" / f"{name}.wav", wave, RATE)
    (root / "metadata.csv").write_text("".join(f"{name}|{text}\n" for name, text in TEXTS.items()))
    return root


def grid_of(text: str, step: float = 0.1, start: float = 0.3) -> str:
    """A grid of a text whose phones last ``step`` seconds."""
    words = [word.strip("?!.,").lower() for word in text.split()]
    times, clock = [PhoneTime(PAUSE, 0.0, start, -1)], start
    for index, word in enumerate(words):
        for label in PHONES[word]:
            times.append(PhoneTime(label, clock, clock + step, index))
            clock += step
    return textgrid(words, times)


def write_grids(root: Path) -> Path:
    root.mkdir()
    for name, text in TEXTS.items():
        (root / f"{name}.TextGrid").write_text(grid_of(text))
    return root


def corpus(root: Path) -> Corpus:
    """What the builder of ``folder`` would return."""
    utterances = tuple(
        Utterance(name, sentence_id(text), text, f"wavs/{name}.wav", "train") for name, text in TEXTS.items()
    )
    return Corpus("folder", root, utterances)


def experiment(source: Path, run: Path, allowed_bad: float = 1.0) -> Experiment:
    made = Experiment(corpus="folder", corpus_path="x", textgrids=str(source))
    made.run.folder = str(run)
    made.data.allowed_bad = allowed_bad
    return made


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


@pytest.fixture
def grids(tmp_path: Path) -> Path:
    return write_grids(tmp_path / "grids")


def packed(source: Path, kind: str) -> Path:
    archive = source.parent / f"grids.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as bundle:
            for path in source.rglob("*.TextGrid"):
                bundle.write(path, f"speaker/{path.relative_to(source)}")
    else:
        with tarfile.open(archive, f"w:{kind.removeprefix('tar').removeprefix('.')}") as tar:
            tar.add(source, "speaker")
    return archive


# Where grids lie


@pytest.mark.parametrize("kind", ["tar", "tar.xz", "zip"])
def test_an_archive_gives_what_its_folder_gives(grids: Path, kind: str) -> None:
    wanted = {"a1", "a3", "elsewhere"}
    expected = {name: (grids / f"{name}.TextGrid").read_bytes() for name in ("a1", "a3")}
    assert dict(read_grids(str(grids), wanted)) == expected
    assert dict(read_grids(str(packed(grids, kind)), wanted)) == expected


def test_links_and_members_that_climb_out_are_refused(tmp_path: Path) -> None:
    for name, kind in (("../a1.TextGrid", tarfile.REGTYPE), ("/a1.TextGrid", tarfile.REGTYPE), ("a1", tarfile.SYMTYPE)):
        with tarfile.open(tmp_path / "bad.tar", "w") as tar:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member, BytesIO())
        with pytest.raises(UserError, match="climbs out" if kind == tarfile.REGTYPE else "is a link"):
            list(read_grids(str(tmp_path / "bad.tar"), {"a1"}))
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as bundle:
        bundle.writestr("x/../../a1.TextGrid", "")
    with pytest.raises(UserError, match="climbs out"):
        list(read_grids(str(tmp_path / "bad.zip"), {"a1"}))
    link = zipfile.ZipInfo("a1.TextGrid")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as bundle:
        bundle.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="is a link"):
        list(read_grids(str(tmp_path / "link.zip"), {"a1"}))


@pytest.mark.parametrize("kind", ["tar", "tar.xz", "zip"])
def test_a_damaged_archive_is_one_sentence(grids: Path, kind: str) -> None:
    archive = packed(grids, kind)
    content = archive.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"no archive"):
        archive.write_bytes(damaged)
        with pytest.raises(UserError, match=r"^textgrids=.*grids"):
            list(read_grids(str(archive), set(TEXTS)))
    with pytest.raises(UserError, match="is no folder and no archive"):
        list(read_grids(str(grids / "nowhere"), set(TEXTS)))
    (empty := grids.parent / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no \.TextGrid file"):
        list(read_grids(str(empty), set(TEXTS)))


def test_a_grid_twice_or_too_large_is_told(
    recorded: Path, grids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (grids / "again").mkdir()
    (grids / "again" / "a1.TextGrid").write_text(grid_of(TEXTS["a1"]))
    for source in (grids, packed(grids, "tar"), packed(grids, "zip")):
        made = attach(corpus(recorded), experiment(source, tmp_path / "run"), silent)
        assert [fault.item for fault in made.faults] == ["a1"] and "is there twice" in made.faults[0].reason
    monkeypatch.setattr(grid_files, "MOST_BYTES", (grids / "a3.TextGrid").stat().st_size)
    for source in (grids, packed(grids, "tar"), packed(grids, "zip")):
        sound = {name for name, content in read_grids(str(source), {"a2", "a3"}) if isinstance(content, bytes)}
        assert sound == {"a3"}


# What an utterance is given


def test_utterances_carry_the_times_of_their_grids(recorded: Path, grids: Path, tmp_path: Path) -> None:
    made = attach(corpus(recorded), experiment(grids, tmp_path / "run", 0.0), silent)
    assert made.faults == () and {u.split for u in made.utterances} == {"train", "dev", "test"}
    first = made.utterances[0]
    assert first.phones is not None
    assert [(p.label, p.word) for p in first.phones[:4]] == [(PAUSE, -1), ("DH", 0), ("AH0", 0), ("K", 1)]
    assert [p.end for p in first.phones] == pytest.approx([0.3 + 0.1 * k for k in range(9)])


def test_every_disagreement_is_a_fault_that_quotes_both_sides(recorded: Path, grids: Path, tmp_path: Path) -> None:
    (grids / "a1.TextGrid").unlink()
    (grids / "a2.TextGrid").write_text(grid_of("A cat and."))
    (grids / "a3.TextGrid").write_text(grid_of("The cat.", step=0.4))
    (grids / "a4.TextGrid").write_text(grid_of(TEXTS["a4"]).replace('"AE1"', '"spn"'))
    (grids / "a5.TextGrid").write_text("not a grid")
    made = attach(corpus(recorded), experiment(grids, tmp_path / "run"), silent)
    reasons = {fault.item: fault.reason for fault in made.faults}
    assert [u.id for u in made.utterances] == ["a6"] and len(reasons) == 5
    for name, expected in {
        "a1": "has no TextGrid a1.TextGrid in",
        "a2": "the grid says 'and' where the transcript has 'sat'",
        "a3": "the grid ends at 2.3 s and the audio at 2.000 s",
        "a4": "no phones ('spn') for the transcript's word 'Sat'",
        "a5": "is not a TextGrid",
    }.items():
        assert expected in reasons[name] and "\n" not in reasons[name]
    with pytest.raises(UserError, match="5 of 6 utterances are faulty"):
        attach(corpus(recorded), experiment(grids, tmp_path / "run", 0.5), silent)


def test_a_grid_a_frame_longer_than_its_audio_is_sound(recorded: Path, grids: Path, tmp_path: Path) -> None:
    (grids / "a3.TextGrid").write_text(grid_of(TEXTS["a3"], start=SECONDS + 0.0125 - 0.5))
    assert attach(corpus(recorded), experiment(grids, tmp_path / "run", 0.0), silent).faults == ()


# Settings


def test_two_sources_of_times_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="corpus=testbed knows its own phone times"):
        load("camp", [f"textgrids={tmp_path}"])
    with pytest.raises(UserError, match="textgrids and aligned_by both"):
        load("camp", ["corpus=folder", "corpus_path=x", f"textgrids={tmp_path}", "aligned_by=y"])


def test_the_grids_content_enters_the_identity_and_no_aligner_is_planned(
    recorded: Path, grids: Path, tmp_path: Path
) -> None:
    base = ["corpus=folder", f"corpus_path={recorded}", f"run.folder={tmp_path / 'run'}"]
    without = {stage.kind: stage.identity for stage in plan(load("camp", base))}
    first = {stage.kind: stage.identity for stage in plan(load("camp", [*base, f"textgrids={grids}"]))}
    (grids / "a1.TextGrid").write_text(grid_of(TEXTS["a1"], step=0.11))
    second = {stage.kind: stage.identity for stage in plan(load("camp", [*base, f"textgrids={grids}"]))}
    assert "aligner" in without and "aligner" not in first
    assert len({stages["corpus"] for stages in (without, first, second)}) == 3
    with pytest.raises(UserError, match="is no folder and no archive"):
        plan(load("camp", [*base, f"textgrids={tmp_path / 'nowhere'}"]))


# The report


def utterance(phones: int) -> Sentence:
    """One word of so many phones."""
    graph = ParseGraph((0,), (), (0, 0, 0), 0)
    labels = (PAUSE, *["AH0"] * phones, PAUSE)
    owner = (0, *[1] * phones, 2)
    tags = {name: (0, 0, 0) for name in TAGS}
    return Sentence("a", (Word("a", 0, 1),), labels, owner, tags, (0,), ((0, 1),) * 3, graph)


def test_the_report_names_what_looks_misaligned() -> None:
    rows = {f"u{i}": [4, *[6 + (i + k) % 3 for k in range(9)], 0] for i in range(40)}
    rows["long"] = [0, 81, *[7] * 8, 20]
    rows["least"] = [0, 1, 1, 1, 1, 1, 20, 12, 13, 14, 9]
    rows["fast"] = [90, *[2] * 9, 0]
    rows["slow"] = [200, *[7] * 9, 0]
    scores = {name: 3.0 + 0.01 * place for place, name in enumerate(rows)} | {"u7": -20.0, "u8": 4.0}
    metrics, found = report(rows, lambda _: utterance(9), 0.0125, scores)
    spoken = [frames for row in rows.values() for frames in row[1:-1]]
    pauses = [frames for row in rows.values() for frames in (row[0], row[-1]) if frames]
    assert metrics["phone_seconds"] == pytest.approx(np.mean(spoken) * 0.0125)
    assert metrics["pause_seconds"] == pytest.approx(np.mean(pauses) * 0.0125)
    reasons = {item.id: "; ".join(item.reasons) for item in found}
    assert set(reasons) == {"u7", "long", "least", "fast", "slow"}
    assert "score is -20.00 nats a frame, where the corpus's median is 3.23" in reasons["u7"]
    assert "phone AH0 of 'a' lasts 1.01 s" in reasons["long"]
    assert reasons["least"].startswith("56 % of its phones last a single frame")
    assert "a pause of 2.50 s at the start" in reasons["slow"]
    assert reasons["fast"] == f"{9 / (18 * 0.0125):.1f} phones/s, where the corpus's median is 11.4"
    line = summary({**metrics, "share": 1.0}, found)
    assert "5 utterances look misaligned, such as u7" in line and "\n" not in line
    calm, none = report({"u0": rows["u0"]}, lambda _: utterance(9), 0.0125)
    assert none == [] and "no utterance looks misaligned" in summary({**calm, "share": 1.0}, [])


@pytest.mark.parametrize(("frames", "odd"), [(81, False), (80, False), (129, True), (49, True)])
def test_rates_are_compared_with_the_median(frames: int, odd: bool) -> None:
    rows = {f"u{i}": [0, *[8] * 10, 0] for i in range(3)} | {"one": [0, frames - 72, *[8] * 9, 0]}
    assert bool(report(rows, lambda _: utterance(10), 0.01)[1]) == odd


def corpus_of_lengths(*phones: int) -> tuple[dict[str, list[int]], dict[str, Sentence]]:
    """Forty long utterances whose phones last 2 to 14 frames, and one utterance named by each number of phones."""
    draw = np.random.default_rng(0)
    sentences = {f"u{i}": utterance(60) for i in range(40)} | {str(n): utterance(n) for n in phones}
    rows = {name: [0, *draw.integers(2, 15, len(text.phones) - 2).tolist(), 0] for name, text in sentences.items()}
    return rows, sentences


def test_a_word_said_by_itself_may_be_slow_where_a_sentence_may_not() -> None:
    """Phones of twice the usual length: one word of four of them is a citation form, sixty in a row are a fault."""
    rows, sentences = corpus_of_lengths(4, 60)
    rows["4"], rows["60"] = [0, *[16] * 4, 0], [0, *[16] * 60, 0]
    (found,) = report(rows, sentences.__getitem__, 0.0125)[1]
    assert found.id == "60" and "phones/s" in found.reasons[0]


@pytest.mark.parametrize("frames", [1, 70])
def test_a_short_utterance_far_from_all_speech_is_still_told(frames: int) -> None:
    rows, sentences = corpus_of_lengths(4)
    rows["4"] = [0, *[frames] * 4, 0]
    (found,) = report(rows, sentences.__getitem__, 0.0125)[1]
    assert found.id == "4" and any("phones/s" in reason for reason in found.reasons)


@given(st.integers(1, 500), st.floats(0, 2))
def test_more_phones_leave_less_room_and_never_less_than_the_factor(phones: int, variation: float) -> None:
    factor = rate_factor(phones, variation)
    assert rate_factor(4 * phones, variation) <= factor
    assert factor >= RATE_FACTOR * (1 - 1e-12)
    # The room that is not manner's is three standard errors of a mean.
    room = np.log(factor) ** 2 - np.log(RATE_FACTOR) ** 2
    assert room * phones == pytest.approx((3 * variation) ** 2, abs=1e-9)


def test_without_variation_the_number_of_phones_says_nothing() -> None:
    assert rate_factor(1, 0.0) == pytest.approx(rate_factor(100, 0.0)) == pytest.approx(RATE_FACTOR)


# The whole way: align, export, take back


def prepared(capsys: pytest.CaptureFixture[str], root: Path, *settings: str) -> tuple[str, dict[str, list[int]]]:
    """Run ``prepare``; what it printed, and the durations."""
    base = ["corpus=folder", f"corpus_path={root / 'corpus'}", f"run.folder={root / 'runs'}", "run.progress=false"]
    base += ["run.accelerator=cpu", "aligner.optim.epochs=1", "aligner.width=16"]
    options = [item for item in settings if "=" not in item]
    overrides = base + [item for item in settings if "=" in item]
    status = cli.run(["prepare", *overrides, *options, "--workers", "0"])
    shown = capsys.readouterr()
    assert status == 0, shown.err
    stage = next(stage for stage in plan(load("baseline", overrides)) if stage.kind == "alignment")
    metrics = read_json(folder(stage) / RESULT)["metrics"]
    assert metrics["phone_seconds"] > 0 and metrics["suspicious"] == len(read_suspicious(folder(stage)))
    return shown.out, read_json(folder(stage) / "durations.json")


def test_exported_alignments_read_back_to_the_same_durations(
    capsys: pytest.CaptureFixture[str], recorded: Path, grids: Path, tmp_path: Path
) -> None:
    """A learned alignment by way of Praat's files, and an exact one; Praat opens what is written."""
    parselmouth = pytest.importorskip("parselmouth")
    out, learned = prepared(capsys, tmp_path, "--textgrids", str(tmp_path / "learned"))
    assert f"6 TextGrids: {tmp_path / 'learned'}" in out and "alignment: 100.0% aligned" in out
    assert set(learned) == set(TEXTS)
    _, back = prepared(capsys, tmp_path, f"textgrids={tmp_path / 'learned'}", "--textgrids", str(tmp_path / "again"))
    assert back == learned
    _, exact = prepared(capsys, tmp_path, f"textgrids={grids}", "--textgrids", str(tmp_path / "exact"))
    frames = 1 + round(SECONDS * RATE) // 200
    assert all(sum(row) == frames for row in exact.values())
    # Phones of 0.1 s from 0.3 s on: eight frames each, the rest is the last pause.
    assert exact["a3"] == [24, 8, 8, 0, 8, 8, 8, frames - 64]
    _, same = prepared(capsys, tmp_path, f"textgrids={packed(tmp_path / 'exact', 'tar.xz')}")
    assert same == exact
    for path in sorted((tmp_path / "learned").iterdir()):
        praat = parselmouth.read(str(path))
        names = [parselmouth.praat.call(praat, "Get tier name...", tier) for tier in (1, 2)]
        assert names == ["words", "phones"]
