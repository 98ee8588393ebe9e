"""Metrics of predicted labels, pooled over the tokens of all sentences, from sums that add up over sentences.

So a bootstrap over sentences resamples the sums and never the tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from prosody_tts.config import LABELS
from prosody_tts.evaluation import distributions, pairs, statistics
from prosody_tts.evaluation.decisions import DECISIONS, Ints
from prosody_tts.evaluation.distributions import Pair, Statistic
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
    @property
    def draws(self) -> Floats | None: ...


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
        dimension: of ``config.LABELS``, or one that follows from it (``labels.DERIVED``).
        better: which direction; a spread is better the nearer it is to the speaker's, which lies above it.
        sums: what of one sentence enters [K], or None where the track has it not.
        value: from sums [..., K] to values [...].
        errors: mean error of one sentence, small for good ones, for tests between systems; or none.
        contest: whether more or less of it makes a better system; spreads and what systems share make none.
    """

    name: str
    label: str
    definition: str
    dimension: str
    better: Better
    sums: Callable[[TrackLike], Floats | None]
    value: Callable[[Floats], Floats]
    errors: Callable[[TrackLike], float] | None = None
    contest: bool = True


#: Dimension -> what it is, for definitions.
MEANINGS = {
    "timing": "natural-log duration of a word over the sum of its phones' mean durations",
    "duration": "natural log of a word's duration in seconds, its timing plus what its phones last on average",
    "pause": "log(1 + frames of 12.5 ms) of the silence between two words",
    "prominence": "real-valued prominence of a word",
    "boundary": "real-valued boundary after a word but the last",
}
_DECISION_LABELS = {
    "f1": ("F1", "F1 of pauses (silences of 50 ms and longer)", f1),
    "two_way": ("two-way", "share of tokens told right as 0 or above", accuracy),
    "three_way": ("three-way", "share of tokens told right as 0, 1 or 2", accuracy),
}


#: Dimensions with metrics, in the order of tables.
DIMENSIONS = tuple(dict.fromkeys([*(name for names in LABELS.values() for name in names), *MEANINGS]))


def _squared(track: TrackLike) -> float:
    """Mean squared error of a sentence; NaN where it has no token of the dimension."""
    error = (track.predicted - track.reference) ** 2
    return float(error.mean()) if len(error) else float("nan")


def _wrong(decision: str) -> Callable[[TrackLike], float]:
    """Number of a sentence's tokens whose class is wrong."""

    def count(track: TrackLike) -> float:
        reference, predicted = track.decisions[decision]
        return float((reference != predicted).sum())

    return count


def _of_moments(dimension: str) -> list[LabelMetric]:
    what = MEANINGS[dimension]
    told: tuple[tuple[str, str, str, Callable[[Floats], Floats]], ...] = (
        ("r2", "R²", f"Share of the variance explained of the {what}.", r_squared),
        ("r", "r", f"Pearson correlation of the {what}.", correlation),
        ("sd", "SD", f"Standard deviation of the predicted {what}.", spread_predicted),
        ("sd_human", "human SD", f"Standard deviation of the measured {what}.", spread_measured),
    )
    return [
        LabelMetric(
            f"{dimension}_{key}",
            f"{dimension} {label}",
            definition,
            dimension,
            "higher",
            moments,
            value,
            errors=_squared if key == "r2" else None,
            contest=not key.startswith("sd"),
        )
        for key, label, definition, value in told
    ]


def _of_decision(dimension: str, decision: str) -> list[LabelMetric]:
    classes = DECISIONS[dimension][decision].classes
    label, meaning, score = _DECISION_LABELS[decision]
    name, title = f"{dimension}_{decision}", f"{dimension} {label}"
    how = "by thresholds fitted on the development split"
    if DECISIONS[dimension][decision].likeliest:
        how += ", or by what the head for classes holds likeliest where a system has one"
    definition = f"{meaning.capitalize()}, {how}."

    def sums(track: TrackLike) -> Floats:
        return confusion(track.decisions[decision], classes)

    found = [LabelMetric(name, title, definition, dimension, "higher", sums, score, errors=_wrong(decision))]
    if score is accuracy:
        definition = "Share of the commonest class among those tokens."
        title = f"{title}, commonest"
        found.append(
            LabelMetric(f"{name}_majority", title, definition, dimension, "higher", sums, majority, contest=False)
        )
    return found


