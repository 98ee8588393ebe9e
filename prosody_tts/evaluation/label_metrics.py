"""Metrics of predicted labels, pooled over the tokens of all sentences, from sums that add up over sentences.

So a bootstrap over sentences resamples the sums and never the tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from prosody_tts.config import LABELS
from prosody_tts.evaluation import statistics
from prosody_tts.evaluation.decisions import DECISIONS, Ints
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.metrics import Better
from prosody_tts.evaluation.summary import Row


class TrackLike(Protocol):
    """What of ``labels.Track`` is measured."""

    @property
    def reference(self) -> Floats: ...
    @property
    def predicted(self) -> Floats: ...
    @property
    def decisions(self) -> dict[str, tuple[Ints, Ints]]: ...


def moments(track: TrackLike) -> Floats:
    """[6] number, sums of y, y², p, p², yp, for measured y and predicted p."""
    y, p = track.reference, track.predicted
    return np.array([len(y), y.sum(), (y * y).sum(), p.sum(), (p * p).sum(), (y * p).sum()])


def confusion(pair: tuple[Ints, Ints], classes: int) -> Floats:
    """[classes * classes] tokens of each measured (outer) and predicted class."""
    reference, predicted = pair
    return np.bincount(reference * classes + predicted, minlength=classes * classes).astype(np.float64)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)


def _variances(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Sums of squares about the mean of y, of p, and of their products."""
    n, y, yy, p, pp, yp = np.moveaxis(sums, -1, 0)
    n = np.maximum(n, 1)
    return np.maximum(yy - y * y / n, 0), np.maximum(pp - p * p / n, 0), yp - y * p / n


def r_squared(sums: Floats) -> Floats:
    """1 - sum of squared errors / sum of squares about the measured mean; NaN where nothing varies."""
    error = sums[..., 2] - 2 * sums[..., 5] + sums[..., 4]
    total = _variances(sums)[0]
    return 1 - _ratio(error, total)


def correlation(sums: Floats) -> Floats:
    """Pearson's r; NaN where one side is constant, to within rounding."""
    yy, pp, yp = _variances(sums)
    yy, pp = np.where(yy > 1e-12 * sums[..., 2], yy, 0), np.where(pp > 1e-12 * sums[..., 4], pp, 0)
    return _ratio(yp, np.sqrt(yy * pp))


def spread_predicted(sums: Floats) -> Floats:
    """Standard deviation of predictions."""
    return np.sqrt(_variances(sums)[1] / np.maximum(sums[..., 0], 1))


def spread_measured(sums: Floats) -> Floats:
    """Standard deviation of measurements."""
    return np.sqrt(_variances(sums)[0] / np.maximum(sums[..., 0], 1))


def _square(sums: Floats) -> Floats:
    size = round(np.sqrt(sums.shape[-1]))
    return sums.reshape(*sums.shape[:-1], size, size)


def f1(sums: Floats) -> Floats:
    """F1 of class 1 of two; NaN where it is neither measured nor predicted."""
    table = _square(sums)
    return _ratio(2 * table[..., 1, 1], table[..., 1, :].sum(-1) + table[..., :, 1].sum(-1))


def accuracy(sums: Floats) -> Floats:
    """Share of tokens given their measured class."""
    table = _square(sums)
    return _ratio(np.trace(table, axis1=-2, axis2=-1), table.sum((-2, -1)))


def majority(sums: Floats) -> Floats:
    """Share of the commonest measured class: the accuracy of who always says it."""
    table = _square(sums)
    return _ratio(table.sum(-1).max(-1), table.sum((-2, -1)))


@dataclass(frozen=True)
class LabelMetric:
    """A metric of one dimension.

    Attributes:
        name: key in ``METRICS``.
        label: heading.
        definition: one sentence.
        dimension: of ``config.LABELS``.
        decision: whose confusions it reads, or none for the moments.
        better: which direction; a spread is better the nearer it is to the speaker's, which lies above it.
        value: from sums [..., K] to values [...].
    """

    name: str
    label: str
    definition: str
    dimension: str
    decision: str | None
    better: Better
    value: Callable[[Floats], Floats]

    def sums(self, track: TrackLike) -> Floats:
        """What of one sentence enters."""
        if self.decision is None:
            return moments(track)
        return confusion(track.decisions[self.decision], DECISIONS[self.dimension][self.decision].classes)


