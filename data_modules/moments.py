"""Mean and spread of more values than memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

#: Values held in memory at once.
PIECE = 1 << 16


def moments(stream: Callable[[], Iterable[NDArray[np.float64]]]) -> tuple[float, float]:
    """Mean and standard deviation of arrays laid end to end, in memory a piece at a time; 0 and 1 for none at all.

    Sums are cut in halves as numpy cuts them, so that the result is numpy's on the joined array, to the last bit.
    ``stream`` makes the arrays anew: they are read three times.
    """
    count = sum(len(values) for values in stream())
    if count == 0:
        return 0.0, 1.0
    mean = _pairwise(_Pieces(stream()), count) / count
    variance = _pairwise(_Pieces(np.square(values - mean) for values in stream()), count) / count
    return float(mean), float(np.sqrt(variance))


class _Pieces:
    """Hands out the next so many values of arrays laid end to end."""

    def __init__(self, arrays: Iterable[NDArray[np.float64]]) -> None:
        self.arrays, self.held = iter(arrays), np.zeros(0)

    def take(self, count: int) -> NDArray[np.float64]:
        parts = [self.held]
        while (held := sum(map(len, parts))) < count:
            parts.append(next(self.arrays))
        joined = np.concatenate(parts)
        self.held = joined[len(joined) - (held - count) :]
        return joined[:count]


def _pairwise(pieces: _Pieces, count: int) -> float:
    if count <= PIECE:
        return float(np.add.reduce(pieces.take(count)))
    half = count // 2 - count // 2 % 8
    return _pairwise(pieces, half) + _pairwise(pieces, count - half)
