"""A vocoder is trained once per corpus, to the same weights however often it is stopped, and speaks for all systems."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules.audio import mel_spectrogram, sample_count
from data_modules.conditioning import active_level
from data_modules.corpora.contract import silent
from data_modules.store import AudioStore, CorpusStore
from data_modules.vocoder import StretchSampler, VocoderData
from prosody_tts.config import Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.pipeline import COPY, Stage, folder, plan, plan_all, run_stage, vocoder_label
from prosody_tts.speaking.system import Request, synthesize
from prosody_tts.stages.fit import CHECKPOINT, load_checkpoint
from prosody_tts.vocoders import build_vocoder, load_trained

TINY = ["size=smoke", "synthesis.vocoder=source_filter", "run.accelerator=cpu", "run.progress=false"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def tiny(runs: Path, *more: str, system: str = "baseline") -> Experiment:
    return load(system, [*TINY, f"run.folder={runs}", *more])


def stages_of(experiment: Experiment) -> dict[str, Stage]:
    return {stage.kind: stage for stage in plan(experiment)}


def trained(experiment: Experiment, *kinds: str) -> Stage:
    """Run the stages a vocoder needs, and the vocoder's."""
    stages = stages_of(experiment)
    for kind in kinds or ("corpus", "audio", "vocoder"):
        run_stage(stages[kind], silent)
    return stages["vocoder"]


def data_of(experiment: Experiment, seconds: float = 0.3) -> VocoderData:
    stages = stages_of(experiment)
    trained(experiment, "corpus", "audio")
    corpus, store = CorpusStore(folder(stages["corpus"])), AudioStore(folder(stages["audio"]))
    return VocoderData(corpus, store, experiment.audio, seconds, 4, 0)


def identity(*overrides: str, system: str = "camp", kind: str = "vocoder") -> str:
    return stages_of(load(system, ["synthesis.vocoder=source_filter", *overrides]))[kind].identity


def test_all_systems_of_a_corpus_share_one_vocoder() -> None:
    experiments = [load(name, TINY) for name in ("baseline", "camp", "kathaka", "kathaka_oracle")]
    found = [stage for stage in plan_all(experiments) if stage.kind == "vocoder"]
    assert len(found) == 1 and set(found[0].inputs) == {"corpus", "audio"}
    readers = [stage for stage in plan_all(experiments) if found[0].key in stage.needs]
    assert {stage.kind for stage in readers} == {"evaluate"} and len(readers) == 5
    assert not any(stage.kind == "vocoder" for stage in plan(load("camp")))


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("vocoder.width=64", True),
        ("vocoder.adversarial=true", True),
        ("vocoder.matching_weight=3", False),  # there are no discriminators
        ("audio.hop=160", True),
        ("seed=1", True),
        ("text.bert_layer=0", False),
        ("acoustic.width=64", False),
        ("synthesis.iterations=3", False),
        ("synthesis.temperature=1", False),
    ],
)
def test_a_vocoder_depends_on_its_settings_and_the_recordings_alone(setting: str, changes: bool) -> None:
    assert (identity(setting) != identity()) == changes


def test_what_is_spoken_depends_on_the_vocoder_and_no_longer_on_griffin_lim() -> None:
    assert identity("vocoder.width=64", kind="evaluate") != identity(kind="evaluate")
    assert identity("vocoder.width=64", kind="acoustic") == identity(kind="acoustic")
    assert identity("synthesis.iterations=3", kind="evaluate") == identity(kind="evaluate")


