"""Runs a W&B sweep file without a server: the same points, as stages that are shared, resumed and rerun."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prosody_tts.config import ROOT, Experiment, load
from prosody_tts.errors import UserError, nearest
from prosody_tts.pipeline import Stage, is_done, plan, plan_all
from prosody_tts.schedule import Outcome, Runner, run_all

if TYPE_CHECKING:
    from rich.table import Table

SWEEPS = ROOT / "sweeps"

#: Keys of a sweep file, as W&B documents them.
KEYS = {
    *("program", "method", "parameters", "metric", "name", "description", "project", "entity", "command"),
    *("early_terminate", "run_cap", "controller", "program_args"),
}
#: Keys of one parameter.
PARAMETER_KEYS = {"value", "values", "distribution", "probabilities", "min", "max", "mu", "sigma", "q", "parameters"}


@dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
        path: the file.
        name: its ``name``, or that of the file.
        description: what it is for: the table it fills.
        method: ``grid`` or ``random``.
        parameters: dotted name -> what the file says of it.
        run_cap: at most this many points.
        command: what an agent runs.
    """

    path: Path
    name: str
    description: str
    method: str
    parameters: dict[str, dict[str, Any]]
    run_cap: int | None
    command: tuple[str, ...]


@dataclass(frozen=True)
class Point:
    """One run of a sweep: an experiment file and the settings on top of it, as an agent would pass them."""

    experiment: str
    overrides: tuple[str, ...]

    @property
    def label(self) -> str:
        """The file's name and the settings that vary."""
        return ", ".join([Path(self.experiment).stem, *self.overrides])


def load_sweep(file: Path | str) -> Sweep:
    """Read a sweep file, or the bare name of one in ``sweeps/``.

    Raises:
        UserError: it is missing or malformed, or asks for what cannot be run without a server.
    """
    path = _find(file)
    data = _read(path)
    _known(data, KEYS, f"key of {path}")
    for key in ("method", "parameters"):
        if key not in data:
            raise UserError(f"{path} has no '{key}', which every sweep needs")
    method = data["method"]
    if method == "bayes":
        raise UserError(f"{path} has method: bayes, which needs a W&B server; use grid or random, or wandb sweep")
    if method not in {"grid", "random"}:
        raise UserError(f"unknown method '{method}' in {path}; {nearest(str(method), ['grid', 'random', 'bayes'])}")
    if "early_terminate" in data:
        raise UserError(f"{path} has early_terminate, which needs a W&B server; remove it, or use wandb sweep")
    parameters = dict(_flat_parameters(data["parameters"], path))
    if "experiment" not in parameters:
        raise UserError(f"{path} has no parameter 'experiment'; name the experiment files there")
    cap = data.get("run_cap")
    if cap is not None and (not isinstance(cap, int) or cap < 1):
        raise UserError(f"run_cap in {path} must be a whole number above 0, not {cap!r}")
    if method == "random" and cap is None:
        raise UserError(f"{path} has method: random and needs run_cap: N, the number of points to draw")
    command = data.get("command", [])
    if not isinstance(command, list):
        raise UserError(f"command in {path} must be a list of words")
    return Sweep(
        path=path,
        name=str(data.get("name", path.stem)),
        description=str(data.get("description", "")),
        method=method,
        parameters=parameters,
        run_cap=cap,
        command=tuple(str(word) for word in command),
    )


def _find(file: Path | str) -> Path:
    path = Path(file)
    for candidate in (path, ROOT / path, SWEEPS / f"{path.name}.yaml"):
        if candidate.suffix in {".yaml", ".yml"} and candidate.is_file():
            return candidate
    names = [known.stem for known in sorted(SWEEPS.glob("*.yaml"))]
    raise UserError(f"there is no sweep file '{file}'; {nearest(path.stem, names)} (in {SWEEPS})")


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} must hold a sweep as 'key: value' lines")
    return data


