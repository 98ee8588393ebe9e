"""How long stages will take, by how long their like took in the same folder of runs, and a plan of them by several."""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prosody_tts.board import dependents_of, longest_chains
from prosody_tts.files import read_json
from prosody_tts.pipeline import RESULT, SETTINGS, Stage, is_done

#: By what a stage is like another, from the most alike to the least: it takes as long as the first of its like.
Likeness = tuple[str, ...]


def _likenesses(kind: str, label: str, settings: Mapping[str, Any]) -> list[Likeness]:
    corpus, size = str(settings.get("corpus")), str(settings.get("size"))
    return [(kind, label, corpus, size), (kind, corpus, size), (kind, size)]


def _settings(stage: Stage) -> dict[str, str]:
    return {"corpus": stage.experiment.corpus, "size": stage.experiment.size}


class History:
    """How long the finished stages in a folder of runs took, in seconds."""

    def __init__(self, runs: Path) -> None:
        self._seconds: dict[Likeness, list[float]] = {}
        for result in runs.glob(f"*/*/{RESULT}"):
            try:
                told, settings = read_json(result), read_json(result.with_name(SETTINGS))
                likenesses = _likenesses(str(told["kind"]), str(told["label"]), settings)
                seconds = float(told["seconds"])
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue  # what is damaged is told by who needs it
            self._add(likenesses, seconds)

    def learn(self, stage: Stage, seconds: float) -> None:
        """Take in a stage that has just finished."""
        self._add(_likenesses(stage.kind, stage.label, _settings(stage)), seconds)

    def _add(self, likenesses: Sequence[Likeness], seconds: float) -> None:
        for likeness in likenesses:
            self._seconds.setdefault(likeness, []).append(seconds)

    def expected(self, stage: Stage) -> float | None:
        """The median of those most alike: of label, corpus and size, or at least of size; none where there is none."""
        for likeness in _likenesses(stage.kind, stage.label, _settings(stage)):
            if likeness in self._seconds:
                return statistics.median(self._seconds[likeness])
        return None


def missing_seconds(stages: Sequence[Stage], history: History) -> tuple[dict[str, float], int]:
    """What the stages that are not done will take: key -> seconds, and how many of them nothing is known of."""
    missing = [stage for stage in stages if not is_done(stage)]
    expected = {stage.key: history.expected(stage) for stage in missing}
    known = {key: seconds for key, seconds in expected.items() if seconds is not None}
    return known, len(missing) - len(known)


def makespan(stages: Sequence[Stage], seconds: Mapping[str, float], workers: int) -> float:
    """Seconds until all stages are over, when ``workers`` take what may start, longest chain first.

    Args:
        stages: in the order of their needs; those without seconds are over at once.
        seconds: key -> how long a stage takes.
        workers: how many run beside each other; 0 counts as one.
    """
    known = [stage for stage in stages if stage.key in seconds]
    needs = {stage.key: {need for need in stage.needs if need in seconds} for stage in known}
    dependents = dependents_of(known)
    chain = longest_chains({stage.key: seconds[stage.key] for stage in known}, dependents)
    ready = [(-chain[key], key) for key, wanted in needs.items() if not wanted]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < max(1, workers):
            _, key = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[key], key))
        now, over = heapq.heappop(running)
        for key in dependents[over]:
            needs[key].discard(over)
            if not needs[key]:
                heapq.heappush(ready, (-chain[key], key))
    return now
