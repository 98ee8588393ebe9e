"""What is said as a distribution, held against what was recorded: how far apart, and how wide each is.

A mean of many renditions is close to all of them and like none; so a prior is judged by its draws too. Every figure is
a function of sums over sentences, so that a bootstrap over sentences resamples the sums and never the words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.metrics import Better


class Pair(NamedTuple):
    """One measure of a sentence's tokens, in their order; NaN where it is not defined.

    Attributes:
        recorded: [R, N] of every rendition.
        said: [S, N] of every draw, or the point estimate alone.
    """

    recorded: Floats
    said: Floats


@dataclass(frozen=True)
class Grid:
    """Where a measure's density is estimated: the same places for every system, corpus and resample.

    Densities are Gaussian kernel estimates of a fixed bandwidth over values counted in bins half as wide. A bandwidth
    that followed the data would make a point estimate as wide as it liked, and figures of two tables two quantities.

    Attributes:
        low: centre of the first bin; what lies below is counted in it.
        high: centre of the last bin, likewise.
        bandwidth: standard deviation of the kernel, in the measure's unit.
    """

    low: float
    high: float
    bandwidth: float

    @property
    def step(self) -> float:
        """Width of a bin."""
        return self.bandwidth / 2

    @property
    def size(self) -> int:
        """Bins K."""
        return round((self.high - self.low) / self.step) + 1

    @property
    def centres(self) -> Floats:
        """[K] values."""
        return self.low + self.step * np.arange(self.size, dtype=np.float64)

    @property
    def places(self) -> Floats:
        """[K + 12] where a density is given: six bins beyond both ends too."""
        return self.low + self.step * np.arange(-6, self.size + 6, dtype=np.float64)

    def counts(self, values: Floats) -> Floats:
        """[K] values in each bin, NaN left out."""
        sound = values[np.isfinite(values)]
        places = np.clip(np.rint((sound - self.low) / self.step), 0, self.size - 1).astype(np.int64)
        return np.bincount(places, minlength=self.size).astype(np.float64)

    @cached_property
    def kernel(self) -> Floats:
        """[K, K + 12] what one value in a bin adds to every place, those beyond the ends included; rows sum to 1.

        Nothing beyond six bandwidths, where numbers so small that their halves are 0 would follow.
        """
        distance = (self.places[None, :] - self.centres[:, None]) / self.bandwidth
        weights: Floats = np.where(np.abs(distance) < 6.0, np.exp(-0.5 * distance**2), 0.0)
        return weights / weights.sum(axis=1, keepdims=True)

    def density(self, counts: Floats) -> Floats:
        """Probability of each place [..., K + 12] from counts [..., K]; NaN where nothing is counted."""
        total = counts.sum(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore"):
            return np.where(total > 0, counts / total, np.nan) @ self.kernel


def divergence(p: Floats, q: Floats) -> Floats:
    """Jensen-Shannon divergence in bits of probabilities [..., K]: 0 of equals, 1 of what has nothing in common.

    It is the divergence, not the distance, which is its square root (Lin 1991).
    """
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        each = [np.where(one > 0, one * np.log2(one / middle), np.where(np.isnan(one), np.nan, 0.0)) for one in (p, q)]
    return np.maximum((each[0] + each[1]).sum(axis=-1) / 2, 0.0)


def _both_counts(pair: Pair, grid: Grid) -> Floats:
    """[2 K] of recordings, then of the system."""
    return np.concatenate([grid.counts(pair.recorded), grid.counts(pair.said)])


def jensen_shannon(sums: Floats, grid: Grid) -> Floats:
    """Divergence in bits between the kernel densities of counts [..., 2 K]."""
    return divergence(grid.density(sums[..., : grid.size]), grid.density(sums[..., grid.size :]))


def wasserstein(sums: Floats, grid: Grid) -> Floats:
    """1-Wasserstein distance of counts [..., 2 K], in the measure's unit: how far values must move, on average."""
    shares = []
    for counts in (sums[..., : grid.size], sums[..., grid.size :]):
        total = counts.sum(axis=-1, keepdims=True)
        shares.append(np.cumsum(np.where(total > 0, counts / np.where(total > 0, total, 1), np.nan), axis=-1))
    return np.abs(shares[0] - shares[1]).sum(axis=-1) * grid.step


def _moments(values: Floats) -> Floats:
    """[3] number, sum and sum of squares of the values that are not NaN."""
    sound = values[np.isfinite(values)]
    return np.array([len(sound), sound.sum(), (sound**2).sum()])


