"""Every system against every other, sentence by sentence: which differ, which is better, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from prosody_tts.evaluation import statistics
from prosody_tts.evaluation.measure import Floats

#: Below which p two systems differ.
LEVEL = 0.05
#: How to read a matrix of cells.
MATRIX = (
    "▲ the system of the line is better than that of the column, ▼ worse, = not shown to differ; p of Wilcoxon's "
    "signed-rank test over sentences (a sentence's mean over seeds), Holm-adjusted for all pairs of the metric."
)


@dataclass(frozen=True)
class Pair:
    """Two systems on one metric.

    Attributes:
        metric: its name.
        one: a system.
        other: another, later in the table.
        p: two-sided Wilcoxon signed-rank test over sentences, Holm-adjusted for the pairs of the metric; None below six
            sentences.
        better: the one whose errors are lower: by the signed ranks where these tell, so that it is what the test says.
        share: of the sentences on which the two differ, on how many ``one`` is better.
        n: sentences.
    """

    metric: str
    one: str
    other: str
    p: float | None
    better: str
    share: float
    n: int

    @property
    def differ(self) -> bool:
        """Whether the test says so."""
        return self.p is not None and self.p < LEVEL

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Pair:
        """The inverse of ``to_dict``."""
        return Pair(**data)


def compare(metric: str, errors: Mapping[str, Floats]) -> list[Pair]:
    """Test all pairs of systems on the errors of the same sentences.

    Args:
        metric: its name.
        errors: system -> error of each sentence [N], small for good ones, NaN where it has none; of several trainings
            a sentence's mean over them, so that tests count sentences.
    """
    named = list(combinations(errors, 2))
    raw = [statistics.wilcoxon(errors[one], errors[other]) for one, other in named]
    return [
        Pair(metric, one, other, p, *_direction(one, other, errors[one] - errors[other]))
        for (one, other), p in zip(named, statistics.holm(raw), strict=True)
    ]


def _direction(one: str, other: str, difference: Floats) -> tuple[str, float, int]:
    """Who is better by the ranks of the differences, on what share of those that are not zero, of how many."""
    sound = difference[np.isfinite(difference)]
    moved = sound[sound != 0]
    if not len(moved):
        return one, 0.5, len(sound)
    balance = statistics.rank_biserial(moved)
    assert balance is not None
    return (one if balance <= 0 else other), float((moved < 0).mean()), len(sound)


def letters(systems: Sequence[str], pairs: Iterable[Pair]) -> dict[str, str]:
    """Letters of a metric's pairs: two systems that share one are not shown to differ, two that share none are.

    The insert-and-absorb algorithm of Piepho (2004), in the order of the systems.
    """
    columns = [set(systems)]
    for pair in pairs:
        if not pair.differ:
            continue
        split: list[set[str]] = []
        for column in columns:
            both = {pair.one, pair.other} <= column
            split += [column - {pair.one}, column - {pair.other}] if both else [column]
        columns = [
            column
            for place, column in enumerate(split)
            if not any(column < other or (column == other and place > at) for at, other in enumerate(split))
        ]
    order = {name: place for place, name in enumerate(systems)}
    columns.sort(key=lambda column: sorted(order[name] for name in column))
    return {
        name: "".join(chr(ord("a") + place) for place, column in enumerate(columns) if name in column)
        for name in systems
    }


def of_metric(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    """Pairs by metric, in their order."""
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(pair.metric, []).append(pair)
    return found


def cell(row: str, column: str, pairs: Iterable[Pair]) -> str:
    """What the test says of the system of a line beside that of a column: ``▲ < .001`` is better, ``▼ .013`` worse."""
    for pair in pairs:
        if {row, column} == {pair.one, pair.other}:
            if pair.p is None:
                return "—"
            text = "< .001" if pair.p < 0.001 else f"{pair.p:.3f}".lstrip("0") if pair.p < 1 else "1"
            return f"{'▲' if pair.better == row else '▼'} {text}" if pair.differ else f"= {text}"
    return ""
