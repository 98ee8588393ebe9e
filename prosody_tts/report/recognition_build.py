"""From tests of recognisers on disk to a report folder: ``table.json``, ``table.md``, a figure, ``index.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prosody_tts.errors import UserError
from prosody_tts.evaluation import statistics
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.pairs import MATRIX, Pair, cell, compare, of_metric
from prosody_tts.evaluation.recognition import DEFINITIONS, Errors, Transcript, rates, read_transcripts
from prosody_tts.evaluation.summary import Row
from prosody_tts.files import read_json, write_json, write_text
from prosody_tts.report import grids
from prosody_tts.report.drawing import HUES, write_png
from prosody_tts.report.figures import Panel, panel_dots, styles, svg
from prosody_tts.report.grids import Grid, write_tables
from prosody_tts.report.page import choose, origin, safe, template
from prosody_tts.report.provenance import Provenance
from prosody_tts.report.table import count, interval, number, plus_minus, seeds_note

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Group


@dataclass(frozen=True)
class RecognitionTable:
    """Rows by system and rate, and what tests say of each two systems' word errors."""

    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]

    @property
    def systems(self) -> list[str]:
        """Names in the order of the rows."""
        return list(dict.fromkeys(row.system for row in self.rows))

    @property
    def metrics(self) -> list[str]:
        """Rates there are, in the order of ``DEFINITIONS``."""
        have = {row.metric for row in self.rows}
        return [name for name in DEFINITIONS if name in have]

    def cell(self, system: str, metric: str) -> Row | None:
        """The row of a system and rate."""
        return next((row for row in self.rows if (row.system, row.metric) == (system, metric)), None)


def build(
    folder: Path,
    systems: Mapping[str, Path],
    provenance: Provenance,
    *,
    repeats: Mapping[str, Sequence[Path]] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    examples: int = 8,
) -> Group:
    """Write a report and return the table for the terminal; arguments as in ``labels_build.build``.

    Raises:
        UserError: a test is missing, broken, or of other utterances than the others.
    """
    runs = {
        name: [read_transcripts(one) for one in (path, *(repeats or {}).get(name, ()))]
        for name, path in systems.items()
    }
    first = next(iter(runs))
    expected = [one.id for one in runs[first][0]]
    for name, seeds in runs.items():
        if any([one.id for one in found] != expected for found in seeds):
            raise UserError(
                f"'{name}' and '{first}' were tested on different utterances; "
                "test both with the same corpus, data.seed, evaluation.split and evaluation.limit"
            )
    table = summarise(runs, confidence, resamples, seed)
    figure = drawing(table)
    write_png(figure, folder / "metrics.png")
    write_json(folder / "table.json", [row.to_dict() for row in table.rows])
    write_json(folder / "pairs.json", [pair.to_dict() for pair in table.pairs])
    write_json(folder / "provenance.json", provenance.to_dict())
    write_tables(folder, tables(table, provenance), [row.to_dict() for row in table.rows])
    heard = {name: seeds[0] for name, seeds in runs.items()}
    write_page(folder / "index.html", table, figure, heard, provenance, confidence, examples)
    return terminal(table, provenance)


def show(folder: Path, provenance: Provenance) -> Group:
    """The table of a report that ``build`` wrote, without making it again."""
    rows = [Row.from_dict(row) for row in read_json(folder / "table.json")]
    pairs = [Pair.from_dict(pair) for pair in read_json(folder / "pairs.json")]
    return terminal(RecognitionTable(tuple(rows), tuple(pairs)), provenance)


def summarise(
    runs: Mapping[str, Sequence[Sequence[Transcript]]], confidence: float, resamples: int, seed: int
) -> RecognitionTable:
    """Rates of every system pooled over words, with intervals over sentences; values are means over seeds."""
    rows: list[Row] = []
    errors: dict[str, Floats] = {}
    for system, seeds in runs.items():
        sums = [_by_sentence(found) for found in seeds]
        counts = statistics.resample_counts(len(sums[0]), resamples, seed)
        each = [rates(one.sum(0)) for one in sums]
        drawn = [rates(counts @ one) for one in sums]
        errors[system] = np.mean([one[:, 1] / np.maximum(one[:, 0], 1) for one in sums], axis=0)
        for name in DEFINITIONS:
            values = [float(one[name]) for one in each]
            if not np.isfinite(values).all():
                continue
            ends = statistics.percentile_interval(np.mean([one[name] for one in drawn], axis=0), confidence).ends
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            row = Row(system, name, float(np.mean(values)), *ends, len(sums[0]), unit="", better="lower")
            rows.append(replace(row, seeds=len(values), seed_sd=spread))
    return RecognitionTable(tuple(rows), tuple(compare("wer", errors)))


