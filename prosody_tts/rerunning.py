"""Does a finished stage again, by what its folder says of itself, and holds the two results against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_modules.corpora.contract import Progress
from prosody_tts.config import Experiment, from_plain
from prosody_tts.errors import UserError
from prosody_tts.files import flat, read_json
from prosody_tts.pipeline import RESULT, SETTINGS, Stage, folder, is_done, plan, run_stage


@dataclass(frozen=True)
class Again:
    """A stage that was done again.

    Attributes:
        key: kind and identity that it was made under.
        identity: that it has now: another one where the code has changed since.
        commit: of the code that made it first.
        metrics: name -> the figure then, and now; none where one of both has it not.
        folder: of what was made now.
    """

    key: str
    identity: str
    commit: str
    metrics: dict[str, tuple[float | None, float | None]]
    folder: Path

    @property
    def agrees(self) -> bool:
        """Whether every figure is the same to the last digit."""
        return all(_same(then, now) for then, now in self.metrics.values())


def _same(then: float | None, now: float | None) -> bool:
    if then is None or now is None:
        return then is now
    return then == now or (math.isnan(then) and math.isnan(now))


def rerun(made: Path, out: Path, progress: Progress) -> Again:
    """Do a finished stage again in another folder of runs, from the same inputs.

    Args:
        made: the stage's folder, ``RUNS/KIND/IDENTITY``.
        out: folder of runs to do it in; what it reads is linked from the old one, and made where it is not there.
        progress: told how far it is.

    Raises:
        UserError: there is no finished stage, or none that can be done by itself.
    """
    made = made.resolve()
    try:
        result, settings = read_json(made / RESULT), read_json(made / SETTINGS)
        key, metrics = f"{result['kind']}/{result['identity']}", result["metrics"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{made} holds no finished stage; give RUNS/KIND/IDENTITY, as `prosody-tts runs` lists them"
        ) from None
    experiment = from_plain(settings)
    old = replace(experiment, run=replace(experiment.run, folder=str(made.parents[1])))
    new = replace(experiment, run=replace(experiment.run, folder=str(out), wandb="disabled"))
    wanted = _stage(new, result["kind"], result["identity"], made)
    if out.resolve() == made.parents[1]:
        raise UserError(f"{made} would be found there and not be done again; give another --out than {out}")
    for stage, before in zip(plan(new), plan(old), strict=True):
        if stage.key == wanted.key:
            break
        _link(stage, before)
        if not is_done(stage):
            run_stage(stage, progress)
    now = run_stage(wanted, progress)["metrics"]
    figures = _figures(metrics), _figures(now)
    names = list(dict.fromkeys([*figures[0], *figures[1]]))
    pairs = {name: (figures[0].get(name), figures[1].get(name)) for name in names}
    return Again(key, wanted.identity, str(result.get("commit", "unknown")), pairs, folder(wanted))


def _stage(experiment: Experiment, kind: str, identity: str, made: Path) -> Stage:
    """The stage of a plan that a folder is, or is an older version of."""
    found = [stage for stage in plan(experiment) if stage.kind == kind]
    exact = [stage for stage in found if stage.identity == identity]
    if exact:
        return exact[0]
    if len(found) != 1:
        raise UserError(
            f"{made} is no stage that its settings lead to by themselves; give the evaluation or a stage of a system"
        )
    return found[0]


def _link(stage: Stage, before: Stage) -> None:
    """Let a new folder of runs have what an old one has."""
    target, there = folder(stage), folder(before)
    if not target.exists() and is_done(before):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(there.resolve(), target_is_directory=True)


def _figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in flat(metrics).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
