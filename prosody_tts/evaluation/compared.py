"""Two systems beside each other: what differs in their settings, and by how much their sentences differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from prosody_tts.config import Experiment, to_plain
from prosody_tts.evaluation import statistics
from prosody_tts.evaluation.metrics import METRICS, by_sentence, weights_by_sentence
from prosody_tts.evaluation.results import UtteranceResult
from prosody_tts.evaluation.statistics import Interval
from prosody_tts.files import flat

#: Settings that change no result.
UNTOLD = ("run.",)


@dataclass(frozen=True)
class Apart:
    """One metric of two systems.

    Attributes:
        metric: its name.
        one: mean of the first.
        other: of the second.
        difference: the second less the first, over the sentences that have both.
        interval: of the difference, by the bootstrap over sentences.
        p: of Wilcoxon's signed-rank test, Holm-adjusted over metrics; none where all sentences are alike.
        n: sentences.
    """

    metric: str
    one: float
    other: float
    difference: float
    interval: Interval
    p: float | None
    n: int


def settings_apart(one: Experiment, other: Experiment) -> list[tuple[str, Any, Any]]:
    """Settings in which two experiments differ, with the values of both; not those that change no result."""
    pair = [flat(to_plain(experiment), ".") for experiment in (one, other)]
    names = [name for name in pair[0] if not name.startswith(UNTOLD)]
    return [(name, pair[0][name], pair[1].get(name)) for name in names if pair[0][name] != pair[1].get(name)]


def metrics_apart(
    one: Sequence[UtteranceResult],
    other: Sequence[UtteranceResult],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Apart]:
    """Every metric that both have, over the sentences where both have it."""
    tables = by_sentence(one), by_sentence(other)
    weights = weights_by_sentence(one)
    found: list[Apart] = []
    raw: list[float | None] = []
    for name in METRICS:
        sentences = [sentence for sentence in tables[0][name] if sentence in tables[1][name]]
        if not sentences:
            continue
        first, second = (np.array([table[name][sentence] for sentence in sentences]) for table in tables)
        weight = np.array([weights[name].get(sentence, 0.0) for sentence in sentences]) if name in weights else None
        counts = statistics.resample_counts(len(sentences), resamples, seed)
        interval = statistics.UNKNOWN
        if len(sentences) > 1:
            interval = statistics.percentile_interval(statistics.means(second - first, counts, weight), confidence)
        means = statistics.mean(first, weight), statistics.mean(second, weight)
        raw.append(statistics.wilcoxon(second, first))
        found.append(Apart(name, *means, means[1] - means[0], interval, None, len(sentences)))
    return [replace(row, p=p) for row, p in zip(found, statistics.holm(raw), strict=True)]
