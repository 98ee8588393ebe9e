"""Every experiment and every point of every sweep is prepared, trained for a step, evaluated and put into the table."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from label_corpora import helsinki_corpus, timing_corpus
from page_reading import Reader
from rich.console import Console

from benchmarks import language
from data_modules.corpora.contract import silent
from data_modules.store import CorpusStore, TextFeatures
from prosody_tts import cli
from prosody_tts.config import EXPERIMENTS, LABELS, EvaluationConfig, Experiment, RunConfig, load
from prosody_tts.errors import UserError
from prosody_tts.evaluation.listeners import own
from prosody_tts.evaluation.listeners.contract import heard
from prosody_tts.evaluation.recognition import read_transcripts
from prosody_tts.files import read_json
from prosody_tts.listening.test import ListeningTest
from prosody_tts.pipeline import RESULT, SETTINGS, folder, is_done, plan, report, run_stage
from prosody_tts.schedule import run_all
from prosody_tts.stages.fit.devices import has_bfloat16
from prosody_tts.sweeps import SWEEPS, Search, experiments_of, load_sweep, run_search, run_sweep

SYSTEMS = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml") if path.stem != "base")
SPEAKING = [name for name in SYSTEMS if load(name).measures == "speech"]
LABELLING = [name for name in SYSTEMS if load(name).measures == "labels"]
HEARING = [name for name in SYSTEMS if load(name).measures == "recognition"]
SWEEP_FILES = sorted(path.stem for path in SWEEPS.glob("*.yaml"))
#: Files that ask for several passes have their say overruled: one shows that they train.
TINY = ["size=smoke", "run.progress=false", "run.wandb=disabled", "sampler.optim.epochs=1"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all of this file, so that shared stages are trained once."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Corpus of labels -> the settings that name a small one."""
    place = tmp_path_factory.mktemp("labels")
    return {
        "ljspeech_timing": [
            f"corpus_path={timing_corpus(place)}",
            *("text.pronouncer=espeak", "data.dev_count=null", "data.test_count=null"),
        ],
        "helsinki": [f"corpus_path={helsinki_corpus(place)}"],
    }


def tiny(runs: Path, name: str, *more: str) -> Experiment:
    return load(name, [*TINY, f"run.folder={runs}", *more])


def evaluated(experiment: Experiment) -> dict[str, Any]:
    """Run a system's whole plan here; return what was measured."""
    for outcome in run_all(plan(experiment), 0, runner=run_stage, progress=False):
        assert outcome.status in {"done", "reused"}, f"{outcome.stage.label}: {outcome.error}"
    return read_json(folder(plan(experiment)[-1]) / RESULT)["metrics"]


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [float(value)] if isinstance(value, int | float) else []


@pytest.mark.parametrize("name", SPEAKING)
def test_every_experiment_runs_from_corpus_to_numbers(runs: Path, name: str) -> None:
    experiment = tiny(runs, name)
    metrics = evaluated(experiment)
    # So short a training makes an attention's speech unvoiced; the harmonic decoder says its F0.
    f0 = "log_f0_rmse" if experiment.acoustic.decoder == "harmonic" else "log_f0_rmse_readout"
    assert {f0, "duration_rmse", "mel_l1"} <= set(metrics)
    assert all(math.isfinite(number) for number in numbers(metrics))
    # Only what says itself when it has finished can be cut.
    says_codes = experiment.backbone == "tokens" and experiment.vectors == "predicted"
    assert ("cut_sentences" in metrics) == says_codes and 0 <= metrics.get("cut_sentences", 0) <= 1
    assert ({"purity_first", "purity_all"} <= set(metrics)) == (experiment.backbone == "tokens")
    for stage in plan(experiment):
        assert all(math.isfinite(number) for number in numbers(read_json(folder(stage) / RESULT))), stage.label


@pytest.mark.parametrize("name", HEARING)
def test_every_recogniser_runs_from_corpus_to_error_rates(runs: Path, name: str) -> None:
    experiment = tiny(runs, name)
    metrics = evaluated(experiment)
    assert {"wer", "cer", "unseen_missed"} <= set(metrics)
    assert all(math.isfinite(number) for number in numbers(metrics))
    report({name: experiment}, runs / "heard", "test")
    assert {"index.html", "table.md", "table.json", "metrics.png"} <= {path.name for path in (runs / "heard").iterdir()}


