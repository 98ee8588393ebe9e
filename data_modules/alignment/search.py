"""The best monotonic path of frames through states (Viterbi 1967), exact, skips included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Weights below it mean: never.
NEVER = -5e8


def best_path(
    emissions: NDArray[np.floating],
    jumps: NDArray[np.floating],
    first: NDArray[np.floating],
    last: NDArray[np.floating],
) -> tuple[NDArray[np.int64], float]:
    """Find the state of every frame [T], and the path's score, a sum of natural logarithms.

    Args:
        emissions: [T, S] log-density of each frame in each state.
        jumps: [J + 1, S] log-weight of arriving at a state from the one ``j`` before it.
        first: [S] log-weight of beginning in a state.
        last: [S] log-weight of ending in a state.

    Raises:
        ValueError: no path has a weight above ``NEVER``.
    """
    frames, size = emissions.shape
    reach = len(jumps) - 1
    arrivals = np.full((reach + 1, size), 2 * NEVER)
    chosen = np.zeros((frames, size), np.int8)
    score = (emissions[0] + first).astype(np.float64)
    columns = np.arange(size)
    for t in range(1, frames):
        for jump in range(min(reach, size - 1) + 1):
            arrivals[jump, jump:] = score[: size - jump]
        weighed = arrivals + jumps
        chosen[t] = weighed.argmax(0)
        score = weighed[chosen[t], columns] + emissions[t]
    score = score + last
    state = int(score.argmax())
    total = float(score[state])
    if total < NEVER:
        raise ValueError("there is no path")
    path = np.zeros(frames, np.int64)
    for t in range(frames - 1, -1, -1):
        path[t] = state
        state -= int(chosen[t, state])
    return path, total
