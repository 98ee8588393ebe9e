"""Times in seconds to whole frames and back. Frame ``t`` is centred ``t * hop`` seconds into the clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def durations_from_ends(
    ends: Sequence[float] | NDArray[np.floating],
    frames: int,
    hop_seconds: float,
    least: Sequence[int] | NDArray[np.integer] | None = None,
) -> NDArray[np.int64]:
    """Frames of each phone [P] from their ends [P] in seconds; the sum is ``frames`` exactly.

    A frame belongs to the phone in which its centre lies, so no boundary moves by more than half a frame; the last
    phone has what is left. ``least`` [P] are frames each phone must have (1 for a phone, 0 for a pause slot): where a
    phone is too short, its neighbours give way.

    Raises:
        ValueError: the ends fall, or there are fewer frames than ``least`` needs.
    """
    times = np.asarray(ends, np.float64)
    if len(times) == 0 or (np.diff(times) < 0).any():
        raise ValueError("the ends of phones must not fall, and there must be one")
    # A hair's breadth, so that a boundary computed as t * hop is met at frame t in spite of rounding.
    bounds = np.clip(np.ceil(times / hop_seconds - 1e-6), 0, frames).astype(np.int64)
    bounds[-1] = frames
    if least is not None:
        needed = np.cumsum(np.asarray(least, np.int64))
        if needed[-1] > frames:
            raise ValueError(f"{needed[-1]} frames are needed and the clip has {frames}")
        # Push ends to the right until every phone has its frames, then to the left until the clip's end suffices.
        bounds = np.maximum.accumulate(np.maximum(bounds - needed, 0)) + needed
        bounds = np.minimum(bounds, frames - (needed[-1] - needed))
    return np.diff(bounds, prepend=0)


def end_times(durations: Sequence[int] | NDArray[np.integer], hop_seconds: float) -> NDArray[np.float64]:
    """Ends [P] in seconds of phones of ``durations`` frames: midway between two frames' centres, never below zero."""
    return np.maximum((np.cumsum(np.asarray(durations, np.int64)) - 0.5) * hop_seconds, 0.0)
