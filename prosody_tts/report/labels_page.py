"""The report on labels as one HTML file: table, figures of every dimension, sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prosody_tts.evaluation.label_metrics import MEANINGS, METRICS
from prosody_tts.evaluation.labels import DERIVED, LabelResult
from prosody_tts.evaluation.names import RECORDING
from prosody_tts.evaluation.pairs import MATRIX
from prosody_tts.evaluation.results import by_renditions
from prosody_tts.files import write_text
from prosody_tts.report import figures, labels_figures
from prosody_tts.report.drawing import HUES
from prosody_tts.report.labels_table import LETTERS, LabelTable, commonest, headings, matrix, spreads
from prosody_tts.report.page import choose, origin, safe, template
from prosody_tts.report.papers import beside
from prosody_tts.report.provenance import Provenance
from prosody_tts.report.table import interval, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Dimension -> the axis of its values, short.
AXES = {
    "timing": "log duration ratio",
    "duration": "log seconds",
    "pause": "log(1 + frames)",
    "prominence": "prominence",
    "boundary": "boundary",
}
#: Dimension -> its heading.
HEADINGS = {
    "timing": "Word timing",
    "duration": "Word durations",
    "pause": "Pauses",
    "prominence": "Prominence",
    "boundary": "Boundaries",
}
#: What the dimensions show of a sentence, for its caption.
LEGENDS = {
    "pause": "| marks a pause of 50 ms or more",
    "prominence": "grey words have prominence 0, bold ones 2",
    "boundary": "| marks a boundary of class 1, ‖ of class 2",
}


class Drawings:
    """Figures of a report on labels, all of the same systems under the same short names and styles."""

    def __init__(self, table: LabelTable, results: Mapping[str, Sequence[LabelResult]]) -> None:
        self.table = table
        self.results = results
        self.names = dict(zip(table.systems, short_names(table.systems), strict=True))
        self.style = figures.styles(list(self.names.values()))

    def metrics(self, dimension: str) -> Figure:
        """Values and intervals."""
        return labels_figures.metrics(self.table, dimension, self.style, self.names)

    def distributions(self, dimension: str) -> Figure:
        """Predicted, and drawn where something is, beside measured values."""
        return labels_figures.distributions(self._pooled(dimension), self.style, AXES[dimension])

    def calibration(self, dimension: str) -> Figure:
        """Measured by predicted values."""
        return labels_figures.calibration(self._pooled(dimension), self.style, AXES[dimension])

    def sentence(self, utterance: str) -> Figure:
        """One sentence of all systems: the labels themselves, not what follows from them."""
        chosen = {}
        for name, found in self.results.items():
            result = next(result for result in found if result.id == utterance)
            own = {dimension: track for dimension, track in result.tracks.items() if dimension not in DERIVED}
            chosen[self.names[name]] = replace(result, tracks=own)
        return labels_figures.sentence(chosen, self.style, AXES)

    def _pooled(self, dimension: str) -> dict[str, labels_figures.Pooled]:
        return {self.names[name]: labels_figures.pooled(found, dimension) for name, found in self.results.items()}


def short_names(systems: Sequence[str]) -> list[str]:
    """Names without the beginning they share, cut after a comma or an equals sign, and without brackets and quotes."""
    if len(systems) < 2:
        return list(systems)
    pairs = zip(min(systems), max(systems), strict=False)
    shared = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    cut = max((match.end() for match in re.finditer("=|, ", shared)), default=0)
    bare = [re.sub(r"[][\'\"]", "", name[cut:]) for name in systems]
    return bare if len(set(bare)) == len(systems) else [name[cut:] for name in systems]


def write_page(
    path: Path,
    table: LabelTable,
    drawings: Drawings,
    provenance: Provenance,
    confidence: float = 0.95,
    resamples: int = 2000,
    examples: int = 6,
) -> None:
    """Write the page, atomically.

    Args:
        path: of the HTML file.
        table: of the systems in ``drawings``.
        drawings: the figures.
        provenance: for the end of the page.
        confidence: coverage of the intervals in ``table``.
        resamples: behind them.
        examples: sentences to draw, one utterance of each.
    """
    results = next(iter(drawings.results.values()))
    page = template("labels.html").render(
        title=f"What text tells of {' and '.join(HEADINGS[name].lower() for name in table.dimensions)}",
        findings=findings(table),
        facts=_facts(table, results, provenance),
        sentences=len(by_renditions(results)),
        confidence=f"{100 * confidence:g}",
        resamples=resamples,
        heads=headings([METRICS[name] for name in table.main]),
        lines=[_line(table, system) for system in table.systems],
        commonest=commonest(table),
        letters=LETTERS if table.tested() else "",
        matrix=MATRIX,
        systems=list(drawings.names.values()),
        pairs=[{"label": METRICS[name].label, "lines": _matrix(table, name, drawings)} for name in table.tested()],
        papers=beside(table.dimensions),
        dimensions=[_dimension(name, drawings) for name in table.dimensions],
        legend=[LEGENDS[name] for name in table.dimensions if name in LEGENDS],
        examples=_examples(table, drawings, results, examples),
        columns=table.metrics(),
        every=[[row.system, row.metric, number(row.value), interval(row) or "—", str(row.n)] for row in table.rows],
        provenance=origin(provenance),
        notes=provenance.notes,
        hues=HUES,
    )
    write_text(path, page)


def findings(table: LabelTable) -> list[str]:
    """A sentence a dimension on the system that explains most of it, from the rows alone."""
    lines = []
    for dimension in table.dimensions:
        best = table.best(f"{dimension}_r2")
        row = None if best is None else table.cell(best, f"{dimension}_r2")
        spread = None if best is None else table.cell(best, f"{dimension}_sd")
        human = None if best is None else table.cell(best, f"{dimension}_sd_human")
        if row is None or spread is None or human is None:
            continue
        lines.append(
            f"{HEADINGS[dimension]}: {row.system} explains most, R² {number(row.value)} {interval(row)}; "
            f"its predictions vary by {number(spread.value)} (SD), the speaker by {number(human.value)}."
        )
    return lines


def _facts(table: LabelTable, results: Sequence[LabelResult], provenance: Provenance) -> list[tuple[str, Any]]:
    facts = [
        ("corpus", provenance.corpus),
        ("split", provenance.split),
        ("sentences", len(by_renditions(results))),
        ("words", sum(bool(token) for result in results for token in result.tokens)),
        ("systems", len(table.systems)),
        ("seed", provenance.seed),
    ]
    return facts + ([("size", provenance.size)] if provenance.size else [])


def _line(table: LabelTable, system: str) -> dict[str, Any]:
    cells = []
    for metric in table.main:
        row = table.cell(system, metric)
        best, mark = table.best(metric) == system, table.letters(metric).get(system, "")
        cells.append(row and {"value": number(row.value), "range": interval(row), "best": best, "letters": mark})
    return {"system": system, "cells": cells}


def _matrix(table: LabelTable, metric: str, drawings: Drawings) -> list[list[str]]:
    return [[drawings.names[line[0]], *line[1:]] for line in matrix(table, metric)]


def _dimension(name: str, drawings: Drawings) -> dict[str, Any]:
    def drawn(kind: str, figure: Figure) -> Any:
        return safe(figures.svg(figure, f"{name}-{kind}", f"{HEADINGS[name]}: {kind} by system", style=drawings.style))

    spread = spreads(drawings.table, name)
    return {
        "spread_heads": spread.heads[1:],
        "spread_lines": spread.lines,
        "name": name,
        "heading": HEADINGS[name],
        "meaning": MEANINGS[name],
        "metrics": drawn("metrics", drawings.metrics(name)),
        "distributions": drawn("distributions", drawings.distributions(name)),
        "calibration": drawn("calibration", drawings.calibration(name)),
    }


def _examples(
    table: LabelTable, drawings: Drawings, results: Sequence[LabelResult], count: int
) -> list[dict[str, Any]]:
    texts = {result.id: result.text for result in results}
    style = {name: item for name, item in drawings.style.items() if name != RECORDING}
    best = table.best(f"{table.dimensions[0]}_r2") or table.systems[0]
    hidden = [item.index for name, item in style.items() if name != drawings.names[best]]
    systems = [
        {
            "name": short,
            "series": f"s{style[short].index}",
            "shown": system == best,
            "swatch": safe(figures.swatch(style[short])),
        }
        for system, short in drawings.names.items()
    ]
    return [
        {
            "text": texts[utterance],
            "id": utterance,
            "systems": systems,
            "drawing": safe(
                figures.svg(
                    drawings.sentence(utterance),
                    f"s{place}",
                    f"Measured and predicted labels of: {texts[utterance]}",
                    hidden,
                    drawings.style,
                )
            ),
        }
        for place, utterance in enumerate(choose(results, count))
    ]
