"""The points of a sweep whose file names them all: a grid in the file's order, or random draws."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prosody_tts.config import Experiment, load
from prosody_tts.errors import UserError, nearest
from prosody_tts.sweeps.file import Sweep, to_slug

#: Points of the largest sweep: years of the smallest trainings.
MOST_POINTS = 100_000


@dataclass(frozen=True)
class Point:
    """One run of a sweep: an experiment file and the settings on top of it, as an agent would pass them."""

    experiment: str
    overrides: tuple[str, ...]

    @property
    def label(self) -> str:
        """The file's name and the settings that vary."""
        return ", ".join([Path(self.experiment).stem, *self.overrides])


def points(sweep: Sweep, seed: int = 0) -> list[Point]:
    """List the points of a grid, all of it in the file's order, or ``run_cap`` random draws, equal for equal seeds.

    Raises:
        UserError: a parameter cannot be drawn, or cannot stand in a grid.
    """
    if sweep.method == "grid":
        axes = [[(name, value) for value in _grid(name, item, sweep.path)] for name, item in sweep.parameters.items()]
        count = math.prod(map(len, axes))
        _check_count(count if sweep.run_cap is None else min(count, sweep.run_cap), sweep.path)
        chosen = [dict(combination) for combination in itertools.islice(itertools.product(*axes), sweep.run_cap)]
    else:
        generator = random.Random(seed)
        assert sweep.run_cap is not None
        _check_count(sweep.run_cap, sweep.path)
        chosen = [
            {name: _draw(name, item, sweep.path, generator) for name, item in sweep.parameters.items()}
            for _ in range(sweep.run_cap)
        ]
    return [point_of(values) for values in chosen]


def _check_count(count: int, path: Path) -> None:
    if count > MOST_POINTS:
        shown = str(count) if count < 10**15 else "more than 10^15"
        raise UserError(f"{path} has {shown} points; a sweep has at most {MOST_POINTS}: give fewer values or a run_cap")


def point_of(values: Mapping[str, Any]) -> Point:
    """The point with these values, written as W&B's agent does: by Python's str, which the settings' parser reads."""
    return Point(
        str(values["experiment"]),
        tuple(f"{name}={value}" for name, value in values.items() if name != "experiment"),
    )


def resolve(sweep: Sweep, point: Point, overrides: Sequence[str] = ()) -> Experiment:
    """The settings of a point under those of a command line; W&B logs offline unless ``run.wandb`` says otherwise."""
    settings = ["run.wandb=offline", f"run.group={to_slug(sweep.name)}", *point.overrides, *overrides]
    return load(point.experiment, settings)


def _grid(name: str, parameter: dict[str, Any], path: Path) -> list[Any]:
    if "value" in parameter:
        return [parameter["value"]]
    if "values" in parameter:
        return values_of(name, parameter, path)
    low, high = parameter.get("min"), parameter.get("max")
    if isinstance(low, int) and isinstance(high, int) and parameter.get("distribution", "int_uniform") == "int_uniform":
        _check_count(high - low + 1, path)
        return list(range(low, high + 1))
    raise UserError(f"parameter '{name}' in {path} needs values: […] in a grid; its distribution fits method: random")


def values_of(name: str, parameter: Mapping[str, Any], path: Path) -> list[Any]:
    """The choices of a parameter.

    Raises:
        UserError: there are none.
    """
    values = parameter["values"]
    if not isinstance(values, list) or not values:
        raise UserError(f"values of '{name}' in {path} must be a list of at least one value")
    return values


def kind_of(parameter: Mapping[str, Any]) -> str:
    """The distribution of a parameter; of bounds alone, whole numbers where both are."""
    whole = isinstance(parameter.get("min"), int) and isinstance(parameter.get("max"), int)
    return str(parameter.get("distribution", "int_uniform" if whole else "uniform"))


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
        try:
            return generator.choices(values_of(name, parameter, path), parameter.get("probabilities"))[0]
        except (TypeError, ValueError) as error:
            raise UserError(f"probabilities of '{name}' in {path} cannot be drawn from: {error}") from None
    kind = kind_of(parameter)
    base = kind.removeprefix("q_")
    if base not in DISTRIBUTIONS:
        known = ["constant", "categorical", *DISTRIBUTIONS, *(f"q_{item}" for item in DISTRIBUTIONS)]
        raise UserError(f"unknown distribution '{kind}' of '{name}' in {path}; {nearest(str(kind), known)}")
    try:
        value = DISTRIBUTIONS[base](generator, parameter)
        if kind != base:
            step = parameter.get("q", 1)
            value = round(value / step) * step
        if not math.isfinite(value):
            raise ValueError(f"it gives {value}")
        return value
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        problem = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"distribution {kind} of '{name}' in {path} cannot be drawn from: {problem}") from None