def test_a_given_vocoders_identity_is_what_its_folder_holds(tmp_path: Path) -> None:
    def of(folder: Path) -> str:
        chosen = ["synthesis.vocoder=speecht5", "audio.preset=speecht5", f"synthesis.vocoder_path={folder}"]
        return stages_of(load("baseline", chosen))["vocoder"].identity

    for name, content in (("one", "a"), ("same", "a"), ("other", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_text(content)
    assert of(tmp_path / "one") == of(tmp_path / "same") != of(tmp_path / "other")
    with pytest.raises(UserError, match=r"there is no folder synthesis\.vocoder_path="):
        of(tmp_path / "none")
    (tmp_path / "other" / "config.json").unlink()
    with pytest.raises(UserError, match=r"holds no config\.json"):
        of(tmp_path / "other")


@pytest.mark.parametrize("lengths", [[3, 9, 40, 41, 7, 12, 33, 5, 60]])
def test_stretches_lie_in_their_recordings_and_depend_on_seed_and_epoch_alone(lengths: list[int]) -> None:
    def epoch(number: int, seed: int = 0, shuffle: bool = True) -> list[list[tuple[int, int, int]]]:
        sampler = StretchSampler(lengths, 10, 2, seed, shuffle)
        sampler.set_epoch(number)
        return [[tuple(stretch) for stretch in batch] for batch in sampler]

    for batch in epoch(3):
        assert len({frames for _, _, frames in batch}) == 1
        assert all(frames == min(10, *(lengths[clip] for clip, _, _ in batch)) for _, _, frames in batch)
        assert all(first >= 0 and first + frames <= lengths[clip] for clip, first, frames in batch)
    assert sorted(clip for batch in epoch(3) for clip, _, _ in batch) == list(range(len(lengths)))
    assert epoch(3) == epoch(3) != epoch(4) and epoch(3) != epoch(3, seed=1)
    assert epoch(0, shuffle=False) == epoch(5, shuffle=False)


@pytest.mark.parametrize("preset", ["papers", "hifigan"])
def test_samples_are_conditioned_as_the_features_were_and_cut_at_the_same_frames(runs: Path, preset: str) -> None:
    chosen = [f"audio.preset={preset}", "audio.level_db=-23", "audio.trim_db=30", "audio.trim_margin=0.02"]
    data = data_of(tiny(runs, *chosen))
    config = data.config
    for name in data.ids("dev"):
        clip = data.clip(name)
        assert abs(active_level(clip.wave.numpy(), config.sample_rate) + 23) < 1e-3
        np.testing.assert_array_equal(mel_spectrogram(clip.wave.numpy(), config), clip.mel.numpy())
    for batch in (*data.train_dataloader(), *data.val_dataloader()):
        frames = batch.mel.shape[1]
        assert batch.f0.shape[1] == frames and batch.wave.shape[1] == sample_count(frames, config)
        for row, name in enumerate(batch.ids):
            # Away from the cuts, the mel of the stretch's samples is the stretch of the recording's mel.
            again = mel_spectrogram(batch.wave[row].numpy(), config)[4:-4]
            np.testing.assert_allclose(again, batch.mel[row, 4 : 4 + len(again)].numpy(), atol=1e-3, err_msg=name)


def test_from_corpus_to_numbers_with_the_corpuss_own_vocoder(runs: Path, tmp_path: Path) -> None:
    experiment = tiny(runs)
    results = {stage.label: run_stage(stage, silent)["metrics"] for stage in plan(experiment)}
    assert all(
        np.isfinite(value) for metrics in results.values() for value in metrics.values() if isinstance(value, float)
    )
    copies = [stage for stage in plan(experiment) if stage.experiment.system == COPY]
    assert len(copies) == 1 and "vocoder" in copies[0].inputs
    (path,) = synthesize(experiment, [Request("The gentle farmer painted the garden gate.")], tmp_path)
    assert path.stat().st_size > 10_000
    stage = stages_of(experiment)["vocoder"]
    told = vocoder_label(experiment)
    assert stage.key in told and "iterations" not in told
    assert "32 iterations" in vocoder_label(load("baseline"))
    vocoder = build_vocoder(experiment)
    mel = torch.randn(1, 20, experiment.audio.mels) - 5
    assert torch.equal(vocoder(mel, torch.tensor([20])), load_trained(folder(stage))(mel, torch.tensor([20])))


def test_an_untrained_vocoder_says_what_to_run(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no vocoder source_filter .*prosody-tts train"):
        build_vocoder(tiny(tmp_path))


def test_another_stages_checkpoint_is_no_vocoder(runs: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / CHECKPOINT)
    with pytest.raises(UserError, match="not a vocoder's checkpoint"):
        load_trained(tmp_path)
    found = load_checkpoint(folder(trained(tiny(runs))) / CHECKPOINT)
    found["vocoder"]["width"] = 8
    torch.save(found, tmp_path / CHECKPOINT)
    with pytest.raises(UserError, match="do not fit"):
        load_trained(tmp_path)


def weights(stage: Stage) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder(stage) / CHECKPOINT)["state_dict"]


ADVERSARIAL = ["vocoder.adversarial=true", "vocoder.adversarial_from=0.4", "vocoder.optim.epochs=2"]


def test_a_killed_training_goes_on_to_the_same_weights_discriminators_included(runs: Path, tmp_path: Path) -> None:
    whole = trained(tiny(runs, *ADVERSARIAL))
    for kind in ("corpus", "audio"):
        (tmp_path / kind).symlink_to(runs / kind)
    cut = tiny(tmp_path, *ADVERSARIAL)
    script = (
        "import os, signal, torch; torch.set_num_threads(1)\n"
        "from prosody_tts.config import load\nfrom prosody_tts.pipeline import plan, run_stage\n"
        f"stages = {{s.kind: s for s in plan(load('baseline', {[*TINY, f'run.folder={tmp_path}', *ADVERSARIAL]!r}))}}\n"
        "def progress(done, total, what):\n    done == 4 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "run_stage(stages['vocoder'], progress)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    killed = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (folder(stages_of(cut)["vocoder"]) / CHECKPOINT).exists()
    resumed = weights(trained(cut))
    expected = weights(whole)
    assert any(name.startswith("discriminators.") for name in expected)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
