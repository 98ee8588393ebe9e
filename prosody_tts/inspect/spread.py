"""A quantity's values in a few numbers: spread and histogram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Most bars of a histogram.
MOST_BINS = 40


@dataclass(frozen=True)
class Spread:
    """Number of values, mean, standard deviation, extremes, and the 5th, 50th and 95th percentile."""

    n: int
    mean: float
    sd: float
    minimum: float
    p5: float
    median: float
    p95: float
    maximum: float

    @staticmethod
    def of(values: ArrayLike) -> Spread | None:
        """Measure values; None where there are none."""
        array = np.asarray(values, dtype=np.float64)
        if array.size == 0:
            return None
        p5, median, p95 = np.percentile(array, [5, 50, 95]).tolist()
        return Spread(
            n=array.size,
            mean=float(array.mean()),
            sd=float(array.std()),
            minimum=float(array.min()),
            p5=p5,
            median=median,
            p95=p95,
            maximum=float(array.max()),
        )


@dataclass(frozen=True, eq=False)
class Distribution:
    """All values of a quantity.

    Attributes:
        label: what is measured, in words.
        unit: of the values.
        values: [n].
        step: what the values are whole multiples of, such as the length of a frame; None where they are not.
    """

    label: str
    unit: str
    values: NDArray[np.float64]
    step: float | None = None

    @staticmethod
    def of(label: str, unit: str, values: Sequence[float], step: float | None = None) -> Distribution:
        """A distribution of values, those that are no numbers left out."""
        array = np.asarray(values, dtype=np.float64)
        return Distribution(label, unit, array[np.isfinite(array)], step)

    @property
    def spread(self) -> Spread | None:
        """The values in a few numbers."""
        return Spread.of(self.values)

    def histogram(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Counts [bins] and edges [bins + 1]: about the square root of n bars, equally wide, no value outside.

        Where values have a step, a bar holds a whole number of steps, lest some bars catch more of them than others.
        """
        bins = int(np.clip(np.ceil(np.sqrt(len(self.values))), 1, MOST_BINS))
        if self.step is None or not len(self.values):
            counts, edges = np.histogram(self.values, bins=bins)
            return counts.astype(np.int64), edges
        places = np.rint(self.values / self.step)
        first, steps = places.min(), places.max() - places.min() + 1
        width = np.ceil(steps / bins)
        edges = first - 0.5 + width * np.arange(np.ceil(steps / width) + 1)
        return np.histogram(places, bins=edges)[0].astype(np.int64), edges * self.step

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        counts, edges = self.histogram()
        spread = self.spread
        return {
            "label": self.label,
            "unit": self.unit,
            "spread": None if spread is None else asdict(spread),
            "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
        }
