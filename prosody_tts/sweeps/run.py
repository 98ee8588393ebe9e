"""Runs a sweep's points as stages that are shared, resumed and rerun; says beforehand what that would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prosody_tts.attempts import Runner
from prosody_tts.board import Outcome
from prosody_tts.config import Experiment, RunConfig
from prosody_tts.display import clock, make_display
from prosody_tts.pipeline import Stage, is_done, plan, plan_all
from prosody_tts.schedule import run_all
from prosody_tts.sweeps.estimate import History, makespan, missing_seconds
from prosody_tts.sweeps.named import proposed
from prosody_tts.sweeps.search import Search
from prosody_tts.sweeps.standing import Standing

if TYPE_CHECKING:
    from rich.table import Table


def run_sweep(
    experiments: Mapping[str, Experiment],
    workers: int | None = None,
    *,
    runner: Runner | None = None,
) -> list[Outcome]:
    """Run the stages of a sweep's points, each stage once; what is finished is left alone, what failed is run again.

    Args:
        experiments: name of a point -> its settings, as ``experiments_of`` gives them.
        workers: processes; by default ``run.workers``.
        runner: what does a stage, see ``schedule.run_all``.
    """
    run = next(iter(experiments.values())).run
    count = run.workers if workers is None else workers
    stages = plan_all(list(experiments.values()))
    standing = Standing(experiments, count) if run.progress else None
    display = make_display(run.progress, points=standing)
    return run_all(stages, count, run.threads, runner=runner, display=display)


def run_search(search: Search, workers: int | None = None, *, runner: Runner | None = None) -> list[Outcome]:
    """Run a search to its end: propose points, run them, and propose by what they came to.

    A point that fails counts as one that came to nothing, and is not tried again until the search is asked for again.
    """
    outcomes: dict[str, Outcome] = {}
    tried: set[str] = set()
    known = 0
    while search.extend(known):
        named = proposed(search)
        known = len(search.trials())
        last = {name: plan(experiment)[-1].key for name, (_, experiment) in named.items()}
        new = {name: experiment for name, (_, experiment) in named.items() if last[name] not in tried}
        tried |= set(last.values())
        if new:
            for outcome in run_sweep(new, workers, runner=runner):
                outcomes.setdefault(outcome.stage.key, outcome)
    return list(outcomes.values())


def overview(experiments: Mapping[str, Experiment], workers: int | None = None) -> tuple[Table | str, ...]:
    """Say what a sweep would do: its points with how far they are, its stages with who shares them, its time."""
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
    return of_points, of_stages, _time(plans, next(iter(experiments.values())).run, workers)


def estimate(experiments: Mapping[str, Experiment], workers: int | None = None) -> str:
    """How long the stages that are missing will take, in words."""
    plans = {name: plan(experiment) for name, experiment in experiments.items()}
    return _time(plans, next(iter(experiments.values())).run, workers)


def _time(plans: Mapping[str, Sequence[Stage]], run: RunConfig, workers: int | None) -> str:
    """The same of points whose stages are known."""
    count = run.workers if workers is None else workers
    needed = [stage for stages in plans.values() for stage in stages]
    stages = list({stage.key: stage for stage in needed}.values())
    known, unknown = missing_seconds(stages, History(Path(run.folder)))
    if not known and not unknown:
        return "nothing to run"
    if not known:
        return f"no stage of their kind and size is finished in {run.folder}: the time cannot be told"
    by = "1 process" if count <= 1 else f"{count} processes"
    alone = sum(known.get(stage.key, 0.0) for stage in needed)
    told = f"about {clock(makespan(stages, known, count))} by {by}, {clock(sum(known.values()))} of work"
    told += f" instead of {clock(alone)} were nothing shared" if alone > sum(known.values()) else ""
    return told + (f"; and {unknown} stages of which nothing is known" if unknown else "")
