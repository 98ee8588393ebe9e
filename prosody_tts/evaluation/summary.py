"""Rows of the table: every metric of every system with its interval, its test and its share of the gap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from prosody_tts.errors import UserError
from prosody_tts.evaluation import statistics
from prosody_tts.evaluation.codes import CODES
from prosody_tts.evaluation.effects import EFFECTS, shares
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.metrics import METRICS, Better, Source, by_sentence, nanmean, weights_by_sentence
from prosody_tts.evaluation.pairs import Pair, compare
from prosody_tts.evaluation.results import UtteranceResult, by_renditions
from prosody_tts.evaluation.variation import VARIATIONS, variations
from prosody_tts.report.papers import GAP_CLOSED, GAP_TO_ORACLE, ORACLES, oracle_of

#: Pseudo-system: the recording through the vocoder, the best any system with that vocoder can do on audio.
COPY_SYNTHESIS = "copy_synthesis"


@dataclass(frozen=True)
class Column:
    """What a metric of the table is, effects, distributions and figures of codes included; what has no best value has
    no perfect one."""

    name: str
    label: str
    unit: str
    definition: str
    better: Better
    perfect: float | None
    source: Source


def _columns() -> dict[str, Column]:
    found = {
        metric.name: Column(
            metric.name,
            metric.label,
            metric.unit,
            metric.definition,
            metric.better,
            metric.perfect,
            metric.source,
        )
        for metric in METRICS.values()
    }
    for effect in EFFECTS.values():
        for source in effect.sources:
            name = effect.column(source)
            label = effect.label + (" (read-out)" if source == "readout" else "")
            definition = effect.definition + (
                " Word F0 and energy as the decoder's read-out head gives them." if source == "readout" else ""
            )
            found[name] = Column(name, label, "share", definition, "higher", 1.0, source)
    for one in VARIATIONS.values():
        found[one.name] = Column(one.name, one.label, one.unit, one.definition, one.better, one.perfect, "readout")
    for code in CODES.values():
        found[code.name] = Column(code.name, code.label, code.unit, code.definition, code.better, None, "stages")
    return found


#: Every metric that rows may have, by name, in the order of tables.
COLUMNS: dict[str, Column] = _columns()


@dataclass(frozen=True)
class Row:
    """One metric of one system.

    Attributes:
        system: name.
        metric: key in ``COLUMNS``.
        value: mean over sentences, or for effects the share recovered, or a figure of the system's codes.
        low: lower end of the bootstrap interval over sentences, or None.
        high: upper end.
        n: sentences; 0 of figures that are no means over sentences.
        unit: of value, low and high.
        better: which direction.
        gap_closed: per cent of the way from the lower bound to the upper, or None where there is no gap.
        gap_low: lower end of its interval; None where the gap itself may be nothing.
        gap_high: upper end.
        gap_to_oracle: per cent of the way from the lower bound to the system's own oracle.
        gap_to_oracle_low: lower end of its interval.
        gap_to_oracle_high: upper end.
        p: two-sided Wilcoxon signed-rank test against the lower bound over sentences, Holm-adjusted for the number
            of systems tested on the metric; None for effects and the lower bound itself.
        paper: the share of the gap the paper reports for the system, by listeners, or None.
        paper_half: half the width of the paper's interval, or None.
        paper_to_oracle: likewise towards the oracle.
        paper_to_oracle_half: half the width of its interval, or None.
        paper_source: where the figures stand.
        seeds: trainings pooled; value and interval are of each sentence's mean over them.
        seed_sd: standard deviation of the trainings' own values, or None for one.
    """

    system: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n: int
    unit: str
    better: Better
    gap_closed: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    gap_to_oracle: float | None = None
    gap_to_oracle_low: float | None = None
    gap_to_oracle_high: float | None = None
    p: float | None = None
    paper: float | None = None
    paper_half: float | None = None
    paper_to_oracle: float | None = None
    paper_to_oracle_half: float | None = None
    paper_source: str | None = None
    seeds: int = 1
    seed_sd: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Row:
        """The inverse of ``to_dict``."""
        return Row(**data)


@dataclass(frozen=True, eq=False)
class _Estimate:
    """A value with its replicates; ``by_sentence`` [N] (NaN where undefined) for metrics, None for effects.

    ``weights`` [N] say how much each sentence counts, where they do not all count alike.
    ``seeds`` trainings are pooled, whose own values have the standard deviation ``seed_sd``.
    """

    value: float
    replicates: Floats
    n: int
    by_sentence: Floats | None = None
    seeds: int = 1
    seed_sd: float | None = None
    weights: Floats | None = None


def summarise(
    systems: Mapping[str, Sequence[UtteranceResult]],
    lower: str = "baseline",
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    oracles: Mapping[str, str] = ORACLES,
    repeats: Mapping[str, Sequence[Sequence[UtteranceResult]]] | None = None,
    codes: Mapping[str, Sequence[Mapping[str, float]]] | None = None,
) -> list[Row]:
    """Turn evaluations into rows, systems in the order given, metrics in the order of ``COLUMNS``.

    The upper bound of a gap is ``copy_synthesis`` for metrics measured on audio, where it is among the systems, and
    the recordings' own value (no error, correlation 1, share 1) otherwise and for read-out metrics.

    Args:
        systems: name -> results; ``copy_synthesis`` may be among them.
        lower: the lower bound of gaps and the system that others are tested against; it need not be there.
        confidence: coverage of intervals.
        resamples: bootstrap resamples.
        seed: of the resamples.
        oracles: start of a system's name -> its oracle.
        repeats: name -> results of the system's other seeds. A sentence's figure is then its mean over seeds, so that
            intervals and tests count sentences, whatever the number of seeds.
        codes: name -> figures of the system's codes (``codes.CODES``), for each of its seeds.

    Raises:
        UserError: the systems were not evaluated on the same utterances, or there are none.
    """
    runs = {name: (results, *(repeats or {}).get(name, ())) for name, results in systems.items()}
    named = [(name, place, one) for name, of in runs.items() for place, one in enumerate(of, start=1)]
    sentences = _same_sentences(
        {name if place == 1 else f"{name}, its seed {place}": one for name, place, one in named}
    )
    counts = statistics.resample_counts(len(sentences), resamples, seed)
    estimates = {
        name: _pooled([_estimates(results, sentences, counts, confidence) for results in of], counts)
        for name, of in runs.items()
    }
    for name, of in (codes or {}).items():
        estimates[name] |= _pooled([_constants(figures, resamples) for figures in of], counts)
    rows = [
        _row(system, column, estimates, counts, lower, confidence, oracles)
        for system in systems
        for column in COLUMNS.values()
        if column.name in estimates[system]
    ]
    return _with_p(rows, estimates, lower)


def compare_systems(
    systems: Mapping[str, Sequence[UtteranceResult]],
    repeats: Mapping[str, Sequence[Sequence[UtteranceResult]]] | None = None,
) -> list[Pair]:
    """Test every system against every other on each metric, but for the vocoded recordings.

    Args:
        systems: name -> results, of the same sentences.
        repeats: name -> results of the system's other seeds; a sentence's figure is then its mean over seeds.
    """
    tested = [name for name in systems if name != COPY_SYNTHESIS]
    sentences = list(by_renditions(systems[tested[0]])) if tested else []
    tables = {
        name: [by_sentence(results) for results in (systems[name], *(repeats or {}).get(name, ()))] for name in tested
    }
    found: list[Pair] = []
    for metric in METRICS.values():
        have = [name for name in tested if all(table[metric.name] for table in tables[name])]
        sign = 1.0 if metric.better == "lower" else -1.0
        errors = {
            name: sign
            * nanmean(np.array([[table[metric.name].get(one, np.nan) for one in sentences] for table in tables[name]]))
            for name in have
        }
        found += compare(metric.name, errors)
    return found


def _same_sentences(systems: Mapping[str, Sequence[UtteranceResult]]) -> list[str]:
    if not systems or not all(systems.values()):
        empty = [name for name, results in systems.items() if not results]
        raise UserError(f"there is nothing to compare: no utterances of {', '.join(empty) or 'any system'}")
    first = next(iter(systems))
    expected = {(result.sentence, result.id) for result in systems[first]}
    for name, results in systems.items():
        found = {(result.sentence, result.id) for result in results}
        if found != expected:
            example = sorted(found ^ expected)[0][1]
            raise UserError(
                f"'{name}' and '{first}' were evaluated on different utterances ({example} is in one of them only); "
                "evaluate both with the same corpus, data.seed, evaluation.split and evaluation.limit"
            )
        if len(results) != len(found):
            raise UserError(f"the evaluation of '{name}' holds an utterance twice; delete its folder, evaluate again")
    return list(by_renditions(systems[first]))


def _estimates(
    results: Sequence[UtteranceResult], sentences: Sequence[str], counts: Floats, confidence: float
) -> dict[str, _Estimate]:
    found: dict[str, _Estimate] = {}
    counted = weights_by_sentence(results)
    for name, values in by_sentence(results).items():
        if values:
            vector = np.array([values.get(sentence, np.nan) for sentence in sentences])
            weights = np.array([counted[name].get(one, 0.0) for one in sentences]) if name in counted else None
            replicates = statistics.means(vector, counts, weights)
            value = statistics.mean(vector, weights)
            found[name] = _Estimate(value, replicates, len(values), vector, weights=weights)
    for name, share in {**shares(results, counts, confidence), **variations(results, counts)}.items():
        found[name] = _Estimate(share.value, share.replicates, share.n)
    return found


def _constants(figures: Mapping[str, float], resamples: int) -> dict[str, _Estimate]:
    """Figures that no sentence has a share of: no resample moves them."""
    return {name: _Estimate(value, np.full(resamples, value), 0) for name, value in figures.items()}


def _pooled(seeds: Sequence[dict[str, _Estimate]], counts: Floats) -> dict[str, _Estimate]:
    """One estimate of several trainings, for what all of them have: sentence by sentence, or of effects as a whole."""
    if len(seeds) == 1:
        return seeds[0]
    found = {}
    for name in [name for name in seeds[0] if all(name in seed for seed in seeds)]:
        each = [seed[name] for seed in seeds]
        vectors = [one.by_sentence for one in each if one.by_sentence is not None]
        if vectors:
            vector, weights = nanmean(np.stack(vectors)), each[0].weights
            value, replicates = statistics.mean(vector, weights), statistics.means(vector, counts, weights)
            n = int(np.isfinite(vector).sum())
        else:
            vector, weights, n = None, None, each[0].n
            value = float(np.mean([one.value for one in each]))
            replicates = np.mean([one.replicates for one in each], axis=0)
        spread = float(np.std([one.value for one in each], ddof=1))
        found[name] = _Estimate(value, replicates, n, vector, len(seeds), spread, weights)
    return found


def _row(
    system: str,
    column: Column,
    estimates: Mapping[str, Mapping[str, _Estimate]],
    counts: Floats,
    lower: str,
    confidence: float,
    oracles: Mapping[str, str],
) -> Row:
    name = column.name
    mine = estimates[system][name]
    interval = statistics.percentile_interval(mine.replicates, confidence) if mine.n > 1 else statistics.UNKNOWN
    gap = to_oracle = statistics.Gap(None)
    below = estimates.get(lower, {}).get(name)
    if below is not None and system != lower and column.perfect is not None:
        above = estimates.get(COPY_SYNTHESIS, {}).get(name) if column.source == "audio" else None
        if system != COPY_SYNTHESIS:
            gap = _gap(mine, below, above, column, counts, confidence)
        oracle = oracle_of(system, oracles)
        best = estimates.get(oracle, {}).get(name) if oracle else None
        if best is not None:
            to_oracle = _gap(mine, below, best, column, counts, confidence)
    listened = name in METRICS  # papers asked listeners how natural speech is, not for single effects
    paper = GAP_CLOSED.get(system) if listened else None
    paper_to_oracle = GAP_TO_ORACLE.get(system) if listened else None
    return Row(
        system=system,
        metric=name,
        value=mine.value,
        low=interval.low,
        high=interval.high,
        n=mine.n,
        unit=column.unit,
        better=column.better,
        gap_closed=gap.value,
        gap_low=gap.interval.low,
        gap_high=gap.interval.high,
        gap_to_oracle=to_oracle.value,
        gap_to_oracle_low=to_oracle.interval.low,
        gap_to_oracle_high=to_oracle.interval.high,
        paper=paper.value if paper else None,
        paper_half=paper.half if paper else None,
        paper_to_oracle=paper_to_oracle.value if paper_to_oracle else None,
        paper_to_oracle_half=paper_to_oracle.half if paper_to_oracle else None,
        paper_source=paper.source if paper else None,
        seeds=mine.seeds,
        seed_sd=mine.seed_sd,
    )


def _gap(
    mine: _Estimate, below: _Estimate, above: _Estimate | None, column: Column, counts: Floats, confidence: float
) -> statistics.Gap:
    """Share of the gap over the sentences all three have; no ``above`` stands for the recordings themselves."""
    assert column.perfect is not None
    perfect = np.full_like(mine.replicates, column.perfect)
    sides = [(side.value, side.replicates) for side in (mine, below)]
    top = (column.perfect, perfect) if above is None else (above.value, above.replicates)
    vectors = [side.by_sentence for side in (mine, below, above) if side is not None and side.by_sentence is not None]
    if vectors:
        shared = statistics.common(*vectors)
        if not shared.any():
            return statistics.Gap(None)
        paired = [np.where(shared, vector, np.nan) for vector in vectors]
        weights = mine.weights  # of the words said, which are the same for all
        pairs = [(statistics.mean(vector, weights), statistics.means(vector, counts, weights)) for vector in paired]
        sides, top = pairs[:2], pairs[2] if above is not None else top
    sign = 1 if column.better == "higher" else -1
    return statistics.gap_with_interval(sides[0], sides[1], top, sign, confidence)


def _with_p(rows: Sequence[Row], estimates: Mapping[str, Mapping[str, _Estimate]], lower: str) -> list[Row]:
    """Add Holm-adjusted p-values, one family per metric: all systems but the vocoded recordings."""
    adjusted: dict[tuple[str, str], float | None] = {}
    for name in METRICS:
        below = estimates.get(lower, {}).get(name)
        tested = [system for system in estimates if system not in (lower, COPY_SYNTHESIS) and name in estimates[system]]
        if below is None or below.by_sentence is None:
            continue
        raw = []
        for system in tested:
            vector = estimates[system][name].by_sentence
            raw.append(None if vector is None else statistics.wilcoxon(vector, below.by_sentence))
        adjusted |= {(system, name): p for system, p in zip(tested, statistics.holm(raw), strict=True)}
    return [Row(**{**asdict(row), "p": adjusted.get((row.system, row.metric))}) for row in rows]