#: Dimension -> what it is, for definitions.
MEANINGS = {
    "timing": "natural-log duration of a word over the sum of its phones' mean durations",
    "pause": "log(1 + frames of 12.5 ms) of the silence between two words",
    "prominence": "real-valued prominence of a word",
    "boundary": "real-valued boundary after a word but the last",
}
_DECISION_LABELS = {
    "f1": ("F1", "F1 of pauses (silences of 50 ms and longer)", f1),
    "two_way": ("two-way", "share of tokens told right as 0 or above", accuracy),
    "three_way": ("three-way", "share of tokens told right as 0, 1 or 2", accuracy),
}


def _metrics() -> dict[str, LabelMetric]:
    found: list[LabelMetric] = []
    for dimension in dict.fromkeys(name for names in LABELS.values() for name in names):
        what = MEANINGS[dimension]
        for key, label, definition, value in (
            ("r2", "R²", f"Share of the variance explained of the {what}.", r_squared),
            ("r", "r", f"Pearson correlation of the {what}.", correlation),
            ("sd", "SD", f"Standard deviation of the predicted {what}.", spread_predicted),
            ("sd_human", "human SD", f"Standard deviation of the measured {what}.", spread_measured),
        ):
            name = f"{dimension}_{key}"
            found.append(LabelMetric(name, f"{dimension} {label}", definition, dimension, None, "higher", value))
        for decision in DECISIONS.get(dimension, {}):
            label, meaning, score = _DECISION_LABELS[decision]
            definition = f"{meaning.capitalize()}, by thresholds on predictions fitted on the training split."
            name, title = f"{dimension}_{decision}", f"{dimension} {label}"
            found.append(LabelMetric(name, title, definition, dimension, decision, "higher", score))
            if score is accuracy:
                definition = "Share of the commonest class among those tokens."
                found.append(
                    LabelMetric(
                        f"{name}_majority", f"{title}, commonest", definition, dimension, decision, "higher", majority
                    )
                )
    return {metric.name: metric for metric in found}


METRICS: dict[str, LabelMetric] = _metrics()


def measure(tracks: Sequence[Mapping[str, TrackLike]]) -> dict[str, float]:
    """Every metric that sentences have and that is defined on them."""
    found = {}
    for metric in METRICS.values():
        if tracks and metric.dimension in tracks[0]:
            value = float(metric.value(sum(metric.sums(row[metric.dimension]) for row in tracks)))  # type: ignore[arg-type]
            if np.isfinite(value):
                found[metric.name] = value
    return found


def summarise_labels(
    systems: Mapping[str, Mapping[str, Sequence[Mapping[str, TrackLike]]]],
    confidence: float,
    resamples: int,
    seed: int,
    repeats: Mapping[str, Sequence[Mapping[str, Sequence[Mapping[str, TrackLike]]]]] | None = None,
) -> list[Row]:
    """Rows of the table: systems in the order given, metrics in the order of ``METRICS``.

    Args:
        systems: name -> sentence -> tracks of its utterances; the same sentences for each.
        confidence: coverage of the percentile intervals, over sentences.
        resamples: bootstrap resamples, the same sentences for every system.
        seed: of the resamples.
        repeats: name -> the same of the system's other seeds; values and replicates are then means over seeds.
    """
    rows = []
    for system, sentences in systems.items():
        counts = statistics.resample_counts(len(sentences), resamples, seed)
        runs = [sentences, *(repeats or {}).get(system, ())]
        measured = [measure([tracks for group in run.values() for tracks in group]) for run in runs]
        for name in [name for name in measured[0] if all(name in values for values in measured)]:
            metric, each = METRICS[name], [values[name] for values in measured]
            interval = statistics.UNKNOWN
            if len(sentences) > 1:
                replicates = np.mean([metric.value(counts @ _sums(metric, run)) for run in runs], axis=0)
                interval = statistics.percentile_interval(replicates, confidence)
            spread = float(np.std(each, ddof=1)) if len(runs) > 1 else None
            row = Row(system, name, float(np.mean(each)), *interval.ends, len(sentences), unit="", better=metric.better)
            rows.append(replace(row, seeds=len(runs), seed_sd=spread))
    return rows


def _sums(metric: LabelMetric, sentences: Mapping[str, Sequence[Mapping[str, TrackLike]]]) -> Floats:
    """A metric's sums of each sentence: [N, sums]."""
    return np.stack(
        [sum(metric.sums(tracks[metric.dimension]) for tracks in group) for group in sentences.values()]  # type: ignore[misc]
    )