def test_one_language_model_learns_every_task_in_mixed_batches_and_is_measured_both_ways(runs: Path) -> None:
    tasks = "language.tasks=[speak,recognise,write,continue]"
    speaks, hears = (tiny(runs, name, tasks) for name in ("speech_lm", "speech_lm_hears"))
    assert {"log_f0_rmse_readout", "mel_l1"} & set(evaluated(speaks))
    trained = [stage for stage in plan(hears) if stage.kind == "language"]
    assert all(is_done(stage) for stage in trained) and trained[0].key in {stage.key for stage in plan(speaks)}
    metrics = evaluated(hears)
    assert {"wer", "cer", "unseen_missed", "cut"} <= set(metrics) and 0 <= metrics["cut"] <= 1
    known = read_json(folder(trained[0]) / RESULT)["metrics"]
    assert {"dev/segment_nats", "dev/symbol_nats"} <= set(known)
    untrained, learned = language.guards(speaks, limit=3)
    assert (untrained["model"], learned["model"]) == ("untrained", "trained") and learned["sentences"] == 3
    assert learned["recognise"] == language.guards(hears, limit=3)[1]["recognise"]


@pytest.mark.parametrize("name", ["baseline", "spectrum_lm"])
def test_a_recogniser_trained_here_hears_what_other_systems_say(runs: Path, name: str) -> None:
    trained = tiny(runs, "asr_on_recordings")
    evaluated(trained)
    place = folder(next(stage for stage in plan(trained) if stage.kind == "recogniser"))
    alone = tiny(runs, name)
    without = evaluated(alone)
    listened = tiny(runs, name, "evaluation.recogniser=ours", f"evaluation.recogniser_path={place}")
    metrics = evaluated(listened)
    assert {"wer", "cer"} <= set(metrics) and metrics["wer"] > 0
    assert {key: value for key, value in metrics.items() if key not in {"wer", "cer"}} == without
    # Vocoded recordings are heard too: the bound of every gap.
    assert {"wer", "cer"} <= set(read_json(folder(plan(listened)[-2]) / RESULT)["metrics"])
    report({name: listened}, runs / f"listened-{name}", "test")
    page = (runs / f"listened-{name}" / "index.html").read_text()
    assert "Word error rate" in page and "heard: " in page


def test_a_recogniser_hears_in_a_waveform_what_it_hears_in_the_stored_mel(runs: Path) -> None:
    trained = tiny(runs, "asr_on_recordings")
    evaluated(trained)
    stages = {stage.kind: stage for stage in plan(trained)}
    settings = EvaluationConfig(recogniser="ours", recogniser_path=str(folder(stages["recogniser"])))
    listener, clips = own.load(settings, 1), CorpusStore(folder(stages["corpus"]))
    by_name = {utterance.id: utterance for utterance in clips.utterances}
    for transcript in read_transcripts(folder(stages["evaluate"])):
        wave, rate = soundfile.read(clips.audio(by_name[transcript.id]), dtype="float32")
        assert heard(listener, wave, rate) == " ".join(transcript.heard)


#: Experiment of each family -> settings beside design=paper.
DESIGNS = {
    "baseline": ["acoustic.own_frames=0.5", "acoustic.own_warmup=0.1"],
    "s2s": ["acoustic.own_frames=0.5", "acoustic.own_warmup=0.0"],
    "kathaka": [],
    "camp": [],
}


@pytest.mark.parametrize("name", DESIGNS)
def test_every_family_runs_with_the_modules_of_its_paper(runs: Path, name: str) -> None:
    experiment = tiny(runs, name, "design=paper", *DESIGNS[name])
    assert (EXPERIMENTS / "designs" / f"{experiment.family}.yaml").exists()
    metrics = evaluated(experiment)
    assert all(math.isfinite(number) for number in numbers(metrics))
    # Only an attention can fail.
    assert ("attention_failures" in metrics) == (name == "s2s")


