"""Identities: what must be done again after a change, and what must not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from prosody_tts.config import load
from prosody_tts.pipeline import COPY, plan, plan_all, pool_seeds
from prosody_tts.sweeps import experiments_of, load_sweep


def identities(*overrides: str, system: str = "camp") -> dict[str, str]:
    """Kind -> identity of a system's stages."""
    stages = plan(load(system, overrides))
    return {**{s.kind: s.identity for s in stages[:-2]}, "copy": stages[-2].identity, "evaluate": stages[-1].identity}


def changed(*overrides: str, system: str = "camp") -> set[str]:
    """Kinds of stages whose identity the settings change."""
    before, after = identities(system=system), identities(*overrides, system=system)
    return {kind for kind in before.keys() | after.keys() if before.get(kind) != after.get(kind)}


@pytest.mark.parametrize(
    ("setting", "kinds"),
    [
        ("run.workers=7", set()),
        ("run.wandb=offline", set()),
        ("run.folder=elsewhere", set()),
        ("run.devices=2", set()),
        ("run.loader_workers=2", set()),
        ("run.checkpoint_steps=7", set()),
        ("run.samples_every=1", set()),
        ("acoustic.optim.decay_factor=0.9", set()),  # it is not that decay
        ("sampler.optim.decay_until=20000", set()),
        ("sampler.optim.ema=0.99", {"sampler", "evaluate"}),
        ("sampler.optim.patience=3", {"sampler", "evaluate"}),
        ("acoustic.optim.precision=bf16", {"acoustic", "sampler", "evaluate"}),
        ("acoustic.optim.decay=epochs", {"acoustic", "sampler", "evaluate"}),
        ("acoustic.optim.find_rate=true", {"acoustic", "sampler", "evaluate"}),
        ("evaluation.resamples=50", set()),
        ("sampler.width=32", {"sampler", "evaluate"}),
        ("sampler.contexts=[bert]", {"sampler", "evaluate"}),
        ("sampler.own=0.5", {"sampler", "evaluate"}),
        ("sampler.rank=2", set()),  # of other priors than CAMP's
        ("sampler.kl_direction=posterior_sampler", set()),
        ("sampler.bins=4", set()),
        ("sampler.codes=4", set()),
        ("sampler.denoiser_layers=2", set()),
        ("sampler.passes=3", set()),  # of a context it has not
        ("sampler.bert_rate=1e-4", set()),  # of a BERT that is trained along
        ("synthesis.steps=4", set()),
        ("synthesis.temperature=0.5", {"evaluate"}),
        ("synthesis.iterations=8", {"evaluate", "copy"}),
        ("evaluation.split=dev", {"evaluate", "copy"}),
        ("evaluation.samples=5", {"evaluate"}),
        ("text.bert_layer=0", {"text", "sampler", "evaluate"}),
        ("text.tree=gold", {"text", "sampler", "evaluate"}),
        ("acoustic.latent=9", {"acoustic", "sampler", "evaluate"}),
        ("acoustic.kl=9", set()),  # CAMP's encoder is deterministic: it has no such term
        ("data.learn_from=5", {"acoustic", "sampler", "evaluate"}),
        ("seed=1", {"acoustic", "sampler", "evaluate"}),
        ("audio.window=640", {"audio", "alignment", "acoustic", "sampler", "evaluate", "copy"}),
        ("data.seed=1", {"corpus", "text", "audio", "alignment", "acoustic", "sampler", "evaluate", "copy"}),
    ],
)
def test_a_setting_changes_what_depends_on_it_and_nothing_else(setting, kinds):
    assert changed(setting) == kinds


def test_steps_of_a_draw_change_what_is_measured_and_train_nothing():
    assert changed("synthesis.steps=4", system="diffusion") == {"evaluate"}
    assert changed("sampler.denoiser_layers=2", system="diffusion") == {"sampler", "evaluate"}
    assert changed("sampler.rank=2", system="kathaka") == {"sampler", "evaluate"}
    assert changed("sampler.passes=3", system="kathaka") == {"sampler", "evaluate"}


def test_the_baseline_does_not_depend_on_vectors():
    assert changed("units=phone", "acoustic.latent=3", "acoustic.pool=mean", system="baseline") == set()


