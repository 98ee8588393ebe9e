"""Every metric, and what a system's results have of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from prosody_tts.evaluation.metrics.contract import Metric, OfSentence
from prosody_tts.evaluation.metrics.durations import DURATIONS
from prosody_tts.evaluation.metrics.frames import FRAMES
from prosody_tts.evaluation.metrics.whole import QUALITY, SAID, SPECTRUM
from prosody_tts.evaluation.metrics.words import ENERGY, F0
from prosody_tts.evaluation.results import UtteranceResult, by_speaker
from prosody_tts.evaluation.statistics import mean

#: Every metric by name, in the order of tables.
METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (*F0, *FRAMES, *SAID, *DURATIONS, *ENERGY, *SPECTRUM, *QUALITY)
}


def of_metric(name: str, results: Sequence[UtteranceResult]) -> dict[str, float]:
    """One metric's value for every sentence where it is defined; see ``by_sentence``."""
    return _over_speakers(METRICS[name].of_sentence, by_speaker(results))


def by_sentence(results: Sequence[UtteranceResult]) -> dict[str, dict[str, float]]:
    """Value of every metric for every sentence where it is defined: metric -> sentence -> value.

    A sentence that several speakers say has the mean over speakers.
    """
    groups = by_speaker(results)
    return {metric.name: _over_speakers(metric.of_sentence, groups) for metric in METRICS.values()}


def weights_by_sentence(results: Sequence[UtteranceResult]) -> dict[str, dict[str, float]]:
    """How much every sentence counts, of the metrics that do not count all alike: metric -> sentence -> weight."""
    groups = by_speaker(results)
    return {
        metric.name: _over_speakers(metric.weight, groups) for metric in METRICS.values() if metric.weight is not None
    }


def _over_speakers(
    of_sentence: OfSentence, groups: Mapping[str, Sequence[Sequence[UtteranceResult]]]
) -> dict[str, float]:
    """The value of every sentence that has one, the mean over its speakers."""
    found = {}
    for sentence, speakers in groups.items():
        values = [value for value in map(of_sentence, speakers) if value is not None]
        if values:
            found[sentence] = float(np.mean(values)) if len(values) > 1 else values[0]
    return found


def overall(results: Sequence[UtteranceResult]) -> dict[str, float]:
    """Every metric that is defined somewhere, over all sentences, as a table has it."""
    weights = weights_by_sentence(results)
    return {
        name: mean(
            np.array(list(values.values())),
            np.array([weights[name][sentence] for sentence in values]) if name in weights else None,
        )
        for name, values in by_sentence(results).items()
        if values
    }