@pytest.mark.parametrize(("corpus", "prior"), [("ljspeech_timing", "autoregressive"), ("helsinki", "gaussian")])
@pytest.mark.parametrize("name", LABELLING)
def test_every_experiment_of_labels_runs_on_corpora_of_labels(
    runs: Path, labels: dict[str, list[str]], name: str, corpus: str, prior: str
) -> None:
    more = [f"sampler.prior={prior}", "sampler.kl_direction=posterior_sampler", "sampler.contexts=[phones]"]
    experiment = tiny(runs, name, f"corpus={corpus}", *labels[corpus], *more)
    metrics = evaluated(experiment)
    dimensions = LABELS[corpus]
    assert {f"{dimension}_sd" for dimension in dimensions} | {f"{dimensions[0]}_r2"} <= set(metrics)
    assert metrics["sentences"] > 0
    for stage in plan(experiment):
        assert all(math.isfinite(number) for number in numbers(read_json(folder(stage) / RESULT))), stage.label
    assert not any(stage.kind in {"audio", "acoustic"} for stage in plan(experiment))


@pytest.mark.parametrize("name", SWEEP_FILES)
def test_every_sweep_ends_in_a_table_with_all_its_systems(
    runs: Path, tmp_path: Path, name: str, labels: dict[str, list[str]]
) -> None:
    overrides = [*TINY, f"run.folder={runs}"]
    sweep = load_sweep(name)
    asked = sweep.parameters["experiment"]
    of_labels = {load(file).corpus for file in asked.get("values", [asked.get("value")])} & set(LABELS)
    overrides += [setting for corpus in of_labels for setting in labels[corpus]]
    if sweep.method == "bayes":
        outcomes = run_search(Search(replace(sweep, run_cap=2), overrides), 0)
        assert {outcome.status for outcome in outcomes} <= {"done", "reused"}
    experiments = {key: value for key, (_, value) in experiments_of(sweep, overrides).items()}
    assert {outcome.status for outcome in run_sweep(experiments, 0)} <= {"done", "reused"}
    console = Console(record=True, width=250, file=(tmp_path / "table.txt").open("w"))
    console.print(report(experiments, tmp_path))
    text = console.export_text()
    assert all(experiment.system in text for experiment in experiments.values())
    assert [page.name for page in tmp_path.glob("*.html")] == ["index.html"]
    page = Reader((tmp_path / "index.html").read_text())
    # Seeds of a system are pooled under its name.
    shown = {name.partition(", seed=")[0] for name in experiments}
    assert shown <= {word.strip() for word in page.words} and page.all("svg")
    assert (tmp_path / "table.md").read_text().startswith("| system")