def _known(data: Mapping[Any, Any], keys: set[str], what: str) -> None:
    for key in data:
        if key not in keys:
            raise UserError(f"'{key}' is no {what}; {nearest(str(key), keys)}")


def _flat_parameters(data: Any, path: Path, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Nested ``parameters`` become dotted names."""
    if not isinstance(data, dict):
        raise UserError(f"parameters in {path} must map settings to value, values or a distribution")
    for name, parameter in data.items():
        full = f"{prefix}{name}"
        if not isinstance(parameter, dict):
            raise UserError(f"parameter '{full}' in {path} must be written as value: … or values: […]")
        _known(parameter, PARAMETER_KEYS, f"key of parameter '{full}' in {path}")
        if "parameters" in parameter:
            yield from _flat_parameters(parameter["parameters"], path, f"{full}.")
        else:
            yield full, parameter


def points(sweep: Sweep, seed: int = 0) -> list[Point]:
    """List a sweep's points: the whole grid in the file's order, or ``run_cap`` random draws, equal for equal seeds.

    Raises:
        UserError: a parameter cannot be drawn, or cannot stand in a grid.
    """
    if sweep.method == "grid":
        axes = [[(name, value) for value in _grid(name, item, sweep.path)] for name, item in sweep.parameters.items()]
        chosen = [dict(combination) for combination in itertools.product(*axes)][: sweep.run_cap]
    else:
        generator = random.Random(seed)
        assert sweep.run_cap is not None
        chosen = [
            {name: _draw(name, item, sweep.path, generator) for name, item in sweep.parameters.items()}
            for _ in range(sweep.run_cap)
        ]
    return [
        # As W&B's agent writes them: Python's str, which the settings' parser reads.
        Point(
            str(values["experiment"]),
            tuple(f"{name}={value}" for name, value in values.items() if name != "experiment"),
        )
        for values in chosen
    ]


def _grid(name: str, parameter: dict[str, Any], path: Path) -> list[Any]:
    if "value" in parameter:
        return [parameter["value"]]
    if "values" in parameter:
        return _values(name, parameter, path)
    low, high = parameter.get("min"), parameter.get("max")
    if isinstance(low, int) and isinstance(high, int) and parameter.get("distribution", "int_uniform") == "int_uniform":
        return list(range(low, high + 1))
    raise UserError(f"parameter '{name}' in {path} needs values: […] in a grid; its distribution fits method: random")


def _values(name: str, parameter: dict[str, Any], path: Path) -> list[Any]:
    values = parameter["values"]
    if not isinstance(values, list) or not values:
        raise UserError(f"values of '{name}' in {path} must be a list of at least one value")
    return values


Draw = Callable[[random.Random, dict[str, Any]], float]

#: W&B's distributions. ``log_*`` without ``_values`` take the bounds' natural logarithms; ``q_*`` round to steps of q.
DISTRIBUTIONS: dict[str, Draw] = {
    "int_uniform": lambda draw, p: draw.randint(p["min"], p["max"]),
    "uniform": lambda draw, p: draw.uniform(p["min"], p["max"]),
    "log_uniform": lambda draw, p: math.exp(draw.uniform(p["min"], p["max"])),
    "log_uniform_values": lambda draw, p: math.exp(draw.uniform(math.log(p["min"]), math.log(p["max"]))),
    "normal": lambda draw, p: draw.gauss(p.get("mu", 0.0), p.get("sigma", 1.0)),
    "log_normal": lambda draw, p: math.exp(draw.gauss(p.get("mu", 0.0), p.get("sigma", 1.0))),
}


def _draw(name: str, parameter: dict[str, Any], path: Path, generator: random.Random) -> Any:
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return generator.choices(_values(name, parameter, path), parameter.get("probabilities"))[0]
    low, high = parameter.get("min"), parameter.get("max")
    whole = isinstance(low, int) and isinstance(high, int)
    kind = parameter.get("distribution", "int_uniform" if whole else "uniform")
    base = kind.removeprefix("q_")
    if base not in DISTRIBUTIONS:
        known = ["constant", "categorical", *DISTRIBUTIONS, *(f"q_{item}" for item in DISTRIBUTIONS)]
        raise UserError(f"unknown distribution '{kind}' of '{name}' in {path}; {nearest(str(kind), known)}")
    try:
        value = DISTRIBUTIONS[base](generator, parameter)
    except (KeyError, TypeError, ValueError) as error:
        problem = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"distribution {kind} of '{name}' in {path} cannot be drawn from: {problem}") from None
    if kind == base:
        return value
    step = parameter.get("q", 1)
    return round(value / step) * step


def experiments_of(sweep: Sweep, overrides: Sequence[str] = (), seed: int = 0) -> dict[str, tuple[Point, Experiment]]:
    """Resolve every point of a sweep, its settings under those of the command line; name -> point, experiment.

    A point is called as its experiment's file where that is enough to tell it from the others. W&B logs offline unless
    ``run.wandb`` says otherwise.
    """
    found = points(sweep, seed)
    files = [Path(point.experiment).stem for point in found]
    varying = {
        item for point in found for item in point.overrides if not all(item in other.overrides for other in found)
    }
    named: dict[str, tuple[Point, Experiment]] = {}
    for point, file in zip(found, files, strict=True):
        own = [item for item in point.overrides if item in varying]
        name = file if files.count(file) == 1 else ", ".join([file, *own])
        settings = ["run.wandb=offline", f"run.group={to_slug(sweep.name)}", *point.overrides, *overrides]
        named[name] = (point, load(point.experiment, settings))
    return named


def to_slug(name: str) -> str:
    """Make a folder's name of a sweep's."""
    return "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in name.lower()).strip("-")


def run_sweep(
    experiments: Mapping[str, Experiment], workers: int | None = None, *, runner: Runner | None = None
) -> list[Outcome]:
    """Run the stages of a sweep's points, each stage once; what is finished is left alone, what failed is run again.

    Args:
        experiments: name of a point -> its settings, as ``experiments_of`` gives them.
        workers: processes; by default ``run.workers``.
        runner: what does a stage, see ``schedule.run_all``.
    """
    run = next(iter(experiments.values())).run
    count = run.workers if workers is None else workers
    return run_all(plan_all(list(experiments.values())), count, run.threads, runner=runner, progress=run.progress)


def overview(experiments: Mapping[str, Experiment]) -> tuple[Table, Table]:
    """Say what running a sweep would do: its points with how far they are, and its stages with who shares them."""
    from rich.table import Table

    plans = {name: plan(experiment) for name, experiment in experiments.items()}
    of_points = Table("point", "settings", "stages", "done", title=f"{len(plans)} points")
    for name, stages in plans.items():
        experiment, finished = experiments[name], sum(is_done(stage) for stage in stages)
        settings = f"{experiment.system} on {experiment.corpus}, size {experiment.size}"
        of_points.add_row(name, settings, str(len(stages)), "all" if finished == len(stages) else str(finished))
    users: dict[str, list[str]] = {}
    distinct: dict[str, Stage] = {}
    for name, stages in plans.items():
        for stage in stages:
            distinct.setdefault(stage.key, stage)
            users.setdefault(stage.key, []).append(name)
    missing = sum(not is_done(stage) for stage in distinct.values())
    total = sum(len(stages) for stages in plans.values())
    title = f"{len(distinct)} stages serve the {total} that the points need; {missing} to run"
    of_stages = Table("stage", "folder", "used by", "done", title=title)
    for key, stage in distinct.items():
        names = users[key]
        used = "all points" if len(names) == len(plans) > 1 else ", ".join(names)
        of_stages.add_row(stage.label, key, used, "yes" if is_done(stage) else "no")
    return of_points, of_stages
