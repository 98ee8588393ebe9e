"""Rows as a table: for the terminal, for Markdown, for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from prosody_tts.evaluation.codes import CODES
from prosody_tts.evaluation.pairs import MATRIX, Pair, cell
from prosody_tts.evaluation.summary import COLUMNS, COPY_SYNTHESIS, Row
from prosody_tts.evaluation.variation import MEASURES
from prosody_tts.report import grids
from prosody_tts.report.grids import Grid
from prosody_tts.report.papers import ORACLES, beside_speech
from prosody_tts.report.provenance import Provenance

if TYPE_CHECKING:
    from rich.console import Group

#: Metrics of the short table, most important first; those that no system has are left out.
MAIN = (
    "log_f0_rmse_mean",
    "log_f0_rmse_mean_readout",
    "log_f0_rmse",
    "log_f0_rmse_readout",
    "log_f0_correlation",
    "voiced_words",
    "attention_failures",
    "cut_sentences",
    "wer",
    "cer",
    "duration_rmse",
    "energy_rmse",
    "mcd",
    "dnsmos_overall",
)
#: Metrics of the table of tokenizers: what is lost and what it costs.
TOKENIZERS = ("mel_l1", "log_f0_rmse", "log_f0_correlation", "wer", *CODES)
#: Figures of a measure's distribution, by the ends of their names: of the recordings, the speech and the draws.
DISTRIBUTION = (
    *("sd_human", "sd", "sd_drawn", "delta_sd_human", "delta_sd", "delta_sd_drawn", "jsd", "jsd_drawn", "jsd_share"),
    *("wasserstein", "wasserstein_drawn", "diversity"),
)
#: Read-out counterpart of a metric measured on audio.
READOUT = {name: f"{name}_readout" for name in COLUMNS if f"{name}_readout" in COLUMNS}
#: Short headings for narrow tables.
HEADINGS = {
    "log_f0_rmse_mean": "F0 to mean",
    "log_f0_rmse_mean_readout": "F0 to mean, read-out",
    "log_f0_rmse": "F0",
    "log_f0_rmse_readout": "F0, read-out",
    "log_f0_correlation": "F0 r",
    "voiced_words": "Voiced",
    "attention_failures": "Failed",
    "cut_sentences": "Cut",
    "wer": "WER",
    "cer": "CER",
    "mel_l1": "Mel",
    "duration_rmse": "Duration",
    "energy_rmse": "Energy",
    "mcd": "MCD",
}

#: What a system is, for readers who do not know its name.
SYSTEMS = {
    "recording": "the speaker",
    COPY_SYNTHESIS: "the recording through the vocoder",
    "baseline": "no prosody vectors",
    "kathaka_bert": "utterance vectors from BERT",
    "kathaka_graph": "utterance vectors from the parse graph",
    "kathaka": "utterance vectors from BERT and the parse graph",
    "kathaka_oracle": "utterance vectors from the recording",
    "camp_syntax": "word vectors from syntax tags",
    "camp_phones": "word vectors from phones alone",
    "camp_bert": "word vectors from BERT",
    "camp": "word vectors from BERT and syntax tags",
    "camp_oracle": "word vectors from the recording",
    "s2s": "attention instead of durations",
    "flow": "word vectors drawn by a flow from BERT and syntax tags",
    "diffusion": "word vectors drawn by diffusion from BERT and syntax tags",
    "spectrum_lm": "codes of the spectrum said by a language model",
    "spectrum_oracle": "the recording's own codes, finite scalar quantization",
    "spectrum_vq_oracle": "the recording's own codes, residual codebooks",
    "spectrum_binned_oracle": "the recording's own mel in bins",
    "word": "variational word vectors from BERT and syntax tags",
    "word_oracle": "variational word vectors from the recording",
    "phone": "phone vectors from BERT and syntax tags",
    "phone_oracle": "phone vectors from the recording",
    "explicit": "measured word prosody from BERT and syntax tags",
    "explicit_oracle": "measured word prosody of the recording",
}


@dataclass(frozen=True)
class Table:
    """Rows by system and metric.

    Attributes:
        rows: as ``summarise`` gives them.
        systems: names in the order of the rows.
        main: metrics of the short table.
        primary: the metric whose gap stands beside the papers'.
        pairs: tests of every system against every other.
    """

    rows: tuple[Row, ...]
    systems: tuple[str, ...]
    main: tuple[str, ...]
    primary: str
    pairs: tuple[Pair, ...] = ()

    @staticmethod
    def of(rows: Sequence[Row], pairs: Sequence[Pair] = ()) -> Table:
        """Arrange rows; the primary metric is the first of ``MAIN`` that is there."""
        have = {row.metric for row in rows}
        main = [name for name in MAIN if name in have]
        if "log_f0_rmse_mean" in main:
            # Against renditions at random the same error says less; the long table keeps it.
            main = [name for name in main if name != "log_f0_rmse"]
        systems = tuple(dict.fromkeys(row.system for row in rows))
        return Table(tuple(rows), systems, tuple(main), main[0], tuple(pairs))

    def cell(self, system: str, metric: str) -> Row | None:
        """The row of a system and metric."""
        return self._cells.get((system, metric))

    @cached_property
    def _cells(self) -> dict[tuple[str, str], Row]:
        return {(row.system, row.metric): row for row in self.rows}

    def metrics(self) -> list[str]:
        """All metrics there are, in the order of ``COLUMNS``."""
        have = {row.metric for row in self.rows}
        return [name for name in COLUMNS if name in have]

    def coded(self) -> list[str]:
        """Systems with a tokenizer."""
        return [name for name in self.systems if any(self.cell(name, figure) is not None for figure in CODES)]

    def tokenizers(self) -> list[str]:
        """Metrics of the table of tokenizers; none where no system has one."""
        return [name for name in TOKENIZERS if any(self.cell(system, name) is not None for system in self.coded())]

    def effects(self) -> list[str]:
        """Metrics that are shares of planted effects."""
        return [name for name in self.metrics() if name.startswith("effect_")]

    def distributions(self) -> list[str]:
        """Measures whose distribution was compared (``variation.MEASURES``)."""
        have = {row.metric for row in self.rows}
        return [name for name in MEASURES if any(f"{name}_{key}" in have for key in DISTRIBUTION)]

    def distribution(self, measure: str) -> list[str]:
        """Metrics of a measure's distribution, of draws, of the system's speech and of the recordings."""
        have = {row.metric for row in self.rows}
        return [name for key in DISTRIBUTION if (name := f"{measure}_{key}") in have]

    def tested(self) -> list[str]:
        """Metrics of the short table on which systems were tested against each other."""
        have = {pair.metric for pair in self.pairs}
        return [name for name in self.main if name in have]

    def matrix(self, metric: str) -> tuple[list[str], list[list[str]]]:
        """Systems, and of each a line of how it stands beside every other (``pairs.cell``)."""
        of = [pair for pair in self.pairs if pair.metric == metric]
        systems = [name for name in self.systems if any(name in (pair.one, pair.other) for pair in of)]
        return systems, [[row, *(cell(row, column, of) for column in systems)] for row in systems]

    def best(self, metric: str) -> str | None:
        """The system best on a metric among those that do not hear the recording; None with fewer than two."""
        bounds = {COPY_SYNTHESIS, *ORACLES.values()}
        rows = [row for row in self.rows if row.metric == metric and row.system not in bounds]
        if len(rows) < 2:
            return None
        sign = 1 if rows[0].better == "higher" else -1
        return max(rows, key=lambda row: sign * row.value).system


def number(value: float | None) -> str:
    """A value with about three figures; a dash for None."""
    if value is None:
        return "—"
    size = abs(value)
    text = f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"
    return text.lstrip("-") if float(text) == 0 else text


def signed(value: float, size: str) -> str:
    """The size of a value, as text, with the value's sign before it; nought has none."""
    return size if float(size) == 0 else ("+" if value > 0 else "\N{MINUS SIGN}") + size


