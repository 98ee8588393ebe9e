"""Rows of systems that learn labels as a table, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from prosody_tts.evaluation.label_metrics import METRICS, LabelMetric
from prosody_tts.evaluation.summary import Row
from prosody_tts.report.provenance import Provenance
from prosody_tts.report.table import count, interval, markdown_grid, number, plus_minus, seeds_note

if TYPE_CHECKING:
    from rich.console import Group

#: Metrics of the short table; those that no system has are left out.
MAIN = (
    *("timing_r2", "timing_sd", "timing_sd_human", "pause_f1", "pause_r"),
    *("prominence_r2", "prominence_r", "prominence_two_way", "prominence_three_way"),
    *("boundary_r2", "boundary_r", "boundary_two_way", "boundary_three_way"),
)
#: Ends of the names of metrics of the speaker alone, which are the same for every system; and of spreads.
OF_SPEAKER, SPREADS = ("_sd_human", "_majority"), ("_sd", "_sd_human")


@dataclass(frozen=True)
class LabelTable:
    """Rows by system and metric.

    Attributes:
        rows: as ``summarise_labels`` gives them.
        systems: names in the order of the rows.
        main: metrics of the short table.
        dimensions: of the labels, in the order of the rows.
    """

    rows: tuple[Row, ...]
    systems: tuple[str, ...]
    main: tuple[str, ...]
    dimensions: tuple[str, ...]

    @staticmethod
    def of(rows: Sequence[Row]) -> LabelTable:
        """Arrange rows."""
        have = {row.metric for row in rows}
        return LabelTable(
            tuple(rows),
            tuple(dict.fromkeys(row.system for row in rows)),
            tuple(name for name in MAIN if name in have),
            tuple(dict.fromkeys(METRICS[row.metric].dimension for row in rows)),
        )

    def cell(self, system: str, metric: str) -> Row | None:
        """The row of a system and metric."""
        return self._cells.get((system, metric))

    @cached_property
    def _cells(self) -> dict[tuple[str, str], Row]:
        return {(row.system, row.metric): row for row in self.rows}

    def best(self, metric: str) -> str | None:
        """The system with the highest value; None with fewer than two, and for spreads, which are no contest."""
        rows = [row for row in self.rows if row.metric == metric]
        return None if len(rows) < 2 or metric.endswith(SPREADS) else max(rows, key=lambda row: row.value).system

    def metrics(self) -> list[LabelMetric]:
        """All metrics there are, in the order of ``METRICS``."""
        have = {row.metric for row in self.rows}
        return [metric for name, metric in METRICS.items() if name in have]

    def of_systems(self, dimension: str) -> list[LabelMetric]:
        """Metrics of a dimension that differ between systems."""
        own = (metric for metric in self.metrics() if metric.dimension == dimension)
        return [metric for metric in own if not metric.name.endswith(OF_SPEAKER)]


def commonest(table: LabelTable) -> str | None:
    """Accuracies of always saying the commonest class, which those of systems are to be read against."""
    found = [
        f"{metric.label.removesuffix(', commonest')} {number(row.value)}"
        for metric in table.metrics()
        if metric.name.endswith("_majority") and (row := table.cell(table.systems[0], metric.name)) is not None
    ]
    return f"Who always says the commonest class has {', '.join(found)}." if found else None


def _short(table: LabelTable) -> tuple[list[str], list[list[str]]]:
    body = []
    for system in table.systems:
        found = (table.cell(system, name) for name in table.main)
        body.append([system, *("—" if row is None else plus_minus(row) for row in found)])
    return ["system", *(METRICS[name].label for name in table.main)], body


def _notes(table: LabelTable, provenance: Provenance) -> list[str]:
    n = max((row.n for row in table.rows), default=0)
    baseline = commonest(table)
    return [
        f"Value ± half its bootstrap interval over {n} sentences; tokens of all sentences are pooled.",
        *seeds_note(table.rows),
        *(f"{METRICS[name].label}: {METRICS[name].definition}" for name in table.main),
        *([baseline] if baseline else []),
        *provenance.notes,
        provenance.line(),
    ]


def terminal(table: LabelTable, provenance: Provenance) -> Group:
    """A rich renderable: the short table and the footer."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as Grid
    from rich.text import Text

    titles, body = _short(table)
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, title in enumerate(titles):
        grid.add_column(Text(title), justify="left" if index == 0 else "right", no_wrap=index == 0)
    for line in body:
        grid.add_row(*map(Text, line))
    return Group(grid, *(Text(line, style="dim") for line in _notes(table, provenance)))


def markdown(table: LabelTable, provenance: Provenance) -> str:
    """The short table, the footer and every metric as Markdown."""
    titles, short = _short(table)
    lines = [*markdown_grid(titles, short), "", *(f"- {note}" for note in _notes(table, provenance))]
    body = [[row.system, row.metric, number(row.value), interval(row) or "—", count(row)] for row in table.rows]
    lines += ["", "## Every metric", "", *markdown_grid(["system", "metric", "value", "interval", "n"], body)]
    return "\n".join(lines) + "\n"
