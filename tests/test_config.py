"""Settings merge in one order, and a wrong one is told with the nearest right one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prosody_tts.config import EXPERIMENTS, LABELS, Experiment, from_plain, load, to_plain
from prosody_tts.errors import UserError
from prosody_tts.settings import settings

SYSTEMS = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml") if path.stem != "base")
SPEAKING = [name for name in SYSTEMS if load(name).vectors != "labels"]
SIZES = ("smoke", "demo", "paper")


@pytest.mark.parametrize("name", ["timing"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("corpus", sorted(LABELS))
def test_experiments_of_labels_load_in_every_size_on_every_corpus_of_labels(name: str, size: str, corpus: str) -> None:
    experiment = load(name, [f"size={size}", f"corpus={corpus}"])
    assert (experiment.system, experiment.size, experiment.corpus) == (name, size, corpus)
    assert experiment.latent == len(LABELS[corpus]) and name not in SPEAKING


@pytest.mark.parametrize("name", SPEAKING)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("corpus", ["testbed", "allison"])
def test_every_experiment_loads_in_every_size_on_every_corpus(name: str, size: str, corpus: str) -> None:
    experiment = load(name, [f"size={size}", f"corpus={corpus}"])
    assert (experiment.system, experiment.size, experiment.corpus) == (name, size, corpus)
    assert (experiment.vectors == "recording") == name.endswith("_oracle")


def test_the_papers_nine_systems_are_there() -> None:
    kathaka = {"kathaka", "kathaka_bert", "kathaka_graph", "kathaka_oracle"}
    camp = {"camp", "camp_bert", "camp_syntax", "camp_oracle"}
    assert {"baseline"} | kathaka | camp <= set(SYSTEMS)


@pytest.mark.parametrize("name", SYSTEMS)
def test_experiments_are_short_diffs_and_say_where_they_come_from(name: str) -> None:
    lines = (EXPERIMENTS / f"{name}.yaml").read_text().splitlines()
    assert len(lines) <= 12 and lines[0].startswith("# ")


@pytest.mark.parametrize("family", ["kathaka", "camp"])
def test_a_family_differs_in_context_and_vectors_only(family: str) -> None:
    # Other ways to durations and other priors are systems by themselves, which no table of the papers has.
    own = load(family)
    found = [load(name) for name in SYSTEMS if name.startswith(family)]
    plain = [to_plain(one) for one in found if (one.sampler.prior, one.duration) == (own.sampler.prior, own.duration)]
    for settings_of in plain:
        for name in ("system", "vectors"):
            del settings_of[name]
        del settings_of["sampler"]["contexts"]
    assert len(plain) >= 4 and all(other == plain[0] for other in plain)


def test_the_command_line_wins_over_the_file_over_size_and_corpus(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("size: smoke\nacoustic: {width: 48, decoder_layers: 2}\n")
    experiment = load(file, ["acoustic.decoder_layers=3"])
    assert experiment.acoustic.width == 48
    assert experiment.acoustic.decoder_layers == 3
    assert experiment.data.train_sentences == 12
    assert load(file, ["size=demo"]).data.train_sentences == Experiment().data.train_sentences


def test_smoke_is_small_on_every_corpus() -> None:
    for corpus in ("testbed", "allison"):
        experiment = load("camp", ["size=smoke", f"corpus={corpus}"])
        trained = (experiment.acoustic, experiment.sampler, experiment.aligner, experiment.duration)
        assert {stage.optim.epochs for stage in trained} == {1}
        assert experiment.data.limit is not None and experiment.data.limit <= 24


def test_a_size_chooses_the_papers_design_and_the_command_line_may_not_want_it() -> None:
    assert load("camp", ["size=paper"]).design == "paper"
    assert load("camp", ["size=paper", "design=fast"]).design == "fast"
    assert load("camp").design == "fast"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("acoustic.widht=3", "unknown setting 'acoustic.widht' in the command line; did you mean 'width'?"),
        (
            "sampler.prior=gausian",
            "unknown value 'gausian' of 'sampler.prior' in the command line; did you mean 'gaussian'?",
        ),
        ("sampler.contexts=[bert,tagz]", "unknown value 'tagz' of 'sampler.contexts'"),
        ("size=huge", "unknown value 'huge' of 'size'"),
        ("acoustic=3", "'acoustic' in the command line is a group of settings"),
        ("acoustic.width=wide", "acoustic.width"),
        ("acoustic.width=0", "acoustic.width=0 must be at least 1"),
        ("corpus=folder", "corpus=folder needs corpus_path=PATH"),
        ("vectors=none", "vectors=none does not fit acoustic.reference=deterministic"),
        ("sampler.contexts=[]", "sampler.contexts must name each context once"),
        ("run.devices=0", "run.devices=0 must be at least 1"),
        ("run.devices=8", "acoustic.optim.batch=8 is the batch of all devices together, and run.devices=8 need two"),
        ("run.loader_workers=-1", "run.loader_workers=-1 must not be negative"),
        ("run.samples_every=-1", "run.samples_every=-1 must not be negative"),
        ("run.checkpoint_steps=0", "run.checkpoint_steps=0 must be at least 1"),
        ("run.checkpoint_minutes=0", "run.checkpoint_minutes=0 must be above 0"),
        ("acoustic.optim.precision=bf61", "did you mean 'bf16'?"),
        ("acoustic.optim.decay_until=9", "acoustic.optim.decay_until=9 are the first and the last step of a decay"),
        ("sampler.optim.decay_factor=1.5", "sampler.optim.decay_factor=1.5 must lie above 0 and be at most 1"),
        ("sampler.optim.final_rate=0", "sampler.optim.final_rate=0 must lie above 0"),
        ("aligner.optim.warmup=2", "aligner.optim.warmup=2 is a share"),
        ("aligner.optim.warmup_start=-0.1", "aligner.optim.warmup_start=-0.1 is a share"),
        ("acoustic.optim.warmup_steps=0", "acoustic.optim.warmup_steps=0 must be at least 1, or null"),
        ("acoustic.optim.patience=0", "acoustic.optim.patience=0 must be at least 1, or null"),
        ("acoustic.optim.ema=1", "acoustic.optim.ema=1 must lie between 0 and 1"),
        ("acoustic.optim.learning_rate=0", "acoustic.optim.learning_rate=0 must be above 0"),
        ("acoustic.optim.clip=-1", "acoustic.optim.clip=-1 must be above 0"),
        ("=3", "'=3' is not a setting"),
        ("acoustic.width", "'acoustic.width' is not a setting"),
    ],
)
def test_a_wrong_setting_is_one_sentence_with_the_mend(setting: str, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        load("camp", [setting])
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("acoustic: {width: [", "is not valid YAML"),
        ("- camp\n", "must hold settings as 'key: value' lines"),
        ("systm: camp\n", "did you mean 'system'?"),
        ("acoustic: 3\n", "is a group of settings"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=r"broken\.yaml") as raised:
        load(file)
    assert sentence in str(raised.value)


def test_an_unknown_experiment_is_told_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"'kathakka'; did you mean 'kathaka'\?"):
        load("kathakka")


def test_experiment_files_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load("experiments/camp.yaml") == load("camp")


def test_pythons_none_is_null() -> None:
    assert load("camp", ["sampler.passes=4", "sampler.passes=None"]).sampler.passes is None


@pytest.mark.parametrize("name", SYSTEMS)
def test_stored_settings_come_back(name: str) -> None:
    experiment = load(name)
    assert from_plain(json.loads(json.dumps(to_plain(experiment)))) == experiment


def test_every_setting_has_help_and_its_default_can_be_given() -> None:
    found = settings()
    assert len({setting.name for setting in found}) == len(found) > 60
    for setting in found:
        assert setting.help.endswith("."), setting.name
    given = [f"{s.name}={s.default}" for s in found if s.name not in {"vectors", "acoustic.reference", "run.group"}]
    assert load(None, given) == Experiment()
