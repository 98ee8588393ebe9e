"""Durations, whatever network, scale and error: trained within stage one, by themselves, or on stage two's draws."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import LightningDataModule
from random_batches import BERT, MELS, PHONES, acoustic_item, recordings, texts
from torch.utils.data import DataLoader

from data_modules.batches import DurationBatch
from data_modules.collate import DurationItem, duration_batch
from data_modules.loaders import BucketSampler
from data_modules.store import Specification
from prosody_tts.config import AcousticConfig, DurationConfig, Experiment, OptimConfig, RunConfig, SamplerConfig, load
from prosody_tts.errors import UserError
from prosody_tts.files import read_json, write_json
from prosody_tts.nn.durations import DURATIONS, ERRORS, TARGETS, DurationModel, GroupedFrames
from prosody_tts.nn.units import length_mask
from prosody_tts.pipeline import RESULT, SETTINGS, Stage, folder, plan, plan_all, run_stage
from prosody_tts.runners.stores import store_of
from prosody_tts.speaking.system import Request, synthesize
from prosody_tts.stages.duration import DurationStage, SampledVectors, recorded_vectors
from prosody_tts.stages.fit import BEST, CHECKPOINT, fit, load_checkpoint
from prosody_tts.synthesis import Synthesizer, load_durations
from prosody_tts.systems import Sizes, build_durations, build_sampler, build_separate_durations

SIZES = Sizes(phones=PHONES, mels=MELS, bert=BERT, passes=3)
SPEC = Specification(tuple(map(str, range(PHONES))), (0.0,) * MELS, (1.0,) * MELS, 0.0, 1.0, 0.0, 1.0, BERT, 3)
SMALL = DurationConfig(trained="separate", width=16, phone_layers=1)


def model(inputs: int = 12, **changes: str) -> DurationModel:
    torch.manual_seed(0)
    built = build_durations(DurationConfig(**changes), inputs, 16, 5, 0.1)
    built.target.learn(torch.tensor([3.0, 1.5]), torch.tensor([1.4, 2.0]))
    return built


@pytest.mark.parametrize(("network", "target", "error"), itertools.product(DURATIONS, TARGETS, ERRORS))
def test_a_duration_model_keeps_its_contract(network: str, target: str, error: str) -> None:
    """Shapes, gradients to every parameter, the same in company as alone; phones last, padding does not."""
    durations = model(network=network, target=target, error=error)
    batch = recordings([2, 6, 4])
    text = batch.text
    states = torch.randn(*text.phones.shape, 12, generator=torch.Generator().manual_seed(1))
    loss = durations.loss(states, text.phone_lengths, text.pauses, batch.durations)
    assert loss.ndim == 0
    loss.backward()
    assert [name for name, p in durations.named_parameters() if p.grad is None or not p.grad.any()] == []
    durations.eval()
    frames = durations.frames(states, text.phone_lengths, text.pauses)
    assert frames.shape == text.phones.shape and frames.dtype == torch.long
    inside = length_mask(text.phone_lengths, frames.shape[1])
    assert (frames[inside & ~text.pauses] >= 1).all() and not frames[~inside].any()
    losses = []
    for row, length in enumerate(text.phone_lengths.tolist()):
        alone = (states[row : row + 1, :length], text.phone_lengths[row : row + 1], text.pauses[row : row + 1, :length])
        torch.testing.assert_close(durations.frames(*alone)[0], frames[row, :length])
        losses.append(durations.loss(*alone, batch.durations[row : row + 1, :length]).detach() * length)
    together = durations.loss(states, text.phone_lengths, text.pauses, batch.durations).detach()
    torch.testing.assert_close(sum(losses) / text.phone_lengths.sum(), together)


class Told(DurationModel):
    """A model that says what it is told, in its target's scale."""

    def forward(self, states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return states[:, :, 0]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=30), min_size=1, max_size=4),
    target=st.sampled_from(sorted(TARGETS)),
    data=st.data(),
)
def test_a_perfect_prediction_gives_the_very_durations_back(rows: list[list[int]], target: str, data) -> None:
    size = max(map(len, rows))
    durations = torch.tensor([row + [0] * (size - len(row)) for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    pauses = torch.tensor([data.draw(st.lists(st.booleans(), min_size=size, max_size=size)) for _ in rows])
    pauses &= length_mask(lengths, size)
    durations[pauses & (durations % 2 == 0)] = 0  # pauses that are none
    told = Told(TARGETS[target](), torch.abs)
    told.target.learn(torch.tensor([7.3, 11.1]), torch.tensor([3.1, 20.7]))
    states = told.target.encode(durations, pauses)[:, :, None]
    assert torch.equal(told.frames(states, lengths, pauses), durations)
    assert float(told.loss(states, lengths, pauses, durations)) == 0


def test_grouped_durations_are_kathakas_equation_1() -> None:
    """The sum over groups of indicator times squared, normalised error, in numpy."""
    batch = recordings([3, 5, 2])
    text = batch.text
    inside = length_mask(text.phone_lengths, text.phones.shape[1]).numpy()
    frames, pauses = batch.durations.numpy()[inside].astype(float), text.pauses.numpy()[inside]
    groups = [~pauses, pauses]
    mean, scale = [frames[g].mean() for g in groups], [frames[g].std() for g in groups]
    normal = sum(g * (frames - m) / s for g, m, s in zip(groups, mean, scale, strict=True))
    for group in groups:
        assert abs(normal[group].mean()) < 1e-9 and abs(normal[group].std() - 1) < 1e-9
    told = Told(GroupedFrames(), ERRORS["l2"])
    told.target.learn(torch.tensor(mean), torch.tensor(scale))
    said = torch.randn(*text.phones.shape, 1, generator=torch.Generator().manual_seed(2))
    loss = told.loss(said, text.phone_lengths, text.pauses, batch.durations)
    assert float(loss) == pytest.approx(np.square(said.numpy()[:, :, 0][inside] - normal).mean(), rel=1e-5)


# Vectors that stage two draws ---------------------------------------------------------------------------------------


def gaussian_sampler() -> SampledVectors:
    torch.manual_seed(0)
    config = SamplerConfig(width=16, recurrent=16, contexts=["bert"], prior="gaussian")
    experiment = Experiment(sampler=config, acoustic=AcousticConfig(reference="variational", latent=4))
    return SampledVectors(build_sampler(experiment, SIZES))


def separate(**changes: object) -> Experiment:
    """A small system whose durations are trained by themselves."""
    return Experiment(
        vectors="predicted",
        acoustic=AcousticConfig(reference="variational", latent=4),
        duration=replace(SMALL, target="grouped", error="l2", vectors="sampled", **changes),
    )


def stage_of(source: object) -> DurationStage:
    experiment = separate()
    torch.manual_seed(0)
    built = build_separate_durations(experiment, SIZES)
    return DurationStage(built, experiment.duration, SPEC, source, {"acoustic": "a", "sampler": "s"})


def test_draws_differ_by_seed_and_agree_by_seed_and_cost_stage_two_nothing() -> None:
    source = gaussian_sampler()
    batch = DurationBatch(texts([3, 5]), torch.ones(2, 1))

    def draw(seed: int, training: bool = True) -> torch.Tensor:
        torch.manual_seed(seed)
        return source(batch, training)

    assert draw(1).shape == (2, 1, 4) and not draw(1).requires_grad
    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))
    assert torch.equal(draw(1, training=False), draw(2, training=False))
    stage = stage_of(source).train()
    assert not any("sampler" in name for name in [*stage.state_dict(), *dict(stage.named_parameters())])
    assert not source.sampler.training and not any(p.requires_grad for p in source.sampler.parameters())


