"""How the points of a sweep stand while it runs, and how long it will go on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from prosody_tts.board import Outcome
from prosody_tts.config import Experiment
from prosody_tts.display import Row
from prosody_tts.pipeline import Stage, is_done, plan
from prosody_tts.sweeps.estimate import History, makespan

#: How points are ordered: what goes on, what went wrong, what is to come, what is over.
ORDER = ("running", "failed", "waiting", "done")


class Standing:
    """The points of a sweep, as their stages start and end.

    Args:
        experiments: name of a point -> its settings.
        workers: how many stages run beside each other.
    """

    def __init__(self, experiments: Mapping[str, Experiment], workers: int) -> None:
        plans = {name: plan(experiment) for name, experiment in experiments.items()}
        self._needs = {name: [stage.key for stage in stages] for name, stages in plans.items()}
        self._stages = {stage.key: stage for stages in plans.values() for stage in stages}
        self._over = {key for key, stage in self._stages.items() if is_done(stage)}
        self._failed: dict[str, Outcome] = {}
        self._running: dict[str, float] = {}
        self._workers = workers
        self._history = History(Path(next(iter(experiments.values())).run.folder))

    def start(self, stage: Stage) -> None:
        """A stage starts."""
        self._running[stage.key] = time.monotonic()

    def end(self, outcome: Outcome) -> None:
        """A stage is over, well or not."""
        key = outcome.stage.key
        self._running.pop(key, None)
        if outcome.status in {"failed", "skipped"}:
            self._failed[key] = outcome
        else:
            self._over.add(key)
            if outcome.status == "done":
                self._history.learn(outcome.stage, outcome.seconds)

    def rows(self) -> list[Row]:
        """A row a point: name, stages that are over of how many, and what it is about."""
        rows = []
        for name, keys in self._needs.items():
            over = sum(key in self._over for key in keys)
            failed = next((self._failed[key] for key in keys if key in self._failed), None)
            running = [self._stages[key].label for key in keys if key in self._running]
            if failed is not None:
                state, about = "failed", failed.error
            elif running:
                state, about = "running", ", ".join(running)
            else:
                state, about = ("done" if over == len(keys) else "waiting"), ""
            rows.append(Row(name, f"{over} of {len(keys)}", state, about))
        return sorted(rows, key=lambda row: ORDER.index(row.state))

    def left(self) -> tuple[float | None, bool]:
        """Seconds to go, none where nothing is known, and whether something is known of every stage to come."""
        now = time.monotonic()
        seconds: dict[str, float] = {}
        whole = True
        for key, stage in self._stages.items():
            if key in self._over or key in self._failed:
                continue
            expected = self._history.expected(stage)
            if expected is None:
                whole = False
                continue
            seconds[key] = max(0.0, expected - (now - self._running[key])) if key in self._running else expected
        if not seconds and not whole:
            return None, False
        return makespan(list(self._stages.values()), seconds, self._workers), whole
