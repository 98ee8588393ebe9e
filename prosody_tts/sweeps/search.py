"""A Bayesian search without a server (``method: bayes``), by Optuna's tree-structured Parzen estimator, not W&B's own.

What it proposes depends on the seed and on the points before alone. They are kept in the folder of runs, and a point's
value is read from its evaluation: killed at any moment, a search goes on to the same points.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from prosody_tts.config import Experiment, RunConfig, load, to_plain
from prosody_tts.errors import UserError, nearest
from prosody_tts.files import digest, flat, read_json, write_json
from prosody_tts.pipeline import is_done, plan, read_result
from prosody_tts.sweeps.file import Metric, Sweep
from prosody_tts.sweeps.points import Point, kind_of, point_of, resolve, values_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

#: Points that are proposed at once, before anything is known of each other: the most that can run beside each other.
ROUND = 4
#: Points that are drawn at random before the estimator is asked.
RANDOM_FIRST = 8
#: Significant digits of a number that is proposed.
DIGITS = 4


@dataclass(frozen=True)
class Trial:
    """A point that was proposed.

    Attributes:
        values: dotted name -> value.
    """

    values: dict[str, Any]

    @property
    def point(self) -> Point:
        """As a point of a sweep."""
        return point_of(self.values)


class Search:
    """A search and what it has proposed so far.

    Args:
        sweep: its file, with ``method: bayes``.
        overrides: settings of the command line, of every point.
        seed: of the search; equal ones propose equal points.
    """

    def __init__(self, sweep: Sweep, overrides: Sequence[str] = (), seed: int = 0) -> None:
        assert sweep.metric is not None and sweep.run_cap is not None
        self.sweep, self.overrides, self.seed = sweep, tuple(overrides), seed
        self.metric, self.cap = sweep.metric, sweep.run_cap
        self.space = {name: _space(name, item, sweep.path) for name, item in sweep.parameters.items()}
        first = load(str(_first(sweep.parameters["experiment"])), self.overrides)
        told = {
            "parameters": sweep.parameters,
            "metric": [self.metric.name, self.metric.goal],
            "seed": seed,
            "settings": to_plain(replace(first, run=RunConfig())),
        }
        self._experiments: dict[Point, Experiment] = {}
        name = f"{sweep.path.stem}-{digest(json.loads(json.dumps(told)))}.json"
        self.path = Path(first.run.folder) / "searches" / name

    def trials(self) -> list[Trial]:
        """What has been proposed so far, in its order.

        Raises:
            UserError: the file that keeps it is damaged.
        """
        if not self.path.exists():
            return []
        try:
            return [Trial(dict(values)) for values in read_json(self.path)["proposed"]]
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(
                f"{self.path} cannot be read; delete it, and the search proposes its points again from the first"
            ) from None

    def extend(self, known: int) -> bool:
        """Propose the next points, unless there are more than ``known`` already or as many as the file allows.

        Another process that searches on the same folder takes part: who comes first proposes.

        Returns:
            Whether there are more points now than were known.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")):
            trials = self.trials()
            if len(trials) > known:
                return True
            new = self._propose(trials, min(ROUND, self.cap - len(trials)))
            if not new:
                return False
            everything = [trial.values for trial in [*trials, *new]]
            write_json(self.path, {"sweep": self.sweep.name, "seed": self.seed, "proposed": everything})
        return True

    def experiment(self, point: Point) -> Experiment:
        """The settings of a point."""
        if point not in self._experiments:
            self._experiments[point] = resolve(self.sweep, point, self.overrides)
        return self._experiments[point]

    def _propose(self, trials: Sequence[Trial], count: int) -> list[Trial]:
        """Draw points by what is known of those before, and by nothing else, so that asking again answers alike."""
        optuna = _optuna()
        distributions = {name: item for name, item in self.space.items() if item is not None}
        sampler = optuna.samplers.TPESampler(
            seed=self.seed * 1_000_003 + len(trials), n_startup_trials=RANDOM_FIRST, constant_liar=True
        )
        study = optuna.create_study(direction=self.metric.goal, sampler=sampler)
        for trial in trials:
            value = value_of(self.experiment(trial.point), self.metric)
            told = {name: self._told(name, trial.values[name]) for name in distributions}
            state = optuna.trial.TrialState.FAIL if value is None else optuna.trial.TrialState.COMPLETE
            study.add_trial(
                optuna.trial.create_trial(state=state, value=value, params=told, distributions=distributions)
            )
        drawn = [study.ask(distributions).params for _ in range(max(0, count))]
        return [Trial(self._values(params)) for params in drawn]

    def _told(self, name: str, value: Any) -> Any:
        """A value as Optuna knows it."""
        parameter = self.sweep.parameters[name]
        return parameter["values"].index(value) if "values" in parameter else value

    def _values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, parameter in self.sweep.parameters.items():
            if name not in params:
                values[name] = _first(parameter)
            elif "values" in parameter:
                values[name] = parameter["values"][params[name]]
            else:
                values[name] = _readable(params[name], self.space[name])
        return values


def value_of(experiment: Experiment, metric: Metric) -> float | None:
    """What a point's evaluation measured; none where it has not been evaluated, or is no number.

    Raises:
        UserError: the evaluation has no such metric.
    """
    last = plan(experiment)[-1]
    if not is_done(last):
        return None
    found = flat({"evaluate": read_result(last)["metrics"]})
    if metric.name not in found:
        numbers = [name for name, value in found.items() if isinstance(value, int | float)]
        raise UserError(f"nothing is measured that is called '{metric.name}'; {nearest(metric.name, numbers)}")
    value = float(found[metric.name])
    return value if math.isfinite(value) else None


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError(
            "method: bayes searches by Optuna, which is not installed: pip install 'prosody_tts[search]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def _space(name: str, parameter: Mapping[str, Any], path: Path) -> BaseDistribution | None:
    """Where Optuna looks for a parameter; none for one with a single value. Choices are looked for by their place.

    Raises:
        UserError: the parameter has no bounds.
    """
    optuna = _optuna()
    if "value" in parameter:
        return None
    if "probabilities" in parameter:
        raise UserError(f"'{name}' in {path} has probabilities, which a search does not draw by; leave them out")
    if "values" in parameter:
        choices = values_of(name, dict(parameter), path)
        return optuna.distributions.CategoricalDistribution(range(len(choices))) if len(choices) > 1 else None
    low, high = parameter.get("min"), parameter.get("max")
    kind = kind_of(parameter)
    kinds = ("int_uniform", "uniform", "log_uniform", "log_uniform_values", "q_uniform")
    if kind not in kinds:
        raise UserError(f"'{name}' in {path} has distribution {kind}; a search takes {', '.join(kinds)} or values")
    try:
        if low is None or high is None:
            raise ValueError("it needs min and max")
        if kind == "int_uniform":
            return optuna.distributions.IntDistribution(low, high)
        if kind == "log_uniform":
            low, high = math.exp(low), math.exp(high)
        step = float(parameter.get("q", 1)) if kind == "q_uniform" else None
        return optuna.distributions.FloatDistribution(low, high, log=kind.startswith("log"), step=step)
    except (ValueError, TypeError) as error:
        raise UserError(f"distribution {kind} of '{name}' in {path} cannot be searched: {error}") from None


def _first(parameter: Mapping[str, Any]) -> Any:
    return parameter["value"] if "value" in parameter else parameter["values"][0]


def _readable(value: float, space: Any) -> float:
    """A number of few digits, within the bounds of where it was looked for."""
    if isinstance(value, int):
        return value
    short = float(f"{value:.{DIGITS}g}")
    return short if space.low <= short <= space.high else value
