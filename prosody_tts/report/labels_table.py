"""Rows of systems that learn labels as a table, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from prosody_tts.evaluation.label_metrics import METRICS, LabelMetric
from prosody_tts.evaluation.pairs import MATRIX, Pair, cell, letters
from prosody_tts.evaluation.summary import Row
from prosody_tts.report import grids
from prosody_tts.report.grids import Grid
from prosody_tts.report.papers import beside
from prosody_tts.report.provenance import Provenance
from prosody_tts.report.table import count, interval, number, plus_minus, seeds_note

if TYPE_CHECKING:
    from rich.console import Group

#: Metrics of the short table; those that no system has are left out.
MAIN = (
    *("timing_r2", "timing_r", "duration_r2", "duration_jsd", "pause_r2", "pause_r", "pause_f1"),
    *("prominence_r2", "prominence_r", "prominence_two_way", "prominence_three_way"),
    *("boundary_r2", "boundary_r", "boundary_two_way", "boundary_three_way"),
)
#: Metrics of the table of distributions, likewise, for each dimension: predictions, draws, the speaker.
DISTRIBUTION = (
    *("sd_human", "sd", "sd_drawn", "delta_sd_human", "delta_sd", "delta_sd_drawn", "jsd", "jsd_drawn", "jsd_share"),
    *("wasserstein", "wasserstein_drawn", "diversity"),
)
#: Ends of the names of metrics of the speaker alone, which are the same for every system.
OF_SPEAKER = ("_sd_human", "_majority")


@dataclass(frozen=True)
class LabelTable:
    """Rows by system and metric.

    Attributes:
        rows: as ``summarise_labels`` gives them.
        systems: names in the order of the rows.
        main: metrics of the short table.
        dimensions: of the labels, in the order of the rows.
        pairs: tests of every system against every other, of the metrics that have some.
    """

    rows: tuple[Row, ...]
    systems: tuple[str, ...]
    main: tuple[str, ...]
    dimensions: tuple[str, ...]
    pairs: tuple[Pair, ...] = ()

    @staticmethod
    def of(rows: Sequence[Row], pairs: Sequence[Pair] = ()) -> LabelTable:
        """Arrange rows."""
        have = {row.metric for row in rows}
        return LabelTable(
            tuple(rows),
            tuple(dict.fromkeys(row.system for row in rows)),
            tuple(name for name in MAIN if name in have),
            tuple(dict.fromkeys(METRICS[row.metric].dimension for row in rows)),
            tuple(pairs),
        )

    def cell(self, system: str, metric: str) -> Row | None:
        """The row of a system and metric."""
        return self._cells.get((system, metric))

    @cached_property
    def _cells(self) -> dict[tuple[str, str], Row]:
        return {(row.system, row.metric): row for row in self.rows}

    def best(self, metric: str) -> str | None:
        """The best system; None with fewer than two, and for spreads, which are no contest."""
        rows = [row for row in self.rows if row.metric == metric]
        if len(rows) < 2 or not METRICS[metric].contest:
            return None
        sign = 1 if METRICS[metric].better == "higher" else -1
        return max(rows, key=lambda row: sign * row.value).system

    def tested(self) -> list[str]:
        """Metrics of the short table on which systems were tested against each other."""
        have = {pair.metric for pair in self.pairs}
        return [name for name in self.main if name in have]

    def letters(self, metric: str) -> dict[str, str]:
        """Letters of a metric's pairs by system, see ``pairs.letters``; none where it was not tested."""
        return letters(self.systems, self.of_metric(metric)) if metric in self.tested() else {}

    def of_metric(self, metric: str) -> list[Pair]:
        """Pairs of a metric."""
        return [pair for pair in self.pairs if pair.metric == metric]

    def distribution(self, dimension: str) -> list[LabelMetric]:
        """Metrics of a dimension's distribution that some system has."""
        have = {row.metric for row in self.rows}
        return [METRICS[name] for key in DISTRIBUTION if (name := f"{dimension}_{key}") in have]

    def metrics(self) -> list[LabelMetric]:
        """All metrics there are, in the order of ``METRICS``."""
        have = {row.metric for row in self.rows}
        return [metric for name, metric in METRICS.items() if name in have]

    def of_systems(self, dimension: str) -> list[LabelMetric]:
        """Metrics of a dimension that differ between systems; of its distribution the standard deviation alone."""
        apart = {f"{dimension}_{key}" for key in DISTRIBUTION} - {f"{dimension}_sd"}
        own = (metric for metric in self.metrics() if metric.dimension == dimension)
        return [metric for metric in own if metric.name not in apart and not metric.name.endswith(OF_SPEAKER)]


