"""A Bayesian search without a server goes where points are good, and an interruption changes none of its points."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_modules.corpora.contract import Progress
from prosody_tts import cli
from prosody_tts.errors import UserError
from prosody_tts.files import read_json, write_json
from prosody_tts.pipeline import RESULT, Stage, folder
from prosody_tts.sweeps import Search, load_sweep, run_search, value_of

BEST = 0.001
Runner = Callable[[Stage, Progress], dict[str, Any]]


def sweep_file(place: Path, cap: int = 20, **metric: str) -> Path:
    data = {
        "name": "found",
        "method": "bayes",
        "run_cap": cap,
        "metric": {"name": "evaluate/log_f0_rmse", **metric},
        "parameters": {
            "experiment": {"value": "experiments/camp.yaml"},
            "sampler.optim.learning_rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
            "sampler.width": {"values": [8, 16, 32]},
        },
    }
    path = place / "found.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def search(place: Path, **more: Any) -> Search:
    place.mkdir(exist_ok=True)
    settings = ["size=smoke", f"run.folder={place}", "run.progress=false", "run.wandb=disabled"]
    return Search(load_sweep(sweep_file(place, **more)), settings)


def measured(stage: Stage) -> float:
    """Far from the best rate and for a narrow sampler it is worse."""
    own = stage.experiment.sampler
    return abs(math.log10(own.optim.learning_rate / BEST)) + (0.2 if own.width < 32 else 0.0)


def runner(stage: Stage, progress: Progress) -> dict[str, Any]:
    value = measured(stage) if stage.kind == "evaluate" else 0.0
    result = {"kind": stage.kind, "label": stage.label, "seconds": 1.0, "metrics": {"log_f0_rmse": value}}
    folder(stage).mkdir(parents=True, exist_ok=True)
    write_json(folder(stage) / RESULT, result)
    return result


def values(found: Search) -> list[float | None]:
    return [value_of(found.experiment(trial.point), found.metric) for trial in found.trials()]


def test_a_search_learns_where_points_are_good(tmp_path: Path) -> None:
    found = search(tmp_path)
    run_search(found, 0, runner=runner)
    assert len(found.trials()) == 20
    told = [value for value in values(found) if value is not None]
    assert len(told) == 20
    assert sum(told[12:]) / 8 < sum(told[:8]) / 8 and min(told) < 0.3
    assert all(1e-5 <= trial.values["sampler.optim.learning_rate"] <= 1e-1 for trial in found.trials())


def test_what_is_to_be_maximized_is(tmp_path: Path) -> None:
    found = search(tmp_path, cap=12, goal="maximize")
    run_search(found, 0, runner=runner)
    told = [value for value in values(found) if value is not None]
    assert sum(told[8:]) / 4 > sum(told[:8]) / 8


def test_stopped_at_any_point_a_search_goes_on_to_the_same_points(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole", cap=10)
    run_search(whole, 0, runner=runner)
    broken = search(tmp_path / "broken", cap=10)
    left = [1, 3, 7, 40]

    def stops(stage: Stage, progress: Progress) -> dict[str, Any]:
        if left and stage.kind == "evaluate":
            left[0] -= 1
            if left[0] == 0:
                left.pop(0)
                raise KeyboardInterrupt
        return runner(stage, progress)

    while left:
        try:
            run_search(broken, 0, runner=stops)
            break
        except KeyboardInterrupt:
            continue
    run_search(broken, 0, runner=runner)
    assert broken.trials() == whole.trials() and len(whole.trials()) == 10
    assert values(broken) == values(whole)


def test_a_point_that_fails_is_told_as_such_and_tried_again_when_asked_again(tmp_path: Path) -> None:
    found = search(tmp_path, cap=8)
    broken: list[str] = []

    def fails(stage: Stage, progress: Progress) -> dict[str, Any]:
        if stage.kind == "sampler" and stage.experiment.sampler.width == 8:
            broken.append(stage.key)
            raise ZeroDivisionError("the loss divided by zero")
        return runner(stage, progress)

    outcomes = run_search(found, 0, runner=fails)
    proposed = found.trials()
    narrow = [trial.values["sampler.width"] == 8 for trial in proposed]
    assert len(proposed) == 8 and 0 < sum(narrow) < 8
    assert [value is None for value in values(found)] == narrow
    assert len(broken) == len(set(broken)), "a failed point was tried twice"
    assert {outcome.status for outcome in outcomes} >= {"done", "failed", "skipped"}
    run_search(found, 0, runner=runner)
    assert found.trials() == proposed and None not in values(found)


def test_two_that_search_on_one_folder_propose_once(tmp_path: Path) -> None:
    one, other = search(tmp_path, cap=8), search(tmp_path, cap=8)
    assert one.extend(0) and other.extend(0)
    assert one.trials() == other.trials() and len(one.trials()) == 4


def test_another_seed_or_setting_is_another_search(tmp_path: Path) -> None:
    file = load_sweep(sweep_file(tmp_path))
    settings = ["size=smoke", f"run.folder={tmp_path}"]
    one = Search(file, settings)
    assert Search(file, [*settings, "run.workers=7", "run.progress=false"]).path == one.path
    others = [Search(file, settings, seed=1), Search(file, [*settings, "acoustic.width=24"])]
    assert len({one.path, *(other.path for other in others)}) == 3


def test_what_a_search_cannot_look_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = search(tmp_path, cap=8, name="evaluate/log_f0_rms")
    with pytest.raises(UserError, match=r"nothing is measured that is called 'evaluate/log_f0_rms'; did you mean"):
        run_search(found, 0, runner=runner)
    path = sweep_file(tmp_path)
    data = yaml.safe_load(path.read_text())
    for parameter, sentence in (
        ({"distribution": "normal", "mu": 0, "sigma": 1}, "has distribution normal; a search takes"),
        ({"min": 3.0}, "cannot be searched: it needs min and max"),
        ({"min": 3.0, "max": 1.0}, "cannot be searched"),
        ({"values": [1, 2], "probabilities": [0.5, 0.5]}, "has probabilities"),
    ):
        path.write_text(yaml.safe_dump({**data, "parameters": {**data["parameters"], "sampler.dropout": parameter}}))
        with pytest.raises(UserError, match=sentence):
            Search(load_sweep(path), ["size=smoke", f"run.folder={tmp_path}"])
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'prosody_tts\[search\]'"):
        search(tmp_path)


def test_a_damaged_file_of_proposals_is_told(tmp_path: Path) -> None:
    found = search(tmp_path, cap=4)
    found.extend(0)
    found.path.write_text(found.path.read_text()[:30])
    with pytest.raises(UserError, match="cannot be read; delete it"):
        found.trials()


def test_a_dry_run_says_what_has_been_proposed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = search(tmp_path, cap=6)
    command = ["sweep", str(found.sweep.path), *found.overrides]
    assert cli.run([*command, "--dry-run"]) == 0
    assert "6 more of 6 points are proposed" in capsys.readouterr().out
    run_search(found, 0, runner=runner)
    assert read_json(found.path)["seed"] == 0
    assert cli.run([*command, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "6 points" in said and "0 more of 6" in said