def test_nine_systems_share_three_stage_ones():
    systems = ["baseline", "kathaka_bert", "kathaka_graph", "kathaka", "kathaka_oracle"]
    systems += ["camp_syntax", "camp_bert", "camp", "camp_oracle"]
    stages = plan_all([load(name) for name in systems])
    count = {kind: sum(stage.kind == kind for stage in stages) for kind in {stage.kind for stage in stages}}
    assert count == {
        "corpus": 1,
        "text": 1,
        "audio": 1,
        "alignment": 1,
        "acoustic": 3,
        "sampler": 6,
        "evaluate": 10,
    }
    assert sum(stage.experiment.system == COPY for stage in stages) == 1


def test_stages_come_after_what_they_need():
    seen: set[str] = set()
    for stage in plan_all([load(name) for name in ("camp", "kathaka", "baseline")]):
        assert set(stage.needs) <= seen
        seen.add(stage.key)


def test_planning_loads_neither_torch_nor_spacy():
    """A finished run answers at once."""
    script = (
        "import sys; from prosody_tts.config import load; from prosody_tts.pipeline import plan, is_done;"
        "[is_done(s) for s in plan(load('camp'))];"
        "print(sorted({'torch', 'spacy', 'transformers', 'lightning', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_seeds_of_a_sweep_are_pooled_under_the_systems_name():
    named = {name: experiment for name, (_, experiment) in experiments_of(load_sweep("granularity")).items()}
    assert len(named) == 12 and "word_oracle, seed=2" in named
    pooled = pool_seeds(named)
    assert list(pooled) == ["baseline", "kathaka_oracle", "word_oracle", "phone_oracle"]
    assert all([one.seed for one in seeds] == [0, 1, 2] for seeds in pooled.values())
    assert len({stages[-2].identity for stages in map(plan, named.values())}) == 1


def test_systems_that_differ_in_more_than_their_seed_are_not_pooled():
    one, other = load("camp"), load("camp", ["seed=1", "acoustic.latent=3"])
    named = {"camp, seed=0": one, "camp, seed=1, acoustic.latent=3": other, "camp_bert": load("camp_bert")}
    assert list(pool_seeds(named)) == ["camp", "camp, acoustic.latent=3", "camp_bert"]
    clash = {"camp, seed=0": one, "camp, seed=1": load("camp", ["seed=1", "sampler.width=8"])}
    assert list(pool_seeds(clash)) == ["camp", "camp, seed=1"]


@pytest.mark.parametrize(("system", "kinds"), [("baseline", set()), ("camp_oracle", set()), ("kathaka", {"evaluate"})])
def test_draws_are_asked_only_of_systems_that_can_draw(system: str, kinds: set[str]) -> None:
    assert changed("evaluation.samples=5", system=system) == kinds


def keys(system: str, *overrides: str) -> dict[str, str]:
    """Kind -> identity; of evaluations the last."""
    return {stage.kind: stage.identity for stage in plan(load(system, overrides))}


def test_a_language_model_that_speaks_and_recognises_is_trained_once() -> None:
    speaks, hears, one_way = (keys(name) for name in ("speech_lm", "speech_lm_hears", "hearing_lm"))
    assert {kind for kind in hears if hears[kind] != speaks[kind]} == {"evaluate"}
    assert one_way["tokenizer"] == speaks["tokenizer"] and one_way["language"] != speaks["language"]
    # One that says nothing asks for no alignment, and so for no aligner.
    assert "alignment" not in one_way and "alignment" in hears
    assert "aligner" in keys("speech_lm_hears", "corpus=allison") and "aligner" not in keys(
        "hearing_lm", "corpus=allison"
    )


def test_what_ends_a_text_is_no_matter_of_training_nor_of_speaking() -> None:
    for system, kinds in (("speech_lm", set()), ("speech_lm_hears", {"evaluate"})):
        before, after = keys(system), keys(system, "language.longest_text=9")
        assert {kind for kind in before if before[kind] != after[kind]} == kinds
    before, after = keys("speech_lm_hears"), keys("speech_lm_hears", "language.top_k=3", "recogniser.beams=2")
    assert before == after


def test_a_recogniser_of_recordings_needs_no_aligner() -> None:
    assert "aligner" not in keys("asr_on_recordings", "corpus=allison")