def _by_sentence(transcripts: Sequence[Transcript]) -> Floats:
    """Sums of errors of each sentence [N, 8], in the order of first mention."""
    found: dict[str, Floats] = {}
    for one in transcripts:
        found[one.sentence] = found.get(one.sentence, 0.0) + Errors.of(one).row()
    return np.stack(list(found.values()))


def drawing(table: RecognitionTable) -> Figure:
    """Every rate with its interval, one panel a rate."""
    panels = []
    for metric in table.metrics:
        rows = {system: row for system in table.systems if (row := table.cell(system, metric)) is not None}
        panels.append(Panel(DEFINITIONS[metric][0], rows, None, "← better", "left"))
    return panel_dots(panels, table.systems, styles(table.systems))


def _short(table: RecognitionTable) -> Grid:
    body = []
    for system in table.systems:
        found = (table.cell(system, metric) for metric in table.metrics)
        body.append([system, *("—" if row is None else plus_minus(row) for row in found)])
    return Grid("Recognisers", ["system", *(DEFINITIONS[metric][0] for metric in table.metrics)], body)


def _notes(table: RecognitionTable, provenance: Provenance) -> list[str]:
    sentences = max((row.n for row in table.rows), default=0)
    return [
        f"Value ± half its bootstrap interval over {sentences} held-out sentences; words of all are pooled.",
        *seeds_note(table.rows),
        *(f"{DEFINITIONS[metric][0]}: {DEFINITIONS[metric][1]}" for metric in table.metrics),
        *provenance.notes,
        provenance.line(),
    ]


def _matrix(table: RecognitionTable) -> list[list[str]]:
    pairs = of_metric(table.pairs).get("wer", [])
    return [[one, *(cell(one, other, pairs) for other in table.systems)] for one in table.systems]


def terminal(table: RecognitionTable, provenance: Provenance) -> Group:
    """A rich renderable: the table and the footer."""
    return grids.terminal([_short(table)], _notes(table, provenance))


def tables(table: RecognitionTable, provenance: Provenance) -> list[Grid]:
    """The table with its footer, the tests, and every rate."""
    lines = [[row.system, row.metric, number(row.value), interval(row) or "—", count(row)] for row in table.rows]
    return [
        replace(_short(table), notes=_notes(table, provenance)),
        Grid("Pairs: word errors", ["", *table.systems], _matrix(table), [MATRIX]),
        Grid("Every rate", ["system", "rate", "value", "interval", "n"], lines),
    ]


def write_page(
    path: Path,
    table: RecognitionTable,
    figure: Figure,
    heard: Mapping[str, Sequence[Transcript]],
    provenance: Provenance,
    confidence: float,
    examples: int,
) -> None:
    """Write the page, atomically."""
    short = _short(table)
    first = next(iter(heard.values()))
    by_id = {name: {one.id: one for one in found} for name, found in heard.items()}
    chosen = choose(first, examples)
    page = template("recognition.html").render(
        title="What recognisers hear",
        findings=_findings(table),
        facts=[("corpus", provenance.corpus), ("split", provenance.split), ("utterances", len(first))],
        confidence=f"{100 * confidence:g}",
        heads=short.heads,
        lines=short.lines,
        figure=safe(svg(figure, "rates", "Rates by system", style=styles(table.systems))),
        matrix=MATRIX,
        systems=table.systems,
        pairs=_matrix(table),
        meanings=[DEFINITIONS[metric] for metric in table.metrics],
        examples=[
            {
                "id": name,
                "said": _marked(by_id[table.systems[0]][name]),
                "heard": [(system, " ".join(by_id[system][name].heard) or "—") for system in table.systems],
            }
            for name in chosen
        ],
        provenance=origin(provenance),
        notes=provenance.notes,
        hues=HUES,
    )
    write_text(path, page)


def _marked(transcript: Transcript) -> list[tuple[str, bool]]:
    return list(zip(transcript.said, transcript.unseen, strict=True))


def _findings(table: RecognitionTable) -> list[str]:
    rows = [row for row in table.rows if row.metric == "wer"]
    if len(rows) < 2:
        return []
    best = min(rows, key=lambda row: row.value)
    return [f"Fewest words are misheard by {best.system}: {number(best.value)} {interval(best)}."]
