"""From phones and frames to tokens: durations on the phone axis, means over tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data_modules.alignment.frames import durations_from_ends
from data_modules.corpora.contract import PhoneTime
from data_modules.text.sentence import PAUSE, Sentence

#: A token needs this many voiced frames for its mean F0 to count.
LEAST_VOICED = 3


def exact_durations(
    labels: Sequence[str],
    phones: Sequence[PhoneTime],
    frames: int,
    hop_seconds: float,
    first_seconds: float = 0.0,
    least: int = 0,
) -> list[int]:
    """Frames of each phone [P] from exact times; pause slots without a pause get zero; the sum is ``frames``.

    Args:
        labels: the sentence's phones [P], pause slots among them.
        phones: the times, in seconds.
        frames: T.
        hop_seconds: time between frames.
        first_seconds: when the first frame is centred: later than 0 where the recording was trimmed.
        least: frames that each phone has at least, pauses excepted.

    Raises:
        ValueError: the timed phones are not the sentence's, or there are fewer frames than phones need.
    """
    ends, at = [], 0
    time = 0.0
    for label in labels:
        if label == PAUSE:
            while at < len(phones) and phones[at].word < 0:
                time = phones[at].end
                at += 1
        else:
            if at >= len(phones) or phones[at].label != label:
                found = phones[at].label if at < len(phones) else "the end"
                raise ValueError(f"timed phones differ from the pronunciation: '{found}' where '{label}' is expected")
            time = phones[at].end
            at += 1
        ends.append(time)
    if at != len(phones):
        raise ValueError(f"{len(phones) - at} timed phones are left over after the last word")
    needed = [0 if label == PAUSE else least for label in labels]
    return durations_from_ends(np.array(ends) - first_seconds, frames, hop_seconds, needed if least else None).tolist()


def token_durations(sentence: Sentence, durations: Sequence[int]) -> NDArray[np.int64]:
    """Frames of each token [W] from frames of each phone [P]."""
    return np.bincount(sentence.phone_to_word, weights=durations, minlength=sentence.tokens).astype(np.int64)


def token_means(
    values: NDArray[np.floating], tokens: NDArray[np.int64], valid: NDArray[np.bool_] | None = None, least: int = 1
) -> NDArray[np.float64]:
    """Mean of frame values [T] over each token's valid frames; NaN where fewer than ``least``: [W]."""
    index = np.repeat(np.arange(len(tokens)), tokens)[: len(values)]
    values = values[: len(index)]
    weight = np.ones(len(index)) if valid is None else valid[: len(index)].astype(float)
    count = np.bincount(index, weights=weight, minlength=len(tokens))
    total = np.bincount(index, weights=np.where(weight > 0, values, 0.0), minlength=len(tokens))
    return np.where(count >= max(least, 1), total / np.maximum(count, 1), np.nan)


def token_log_f0(f0: NDArray[np.floating], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean natural logarithm of F0 in Hz over each token's voiced frames; NaN below ``LEAST_VOICED`` of them: [W]."""
    voiced = f0 > 0
    return token_means(np.log(np.where(voiced, f0, 1.0)), tokens, voiced, LEAST_VOICED)
