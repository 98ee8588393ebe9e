"""Sweep files are W&B's, and mean the same points with and without its server."""

from __future__ import annotations

import collections
import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from scripted import runner

from prosody_tts.command import one_file, split_arguments
from prosody_tts.config import ROOT, Experiment, load, to_plain
from prosody_tts.errors import UserError
from prosody_tts.sweeps import SWEEPS, Point, Search, Sweep, experiments_of, load_sweep, overview, points, run_sweep

FILES = sorted(path.stem for path in SWEEPS.glob("*.yaml"))
PAPER = [
    *("baseline", "kathaka_bert", "kathaka_graph", "kathaka", "kathaka_oracle"),
    *("camp_syntax", "camp_bert", "camp", "camp_oracle"),
]


def sweep_file(folder: Path, **changes: Any) -> Path:
    data = {
        "method": "grid",
        "parameters": {"experiment": {"value": "experiments/camp.yaml"}},
        **{key: value for key, value in changes.items() if value is not None},
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def points_of(sweep: Sweep, runs: Path) -> list[Point]:
    """A sweep's points; of a search the first that it proposes."""
    if sweep.method != "bayes":
        return points(sweep)
    search = Search(sweep, ["size=smoke", f"run.folder={runs}"])
    assert search.extend(0)
    return [trial.point for trial in search.trials()]


def agent_arguments(file: Path, values: dict[str, Any]) -> list[str]:
    """The command W&B's own agent makes for a run with these values."""
    from wandb.sdk.launch.sweeps import utils

    made = utils.create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    words: list[str] = []
    for word in utils.create_sweep_command(list(load_sweep(file).command)):
        is_macro = word.startswith("${") and word.endswith("}")
        expanded = {"env": ["/usr/bin/env"], **made}.get(word[2:-1]) if is_macro else [word]
        assert expanded is not None, f"W&B knows no macro {word}"
        words += expanded
    return words


def test_the_papers_table_has_the_papers_systems() -> None:
    assert [Path(point.experiment).stem for point in points(load_sweep("paper_tables"))] == PAPER


@pytest.mark.parametrize("name", FILES)
def test_every_point_of_every_sweep_loads(tmp_path: Path, name: str) -> None:
    sweep = load_sweep(name)
    found = points_of(sweep, tmp_path)
    named = experiments_of(sweep, ["size=smoke", f"run.folder={tmp_path}"])
    assert len(named) == len(found)
    for point, experiment in named.values():
        assert experiment.size == "smoke" and experiment.run.group == name
        assert (ROOT / point.experiment).is_file()


@pytest.mark.parametrize("name", FILES)
def test_every_sweep_is_a_file_wandb_accepts_and_says_what_it_fills(name: str) -> None:
    """No public schema ships with W&B's client: what its documentation requires of a grid is checked here."""
    path = SWEEPS / f"{name}.yaml"
    data = yaml.safe_load(path.read_text())
    assert data["method"] in {"grid", "random", "bayes"}
    assert (ROOT / data["program"]).is_file()
    assert set(data["metric"]) <= {"name", "goal", "target"} and data["metric"]["goal"] in {"minimize", "maximize"}
    for parameter in data["parameters"].values():
        told = ["value" in parameter, isinstance(parameter.get("values"), list), {"min", "max"} <= set(parameter)]
        assert sum(told) == 1
    assert data["name"] == name and data["description"]
    assert "table" in path.read_text().splitlines()[0]


@pytest.mark.parametrize("name", FILES)
def test_an_agents_command_means_the_same_settings(tmp_path: Path, name: str) -> None:
    sweep = load_sweep(name)
    for point in points_of(sweep, tmp_path):
        values = {"experiment": point.experiment} | dict(item.split("=", 1) for item in point.overrides)
        words = agent_arguments(sweep.path, values)
        assert words[:4] == ["/usr/bin/env", "python", "-m", "prosody_tts.train"]
        files, settings = split_arguments(words[4:])
        assert load(one_file(files), settings) == load(point.experiment, point.overrides)


def test_values_of_every_type_survive_an_agents_command(tmp_path: Path) -> None:
    values = {
        "experiment": "experiments/camp.yaml",
        "sampler.contexts": ["bert", "tags"],
        "sampler.optim.learning_rate": 3e-05,
        "sampler.passes": None,
        "run.progress": False,
        "acoustic.width": 64,
        "text": {"bert": "minilm", "bert_layer": 0},
    }
    parameters = {name: {"value": value} for name, value in values.items()}
    path = sweep_file(tmp_path, parameters=parameters, command=["${env}", "python", "${args_no_hyphens}"])
    files, settings = split_arguments(agent_arguments(path, values)[2:])
    (point,) = points(load_sweep(path))
    assert load(files[0], settings) == load(point.experiment, point.overrides)
    experiment = load(files[0], settings)
    assert experiment.sampler.contexts == ["bert", "tags"] and experiment.text.bert_layer == 0
    assert experiment.sampler.optim.learning_rate == 3e-05 and experiment.run.progress is False


def test_a_grid_is_the_whole_product(tmp_path: Path) -> None:
    parameters = {
        "experiment": {"values": ["experiments/camp.yaml", "experiments/kathaka.yaml"]},
        "seed": {"min": 0, "max": 2},
        "sampler": {"parameters": {"optim": {"parameters": {"epochs": {"values": [5, 10]}}}}},
    }
    found = points(load_sweep(sweep_file(tmp_path, parameters=parameters)))
    assert len(set(found)) == len(found) == 12
    assert found[1].overrides == ("seed=0", "sampler.optim.epochs=10")
    assert len(points(load_sweep(sweep_file(tmp_path, parameters=parameters, run_cap=7)))) == 7
    names = experiments_of(load_sweep(sweep_file(tmp_path, parameters=parameters)))
    assert len(names) == 12 and "camp, seed=2, sampler.optim.epochs=5" in names


def random_sweep(folder: Path, draws: int, **parameter: Any) -> Path:
    parameters = {"experiment": {"value": "experiments/camp.yaml"}, "x": parameter}
    return sweep_file(folder, method="random", run_cap=draws, parameters=parameters)


def drawn(folder: Path, draws: int, **parameter: Any) -> list[str]:
    found = points(load_sweep(random_sweep(folder, draws, **parameter)), seed=1)
    return [point.overrides[0].removeprefix("x=") for point in found]


def test_random_points_are_equal_for_equal_seeds_only(tmp_path: Path) -> None:
    sweep = load_sweep(random_sweep(tmp_path, 20, min=0.0, max=1.0))
    assert points(sweep, 3) == points(sweep, 3) != points(sweep, 4)


@pytest.mark.parametrize(
    ("parameter", "quantile"),
    [
        ({"min": 2.0, "max": 4.0}, lambda u: 2 + 2 * u),
        ({"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2}, lambda u: 1e-4 * 100**u),
        ({"distribution": "log_uniform", "min": 0, "max": 2}, lambda u: math.exp(2 * u)),
        ({"distribution": "normal", "mu": 5, "sigma": 2}, None),
        ({"distribution": "log_normal", "mu": 0, "sigma": 1}, None),
    ],
)
def test_distributions_have_wandbs_quantiles(tmp_path: Path, parameter: dict[str, Any], quantile: Any) -> None:
    from scipy import stats

    normal = {"normal": lambda u: stats.norm.ppf(u, 5, 2), "log_normal": lambda u: stats.lognorm.ppf(u, 1)}
    quantile = quantile or normal[parameter["distribution"]]
    values = sorted(float(value) for value in drawn(tmp_path, 2000, **parameter))
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        # Within four standard errors of an order statistic.
        error = 4 * math.sqrt(share * (1 - share) / len(values))
        assert quantile(share - error) <= values[round(share * len(values))] <= quantile(share + error)


def test_whole_and_quantised_draws(tmp_path: Path) -> None:
    assert set(drawn(tmp_path, 200, min=1, max=3)) == {"1", "2", "3"}
    quantised = {float(value) for value in drawn(tmp_path, 200, distribution="q_uniform", min=0.0, max=1.0, q=0.25)}
    assert quantised == {0.0, 0.25, 0.5, 0.75, 1.0}
    counts = collections.Counter(drawn(tmp_path, 1000, values=["a", "b"], probabilities=[0.9, 0.1]))
    assert 850 < counts["a"] < 950 and counts["a"] + counts["b"] == 1000


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": "bayes", "run_cap": 4}, "has method: bayes and needs metric: with the name"),
        ({"method": "bayes", "metric": {"name": "evaluate/x"}}, "has method: bayes and needs run_cap"),
        ({"metric": {"goal": "minimize"}}, "metric in .* must have a name"),
        ({"metric": {"name": "evaluate/x", "goal": "minimise"}}, "unknown goal 'minimise' .*; did you mean 'minimize'"),
        ({"method": "gird"}, "unknown method 'gird' in .*; did you mean 'grid'"),
        ({"early_terminate": {"type": "hyperband"}}, "has early_terminate, which stops runs by what they log"),
        ({"paramters": {}}, "'paramters' is no key of .*; did you mean 'parameters'"),
        ({"parameters": {"seed": {"value": 1}}}, "has no parameter 'experiment'"),
        ({"parameters": {"experiment": "camp"}}, "parameter 'experiment' in .* must be written as value"),
        ({"parameters": {"experiment": {"vals": ["camp"]}}}, "'vals' is no key of parameter 'experiment'"),
        ({"parameters": {"experiment": {"values": []}}}, "values of 'experiment' in .* must be a list"),
        ({"parameters": {"experiment": {"min": 0.0, "max": 1.0}}}, "needs values: .* in a grid"),
        ({"method": "random"}, "needs run_cap"),
        ({"run_cap": 0}, "run_cap in .* must be a whole number above 0"),
        ({"command": "python"}, "command in .* must be a list"),
    ],
)
def test_what_cannot_run_here_is_refused_in_a_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as raised:
        points(load_sweep(sweep_file(tmp_path, **changes)))
    assert "\n" not in str(raised.value)


def test_an_unknown_distribution_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown distribution 'unifrom' of 'x' in .*; did you mean 'uniform'\?"):
        drawn(tmp_path, 1, distribution="unifrom", min=0, max=1)
    with pytest.raises(UserError, match=r"distribution uniform of 'x' in .* cannot be drawn from: it lacks 'max'"):
        drawn(tmp_path, 1, distribution="uniform", min=0)


def test_an_unknown_sweep_is_told_with_those_there_are() -> None:
    with pytest.raises(UserError, match="'paper_table'; did you mean 'paper_tables'"):
        load_sweep("paper_table")


def test_what_a_point_sets_that_is_unknown_is_told(tmp_path: Path) -> None:
    parameters = {"experiment": {"value": "camp"}, "acoustic.widht": {"value": 3}}
    with pytest.raises(UserError, match=r"unknown setting 'acoustic\.widht'"):
        experiments_of(load_sweep(sweep_file(tmp_path, parameters=parameters)))


def smoke(root: Path) -> dict[str, Experiment]:
    overrides = ["size=smoke", f"run.folder={root}", "run.progress=false", "run.wandb=disabled"]
    return {name: experiment for name, (_, experiment) in experiments_of(load_sweep("paper_tables"), overrides).items()}


def test_a_sweep_runs_each_shared_stage_once_and_finished_points_not_again(tmp_path: Path) -> None:
    experiments = smoke(tmp_path)
    outcomes = run_sweep(experiments, 0, runner=runner)
    kinds = collections.Counter(outcome.stage.kind for outcome in outcomes)
    assert kinds["acoustic"] == 3, "the baseline's, Kathaka's and CAMP's"
    assert kinds["sampler"] == 6
    assert kinds["evaluate"] == len(PAPER) + 1, "every system and copy synthesis"
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert {outcome.status for outcome in run_sweep(experiments, 0, runner=runner)} == {"reused"}


def test_overview_says_what_is_shared_and_what_is_done(tmp_path: Path) -> None:
    experiments = smoke(tmp_path)
    run_sweep({"camp": experiments["camp"]}, 0, runner=runner)
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115
    for shown in overview(experiments):
        console.print(shown)
    text = console.export_text()
    camp = next(line for line in text.splitlines() if line.startswith("│ camp "))
    assert camp.rstrip(" │").endswith("all")
    assert "9 points" in text and "camp_syntax, camp_bert, camp, camp_oracle" in text


def test_identity_ignores_how_and_where_a_stage_runs(tmp_path: Path) -> None:
    from prosody_tts.pipeline import plan

    one = load("camp", ["size=smoke", f"run.folder={tmp_path}", "run.workers=7", "run.wandb=offline"])
    other = load("camp", ["size=smoke"])
    assert [stage.key for stage in plan(one)] == [stage.key for stage in plan(other)]
    assert to_plain(one) != to_plain(other) and dataclasses.replace(one, run=other.run) == other


def test_the_program_agents_call_says_a_mistake_in_a_sentence() -> None:
    command = [sys.executable, "-m", "prosody_tts.train", "experiment=experiments/camp.yaml", "sampler.priro=gaussian"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert (
        done.stderr.startswith("prosody-tts: error: unknown setting 'sampler.priro'") and done.stderr.count("\n") == 1
    )
