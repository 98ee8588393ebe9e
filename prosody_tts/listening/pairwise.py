"""Every system against every other, by listeners: how far apart, and by which tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.statistics import Interval, holm, rank_biserial, wilcoxon
from prosody_tts.listening.clusters import Means
from prosody_tts.listening.ratings import Ratings

#: ``wilcoxon`` as CAMP and Kathaka test (over ratings), ``t`` as Zhang et al. (paired, over ratings), ``clustered``
#: as the intervals here are made (over listeners and items).
Test = Literal["wilcoxon", "t", "clustered"]
TESTS: tuple[Test, ...] = ("wilcoxon", "t", "clustered")


@dataclass(frozen=True)
class Difference:
    """Two systems on the screens that have both.

    Attributes:
        one: a system.
        other: another.
        mean: the first's mean score less the second's.
        interval: of the mean, listeners and items as clusters.
        p: test -> two-sided p, Holm-adjusted over all pairs; None where it cannot be had.
        effect: matched-pairs rank-biserial correlation (Kerby 2014): share of the rank sum in favour of the first, less
            the other's; from -1 to 1.
        n: ratings of each.
    """

    one: str
    other: str
    mean: float
    interval: Interval
    p: dict[Test, float | None]
    effect: float | None
    n: int


def differences(ratings: Ratings, confidence: float = 0.95) -> list[Difference]:
    """All pairs of systems, in their order."""
    found = []
    raw: dict[Test, list[float | None]] = {test: [] for test in TESTS}
    for one, other in combinations(range(len(ratings.systems)), 2):
        both = ratings.where(~np.isnan(ratings.scores[:, [one, other]]).any(1))
        if not both.screens:
            continue
        means = Means.of(both)
        weights = np.zeros(len(both.systems))
        weights[one], weights[other] = 1.0, -1.0
        apart = both.scores[:, one] - both.scores[:, other]
        raw["wilcoxon"].append(wilcoxon(both.scores[:, one], both.scores[:, other]))
        raw["t"].append(paired_t(apart))
        raw["clustered"].append(means.p(weights))
        names = ratings.systems[one], ratings.systems[other]
        interval = means.interval(weights, confidence)
        found.append(Difference(*names, float(apart.mean()), interval, {}, rank_biserial(apart), len(apart)))
    adjusted = {test: holm(values) for test, values in raw.items()}
    return [replace(row, p={test: adjusted[test][place] for test in TESTS}) for place, row in enumerate(found)]


def paired_t(apart: Floats) -> float | None:
    """Two-sided p of the paired t-test of differences [N]; None where they do not vary."""
    from scipy.stats import ttest_1samp

    if len(apart) < 2 or np.ptp(apart) == 0:
        return None
    return float(ttest_1samp(apart, 0.0).pvalue)