def _point(track: TrackLike) -> Pair:
    return Pair(track.reference[None], track.predicted[None])


def _drawn(track: TrackLike) -> Pair | None:
    return None if track.draws is None else Pair(track.reference[None], track.draws)


def _of_distribution(dimension: str) -> list[LabelMetric]:
    """How predictions, and draws where there are some, are distributed beside what was measured."""
    grid, what = distributions.GRIDS[dimension], MEANINGS[dimension]

    def metric(
        name: str, statistic: Statistic, of: str, pair: Callable[[TrackLike], Pair | None], label: str
    ) -> LabelMetric:
        def sums(track: TrackLike) -> Floats | None:
            found = pair(track)
            return None if found is None else statistic.sums(found, grid)

        return LabelMetric(
            f"{dimension}_{name}",
            f"{dimension} {label}",
            statistic.definition.format(what=what, of=of),
            dimension,
            statistic.better,
            sums,
            lambda total: statistic.value(total, grid),
            contest=statistic.perfect is not None,
        )

    def shares(track: TrackLike) -> Floats | None:
        drawn = _drawn(track)
        return None if drawn is None else distributions.both_pairs(drawn, _point(track), grid)

    known = {f"{dimension}_sd"}  # by moments, as is the speaker's
    found = [
        metric(name, one, "the predictions", _point, one.label)
        for name, one in distributions.STATISTICS.items()
        if f"{dimension}_{name}" not in known
    ]
    human = distributions.RECORDED["delta_sd"]
    found.append(metric("delta_sd_human", human, "the recordings", _point, human.label))
    found += [
        metric(f"{name}_drawn", one, "draws", _drawn, f"{one.label} of draws")
        for name, one in distributions.STATISTICS.items()
    ]
    found.append(
        LabelMetric(
            f"{dimension}_jsd_share",
            f"{dimension} JSD, share",
            distributions.SHARE.format(what=what),
            dimension,
            "lower",
            shares,
            lambda total: distributions.share(total, grid),
        )
    )
    found.append(metric("diversity", distributions.DIVERSITY, "draws", _drawn, distributions.DIVERSITY.label))
    return found


def _metrics() -> dict[str, LabelMetric]:
    found: list[LabelMetric] = []
    for dimension in DIMENSIONS:
        found += _of_moments(dimension)
        for decision in DECISIONS.get(dimension, {}):
            found += _of_decision(dimension, decision)
        found += _of_distribution(dimension)
    return {metric.name: metric for metric in found}


METRICS: dict[str, LabelMetric] = _metrics()


def measure(tracks: Sequence[Mapping[str, TrackLike]]) -> dict[str, float]:
    """Every metric that sentences have and that is defined on them."""
    found = {}
    for metric in METRICS.values():
        if tracks and metric.dimension in tracks[0]:
            each = [metric.sums(row[metric.dimension]) for row in tracks]
            if any(sums is None for sums in each):
                continue
            value = float(metric.value(sum(each)))  # type: ignore[arg-type]
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


def compare_labels(
    systems: Mapping[str, Sequence[Mapping[str, Sequence[Mapping[str, TrackLike]]]]],
) -> list[pairs.Pair]:
    """All pairs of systems on every metric that has an error a sentence.

    Args:
        systems: name -> its trainings (seeds), each sentence -> tracks of its utterances; the same sentences for each.
            A sentence's error is its mean over utterances and trainings.
    """
    first = next(iter(systems.values()))[0]
    there = {dimension for group in first.values() for tracks in group for dimension in tracks}
    found: list[pairs.Pair] = []
    for metric in METRICS.values():
        of = metric.errors
        if of is None or metric.dimension not in there or len(systems) < 2:
            continue
        errors = {
            name: np.mean(
                [
                    [np.mean([of(tracks[metric.dimension]) for tracks in group]) for group in run.values()]
                    for run in runs
                ],
                axis=0,
            )
            for name, runs in systems.items()
        }
        found += pairs.compare(metric.name, errors)
    return found


def _sums(metric: LabelMetric, sentences: Mapping[str, Sequence[Mapping[str, TrackLike]]]) -> Floats:
    """A metric's sums of each sentence: [N, sums]."""
    return np.stack(
        [sum(metric.sums(tracks[metric.dimension]) for tracks in group) for group in sentences.values()]  # type: ignore[misc]
    )
