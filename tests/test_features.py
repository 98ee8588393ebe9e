"""A corpus's features do not depend on who measured them, or on how often they were killed; what is bad is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules import features, moments, shards
from data_modules.audio import analyse, first_centre, read_audio
from data_modules.corpora.contract import silent
from data_modules.features import Task, measure_corpus
from data_modules.loaders import Prepared
from data_modules.store import AudioStore, FeatureStore
from prosody_tts.config import AudioConfig, load
from prosody_tts.errors import UserError
from prosody_tts.files import read_json, write_json
from prosody_tts.pipeline import folder, plan, run_stage

CONFIG = AudioConfig()
CLIPS = 18


def buzz(hertz: float, seconds: float, rate: int = 16000) -> np.ndarray:
    """A voice-like tone."""
    time = np.arange(round(seconds * rate)) / rate
    return 0.2 * np.sum([np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 12)], axis=0)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[Task]:
    """Short voiced recordings of several lengths."""
    root = tmp_path_factory.mktemp("wavs")
    for number in range(CLIPS):
        soundfile.write(root / f"{number:02d}.wav", buzz(100 + 10 * number, 0.2 + 0.03 * (number % 5)), 16000)
    return [Task(path.stem, path) for path in sorted(root.glob("*.wav"))]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SHARD", 4)


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(tasks: list[Task], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process measures without a break."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "SHARD", 4)
        measure_corpus(tasks, CONFIG, root, 1, silent)
    return root


def test_the_store_gives_back_what_was_measured(tasks: list[Task], whole: Path, monkeypatch) -> None:
    monkeypatch.setattr(shards, "OPEN_SHARDS", 2)
    store = AudioStore(whole)
    assert list(store.rows) == [name for name, _ in tasks] and not store.starts.any()
    for row in [*range(CLIPS), 3, 17, 0]:
        found = analyse(read_audio(tasks[row][1], CONFIG.sample_rate), CONFIG)
        for name in ("mel", "f0", "energy"):
            np.testing.assert_array_equal(getattr(store, name)[row], getattr(found, name))
        assert store.frames[row] == len(found.mel)


def test_the_number_of_processes_changes_no_byte(tasks: list[Task], whole: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    measure_corpus(tasks, CONFIG, tmp_path, 2, lambda done, total, what: told.append((done, total)))
    assert content(tmp_path) == content(whole)
    assert told == [(done, CLIPS) for done in range(CLIPS + 1)]


@pytest.mark.parametrize(("workers", "killed_at"), [(1, 9), (2, 7)])
def test_a_killed_run_goes_on_to_the_same_bytes(
    tasks: list[Task], whole: Path, tmp_path: Path, workers: int, killed_at: int
) -> None:
    """Killed for real, with all its processes, in the middle of a shard."""
    script = f"""
import os, signal
from pathlib import Path
from data_modules import features
from prosody_tts.config import AudioConfig
features.SHARD = 4
def progress(done, total, what):
    if done == {killed_at}:
        os.killpg(0, signal.SIGKILL)
