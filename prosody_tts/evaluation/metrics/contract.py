"""What a metric is: a figure per sentence, which a table averages over sentences.

Renditions of a sentence are one observation, since they share a text: a metric of single utterances is averaged over
a sentence's renditions first (RMSEs as root of the mean square), so that intervals and tests count sentences. What two
speakers say are no renditions of each other: each speaker's have a figure, and the sentence has their mean. A rate of
errors weighs a sentence by its words, so that the table's figure is the rate of all words, as it is everywhere else.
Definitions in the literature differ (Skerry-Ryan et al., arXiv 1803.09047, section 4.2); each metric states its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.results import UtteranceResult

Better = Literal["lower", "higher"]
#: Where a figure comes from: the synthesised audio, the decoder's read-out head, or what trained the system.
Source = Literal["audio", "readout", "stages"]
OfUtterance = Callable[[UtteranceResult], "float | None"]
OfSentence = Callable[[Sequence[UtteranceResult]], "float | None"]


@dataclass(frozen=True)
class Metric:
    """One column of the table.

    Attributes:
        name: key in ``METRICS`` and in every table.
        label: for people.
        unit: of the value.
        definition: one sentence.
        better: which direction.
        perfect: the value of the recordings themselves.
        source: audio or read-out head.
        of_sentence: the value over the renditions of one sentence, or None where it is not defined.
        weight: how much a sentence counts in a mean over sentences, where ``of_sentence`` has a value; none counts all
            alike.
    """

    name: str
    label: str
    unit: str
    definition: str
    better: Better
    perfect: float
    source: Source
    of_sentence: OfSentence
    weight: OfSentence | None = None

    def of(self, result: UtteranceResult) -> float | None:
        """The value of a single utterance."""
        return self.of_sentence([result])


def rmse(difference: Floats) -> float | None:
    """Root of the mean square of the values that are not NaN; None if there are none."""
    sound = difference[~np.isnan(difference)]
    return float(np.sqrt(np.mean(sound**2))) if len(sound) else None


def nanmean(values: Floats) -> Floats:
    """Mean over axis 0 of the values that are not NaN; NaN where there are none, without a warning."""
    sound = ~np.isnan(values)
    count = sound.sum(axis=0)
    return np.where(count > 0, np.where(sound, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def log_or_nan(values: Floats) -> Floats:
    """Natural logs; NaN of what is not above 0, without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log(values), np.nan)


def mean_of(of_utterance: OfUtterance) -> OfSentence:
    """Average over the renditions."""

    def of_sentence(renditions: Sequence[UtteranceResult]) -> float | None:
        values = [value for value in map(of_utterance, renditions) if value is not None]
        return float(np.mean(values)) if values else None

    return of_sentence


def root_mean_square(of_utterance: OfUtterance) -> OfSentence:
    """Root of the mean square over the renditions."""

    def of_sentence(renditions: Sequence[UtteranceResult]) -> float | None:
        values = [value for value in map(of_utterance, renditions) if value is not None]
        return float(np.sqrt(np.mean(np.square(values)))) if values else None

    return of_sentence


def correlation(one: Floats, other: Floats) -> float | None:
    """Pearson's, of values of a recording (``other``) and of a system; None where they cannot have one.

    Fewer than three values, or recorded ones that do not move, have none. A system that does not move follows nothing:
    0, not undefined, or the flattest would be left out of its own figure.
    """
    sound = ~np.isnan(one) & ~np.isnan(other)
    if sound.sum() < 3:
        return None
    a, b = one[sound] - one[sound].mean(), other[sound] - other[sound].mean()
    if np.sqrt(np.mean(b**2)) < 1e-6:
        return None
    return 0.0 if np.sqrt(np.mean(a**2)) < 1e-6 else float(a @ b / np.sqrt((a @ a) * (b @ b)))
