"""Trained systems speak, and refuse what is not theirs."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from prosody_tts.cli import run
from prosody_tts.config import Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.files import read_json, write_json
from prosody_tts.pipeline import SETTINGS, folder, plan, run_stage
from prosody_tts.speaking.system import Request, synthesize
from prosody_tts.stages.fit import CHECKPOINT
from prosody_tts.synthesis import Synthesizer, load_acoustic, load_sampler, write_wave

TEXTS = ["The happy farmer opened the door.", "My teacher saw the garden."]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained systems of units that differ."""
    path = tmp_path_factory.mktemp("runs")
    for name in ("camp", "kathaka"):
        for stage in plan(system(path, name)):
            if stage.kind != "evaluate":
                run_stage(stage, lambda done, total, what: None)
    return path


def system(runs: Path, name: str, *more: str) -> Experiment:
    return load(name, ["size=smoke", f"run.folder={runs}", "run.accelerator=cpu", *more])


def speak(experiment: Experiment, texts: list[str], out: Path, samples: int = 1) -> list[Path]:
    return synthesize(experiment, [Request(text) for text in texts], out, samples)


def stage_folder(experiment: Experiment, kind: str) -> Path:
    return next(folder(stage) for stage in plan(experiment) if stage.kind == kind)


def test_text_becomes_audible_wav_and_the_same_wav_again(runs, tmp_path):
    experiment = system(runs, "camp")
    first = speak(experiment, TEXTS, tmp_path / "a")
    again = speak(experiment, TEXTS, tmp_path / "b")
    assert [path.name for path in first] == ["001.wav", "002.wav"]
    for one, two in zip(first, again, strict=True):
        wave, rate = soundfile.read(one)
        assert rate == experiment.audio.sample_rate and wave.ndim == 1 and np.abs(wave).max() > 0.001
        assert one.read_bytes() == two.read_bytes()


def test_company_changes_nothing(runs, tmp_path):
    """A sentence sounds the same whatever stands beside it in the file."""
    experiment = system(runs, "kathaka")
    alone = speak(experiment, TEXTS[:1], tmp_path / "a")[0]
    together = speak(experiment, TEXTS, tmp_path / "b")[0]
    assert np.abs(soundfile.read(alone)[0] - soundfile.read(together)[0]).max() < 1e-3


def test_samples_differ_with_temperature_and_not_without(runs, tmp_path):
    warm = speak(system(runs, "kathaka", "synthesis.temperature=1"), TEXTS[:1], tmp_path / "w", samples=2)
    assert warm[0].read_bytes() != warm[1].read_bytes()
    cold = speak(system(runs, "kathaka"), TEXTS[:1], tmp_path / "c", samples=2)
    assert cold[0].read_bytes() == cold[1].read_bytes()


def test_an_oracle_cannot_speak_new_text(runs, tmp_path):
    with pytest.raises(UserError, match="recordings and cannot speak new text"):
        speak(system(runs, "camp_oracle"), TEXTS, tmp_path)


def test_an_untrained_system_says_what_to_run(runs):
    with pytest.raises(UserError, match=r"no trained acoustic.*prosody-tts train"):
        Synthesizer.load(system(runs, "camp", "acoustic.latent=3"))


def test_stage_two_of_another_stage_one_is_refused(runs):
    camp = system(runs, "camp")
    with pytest.raises(UserError, match="predicts the vectors of stage one"):
        load_sampler(stage_folder(camp, "sampler"), "another")


def test_the_checkpoint_of_another_system_is_refused(runs, tmp_path):
    broken = tmp_path / "acoustic"
    shutil.copytree(stage_folder(system(runs, "camp"), "acoustic"), broken)
    settings = read_json(broken / SETTINGS)
    settings["acoustic"]["width"] = 32
    write_json(broken / SETTINGS, settings)
    with pytest.raises(UserError, match="checkpoint of another system"):
        load_acoustic(broken)
    torch.save({"state_dict": {}}, broken / CHECKPOINT)
    with pytest.raises(UserError, match="not a checkpoint of this project"):
        load_acoustic(broken)


@pytest.mark.parametrize("text", ["...", "", "\u05e9\u05dc\u05d5\u05dd"])
def test_text_that_cannot_be_spoken_is_one_sentence_and_status_2(runs, tmp_path, capsys, text):
    arguments = ["synthesize", "camp", "size=smoke", f"run.folder={runs}", "run.accelerator=cpu"]
    assert run([*arguments, "--text", text, "--out", str(tmp_path / "o"), "--workers", "0"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_loud_wave_is_scaled_and_not_clipped(tmp_path):
    wave = (3 * np.sin(np.arange(1600) / 9)).astype(np.float32)
    write_wave(tmp_path / "x.wav", wave, 16000)
    read, _ = soundfile.read(tmp_path / "x.wav")
    np.testing.assert_allclose(read, wave / np.abs(wave).max(), atol=1e-4)