def deviation(sums: Floats, grid: Grid) -> Floats:
    """Standard deviation of moments [..., 3]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[..., 1] / sums[..., 0]
        return np.sqrt(np.maximum(sums[..., 2] / sums[..., 0] - mean**2, 0.0))


def _within(pair: Pair, grid: Grid) -> Floats:
    """[2] sum over tokens of the standard deviation over draws, and the tokens that have one."""
    sound = np.isfinite(pair.said).sum(axis=0) > 1
    spread = np.nanstd(pair.said[:, sound], axis=0, ddof=1)
    return np.array([spread.sum(), sound.sum()])


def _mean(sums: Floats, grid: Grid) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[..., 1] > 0, sums[..., 0] / sums[..., 1], np.nan)


@dataclass(frozen=True)
class Statistic:
    """A figure of a distribution.

    Attributes:
        label: for people, after the measure's name.
        definition: one sentence, in which {what} stands for the measure and {of} for whose values.
        better: which direction; a spread is better the nearer it is to the speaker's, which lies above it.
        perfect: value of the recordings themselves, or none for spreads.
        sums: what of one sentence enters [K]; sentences add up.
        value: from sums [..., K] to values [...].
    """

    label: str
    definition: str
    better: Better
    perfect: float | None
    sums: Callable[[Pair, Grid], Floats]
    value: Callable[[Floats, Grid], Floats]


#: Of the system's values, by name: draws, or the point estimate.
STATISTICS: dict[str, Statistic] = {
    "jsd": Statistic(
        "JSD",
        "Jensen-Shannon divergence (bits; 0 alike, 1 nothing in common) between the distributions of the {what} in "
        "{of} and in the recordings, each a Gaussian kernel density of fixed bandwidth (evaluation/distributions.py).",
        "lower",
        0.0,
        _both_counts,
        jensen_shannon,
    ),
    "wasserstein": Statistic(
        "Wasserstein",
        "1-Wasserstein distance between the distributions of the {what} in {of} and in the recordings.",
        "lower",
        0.0,
        _both_counts,
        wasserstein,
    ),
    "sd": Statistic(
        "SD",
        "Standard deviation of the {what} in {of}.",
        "higher",
        None,
        lambda pair, grid: _moments(pair.said),
        deviation,
    ),
    "delta_sd": Statistic(
        "SD of steps",
        "Standard deviation of the difference between neighbours of the {what} in {of}.",
        "higher",
        None,
        lambda pair, grid: _moments(np.diff(pair.said, axis=1)),
        deviation,
    ),
}
#: Of the recordings, whatever the system.
RECORDED: dict[str, Statistic] = {
    "sd": Statistic(
        "human SD",
        "Standard deviation of the {what} in the recordings.",
        "higher",
        None,
        lambda pair, grid: _moments(pair.recorded),
        deviation,
    ),
    "delta_sd": Statistic(
        "human SD of steps",
        "Standard deviation of the difference between neighbours of the {what} in the recordings.",
        "higher",
        None,
        lambda pair, grid: _moments(np.diff(pair.recorded, axis=1)),
        deviation,
    ),
}
#: Of draws alone.
DIVERSITY = Statistic(
    "diversity",
    "Standard deviation over the draws of a sentence of the {what}, averaged over its tokens: how much draws of one "
    "text differ (as the variance over repeated syntheses in arXiv 2306.07691).",
    "higher",
    None,
    _within,
    _mean,
)


def share(sums: Floats, grid: Grid) -> Floats:
    """Divergence of draws over that of the point estimate, from the counts of both [..., 4 K]."""
    half = sums.shape[-1] // 2
    drawn, point = jensen_shannon(sums[..., :half], grid), jensen_shannon(sums[..., half:], grid)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(point > 0, drawn / point, np.nan)


def both_pairs(drawn: Pair, point: Pair, grid: Grid) -> Floats:
    """[4 K] what ``share`` reads."""
    return np.concatenate([_both_counts(drawn, grid), _both_counts(point, grid)])


#: Definition of ``share``, with {what} for the measure.
SHARE = (
    "JSD of the draws as a share of the point estimate's, of the {what}: below 1, draws are nearer to the recordings "
    "than the one answer that says the same every time."
)

#: Measure -> its grid: F0 to half a semitone, durations to 5 %, pauses to 10 % of themselves.
GRIDS: dict[str, Grid] = {
    "log_f0": Grid(3.6, 6.6, 0.03),
    "log_duration": Grid(-4.5, 1.5, 0.05),
    "pause": Grid(0.0, 6.0, 0.1),
    "phone_log_f0": Grid(3.6, 6.6, 0.03),
    "phone_energy": Grid(-16.0, 4.0, 0.2),
    "phone_log_duration": Grid(-4.5, 1.5, 0.05),
    "register": Grid(-0.9, 0.9, 0.03),
    "accent": Grid(-1.2, 1.2, 0.03),
    "timing": Grid(-2.5, 2.5, 0.05),
    "duration": Grid(-4.5, 1.5, 0.05),
    "prominence": Grid(-2.0, 8.0, 0.1),
    "boundary": Grid(-2.0, 8.0, 0.1),
}
