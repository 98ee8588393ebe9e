"""Intervals and tests over sentences: percentile bootstrap, Wilcoxon with Holm, and the share of a gap closed.

All systems are resampled together, sentence by sentence, so that differences and gaps between them are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prosody_tts.evaluation.measure import Floats


@dataclass(frozen=True)
class Interval:
    """A percentile interval; both ends None where it cannot be given."""

    low: float | None
    high: float | None

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Both ends."""
        return self.low, self.high


UNKNOWN = Interval(None, None)


def resample_counts(size: int, resamples: int, seed: int) -> Floats:
    """[resamples, size] how often each of ``size`` sentences is drawn, with replacement, in each resample.

    The draws are those of ``scipy.stats.bootstrap`` for a generator of the same seed.
    """
    draws = np.random.default_rng(seed).integers(0, size, (resamples, size))
    counts = np.zeros((resamples, size))
    np.add.at(counts, (np.arange(resamples)[:, None], draws), 1.0)
    return counts


def mean(values: Floats, weights: Floats | None = None) -> float:
    """Mean of ``values`` [N], NaN left out, each counted ``weights`` [N] times; there must be one at least."""
    if weights is None:
        return float(np.nanmean(values))
    sound = ~np.isnan(values)
    return float(np.average(values[sound], weights=weights[sound]))


def means(values: Floats, counts: Floats, weights: Floats | None = None) -> Floats:
    """[resamples] mean of ``values`` [N] in every resample, NaN values left out; NaN where none is drawn.

    ``weights`` [N] say how often a value counts each time that its sentence is drawn; none counts each once.
    """
    sound = ~np.isnan(values)
    each = sound.astype(np.float64) if weights is None else np.where(sound, weights, 0.0)
    weight = counts @ each
    total = counts @ (each * np.where(sound, values, 0.0))
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)


def percentile_interval(replicates: Floats, confidence: float) -> Interval:
    """The percentile interval of bootstrap replicates [resamples], those that are NaN left out."""
    sound = replicates[np.isfinite(replicates)]
    if not len(sound):
        return UNKNOWN
    tail = 100.0 * (1.0 - confidence) / 2.0
    low, high = np.percentile(sound, [tail, 100.0 - tail])
    return Interval(float(low), float(high))


def gap_closed(system: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> Floats:
    """Share of the way from ``lower`` to ``upper`` a system has gone, in per cent: ``100 (S - L) / (U - L)``.

    The relative position of CAMP (arXiv 2011.01175, Table 6.2 of the thesis); NaN where the two bounds coincide. It
    holds for metrics where lower is better as well, since both differences change sign.
    """
    s, low, up = (np.asarray(values, dtype=np.float64) for values in (system, lower, upper))
    gap = up - low
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gap == 0, np.nan, 100.0 * (s - low) / gap)


@dataclass(frozen=True)
class Gap:
    """Share of a gap closed, in per cent, and its interval; None where there is no gap to close."""

    value: float | None
    interval: Interval = UNKNOWN


def gap_with_interval(
    system: tuple[float, Floats], lower: tuple[float, Floats], upper: tuple[float, Floats], sign: int, confidence: float
) -> Gap:
    """Share of the gap closed with its paired bootstrap interval.

    Args:
        system: value and replicates [resamples]; the bounds likewise, of the same resamples.
        lower: the lower bound's.
        upper: the upper bound's.
        sign: 1 where higher is better, -1 where lower is.
        confidence: coverage.

    Returns:
        No value where the upper bound is no better than the lower: there is no gap. No interval where that is so in
        more resamples than the interval leaves out: a ratio to a gap that may be nothing has no bounds.
    """
    gap = sign * (upper[0] - lower[0])
    if not gap > 0:
        return Gap(None)
    value = float(gap_closed(system[0], lower[0], upper[0]))
    gaps = sign * (upper[1] - lower[1])
    replicates = np.where(gaps > 0, gap_closed(system[1], lower[1], upper[1]), np.nan)
    if np.mean(~np.isfinite(replicates)) > (1.0 - confidence) / 2.0:
        return Gap(value)
    return Gap(value, percentile_interval(replicates, confidence))


#: Differences up to which SciPy tries all signs where there are ties.
FEW = 13


def wilcoxon(system: ArrayLike, other: ArrayLike) -> float | None:
    """Two-sided p of the paired Wilcoxon signed-rank test over sentences; None below six pairs.

    Six is the fewest pairs with which it can reach .05. Identical systems give 1.
    """
    from scipy import stats

    a, b = np.asarray(system, dtype=np.float64), np.asarray(other, dtype=np.float64)
    sound = ~np.isnan(a) & ~np.isnan(b)
    difference = a[sound] - b[sound]
    if len(difference) < 6:
        return None
    if not np.any(difference):
        return 1.0
    difference = difference[difference != 0]
    sizes = np.abs(difference)
    if len(difference) <= FEW and len(np.unique(sizes)) < len(sizes):
        return _exact_p(difference)
    return float(np.asarray(stats.wilcoxon(difference))[1])


def _exact_p(difference: Floats) -> float:
    """The same of few differences that tie, none of them zero: the share of all signs whose ranks' sum is as extreme.

    SciPy goes through the signs one by one.
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(difference))
    signs = (np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks))) & 1
    sums, observed = signs @ ranks, ranks[difference > 0].sum()
    # Ranks are halves of whole numbers: their sums are exact.
    return float(min(1.0, 2.0 * min((sums <= observed).mean(), (sums >= observed).mean())))


def rank_biserial(apart: Floats) -> float | None:
    """Matched-pairs rank-biserial correlation of differences [N], zeros left out; None where all are zero."""
    from scipy.stats import rankdata

    moved = apart[apart != 0]
    if not len(moved):
        return None
    ranks = rankdata(np.abs(moved))
    return float((np.sign(moved) * ranks).sum() / ranks.sum())


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for their number by Holm's step-down method; None stays None and does not count."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[index] = largest
    return adjusted


def common(*values: Floats) -> NDArray[np.bool_]:
    """[N] sentences where none of the systems' values is NaN."""
    return np.logical_not(np.isnan(np.stack(values)).any(axis=0))
