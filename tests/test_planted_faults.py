"""A folder with every fault we know of, through the command line: the sound is built, each fault named, none lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpus_trees import clip, folder, sentence, speech

from data_modules.corpora.contract import Split
from prosody_tts import cli
from prosody_tts.config import ROOT, load
from prosody_tts.files import read_json
from prosody_tts.pipeline import RESULT, plan
from prosody_tts.pipeline import folder as folder_of

SOUND = 12


def plant(source: Path) -> dict[str, str]:
    """Add a faulty line or file of every kind to a sound folder; returns what the fault of each item must say."""
    wavs = source / "wavs"
    wave, rate = speech(sentence(0))
    nan = wave.copy()
    nan[7] = np.nan
    lines = [f"u{i:02}|{sentence(i)}" for i in range(SOUND)]

    def line(name: str, text: str = sentence(0)) -> Path:
        lines.append(f"{name}|{text}")
        return wavs / f"{name}.wav"

    truncated = clip(line("truncated"), sentence(0))
    truncated.write_bytes(truncated.read_bytes()[:20000])
    clip(line("low"), sentence(0), 4000)
    soundfile.write(line("stereo"), np.stack([wave, wave], 1), rate)
    soundfile.write(line("coarse"), wave, rate, subtype="PCM_U8")
    soundfile.write(line("nan"), nan, rate, subtype="FLOAT")
    soundfile.write(line("silent"), wave * 0, rate)
    line("empty").write_bytes(b"")
    line("missing")
    clip(line("no letters", "☆ ... !"), sentence(0))
    clip(line("wordless", ""), sentence(0))
    clip(wavs / "latin.wav", sentence(0))
    clip(wavs / "stranger.wav", sentence(0))
    clip(source / "outside.wav", sentence(0))
    clip(line("with a space"), sentence(1))
    lines += ["u03|" + sentence(0), "../outside|" + sentence(0), "no bar at all", "|" + sentence(0)]
    content = "\r\n".join(lines).encode() + "\r\nlatin|Cafés in the garden.".encode("latin-1") + b"\r\n"
    (source / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + content)
    return {
        "truncated": "truncated.wav is truncated",
        "low": "low.wav has a sample rate of 4000 Hz",
        "stereo": "stereo.wav has 2 channels",
        "coarse": "coarse.wav has 8 bits a sample",
        "nan": "nan.wav holds 1 samples that are not finite",
        "silent": "silent.wav is silent",
        "empty": "empty.wav is empty",
        "missing": "has no recording",
        "no letters": "has a text without letters",
        "wordless": "has a text without letters",
        "latin": "metadata.csv line 28 is not UTF-8",
        "stranger": "has no transcript",
        "u03 (line 24)": "repeats the id",
        "../outside": "metadata.csv line 25 has an id that leaves the folder",
        "no bar at all": "metadata.csv line 26 is not of the form id|text",
        "metadata.csv line 27": "is not of the form id|text",
    }


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    source = folder(tmp_path_factory.mktemp("a folder with spaces") / "my speech", SOUND)
    return source, plant(source)


def settings(source: Path, runs: Path, *more: str) -> list[str]:
    return ["corpus=folder", f"corpus_path={source}", "size=smoke", f"run.folder={runs}", "run.progress=false", *more]


def test_the_sound_is_prepared_and_every_fault_is_told(
    spoiled: tuple[Path, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of ``prepare``: corpus, text, features, an aligner trained for an epoch, the alignment."""
    source, expected = spoiled
    arguments = settings(source, tmp_path / "runs", "data.allowed_bad=0.6")
    assert cli.run(["prepare", *arguments, "--workers", "0"]) == 0
    stages = {stage.kind: folder_of(stage) for stage in plan(load("baseline", arguments))}
    found = {fault["item"]: fault["reason"] for fault in read_json(stages["corpus"] / "faults.json")}
    assert set(found) == set(expected)
    for item, part in expected.items():
        assert part in found[item], item
    splits: dict[Split, list[str]] = read_json(stages["corpus"] / "splits.json")
    sound = sorted(name for names in splits.values() for name in names)
    assert sound == [*(f"u{i:02}" for i in range(SOUND)), "with a space"]
    lines = [line for line in (source / "metadata.csv").read_bytes().splitlines() if line]
    known = {line.partition(b"|")[0].decode(errors="replace").lstrip("\ufeff") for line in lines}
    strangers = [path for path in (source / "wavs").iterdir() if path.stem not in known]
    assert len(sound) + len(found) == len(lines) + len(strangers), "nothing is lost"
    for kind in ("text", "audio", "alignment"):
        assert (stages[kind] / RESULT).exists()
    assert set(read_json(stages["audio"] / "index.json")["utterances"]) == set(sound)
    assert set(read_json(stages["alignment"] / "durations.json")) <= set(sound)
    shown = capsys.readouterr().out
    assert f"{len(expected)} left out" in shown and all(item in shown for item in expected)


def test_beyond_the_allowed_share_the_program_ends_with_2_and_one_sentence(
    spoiled: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """The real program, as a shell starts it."""
    source, expected = spoiled
    arguments = ["prepare", *settings(source, tmp_path / "runs"), "--workers", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "prosody_tts.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("prosody-tts: error: ")]
    assert len(told) == 1
    bad, total = len(expected), SOUND + 1 + len(expected)
    assert f"{bad} of {total} utterances are faulty, more than data.allowed_bad=0.05 allows" in told[0]
    assert "faults.json" in told[0] and "mend them or raise data.allowed_bad" in told[0]
    written = read_json(next((tmp_path / "runs").rglob("faults.json")))
    assert {fault["item"] for fault in written} == set(expected)
