"""Which of two systems listeners prefer: shares, and the sign test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prosody_tts.errors import UserError
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.statistics import Interval, holm
from prosody_tts.listening.clusters import Means
from prosody_tts.listening.ratings import UNDECIDED, Choice, Ratings


@dataclass(frozen=True)
class Preference:
    """What listeners chose between two systems.

    Attributes:
        one: a system.
        other: the other.
        shares: of choices for the first, for neither, for the second; they add up to 1.
        intervals: of these, listeners and items as clusters.
        p: two-sided binomial test of the choices for either (CAMP, section 4.1), Holm-adjusted over pairs of systems;
            choices for neither are left out.
        clustered: two-sided p of the difference of the shares, listeners and items as clusters, likewise adjusted.
        n: choices.
    """

    one: str
    other: str
    shares: tuple[float, float, float]
    intervals: tuple[Interval, Interval, Interval]
    p: float | None
    clustered: float | None
    n: int


def preferences(choices: Sequence[Choice], confidence: float = 0.95) -> list[Preference]:
    """Every pair of systems that was compared, in the order in which they first come.

    Raises:
        UserError: somebody chose what was not offered, or was asked the same twice.
    """
    pairs: dict[frozenset[str], tuple[str, str]] = {}
    rows: dict[frozenset[str], dict[tuple[str, str], Floats]] = {}
    for choice in choices:
        key = frozenset((choice.one, choice.other))
        one, other = pairs.setdefault(key, (choice.one, choice.other))
        if choice.chosen not in {one, other, UNDECIDED}:
            raise UserError(
                f"listener {choice.listener} chose '{choice.chosen}' between {one} and {other} of {choice.item}; give "
                "one of the two, or nothing for no preference"
            )
        screens = rows.setdefault(key, {})
        if (choice.listener, choice.item) in screens:
            raise UserError(f"listener {choice.listener} compared {one} and {other} of {choice.item} twice; leave one")
        said = [choice.chosen == one, choice.chosen == UNDECIDED, choice.chosen == other]
        screens[choice.listener, choice.item] = np.array(said, np.float64)
    found, signs, clustered = [], [], []
    for key, (one, other) in pairs.items():
        ratings = Ratings(tuple(rows[key]), (one, UNDECIDED, other), np.stack(list(rows[key].values())))
        means = Means.of(ratings)
        counts = ratings.scores.sum(0).astype(int)
        signs.append(sign_test(int(counts[0]), int(counts[2])))
        clustered.append(means.p([1.0, 0.0, -1.0]))
        intervals = [means.interval(row, confidence) for row in np.eye(3)]
        first, neither, second = (float(share) for share in means.values)
        found.append((one, other, (first, neither, second), (intervals[0], intervals[1], intervals[2]), counts.sum()))
    return [
        Preference(one, other, shares, intervals, p, by_cluster, int(n))
        for (one, other, shares, intervals, n), p, by_cluster in zip(found, holm(signs), holm(clustered), strict=True)
    ]


def sign_test(one: int, other: int) -> float | None:
    """Two-sided binomial p of so many choices for either of two systems; None where there are none."""
    from scipy.stats import binomtest

    return float(binomtest(one, one + other).pvalue) if one + other else None
