"""Reads sweep files, which are W&B's; what they ask for that cannot be done without its server is refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prosody_tts.config import ROOT
from prosody_tts.config.yaml_files import not_yaml, read_yaml_text
from prosody_tts.errors import UserError, nearest

SWEEPS = ROOT / "sweeps"

#: Keys of a sweep file, as W&B documents them.
KEYS = {
    *("program", "method", "parameters", "metric", "name", "description", "project", "entity", "command"),
    *("early_terminate", "run_cap", "controller", "program_args"),
}
#: Keys of one parameter.
PARAMETER_KEYS = {"value", "values", "distribution", "probabilities", "min", "max", "mu", "sigma", "q", "parameters"}
METHODS = ("grid", "random", "bayes")
GOALS = ("minimize", "maximize")


@dataclass(frozen=True)
class Metric:
    """What a search looks for: a metric as W&B names it (``evaluate/log_f0_rmse``), and whether less is better."""

    name: str
    goal: str


@dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
        path: the file.
        name: its ``name``, or that of the file.
        description: what it is for: the table it fills.
        method: ``grid``; ``random``; or ``bayes``, a search that learns from the points before.
        parameters: dotted name -> what the file says of it.
        run_cap: at most this many points.
        command: what an agent runs.
        metric: by which points are better or worse.
    """

    path: Path
    name: str
    description: str
    method: Literal["grid", "random", "bayes"]
    parameters: dict[str, dict[str, Any]]
    run_cap: int | None
    command: tuple[str, ...]
    metric: Metric | None = None


def to_slug(name: str) -> str:
    """Make a folder's name of a sweep's."""
    return "".join(letter if letter.isalnum() or letter == "_" else "-" for letter in name.lower()).strip("-")


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
    if method not in METHODS:
        raise UserError(f"unknown method '{method}' in {path}; {nearest(str(method), METHODS)}")
    if "early_terminate" in data:
        raise UserError(
            f"{path} has early_terminate, which stops runs by what they log while they train; here a point is told by "
            "its evaluation, when all is trained: remove it, or use wandb sweep"
        )
    parameters = dict(_flat_parameters(data["parameters"], path))
    if "experiment" not in parameters:
        raise UserError(f"{path} has no parameter 'experiment'; name the experiment files there")
    command = data.get("command", [])
    if not isinstance(command, list):
        raise UserError(f"command in {path} must be a list of words")
    metric = _metric(data.get("metric"), path)
    if method == "bayes" and metric is None:
        raise UserError(f"{path} has method: bayes and needs metric: with the name of what to minimize or maximize")
    return Sweep(
        path=path,
        name=str(data.get("name", path.stem)),
        description=str(data.get("description", "")),
        method=method,
        parameters=parameters,
        run_cap=_cap(data, path),
        command=tuple(str(word) for word in command),
        metric=metric,
    )


def _cap(data: Mapping[str, Any], path: Path) -> int | None:
    cap = data.get("run_cap")
    if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
        raise UserError(f"run_cap in {path} must be a whole number above 0, not {cap!r}")
    if data["method"] != "grid" and cap is None:
        raise UserError(f"{path} has method: {data['method']} and needs run_cap: N, the number of points to draw")
    return cap


def _metric(data: Any, path: Path) -> Metric | None:
    if data is None:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise UserError(f"metric in {path} must have a name, such as name: evaluate/log_f0_rmse")
    _known(data, {"name", "goal", "target"}, f"key of metric in {path}")
    goal = data.get("goal", "minimize")
    if goal not in GOALS:
        raise UserError(f"unknown goal '{goal}' of metric in {path}; {nearest(str(goal), GOALS)}")
    return Metric(data["name"], goal)


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
        data = yaml.safe_load(read_yaml_text(path))
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # dates and numbers that are none
        raise not_yaml(path, error) from None
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
