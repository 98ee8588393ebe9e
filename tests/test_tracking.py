"""W&B sees what it is given, needs no account offline, and can never stop a training."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from evaluation_data import speak
from offline_runs import config_of, logged, records

from prosody_tts.config import Experiment, RunConfig, load
from prosody_tts.evaluation.metrics import METRICS, by_sentence, overall
from prosody_tts.evaluation.results import write_results
from prosody_tts.files import write_json
from prosody_tts.pipeline import RESULT, folder, plan
from prosody_tts.samples import MediaLogger
from prosody_tts.sweeps import experiments_of, load_sweep
from prosody_tts.synthesis import write_wave
from prosody_tts.tracking import Tracker, agent_mode, flatten, lightning_loggers, run_tracked, track, tracker
from prosody_tts.train import main


@pytest.fixture(autouse=True)
def _staging(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of an offline run wait for ``wandb sync`` in the user's folder of data; in tests they do not."""
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path_factory.mktemp("data")))


def offline(root: Path) -> Experiment:
    return load("camp", ["size=smoke", f"run.folder={root}", "run.wandb=offline", "run.group=controls"])


def test_disabled_logging_does_not_even_load_wandb(tmp_path: Path) -> None:
    code = (
        "import sys; from prosody_tts.tracking import track; from prosody_tts.config import load\n"
        f"with track(load('camp', ['run.folder={tmp_path}']), 'system', 'camp') as tracker:\n"
        "    tracker.log({'loss': 1.0}, 1); tracker.summary({'x': 2})\n"
        "assert 'wandb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list(tmp_path.iterdir()) == []


def test_an_offline_run_holds_settings_values_and_summary(tmp_path: Path) -> None:
    experiment = offline(tmp_path)
    with track(experiment, "evaluate", "evaluate camp") as run:
        run.log({"acoustic/loss": 0.5}, 7)
        run.summary({"evaluate": {"log_f0_rmse": 0.125, "system": "camp", "undefined": float("nan")}})
    found = records(tmp_path)
    (begun,) = [record["run"] for record in found if "run" in record]
    assert (begun["project"], begun["run_group"], begun["job_type"]) == ("prosody_tts", "controls", "evaluate")
    assert (begun["display_name"], sorted(begun["tags"])) == ("evaluate camp", ["camp", "smoke", "testbed"])
    config = config_of(begun)
    assert config["sampler"]["prior"] == "autoregressive" and config["sampler"]["contexts"] == ["bert", "tags"]
    values = logged(found)
    assert values["acoustic/loss"] == 0.5 and values["acoustic/step"] == 7
    given = logged(found, "summary")
    assert given["evaluate/log_f0_rmse"] == 0.125 and "evaluate/undefined" not in given


def test_a_broken_wandb_warns_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb

    def broken(**settings: Any) -> None:
        raise OSError("the service did not start")

    monkeypatch.setattr(wandb, "init", broken)
    monkeypatch.setattr(tracker, "_warned", [])
    for _ in range(2):
        with track(offline(tmp_path), "evaluate", "camp") as run:
            run.log({"a/b": 1.0}, 1)
            run.summary({"a": 1.0})
    error = capsys.readouterr().err
    assert error.count("continuing without W&B logging: the service did not start") == 1


def test_a_wandb_that_breaks_on_the_way_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Breaking:
        def log(self, values: dict[str, float]) -> None:
            raise ConnectionError("no network")

    monkeypatch.setattr(tracker, "_warned", [])
    run = Tracker(Breaking())
    run.log({"loss": 1.0})
    run.log({"loss": 1.0})
    run.summary({"loss": 1.0})
    run.finish()
    assert capsys.readouterr().err.count("no network") == 1


def test_stages_log_to_csv_and_only_if_asked_to_wandb(tmp_path: Path) -> None:
    silent = Experiment(run=RunConfig(folder=str(tmp_path)))
    for step in (3, 8):
        (csv,) = lightning_loggers(silent, tmp_path / "stage", "acoustic")
        csv.log_metrics({"loss": 0.25}, step)
        csv.finalize("success")
    written = sorted((tmp_path / "stage").rglob("metrics.csv"))
    assert [path.read_text().splitlines() for path in written] == [["loss,step", "0.25,3"], ["loss,step", "0.25,8"]]
    assert len(lightning_loggers(offline(tmp_path), tmp_path, "acoustic")) == 2


def test_each_stage_of_a_process_has_its_own_run_unless_one_is_open(tmp_path: Path) -> None:
    experiment = offline(tmp_path)
    for job in ("acoustic", "sampler"):
        logger = lightning_loggers(experiment, tmp_path / job, job)[-1]
        logger.log_metrics({"loss": 0.5}, 1)
        logger.finalize("success")
    with track(experiment, "system", "camp"):
        logger = lightning_loggers(experiment, tmp_path / "both", "acoustic")[-1]
        logger.log_metrics({"loss": 0.75}, 1)
        logger.finalize("success")
    runs = [record["run"] for record in records(tmp_path) if "run" in record]
    assert sorted(run["display_name"] for run in runs) == ["camp", "camp acoustic", "camp sampler"]


def test_pictures_and_sounds_are_in_an_offline_run(tmp_path: Path) -> None:
    import soundfile
    from matplotlib.image import imsave

    imsave(tmp_path / "mel.png", [[0.0, 1.0], [1.0, 0.0]])
    soundfile.write(tmp_path / "said.wav", [0.0, 0.5, -0.5, 0.0], 16000)
    logger = lightning_loggers(offline(tmp_path), tmp_path / "stage", "acoustic")[-1]
    assert isinstance(logger, MediaLogger)
    logger.log_media({"1": tmp_path / "mel.png"}, {"1": tmp_path / "said.wav"}, 12)
    logger.finalize("success")
    values = logged(records(tmp_path))
    assert values["acoustic/step"] == 12
    assert values["acoustic/picture 1/_type"] == "image-file"
    assert values["acoustic/sound 1/_type"] == "audio-file"
    kept = [path for path in tmp_path.glob("wandb/offline-run-*/files/media/**/*") if path.is_file()]
    assert sorted(path.suffix for path in kept) == [".png", ".wav"]


def test_flatten_keeps_what_wandb_can_compare() -> None:
    nested = {"metrics": {"f0": 1.5, "none": None, "list": [1], "inf": float("inf")}, "system": "camp", "ok": True}
    assert flatten(nested) == {"metrics/f0": 1.5, "system": "camp", "ok": True}


def evaluated(experiment: Experiment) -> dict[str, float]:
    """Leave a finished system's stages in the folder of runs, and return what was measured."""
    *before, evaluation = plan(experiment)
    results = [replace(one, audio=f"audio/{one.sentence}.wav") for one in speak(0.8, 0.1, 0.02, sentences=4)]
    metrics = overall(results)
    for stage in (*before, evaluation):
        write_json(folder(stage) / RESULT, {"kind": stage.kind, "identity": stage.identity, "metrics": metrics})
    write_results(folder(evaluation), results)
    for one in results:
        write_wave(folder(evaluation) / one.audio, np.zeros(80, np.float32), 16000)
    if "acoustic" in evaluation.inputs:
        from matplotlib.image import imsave

        for epoch in ("epoch-002", "epoch-010"):
            picture = evaluation.input("acoustic") / "samples" / epoch / "1.png"
            picture.parent.mkdir(parents=True)
            imsave(picture, [[0.0, 1.0], [1.0, 0.0]])
    return metrics


def tables(root: Path) -> dict[str, dict[str, Any]]:
    """Tables of offline runs by their names."""
    found = {}
    for path in sorted(root.glob("wandb/offline-run-*/files/media/table/**/*.json")):
        found[f"{path.parent.name}/{path.name.partition('_')[0]}"] = json.loads(path.read_text())
    return found


def test_an_agents_run_carries_its_sweep_and_what_was_measured_earlier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run, offline because ``WANDB_MODE`` says so, of a system whose every stage is there already."""
    values = {"experiment": "experiments/camp.yaml", "acoustic.width": 48, "size": "smoke"}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({name: {"value": value} for name, value in values.items()}))
    arguments = [f"{name}={value}" for name, value in values.items()]
    arguments += [f"run.folder={tmp_path}", "run.progress=false"]
    metrics = evaluated(load("camp", arguments[1:]))
    records(tmp_path)  # W&B reads the environment anew
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc12345")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(tmp_path / "values.yaml"))
    assert main(arguments) == 0
    found = records(tmp_path)
    (run,) = [record["run"] for record in found if "run" in record]
    assert run["sweep_id"] == "abc12345"
    config = config_of(run)
    assert config["acoustic.width"] == 48 == config["acoustic"]["width"]
    assert config["experiment"] == values["experiment"]
    given = {name.removeprefix("evaluate/"): value for name, value in logged(found, "summary").items()}
    assert {name: given[name] for name in metrics} == metrics
    assert "camp: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variable", "mode"),
    [(None, "online"), ("online", "online"), ("offline", "offline"), ("dryrun", "offline"), ("disabled", "disabled")],
)
def test_under_an_agent_the_environment_turns_wandb_off(
    variable: str | None, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    if variable is not None:
        monkeypatch.setenv("WANDB_MODE", variable)
    assert agent_mode() == mode


def test_an_evaluation_has_the_same_names_in_every_run(tmp_path: Path) -> None:
    """Tables with all columns, the first sentences' sound, the last pictures of stage one: of systems of two kinds."""
    names = []
    for system in ("camp", "baseline"):
        root = tmp_path / system
        experiment = load(system, ["size=smoke", f"run.folder={root}", "run.wandb=offline"])
        metrics = evaluated(experiment)
        run_tracked(plan(experiment)[-1], lambda *_: None)
        values = logged(records(root))
        names.append({name for name in values if name.startswith("evaluate/")})
        sounds = sorted(name for name in values if values[name] == "audio-file")
        assert sounds == [f"evaluate/sound s{number:03d}_r0/_type" for number in range(3)]
        assert values["evaluate/picture 1/_type"] == "image-file"
        found = tables(root)
        assert {row[0]: row[2] for row in found["evaluate/metrics"]["data"]} == metrics
        of_mcd = next(row for row in found["evaluate/metrics"]["data"] if row[0] == "mcd")
        assert of_mcd[1:] == [METRICS["mcd"].label, metrics["mcd"], "dB", "lower"]
        sentences = found["evaluate/sentences"]
        assert sentences["columns"] == ["sentence", "text", *METRICS]
        column = sentences["columns"].index("mcd")
        scores = by_sentence([replace(one) for one in speak(0.8, 0.1, 0.02, sentences=4)])["mcd"]
        assert {row[0]: row[column] for row in sentences["data"]} == scores
    assert names[0] == names[1]


def test_wandb_sync_finds_every_run_of_a_sweep_in_its_group(tmp_path: Path) -> None:
    """What ``wandb sync FOLDER/wandb`` would upload, from any folder: each run with the settings of its point."""
    named = experiments_of(load_sweep("paper_tables"), ["size=smoke", f"run.folder={tmp_path}"])
    some = dict(itertools.islice(named.items(), 3))
    for name, (_, experiment) in some.items():
        with track(experiment, "evaluate", name) as run:
            run.summary({"x": 1.0})
    runs = {record["run"]["display_name"]: record["run"] for record in records(tmp_path) if "run" in record}
    assert runs.keys() == some.keys()
    for name, (_, experiment) in some.items():
        run = runs[name]
        assert run["run_group"] == "paper_tables"
        assert sorted(run["tags"]) == sorted([experiment.system, "testbed", "smoke"])
        assert config_of(run)["system"] == experiment.system
    command = [sys.executable, "-m", "wandb", "sync", "--dry-run", str(tmp_path / "wandb")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path.parent, check=True)
    said = done.stdout + done.stderr
    assert "Would sync 3 run(s)" in said
    assert all(f"run-{run['run_id']}.wandb" in said for run in runs.values())
