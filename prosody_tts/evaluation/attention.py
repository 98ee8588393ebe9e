"""Sentences that an attention failed: read from where it looked, before durations are made of it.

CAMP counts attention failures among its test sentences (arXiv 2011.01175: 20 of 96) and does not say how;
the rules are ours.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

#: ``sound``, or what went wrong, the worst first: the limit of length was reached; the end of the text never was;
#: the attention went back; a phone was passed over.
Attention = Literal["sound", "no_stop", "early_stop", "repeat", "skip"]

#: A phone counts as read if one step at least gives it this weight.
READ = 0.1
#: Going back over more phones than this is a repetition; over fewer it is a blurred look at a boundary.
BACK = 2
#: Spoken phones at the end that may be unread without an early stop: the last may be said while its neighbour is read.
TAIL = 1


def judge(weights: ArrayLike, spoken: ArrayLike, stopped: bool) -> Attention:
    """Say whether an attention read a sentence from its first phone to its last, once.

    Args:
        weights: [S, P] of each decoder step over the phones.
        spoken: [P] whether a phone is said: pauses may be passed over.
        stopped: whether the decoder ended by itself.

    Raises:
        ValueError: there is no step, or no phone is spoken.
    """
    weights, spoken = np.asarray(weights, dtype=np.float64), np.asarray(spoken, dtype=bool)
    if len(weights) == 0 or not spoken.any():
        raise ValueError("an attention without steps or spoken phones cannot be judged")
    if not stopped:
        return "no_stop"
    said = np.flatnonzero(spoken)
    read = weights[:, said].max(axis=0) >= READ
    reached = int(np.flatnonzero(read).max(initial=-1))
    if reached < len(said) - 1 - TAIL:
        return "early_stop"
    looked = weights.argmax(axis=1)
    if (np.maximum.accumulate(looked) - looked).max() > BACK:
        return "repeat"
    return "skip" if not read[: reached + 1].all() else "sound"
