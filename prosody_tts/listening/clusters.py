"""Means of ratings and how sure they are, where both listeners and sentences are samples of more.

A listener's ratings hang together, and so do a sentence's. Means over screens therefore have the variance of two-way
clusters (Cameron, Gelbach and Miller 2011): that between listeners, and that between items, less that between screens,
which both contain. Intervals take Student's t with one degree less than the smaller number of clusters. The share of a
gap closed is a ratio of differences of means; its interval is Fieller's (1954), which holds for a ratio at any distance
of its denominator from zero. A percentile bootstrap of listeners and items at once stands beside them: where what is
left over is large beside what listeners and items do, it is wider than need be, since it draws it twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.statistics import UNKNOWN, Gap, Interval, gap_closed, percentile_interval
from prosody_tts.listening.ratings import Ratings


@dataclass(frozen=True, eq=False)
class Means:
    """Mean scores [S] and their covariance.

    Attributes:
        systems: names.
        values: [S].
        covariance: [S, S], of listeners and items as clusters.
        screens: [S, S] the same as if every screen stood alone: no contrast is surer than that.
        freedom: degrees of freedom of Student's t.
    """

    systems: tuple[str, ...]
    values: Floats
    covariance: Floats
    screens: Floats
    freedom: int

    @staticmethod
    def of(ratings: Ratings) -> Means:
        """Estimate from ratings; a system that some screens lack is averaged over the others."""
        there = ~np.isnan(ratings.scores)
        count = there.sum(0)
        with np.errstate(invalid="ignore"):
            values = np.where(count > 0, np.nansum(ratings.scores, axis=0) / np.maximum(count, 1), np.nan)
        shares = np.where(there, ratings.scores - values, 0.0) / np.maximum(count, 1)
        by_listener, by_item = (_between(shares, number) for number in ratings.numbered())
        alone = _between(shares, np.arange(len(shares)))
        smaller = min(len(ratings.listeners), len(ratings.items))
        return Means(ratings.systems, values, by_listener + by_item - alone, alone, smaller - 1)

    def critical(self, confidence: float) -> float:
        """Student's t that so much of its distribution lies within; infinite without a degree of freedom."""
        from scipy.stats import t

        if self.freedom < 1:
            return float("inf")
        return float(t.ppf(0.5 + confidence / 2, self.freedom))

    def contrast(self, weights: ArrayLike) -> tuple[float, float]:
        """A weighted sum of means, and its standard error."""
        own = np.asarray(weights, np.float64)
        variance = max(float(own @ self.covariance @ own), float(own @ self.screens @ own))
        return float(own @ self.values), float(np.sqrt(max(variance, 0.0)))

    def weights(self, **of: float) -> Floats:
        """[S] of systems by name."""
        return np.array([of.get(name, 0.0) for name in self.systems])

    def interval(self, weights: ArrayLike, confidence: float) -> Interval:
        """The interval of a contrast; none without two listeners and two items."""
        value, error = self.contrast(weights)
        reach = self.critical(confidence) * error
        return Interval(value - reach, value + reach) if np.isfinite(reach) else UNKNOWN

    def p(self, weights: ArrayLike) -> float | None:
        """Two-sided p of the hypothesis that a contrast is zero; None where nothing varies or there is no telling."""
        from scipy.stats import t

        value, error = self.contrast(weights)
        if self.freedom < 1 or error == 0:
            return None
        return float(2 * t.sf(abs(value) / error, self.freedom))

    def gap(self, system: str, lower: str, upper: str, confidence: float) -> Gap:
        """Share of the gap closed in per cent, 100 (S - L) / (U - L), with Fieller's interval.

        Returns:
            No value where the upper bound is no better than the lower; no interval where it is not shown to be, since
            every share is then possible.
        """
        s, low, up = (self.systems.index(name) for name in (system, lower, upper))
        to_system, to_upper = np.zeros(len(self.systems)), np.zeros(len(self.systems))
        to_system[s] += 1
        to_system[low] -= 1
        to_upper[up] += 1
        to_upper[low] -= 1
        top, bottom = float(to_system @ self.values), float(to_upper @ self.values)
        if not bottom > 0:
            return Gap(None)
        value = float(gap_closed(self.values[s], self.values[low], self.values[up]))
        return Gap(value, self._fieller(to_system, to_upper, top / bottom, confidence))

    def _fieller(self, top: Floats, bottom: Floats, ratio: float, confidence: float) -> Interval:
        """Shares ``g`` for which ``top - g bottom`` is not shown to differ from zero, in per cent."""
        square = self.critical(confidence) ** 2
        if not np.isfinite(square):
            return UNKNOWN
        # As in ``contrast``: at the estimate, the wider of the two.
        at = top - ratio * bottom
        spread = self.covariance if at @ self.covariance @ at >= at @ self.screens @ at else self.screens
        a, b = float(top @ self.values), float(bottom @ self.values)
        vaa, vab, vbb = float(top @ spread @ top), float(top @ spread @ bottom), float(bottom @ spread @ bottom)
        # (a - g b)² = t² (vaa - 2 g vab + g² vbb), a quadratic in g.
        two, one, zero = b * b - square * vbb, a * b - square * vab, a * a - square * vaa
        root = one * one - two * zero
        if two <= 0 or root < 0:
            return UNKNOWN
        return Interval(100 * (one - np.sqrt(root)) / two, 100 * (one + np.sqrt(root)) / two)


def _between(shares: Floats, clusters: ArrayLike) -> Floats:
    """Covariance [S, S] of the sum of the shares [C, S], from the sums of each cluster."""
    number = np.asarray(clusters)
    count = int(number.max()) + 1 if len(number) else 0
    sums = np.stack([np.bincount(number, column, count) for column in shares.T], axis=1)
    # What clusters have in common is zero by construction; the usual correction for having estimated it.
    return np.asarray(sums.T @ sums * (count / (count - 1) if count > 1 else np.nan), np.float64)


def resampled(ratings: Ratings, resamples: int, seed: int) -> Floats:
    """Mean scores [resamples, S] of listeners and items drawn with replacement, both at once (Owen 2007)."""
    listeners, items = ratings.numbered()
    generator = np.random.default_rng(seed)
    there = ~np.isnan(ratings.scores)
    scores = np.where(there, ratings.scores, 0.0)
    found = np.empty((resamples, len(ratings.systems)))
    for row in range(resamples):
        weight = _drawn(listeners, generator)[listeners] * _drawn(items, generator)[items]
        with np.errstate(invalid="ignore", divide="ignore"):
            found[row] = (weight @ scores) / (weight @ there)
    return found


def _drawn(clusters: ArrayLike, generator: np.random.Generator) -> Floats:
    count = int(np.max(clusters)) + 1
    return np.bincount(generator.integers(0, count, count), minlength=count).astype(np.float64)


def bootstrap_gap(replicates: Floats, system: int, lower: int, upper: int, confidence: float) -> Interval:
    """Percentile interval of a share of a gap from ``resampled`` means."""
    gap = replicates[:, upper] - replicates[:, lower]
    shares = np.where(gap > 0, gap_closed(replicates[:, system], replicates[:, lower], replicates[:, upper]), np.nan)
    if np.mean(~np.isfinite(shares)) > (1 - confidence) / 2:
        return UNKNOWN
    return percentile_interval(shares, confidence)