def test_draws_reach_the_loss() -> None:
    """The same batch costs more or less by what is drawn, and the model is shaped by the vectors it is given."""
    stage = stage_of(gaussian_sampler())
    recording = recordings([3, 5])
    batch = DurationBatch(recording.text, recording.durations)
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        vectors = stage.source(batch, True)
        losses.append(stage.model.eval().loss(batch.text, vectors, batch.durations))
    assert losses[0] == losses[1] != losses[2]
    losses[0].backward()
    assert stage.model.conditioning.project.weight.grad.any()


def test_a_recordings_vectors_are_its_posterior() -> None:
    mean, scale = torch.randn(2, 3, 4), torch.rand(2, 3, 4)
    batch = DurationBatch(texts([1, 1]), torch.ones(2, 1), mean, scale)
    assert torch.equal(recorded_vectors(batch, False), mean)
    torch.manual_seed(0)
    drawn = torch.stack([recorded_vectors(batch, True) for _ in range(4000)])
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.1, rtol=0)
    torch.testing.assert_close(drawn.std(0), scale, atol=0.1, rtol=0)


# Training -----------------------------------------------------------------------------------------------------------


class RandomDurations(LightningDataModule):
    """A few random sentences with durations."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        found = [acoustic_item(str(i), 2 + i % 4, generator) for i in range(12)]
        self.items = [DurationItem(item.text, item.durations) for item in found]

    def train_dataloader(self) -> DataLoader:
        sampler = BucketSampler([len(item.durations) for item in self.items], 4, seed=3)
        return DataLoader(self.items, batch_sampler=sampler, collate_fn=duration_batch)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.items[:4], batch_size=4, collate_fn=duration_batch)


def train(place: Path, kill_at: int | None = None) -> dict[str, torch.Tensor]:
    """Train durations on draws of stage two; kill this process without warning after ``kill_at`` steps."""
    torch.set_num_threads(1)
    module = stage_of(gaussian_sampler())
    module.model.durations.target.learn(torch.tensor([3.0, 1.5]), torch.tensor([1.4, 2.0]))

    def progress(done: int, total: int, what: str) -> None:
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    run = RunConfig(accelerator="cpu")
    fit(module, RandomDurations(), OptimConfig(epochs=4), run, 7, place, [], progress, "dev/loss")
    return load_checkpoint(place / CHECKPOINT)["state_dict"]


def test_a_killed_third_step_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Killed for real in the middle of an epoch: the draws are those of the uninterrupted run."""
    whole = train(tmp_path / "whole")
    script = f"from pathlib import Path; from test_durations import train; train(Path({str(tmp_path / 'cut')!r}), 8)"
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    killed = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert killed.returncode == -signal.SIGKILL
    resumed = train(tmp_path / "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert torch.equal(whole["model.durations.target.mean"], torch.tensor([3.0, 1.5]))


# Planning -----------------------------------------------------------------------------------------------------------

SEPARATE = "duration.trained=separate"
SAMPLED = "duration.vectors=sampled"


def stages_of(name: str, *overrides: str) -> dict[str, Stage]:
    """Kind -> stage; of two evaluations the system's own."""
    return {stage.kind: stage for stage in plan(load(name, overrides))}


def identity(name: str, *overrides: str) -> str:
    return stages_of(name, *overrides)["duration"].identity


def test_the_third_step_comes_third() -> None:
    kinds = [stage.kind for stage in plan(load("kathaka_durations"))]
    assert kinds[-5:] == ["acoustic", "sampler", "duration", "evaluate", "evaluate"]
    stages = stages_of("kathaka_durations")
    assert {"acoustic", "sampler", "alignment"} <= set(stages["duration"].inputs)
    assert stages["evaluate"].inputs["duration"] == stages["duration"].identity


def test_joint_durations_are_no_stage_and_a_scale_of_theirs_is_stage_ones() -> None:
    assert "duration" not in stages_of("kathaka")
    first = stages_of("camp")["acoustic"].identity
    for setting in ("target=grouped", "error=l2", "network=camp"):
        assert stages_of("camp", f"duration.{setting}")["acoustic"].identity != first
    for setting in ("width=9", "dropout=0.5", "optim.epochs=3"):
        assert stages_of("camp", f"duration.{setting}")["acoustic"].identity == first
    assert len({stages_of("camp", *more)["acoustic"].identity for more in ([], [SEPARATE])}) == 2


def test_durations_depend_on_what_they_learn_from_and_on_nothing_else() -> None:
    for change in ("sampler.width=32", "sampler.contexts=[graph]", "acoustic.latent=3", "duration.width=32", "seed=1"):
        assert identity("kathaka_durations", change) != identity("kathaka_durations")
    recorded = [SEPARATE, "duration.vectors=recording"]
    assert identity("camp", *recorded) == identity("camp", *recorded, "sampler.width=32")
    assert identity("camp", *recorded) != identity("camp", *recorded, "acoustic.latent=3")
    assert identity("baseline", SEPARATE) == identity("baseline", SEPARATE, "acoustic.width=64")
    assert identity("baseline", SEPARATE) != identity("baseline", SEPARATE, "duration.target=grouped")


def test_an_oracle_and_stage_twos_share_durations_of_recordings_and_not_of_draws() -> None:
    systems = ["kathaka", "kathaka_bert", "kathaka_oracle"]

    def count(kind: str, *overrides: str) -> int:
        stages = plan_all([load(name, [SEPARATE, *overrides]) for name in systems])
        return sum(stage.kind == kind for stage in stages)

    assert count("duration") == 1 and count("acoustic") == 1
    assert count("duration", SAMPLED) == 3 and count("acoustic", SAMPLED) == 1


def test_sampled_vectors_need_durations_of_their_own() -> None:
    with pytest.raises(UserError, match=r"duration\.vectors=sampled does not fit duration\.trained=joint"):
        load("kathaka", [SAMPLED])


@pytest.mark.parametrize("family", ["baseline", "kathaka", "camp"])
def test_a_papers_design_has_its_durations(family: str) -> None:
    found = load(family, ["design=paper"]).duration
    expected = {
        "baseline": ("joint", "recurrent", "grouped", "l1", "recording"),
        "kathaka": ("separate", "recurrent", "grouped", "l2", "sampled"),
        "camp": ("joint", "camp", "log", "l1", "recording"),
    }
    assert (found.trained, found.network, found.target, found.error, found.vectors) == expected[family]


# From corpus to speech ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def trained(runs: Path, name: str, *overrides: str) -> tuple[Experiment, dict[str, Stage]]:
    """Run a system's stages, all but the measuring of copies."""
    experiment = load(name, ["size=smoke", f"run.folder={runs}", "run.accelerator=cpu", *overrides])
    stages = plan(experiment)
    for stage in [*stages[:-2], stages[-1]]:
        run_stage(stage, lambda done, total, what: None)
    return experiment, {stage.kind: stage for stage in stages}


SYSTEMS = {
    "third_step": ("kathaka_durations", ()),
    "baseline": ("baseline", (SEPARATE, "duration.target=grouped", "duration.error=l2", "duration.network=recurrent")),
    "oracle": ("camp_oracle", (SEPARATE, "duration.network=camp")),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_durations_of_their_own_run_from_corpus_to_numbers(runs: Path, system: str) -> None:
    name, overrides = SYSTEMS[system]
    experiment, stages = trained(runs, name, *overrides)
    assert not any("durations" in key for key in load_checkpoint(folder(stages["acoustic"]) / CHECKPOINT)["state_dict"])
    assert {"duration_rmse", "pause_rmse"} <= set(read_json(folder(stages["evaluate"]) / RESULT)["metrics"])
    before = (folder(stages["duration"]) / BEST).stat().st_mtime_ns
    trained(runs, name, *overrides)
    assert (folder(stages["duration"]) / BEST).stat().st_mtime_ns == before, "a finished stage is trained again"
    synthesizer = Synthesizer.load(experiment)
    assert synthesizer.acoustic.durations is None and synthesizer.durations is not None


def test_a_checkpoint_holds_the_training_splits_statistics(runs: Path) -> None:
    _, stages = trained(runs, "baseline", "duration.target=grouped")
    _, own = trained(runs, "kathaka_durations")
    store = store_of(stages["acoustic"])
    found: tuple[list[int], list[int]] = ([], [])
    for name in store.ids("train"):
        for slot, frames in zip(store.text.sentence(name).phone_to_word, store.durations[name], strict=True):
            found[slot % 2 == 0].append(frames)
    joint = load_checkpoint(folder(stages["acoustic"]) / CHECKPOINT)["state_dict"]
    alone = load_checkpoint(folder(own["duration"]) / BEST)["state_dict"]
    for state, prefix in ((joint, "model.durations.target"), (alone, "model.durations.target")):
        np.testing.assert_allclose(state[f"{prefix}.mean"], [np.mean(group) for group in found], rtol=1e-6)
        np.testing.assert_allclose(state[f"{prefix}.scale"], [np.std(group) for group in found], rtol=1e-6)


def test_durations_of_another_system_are_refused(runs: Path, tmp_path: Path) -> None:
    _, stages = trained(runs, "kathaka_durations")
    place = folder(stages["duration"])
    fits = {kind: stages[kind].identity for kind in ("acoustic", "sampler")}
    load_durations(place, fits)
    for kind in fits:
        with pytest.raises(UserError, match=f"knows the vectors of {kind} '{fits[kind]}', not of 'another'"):
            load_durations(place, {**fits, kind: "another"})
    settings_of = read_json(place / SETTINGS)
    settings_of["duration"]["width"] = 32
    write_json(tmp_path / SETTINGS, settings_of)
    torch.save(load_checkpoint(place / BEST), tmp_path / BEST)
    with pytest.raises(UserError, match="checkpoint of another system"):
        load_durations(tmp_path, fits)


def test_the_third_step_speaks_with_its_durations(runs: Path, tmp_path: Path) -> None:
    experiment, _ = trained(runs, "kathaka_durations")
    one, two = (
        synthesize(experiment, [Request("The happy farmer opened the door.")], tmp_path / place)[0] for place in "ab"
    )
    assert one.read_bytes() == two.read_bytes()
    synthesizer = Synthesizer.load(experiment)
    text = replace(texts([3]), phones=texts([3]).phones.clamp(max=3))
    vectors = torch.zeros(1, 1, experiment.acoustic.latent)
    assert torch.equal(
        torch.from_numpy(synthesizer.speak(text, vectors)[0].durations),
        synthesizer.durations.frames(text, vectors)[0],
    )