tasks = [features.Task(path.stem, path) for path in sorted(Path({str(tasks[0][1].parent)!r}).glob("*.wav"))]
features.measure_corpus(tasks, AudioConfig(), Path({str(tmp_path)!r}), {workers}, progress)
"""
    path = str(Path(__file__).parents[1])
    killed = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, start_new_session=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "index.json").exists()
    finished = {name: path for name, path in content(tmp_path).items() if name.endswith("index.json")}
    if workers == 1:
        assert len(finished) == 2
    stamps = {name: (tmp_path / name).stat().st_mtime_ns for name in finished}
    told: list[int] = []
    measure_corpus(tasks, CONFIG, tmp_path, 1, lambda done, total, what: told.append(done))
    assert told[0] == 4 * len(finished) and told[-1] == CLIPS
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in finished} == stamps
    left = content(tmp_path)
    assert {name: left[name] for name in content(whole)} == content(whole)
    # A process that is killed cannot remove the file it was writing; nobody reads it.
    assert all(Path(name).name.startswith(".") for name in left.keys() - content(whole).keys())


def test_a_process_that_dies_is_told_in_one_sentence(tasks: list[Task], tmp_path: Path) -> None:
    import multiprocessing

    def kill_one(done: int, total: int, what: str) -> None:
        if done == 1:
            os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)

    with pytest.raises(UserError, match=r"died .*run\.feature_workers"):
        measure_corpus(tasks, CONFIG, tmp_path, 2, kill_one)
    assert multiprocessing.active_children() == []


def test_recordings_that_cannot_be_measured_are_listed_and_left_out(tasks: list[Task], tmp_path: Path) -> None:
    noise = 0.1 * np.random.default_rng(0).normal(size=8000)
    bad = {"noise": noise, "click": np.full(50, 0.5), "silent": np.zeros(4000)}
    for name, wave in bad.items():
        soundfile.write(tmp_path / f"{name}.wav", wave, 16000)
    more = [*tasks[:5], *(Task(name, tmp_path / f"{name}.wav") for name in [*bad, "missing"]), *tasks[5:7]]
    measured = measure_corpus(more, CONFIG, tmp_path / "out", 1, silent)
    reasons = {fault.item: fault.reason for fault in measured.faults if fault.bad}
    assert list(reasons) == ["noise", "click", "silent", "missing"]
    for name, reason in (
        ("noise", "no voiced frame"),
        ("click", "one frame"),
        ("silent", "silent"),
        ("missing", "no audio"),
    ):
        assert reason in reasons[name]
    assert list(AudioStore(tmp_path / "out").rows) == [name for name, _ in tasks[:7]]


def test_features_of_another_layout_are_told(tmp_path: Path) -> None:
    write_json(tmp_path / "index.json", {"utterances": ["a"]})
    with pytest.raises(UserError, match="delete it and run again"):
        AudioStore(tmp_path)


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(0, 700), max_size=12), seed=st.integers(0, 99))
def test_streamed_statistics_are_numpys_to_the_last_bit(lengths: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    arrays = [random.normal(3, 2, length) for length in lengths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "PIECE", 128)
        mean, spread = moments.moments(lambda: iter(arrays))
    joined = np.concatenate([np.zeros(0), *arrays])
    assert (mean, spread) == ((joined.mean(), joined.std()) if len(joined) else (0.0, 1.0))


def test_items_beyond_what_is_kept_are_prepared_anew() -> None:
    import torch

    made: list[str] = []

    def prepare(name: str) -> dict[str, torch.Tensor]:
        made.append(name)
        return {"value": torch.full((8,), float(name))}

    items = Prepared(["1", "2", "3"], prepare, kept=70)
    for _ in range(2):
        assert [float(items[i]["value"][0]) for i in range(len(items))] == [1.0, 2.0, 3.0]
    assert made == ["1", "2", "3", "3"]


# The whole way ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def features_of(runs: Path, *settings_: str) -> tuple[FeatureStore, Path]:
    """Prepare the smoke testbed as far as its alignment."""
    experiment = load("baseline", ["size=smoke", f"run.folder={runs}", "run.workers=1", *settings_])
    stages = {stage.kind: stage for stage in plan(experiment)[:4]}
    for stage in stages.values():
        run_stage(stage, silent)
    paths = [folder(stages[kind]) for kind in ("corpus", "text", "audio")]
    return FeatureStore(*paths, folder(stages["alignment"]) / "durations.json"), folder(stages["audio"])


@pytest.mark.parametrize("preset", ["papers", "hifigan"])
def test_trimming_moves_the_alignment_with_the_audio(runs: Path, preset: str) -> None:
    plain, _ = features_of(runs, f"audio.preset={preset}")
    trimmed, _ = features_of(runs, f"audio.preset={preset}", "audio.trim_db=30", "audio.trim_margin=0.01")
    audio = load("baseline", [f"audio.preset={preset}"]).audio
    hop, first = audio.hop / audio.sample_rate, first_centre(audio) / audio.sample_rate
    for name in plain.ids("train", "dev", "test"):
        start = trimmed.start(name)
        assert 0.01 < start < 0.2 and plain.start(name) == 0
        durations = trimmed.recording(name).durations
        assert durations is not None and durations.sum() == trimmed.frames(name) == len(trimmed.recording(name).mel)
        spoken = next(utterance for utterance in trimmed.corpus.utterances if utterance.id == name).phones
        assert spoken is not None
        # Every inner boundary lies where the corpus says, within half a frame, in seconds of the whole recording.
        ends = start + first + (np.cumsum(durations) - 0.5) * hop
        for phone in spoken[1:-2]:
            assert np.abs(ends - phone.end).min() <= hop / 2 + 1e-6


def test_too_many_bad_recordings_stop_the_stage(runs: Path, tmp_path: Path) -> None:
    experiment = load("baseline", ["size=smoke", f"run.folder={runs}", "audio.f0_low=400", "audio.f0_high=410"])
    stages = plan(experiment)
    run_stage(stages[0], silent)
    with pytest.raises(UserError, match=r"more than data\.allowed_bad.*no voiced frame"):
        run_stage(stages[2], silent)
    assert len(read_json(folder(stages[2]) / "faults.json")) > 1


@pytest.mark.parametrize("preset", ["hifigan", "vocos"])
def test_a_vocoders_preset_goes_from_corpus_to_numbers(runs: Path, preset: str) -> None:
    chosen = [f"audio.preset={preset}", "audio.level_db=-23", "audio.trim_db=40"]
    experiment = load("baseline", ["size=smoke", f"run.folder={runs}", *chosen])
    results = [run_stage(stage, silent)["metrics"] for stage in plan(experiment)]
    assert all(np.isfinite(value) for value in results[-1].values())
    # Copy synthesis, four iterations of Griffin-Lim: the frames fit, or F0 would be far off.
    assert results[-2]["log_f0_rmse"] < 0.1