def interval(row: Row) -> str:
    """``[low, high]`` of a row, or nothing."""
    return "" if row.low is None else f"[{number(row.low)}, {number(row.high)}]"


def plus_minus(row: Row) -> str:
    """Value with half the width of its interval: ``0.136 ± 0.006``."""
    if row.low is None or row.high is None:
        return number(row.value)
    text = number(row.value)
    places = len(text.partition(".")[2])
    return f"{text} ±\u00a0{(row.high - row.low) / 2:.{places}f}"


def percent(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A share of a gap in whole per cent with its interval: ``24 % [18, 31]``."""
    if value is None:
        return "—"
    ends = "" if low is None or high is None else f" [{_whole(low)},\u00a0{_whole(high)}]"
    return f"{_whole(value)}\u00a0%{ends}"


def _whole(value: float) -> str:
    return f"{round(value):d}"


def paper(row: Row) -> str:
    """The paper's share of the gap: ``26 ± 7 %``."""
    if row.paper is None:
        return "—"
    return f"{row.paper:g}" + ("" if row.paper_half is None else f"\u00a0±\u00a0{row.paper_half:g}") + "\u00a0%"


def share(row: Row | None) -> str:
    """The share of an effect, to a hundredth."""
    return "—" if row is None else f"{row.value:.2f}".replace("-0.00", "0.00")


def heading(metric: str) -> str:
    """Short heading with unit and an arrow towards better."""
    column = COLUMNS[metric]
    unit = f" ({column.unit})" if column.unit else ""
    return f"{HEADINGS.get(metric, column.label)}{unit} {'↓' if column.better == 'lower' else '↑'}"


def star(row: Row) -> str:
    """Mark of a value that differs from the lower bound's (p < .05)."""
    return "*" if row.p is not None and row.p < 0.05 else ""


def _line(table: Table, system: str) -> list[str]:
    cells = [table.cell(system, metric) for metric in table.main]
    main = table.cell(system, table.primary)
    gap = "—" if main is None else percent(main.gap_closed, main.gap_low, main.gap_high)
    oracle = "—" if main is None else percent(main.gap_to_oracle, main.gap_to_oracle_low, main.gap_to_oracle_high)
    values = ["—" if row is None else plus_minus(row) + star(row) for row in cells]
    return [system, *values, gap, oracle, "—" if main is None else paper(main)]


def _headings(table: Table) -> list[str]:
    return ["system", *map(heading, table.main), "gap closed", "towards oracle", "paper's gap"]


def notes(table: Table, provenance: Provenance) -> list[str]:
    """Footer: how to read the columns, and where the figures come from."""
    n, tokens = max(row.n for row in table.rows), table.tokenizers()
    lines = [
        f"Value ± half its bootstrap interval over {n} sentences; * differs from the lower bound (Wilcoxon "
        "signed-rank, Holm, p < .05). Gap closed: of the way from the lower bound to the upper (vocoded recordings, "
        f"else the recordings), on {HEADINGS.get(table.primary, table.primary)}; the papers' is by listeners.",
        *seeds_note(table.rows),
        *(f"{heading(metric)}: {COLUMNS[metric].definition}" for metric in dict.fromkeys((*table.main, *tokens))),
        *provenance.notes,
        provenance.line(),
    ]
    return lines


def terminal(table: Table, provenance: Provenance) -> Group:
    """A rich renderable: the short table, how draws are distributed, the planted effects, and the footer."""
    drawn = [spreads(table, name) for name in table.distributions() if _draws(table, name)]
    coded = [tokenizers(table)] if table.coded() else []
    return grids.terminal([short(table), *coded, *drawn, *_effects(table)], notes(table, provenance))


def _draws(table: Table, measure: str) -> bool:
    return any(name.endswith("_drawn") for name in table.distribution(measure))


def _effects(table: Table) -> list[Grid]:
    """Shares of planted effects, where there are some."""
    effects = [name for name in table.effects() if not name.endswith("_readout")]
    if not effects:
        return []
    lines = [[system, *(share(table.cell(system, metric)) for metric in effects)] for system in table.systems]
    return [Grid("Share of planted effects heard", ["system", *(COLUMNS[name].label for name in effects)], lines)]


def short(table: Table) -> Grid:
    """The short table."""
    return Grid("Systems", _headings(table), [_line(table, system) for system in table.systems])


def tokenizers(table: Table) -> Grid:
    """Acoustic tokenizers: what is lost and what it costs, of the systems that have one."""
    metrics = table.tokenizers()
    lines = []
    for system in table.coded():
        rows = [table.cell(system, metric) for metric in metrics]
        lines.append([system, *("—" if row is None else plus_minus(row) for row in rows)])
    return Grid("Acoustic tokenizers", ["system", *map(heading, metrics)], lines)


def spreads(table: Table, measure: str) -> Grid:
    """A measure's distribution, of the systems that have some."""
    metrics = table.distribution(measure)
    lines = []
    for system in table.systems:
        rows = [table.cell(system, metric) for metric in metrics]
        if any(row is not None for row in rows):
            lines.append([system, *("—" if row is None else number(row.value) for row in rows)])
    heads = ["system", *(COLUMNS[metric].label for metric in metrics)]
    return Grid(f"Distribution: {MEASURES[measure].label}", heads, lines)


def count(row: Row) -> str:
    """Sentences, and of pooled trainings how many there are and how far apart; a dash of what is no mean."""
    n = str(row.n or "—")
    if row.seeds == 1:
        return n
    return f"{n} × {row.seeds} seeds (sd {number(row.seed_sd)})"


def seeds_note(rows: Sequence[Row]) -> list[str]:
    """How to read systems that were trained with several seeds, where there are some."""
    pooled = {row.system: row.seeds for row in rows if row.seeds > 1}
    if not pooled:
        return []
    told = ", ".join(f"{system} {seeds}" for system, seeds in pooled.items())
    return [
        f"Means over seeds ({told}): a sentence's figure is averaged over seeds first, so that n, intervals and tests "
        "count sentences; sd is between seeds. Players and F0 contours are of the first."
    ]


def every(row: Row) -> list[str]:
    """All of a row but the paper's figure, as text."""
    return [
        row.system,
        row.metric,
        number(row.value),
        interval(row) or "—",
        row.unit or "—",
        count(row),
        percent(row.gap_closed, row.gap_low, row.gap_high),
        percent(row.gap_to_oracle, row.gap_to_oracle_low, row.gap_to_oracle_high),
        p_value(row.p),
    ]


def tables(table: Table, provenance: Provenance) -> list[Grid]:
    """Every table but the longest: the short one with the footer, pairs, distributions, effects, the papers'."""
    found = [replace(short(table), notes=notes(table, provenance))]
    for metric in table.tested():
        systems, lines = table.matrix(metric)
        found.append(Grid(f"Pairs: {COLUMNS[metric].label}", ["", *systems], lines, [MATRIX]))
    found += [tokenizers(table)] if table.coded() else []
    found += [spreads(table, measure) for measure in table.distributions()]
    found += _effects(table)
    for block in beside_speech(table.systems):
        found.append(Grid(f"In the papers: {block.title}", block.heads, block.lines, [*block.notes, *block.sources]))
    return found


def longest(table: Table) -> Grid:
    """Every metric of every system."""
    heads = ["system", "metric", "value", "interval", "unit", "n", "gap closed", "towards oracle", "p", "paper's gap"]
    sources = dict.fromkeys(row.paper_source for row in table.rows if row.paper_source)
    return Grid("Every metric", heads, [[*every(row), paper(row)] for row in table.rows], list(sources))


def p_value(p: float | None) -> str:
    """A p-value as papers print it."""
    if p is None:
        return "—"
    return "< .001" if p < 0.001 else f"{p:.3f}"