def commonest(table: LabelTable) -> str | None:
    """Accuracies of always saying the commonest class, which those of systems are to be read against."""
    found = [
        f"{metric.label.removesuffix(', commonest')} {number(row.value)}"
        for metric in table.metrics()
        if metric.name.endswith("_majority") and (row := table.cell(table.systems[0], metric.name)) is not None
    ]
    return f"Who always says the commonest class has {', '.join(found)}." if found else None


def headings(metrics: Sequence[LabelMetric]) -> list[str]:
    """Labels with an arrow towards better, where there is a better."""
    arrows = {"higher": " ↑", "lower": " ↓"}
    return [metric.label + (arrows[metric.better] if metric.contest else "") for metric in metrics]


def _short(table: LabelTable) -> Grid:
    body = []
    told = {name: table.letters(name) for name in table.main}
    for system in table.systems:
        found = [(table.cell(system, name), told[name].get(system, "")) for name in table.main]
        body.append([system, *("—" if row is None else f"{plus_minus(row)} {mark}".rstrip() for row, mark in found)])
    return Grid("Systems", ["system", *headings([METRICS[name] for name in table.main])], body)


def matrix(table: LabelTable, metric: str) -> list[list[str]]:
    """Every system beside every other on a metric: a line a system, see ``pairs.cell``."""
    of = table.of_metric(metric)
    return [[row, *(cell(row, column, of) for column in table.systems)] for row in table.systems]


def spreads(table: LabelTable, dimension: str) -> Grid:
    """A dimension's distribution."""
    metrics = table.distribution(dimension)
    body = []
    for system in table.systems:
        found = (table.cell(system, metric.name) for metric in metrics)
        body.append([system, *("—" if row is None else number(row.value) for row in found)])
    return Grid(f"Distribution: {dimension}", ["system", *headings(metrics)], body)


#: How to read letters.
LETTERS = (
    "Letters: systems that share none differ (Wilcoxon signed-rank over sentences, the squared error of a regression "
    "and the wrong answers of a decision, mean over seeds; Holm over all pairs of the metric; p < .05)."
)


def _notes(table: LabelTable, provenance: Provenance) -> list[str]:
    n = max((row.n for row in table.rows), default=0)
    baseline = commonest(table)
    return [
        f"Value ± half its bootstrap interval over {n} sentences; tokens of all sentences are pooled.",
        *([LETTERS] if table.tested() else []),
        *seeds_note(table.rows),
        *(f"{METRICS[name].label}: {METRICS[name].definition}" for name in table.main),
        *([baseline] if baseline else []),
        *provenance.notes,
        provenance.line(),
    ]


def terminal(table: LabelTable, provenance: Provenance) -> Group:
    """A rich renderable: the short table and the footer."""
    return grids.terminal([_short(table)], _notes(table, provenance))


def tables(table: LabelTable, provenance: Provenance) -> list[Grid]:
    """Every table but the longest: the short one with the footer, pairs, distributions, the papers'."""
    found = [replace(_short(table), notes=_notes(table, provenance))]
    found += [
        Grid(f"Pairs: {METRICS[name].label}", ["", *table.systems], matrix(table, name), [MATRIX])
        for name in table.tested()
    ]
    found += [spreads(table, dimension) for dimension in table.dimensions]
    for block in beside(table.dimensions):
        found.append(Grid(f"In the papers: {block.title}", block.heads, block.lines, [*block.notes, *block.sources]))
    return found


def longest(table: LabelTable) -> Grid:
    """Every metric of every system."""
    lines = [[row.system, row.metric, number(row.value), interval(row) or "—", count(row)] for row in table.rows]
    return Grid("Every metric", ["system", "metric", "value", "interval", "n"], lines)