def test_a_listening_test_is_built_from_a_sweep_that_has_run(runs: Path, tmp_path: Path) -> None:
    for name in ("baseline", "kathaka_oracle"):
        evaluated(tiny(runs, name))
    given = ["listen", "build", "kathaka_ablation", *TINY, f"run.folder={runs}", "--sentences", "2"]
    place = tmp_path / "test"
    assert cli.run([*given, "--systems", "recording,baseline,kathaka_oracle,copy_synthesis", "--out", str(place)]) == 0
    built = ListeningTest.read(place)
    assert built.systems == ("recording", "baseline", "kathaka_oracle", "copy_synthesis") and len(built.rated) == 2
    assert [item.role for item in built.items] == ["rated", "rated", "training", "check"]
    # Two anchors, and the open reference.
    assert len(list((place / "public" / "stimuli").glob("*.wav"))) == 4 * (4 + 3)
    # Nothing is heard of a system that has not been evaluated, or of one that is not there.
    assert cli.run([*given, "--systems", "recording,kathaka", "seed=7", "--out", str(tmp_path / "no")]) == 2
    assert cli.run([*given, "--systems", "recording,kathka", "--out", str(tmp_path / "no")]) == 2
    assert cli.run(["listen", "build", "prominence", "corpus_path=x", "--out", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()


def test_those_who_learn_from_fewer_sentences_learn_from_some_of_the_same(runs: Path) -> None:
    experiment = tiny(runs, "camp", "data.speeds=[0.9]")
    stages = {stage.kind: stage for stage in plan(experiment)}
    for kind in ("corpus", "text"):
        run_stage(stages[kind], silent)
    places = folder(stages["corpus"]), folder(stages["text"])
    found = [TextFeatures(*places, learn_from=count) for count in (3, 7, None)]
    few, more, whole = ({kept.utterances[name].sentence for name in kept.ids("train")} for kept in found)
    assert few < more < whole and (len(few), len(more), len(whole)) == (3, 7, 12)
    for kept, sentences in zip(found, (few, more, whole), strict=True):
        assert {kept.utterances[name].sentence for name in kept.ids("perturbed")} == sentences
        assert kept.ids("dev", "test") == found[-1].ids("dev", "test")
    with pytest.raises(UserError, match=r"data\.learn_from=3 is for stages one and two, which spectrum_lm has not"):
        tiny(runs, "spectrum_lm", "data.learn_from=3")


def test_asking_again_runs_nothing(runs: Path) -> None:
    experiment = tiny(runs, "camp")
    first = evaluated(experiment)
    assert all(is_done(stage) for stage in plan(experiment))
    assert {outcome.status for outcome in run_all(plan(experiment), 0, progress=False)} == {"reused"}
    assert evaluated(experiment) == first


def test_worker_processes_give_the_same_numbers(runs: Path, tmp_path: Path) -> None:
    here = evaluated(tiny(runs, "camp"))
    experiment = tiny(tmp_path, "camp")
    outcomes = run_all(plan(experiment), 2, progress=False)
    assert {outcome.status for outcome in outcomes} == {"done"}, [outcome.error for outcome in outcomes]
    assert read_json(folder(plan(experiment)[-1]) / RESULT)["metrics"] == here


@pytest.mark.slow
def test_stages_train_on_two_processes_from_a_worker_and_show_what_they_learn(runs: Path) -> None:
    """With everything that a large training asks for at once; what is prepared is shared with the other tests."""
    evaluated(tiny(runs, "kathaka"))
    large = ["run.devices=2", "run.samples_every=1", "run.checkpoint_steps=1", "run.loader_workers=1"]
    bits = 16 if has_bfloat16(RunConfig(accelerator="cpu")) else 32
    asked = ("ema=0.9", "precision=bf16" if bits == 16 else "precision=float32")
    large += [f"{name}.optim.{setting}" for name in ("acoustic", "sampler") for setting in asked]
    experiment = tiny(runs, "kathaka", "seed=5", *large)
    outcomes = run_all(plan(experiment), 1, progress=False)
    assert {outcome.status for outcome in outcomes} <= {"done", "reused"}, [outcome.error for outcome in outcomes]
    stages = {stage.kind: stage for stage in plan(experiment)}
    for kind in ("acoustic", "sampler"):
        metrics = read_json(folder(stages[kind]) / RESULT)["metrics"]
        assert metrics["precision_bits"] == bits and all(math.isfinite(number) for number in numbers(metrics))
    place = folder(stages["acoustic"])
    assert sorted(path.name for path in (place / "samples" / "epoch-001").iterdir()) == [
        f"{number}.{kind}" for number in (1, 2, 3) for kind in ("png", "wav")
    ]
    logged = "".join(path.read_text() for path in place.rglob("metrics.csv"))
    assert "dev/active_dimensions" in logged and "dev/kl_nats" in logged


def test_a_result_tells_where_it_comes_from(runs: Path) -> None:
    experiment = tiny(runs, "camp")
    evaluated(experiment)
    for stage in plan(experiment):
        result = json.loads((folder(stage) / RESULT).read_text())
        assert (result["kind"], result["identity"]) == (stage.kind, stage.identity)
        assert result["seconds"] >= 0 and result["versions"]["torch"] and result["inputs"] == stage.inputs


def test_running_a_finished_stage_returns_its_result(runs: Path) -> None:
    experiment = tiny(runs, "baseline")
    evaluated(experiment)
    for stage in plan(experiment):
        assert run_stage(stage, silent) == read_json(folder(stage) / RESULT)


@pytest.mark.parametrize("name", ["baseline", "s2s", "camp", "kathaka", "spectrum_lm"])
def test_a_trained_system_speaks_from_the_command_line(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    evaluated(tiny(runs, name))
    corpus = CorpusStore(folder(plan(tiny(runs, name))[0]))
    # A dozen training sentences hold few phones; these are theirs.
    one, other = [utterance.text for utterance in corpus.utterances if utterance.split == "train"][:2]
    arguments = ["synthesize", name, *TINY, f"run.folder={runs}", "--out", str(tmp_path), "--workers", "0"]
    assert cli.run([*arguments, "--text", one, "--text", other]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert len(paths) == 2 and set(paths) == set(tmp_path.glob("*.wav"))
    for path in paths:
        wave, rate = soundfile.read(path)
        assert rate == 16000 and len(wave) > 0 and np.isfinite(wave).all() and np.abs(wave).max() > 0


REFUSED = {
    "spectrum_lm --pace 0.8": "no pace and no pauses can be asked of it",
    "spectrum_lm --best 3 --samples 2": "has no stage two",
    "spectrum_lm --keep 1": "has no stage two",
    "spectrum_lm --reference x.wav": "cannot copy a recording's prosody",
    "spectrum_oracle": "cannot speak new text",
    "asr_on_recordings": "trains a recogniser",
}


@pytest.mark.parametrize("asked", REFUSED)
def test_what_codes_and_recognisers_cannot_do_is_refused(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: str
) -> None:
    evaluated(tiny(runs, "spectrum_lm"))
    name, *options = asked.split()
    arguments = ["synthesize", name, *TINY, f"run.folder={runs}", "--out", str(tmp_path), "--workers", "0"]
    assert cli.run([*arguments, "--text", "The red boat came home.", *options]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert REFUSED[asked] in said and "Traceback" not in said


def test_probing_says_what_word_vectors_carry(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    evaluated(tiny(runs, "camp_oracle"))
    assert cli.run(["probe", "camp_oracle", *TINY, f"run.folder={runs}", "--workers", "0"]) == 0
    said = capsys.readouterr().out
    assert "share moved" in said and "log_duration" in said
    written = next((runs / "probes").glob("*/probes.json"))
    found = read_json(written)
    assert {row["which"] for row in found["swaps"]} == {"all", "swapped", "kept"}
    assert all(math.isfinite(number) for number in numbers(found))
    assert written.with_name("swaps.png").stat().st_size > 1000


def test_two_systems_are_compared_and_their_runs_listed(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("camp", "camp_bert"):
        evaluated(tiny(runs, name))
    assert cli.run(["compare", "camp", "camp_bert", *TINY, f"run.folder={runs}"]) == 0
    said = capsys.readouterr().out
    assert "sampler.contexts" in said and "[bert,tags]" in said and "log_f0_rmse" in said
    page = Path(said.rpartition("page: ")[2].strip())
    assert page.exists() and "camp_bert" in page.read_text()
    assert cli.run(["runs", "paper_tables", *TINY, f"run.folder={runs}", "--system", "camp_bert"]) == 0
    assert "paper_tables" in capsys.readouterr().out


def test_a_stage_done_again_has_the_same_figures(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = tiny(runs, "camp")
    evaluated(experiment)
    stages = {stage.kind: stage for stage in plan(experiment) if stage.experiment.system == "camp"}
    for kind in ("sampler", "evaluate"):
        assert cli.run(["rerun", str(folder(stages[kind])), "--out", str(tmp_path / "again")]) == 0
        assert "figures agree" in capsys.readouterr().out
    # What it reads is the old folder's; what it makes is a folder of its own.
    assert (tmp_path / "again" / "acoustic" / stages["acoustic"].identity).is_symlink()
    assert not (tmp_path / "again" / "sampler" / stages["sampler"].identity).is_symlink()
    changed = tmp_path / "old" / "sampler" / stages["sampler"].identity
    changed.mkdir(parents=True)
    for name in (RESULT, SETTINGS):
        (changed / name).write_bytes((folder(stages["sampler"]) / name).read_bytes())
    told = read_json(changed / RESULT)
    told["metrics"] = {key: value + 1 for key, value in numbers_of(told["metrics"]).items()}
    (changed / RESULT).write_text(json.dumps(told))
    for stage in plan(experiment):
        if stage.kind in {"corpus", "text", "audio", "alignment", "acoustic"}:
            place = tmp_path / "old" / stage.kind / stage.identity
            place.parent.mkdir(exist_ok=True)
            place.symlink_to(folder(stage))
    assert cli.run(["rerun", str(changed), "--out", str(tmp_path / "more")]) == 1
    assert "differ" in capsys.readouterr().out
    for wrong in (tmp_path, folder(stages["sampler"])):
        assert cli.run(["rerun", str(wrong), "--out", str(runs)]) == 2


def numbers_of(metrics: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if isinstance(value, int | float)}


def test_preparing_and_evaluating_say_what_came_of_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = tiny(runs, "camp")
    evaluated(experiment)
    for verb, expected in (("prepare", "train 12"), ("evaluate", "log_f0_rmse"), ("train", "sampler")):
        assert cli.run([verb, "camp", *TINY, f"run.folder={runs}", "--workers", "0"]) == 0
        assert expected in capsys.readouterr().out
