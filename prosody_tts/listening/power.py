"""How many listeners and sentences a test needs to show a share of a gap.

The difference of two means, listeners and sentences crossed, has the variance L / listeners + S / sentences + R /
ratings: of how the difference varies between listeners, between sentences, and of what is left over. The three come
from ratings of an earlier test, or from ``TYPICAL``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from prosody_tts.errors import UserError
from prosody_tts.listening.ratings import Ratings


@dataclass(frozen=True)
class Components:
    """Variances of the difference of two systems' scores, in squared points of the scale.

    Attributes:
        listeners: between listeners.
        items: between items.
        rest: of single ratings, what is left over.
    """

    listeners: float
    items: float
    rest: float

    def variance(self, listeners: int, items: int, each: int) -> float:
        """Of the mean difference, where each of so many listeners rates ``each`` of so many items."""
        return self.listeners / listeners + self.items / items + self.rest / (listeners * each)


#: With these, CAMP's main test (25 listeners, 96 sentences, 14.6 points from baseline to recordings) gives CAMP's share
#: of the gap an interval of ± 7 points, as the paper prints it; how it falls to the three is ours.
TYPICAL = Components(listeners=2.0, items=4.0, rest=300.0)


def components(ratings: Ratings, one: str, other: str) -> Components:
    """Estimate the three variances by the method of moments, none below zero.

    Raises:
        UserError: a system was not rated, or there are too few screens with both to tell.
    """
    a, b = ratings.column(one), ratings.column(other)
    both = ratings.where(~np.isnan(ratings.scores[:, [a, b]]).any(1))
    apart = both.scores[:, a] - both.scores[:, b]
    listeners, items = both.numbered() if both.screens else (np.zeros(0, int), np.zeros(0, int))
    n, count_l, count_i = len(apart), len(both.listeners), len(both.items)
    if count_l < 2 or count_i < 2 or n < count_l + count_i:
        raise UserError(
            f"{n} screens of {count_l} listeners and {count_i} items with both {one} and {other} are too few to tell "
            "how they vary; give ratings of at least two listeners who rated the same items"
        )
    centred = apart - apart.mean()
    # Sums of squares within listeners and within items (Henderson's method 1 for two crossed random effects).
    per_l, per_i = np.bincount(listeners), np.bincount(items)
    between_l = float((np.bincount(listeners, centred) ** 2 / per_l).sum())
    between_i = float((np.bincount(items, centred) ** 2 / per_i).sum())
    total = float((centred**2).sum())
    pairs = np.zeros((count_l, count_i))
    np.add.at(pairs, (listeners, items), 1.0)
    sum_l, sum_i = float((per_l**2).sum()) / n, float((per_i**2).sum()) / n
    cross_l = float((pairs**2 / per_l[:, None]).sum())
    cross_i = float((pairs**2 / per_i[None, :]).sum())
    # Expected values of the three sums in the three variances.
    expected = np.array(
        [
            [n - sum_l, cross_l - sum_i, count_l - 1.0],
            [cross_i - sum_l, n - sum_i, count_i - 1.0],
            [n - sum_l, n - sum_i, n - 1.0],
        ]
    )
    found = np.maximum(np.linalg.lstsq(expected, np.array([between_l, between_i, total]), rcond=None)[0], 0.0)
    return Components(*(float(value) for value in found))


def power(difference: float, of: Components, listeners: int, items: int, each: int, level: float = 0.05) -> float:
    """Probability that a true difference in points is shown by the clustered test, two-sided."""
    from scipy.stats import nct, t

    freedom = min(listeners, items) - 1
    if freedom < 1:
        return 0.0
    variance = of.variance(listeners, items, each)
    if variance == 0:
        return float(difference != 0)
    shift = abs(difference) / np.sqrt(variance)
    critical = t.ppf(1 - level / 2, freedom)
    # Far out in its lower tail scipy's distribution is not a number, and nothing.
    return float(nct.sf(critical, freedom, shift) + np.nan_to_num(nct.cdf(-critical, freedom, shift)))


@dataclass(frozen=True)
class Need:
    """So many sentences need so many listeners; None if no number up to the limit will do."""

    items: int
    listeners: int | None


def listeners_needed(
    difference: float,
    of: Components,
    items: ArrayLike | Sequence[int],
    each: int | None = None,
    wanted: float = 0.8,
    level: float = 0.05,
    most: int = 1000,
) -> list[Need]:
    """The fewest listeners for each number of items.

    Args:
        difference: true difference of the means, in points.
        of: variances of the difference.
        items: numbers of sentences.
        each: items that one listener rates; all of them by default.
        wanted: probability with which the difference is to be shown.
        level: of the test.
        most: listeners to try.
    """
    found = []
    for count in np.asarray(items, int).tolist():
        rated = count if each is None else min(each, count)

        def enough(listeners: int, count: int = count, rated: int = rated) -> bool:
            return power(difference, of, listeners, count, rated, level) >= wanted

        if not enough(most):
            found.append(Need(count, None))
            continue
        low, high = 1, most  # enough at high, not at low: power grows with listeners
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        found.append(Need(count, high))
    return found
