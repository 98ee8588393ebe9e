"""Other scales on which the same ratings can be read: does a finding hang on how listeners use theirs?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from prosody_tts.evaluation.measure import Floats
from prosody_tts.listening.ratings import Ratings


def ranks(scores: Floats) -> Floats:
    """Rank of each system on its screen [C, S], 1 the lowest, ties their mean (CAMP's thesis, appendix C)."""
    from scipy.stats import rankdata

    ranked: Floats = rankdata(scores, axis=1, nan_policy="omit")
    return ranked


def stretched(scores: Floats) -> Floats:
    """Each screen's lowest score at 0 and its highest at 100 (CAMP's thesis, appendix C); NaN where all are alike."""
    low = np.nanmin(scores, axis=1, keepdims=True)
    spread = np.nanmax(scores, axis=1, keepdims=True) - low
    return np.where(spread > 0, 100.0 * (scores - low) / np.where(spread > 0, spread, 1.0), np.nan)


#: How scores are read -> scores [C, S] to scores.
SCALES: dict[str, Callable[[Floats], Floats]] = {
    "as given": lambda scores: scores,
    "ranks": ranks,
    "0 to 100": stretched,
}


def on_scale(ratings: Ratings, scale: str) -> Ratings:
    """Ratings on a scale of ``SCALES``."""
    return replace(ratings, scores=SCALES[scale](ratings.scores))
