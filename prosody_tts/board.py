"""Which stages of a plan wait, may start next, or are over; whoever runs them, on this machine or on many, asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prosody_tts.pipeline import Stage, is_done

#: How long stages take beside each other, roughly: only the order of starting depends on it.
COSTS = {
    "aligner": 20.0,
    "acoustic": 10.0,
    "vocoder": 10.0,
    "text": 4.0,
    "corpus": 3.0,
    "sampler": 3.0,
    "duration": 3.0,
    "evaluate": 3.0,
}


@dataclass(frozen=True)
class Outcome:
    """What became of a stage.

    Attributes:
        stage: the stage.
        status: ``done`` now, ``reused`` from earlier, ``failed``, or ``skipped`` because an input failed.
        seconds: wall time of this attempt.
        error: what went wrong, in one sentence; empty if nothing did.
        mendable: whether the user can mend it (a ``UserError``), rather than the program's authors.
        log: what the stage printed, where there is such a file.
    """

    stage: Stage
    status: Literal["done", "reused", "failed", "skipped"]
    seconds: float = 0.0
    error: str = ""
    mendable: bool = False
    log: Path | None = None


def dependents_of(stages: Sequence[Stage]) -> dict[str, list[str]]:
    """Key -> keys of the stages among these that need it."""
    dependents: dict[str, list[str]] = {stage.key: [] for stage in stages}
    for stage in stages:
        for need in stage.needs:
            if need in dependents:
                dependents[need].append(stage.key)
    return dependents


def longest_chains(costs: Mapping[str, float], dependents: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Key -> cost of the longest chain of stages that starts there, its own included."""
    longest: dict[str, float] = {}

    def measure(key: str) -> float:
        if key not in longest:
            longest[key] = costs[key] + max((measure(other) for other in dependents[key]), default=0.0)
        return longest[key]

    for key in costs:
        measure(key)
    return longest


class Board:
    """The stages of a plan and what became of them; needs that are not among them count as met.

    Attributes:
        stages: key -> stage, in the order of the plan.
        outcomes: key -> what became of a stage that is over.
        pending: key -> stage that nobody has taken.
        priority: key -> cost of the longest chain that starts there.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = {stage.key: stage for stage in stages}
        self.outcomes: dict[str, Outcome] = {}
        self.pending: dict[str, Stage] = {}
        for key, stage in self.stages.items():
            if is_done(stage):
                self.outcomes[key] = Outcome(stage, "reused")
            else:
                self.pending[key] = stage
        costs = {key: COSTS.get(stage.kind, 1.0) for key, stage in self.stages.items()}
        self.priority = longest_chains(costs, dependents_of(list(self.stages.values())))

    def take(self) -> Stage | None:
        """Remove and return the stage to start next, if one may start."""
        ready = [stage for stage in self.pending.values() if all(self._is_met(need) for need in stage.needs)]
        if not ready:
            return None
        best = max(ready, key=lambda stage: self.priority[stage.key])
        return self.pending.pop(best.key)

    def _is_met(self, need: str) -> bool:
        if need not in self.stages:
            return True
        return need in self.outcomes and self.outcomes[need].status in {"done", "reused"}

    def close(self, outcome: Outcome) -> list[Outcome]:
        """Record an outcome; return it and those of the stages that cannot run because of it."""
        self.outcomes[outcome.stage.key] = outcome
        closed = [outcome]
        if outcome.status in {"failed", "skipped"}:
            for key in [key for key, stage in self.pending.items() if outcome.stage.key in stage.needs]:
                if key in self.pending:
                    error = f"needs {outcome.stage.label}, which {outcome.status}"
                    if outcome.status == "skipped":
                        error = f"needs {outcome.stage.label}, which was skipped"
                    closed += self.close(Outcome(self.pending.pop(key), "skipped", error=error))
        return closed
