"""From evaluations of labels on disk to a report folder: ``table.json``, ``table.md``, figures, ``index.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prosody_tts.errors import UserError
from prosody_tts.evaluation.label_metrics import TrackLike, compare_labels, summarise_labels
from prosody_tts.evaluation.labels import LabelResult, read_label_results
from prosody_tts.evaluation.pairs import Pair
from prosody_tts.evaluation.results import by_renditions
from prosody_tts.evaluation.summary import Row
from prosody_tts.files import read_json, write_json
from prosody_tts.report.drawing import write_png
from prosody_tts.report.grids import write_tables
from prosody_tts.report.labels_page import Drawings, write_page
from prosody_tts.report.labels_table import LabelTable, longest, tables, terminal
from prosody_tts.report.provenance import Provenance

if TYPE_CHECKING:
    from rich.console import Group


def build(
    folder: Path,
    systems: Mapping[str, Path],
    provenance: Provenance,
    *,
    repeats: Mapping[str, Sequence[Path]] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    examples: int = 6,
) -> Group:
    """Write a report and return the table for the terminal.

    Every file is written atomically, the page last; the same inputs give the same bytes.

    Args:
        folder: of the report.
        systems: name -> folder of its evaluation, in the order of the table.
        provenance: printed under the table.
        repeats: name -> folders of the evaluations of the system's other seeds, which the table pools.
        confidence: coverage of intervals.
        resamples: bootstrap resamples.
        seed: of the resamples.
        examples: sentences drawn on the page.

    Raises:
        UserError: an evaluation is missing, broken, or of other utterances than the others.
    """
    runs = {name: [path, *(repeats or {}).get(name, ())] for name, path in systems.items()}
    seeds = {name: [read_label_results(path) for path in paths] for name, paths in runs.items()}
    first = next(iter(seeds))
    expected = [result.id for result in seeds[first][0]]
    for name, all_found in seeds.items():
        if any([result.id for result in found] != expected for found in all_found):
            raise UserError(
                f"'{name}' and '{first}' were evaluated on different utterances; "
                "evaluate both with the same corpus, data.seed, evaluation.split and evaluation.limit"
            )
    tracks = {name: [_tracks(found) for found in all_found] for name, all_found in seeds.items()}
    others = {name: found[1:] for name, found in tracks.items()}
    rows = summarise_labels({name: found[0] for name, found in tracks.items()}, confidence, resamples, seed, others)
    table = LabelTable.of(rows, compare_labels(tracks))
    results = {name: found[0] for name, found in seeds.items()}
    drawings = Drawings(table, results)
    for dimension in table.dimensions:
        write_png(drawings.metrics(dimension), folder / f"{dimension}_metrics.png")
        write_png(drawings.distributions(dimension), folder / f"{dimension}_distribution.png")
        write_png(drawings.calibration(dimension), folder / f"{dimension}_calibration.png")
    write_json(folder / "table.json", [row.to_dict() for row in table.rows])
    write_json(folder / "pairs.json", [pair.to_dict() for pair in table.pairs])
    write_json(folder / "provenance.json", provenance.to_dict())
    found = tables(table, provenance)
    write_tables(folder, [*found, longest(table)], [row.to_dict() for row in table.rows], found)
    write_page(folder / "index.html", table, drawings, provenance, confidence, resamples, examples)
    return terminal(table, provenance)


def show(folder: Path, provenance: Provenance) -> Group:
    """The table of a report that ``build`` wrote, without making it again."""
    rows = [Row.from_dict(row) for row in read_json(folder / "table.json")]
    pairs = [Pair.from_dict(pair) for pair in read_json(folder / "pairs.json")]
    return terminal(LabelTable.of(rows, pairs), provenance)


def _tracks(results: Sequence[LabelResult]) -> dict[str, Sequence[Mapping[str, TrackLike]]]:
    return {name: [result.tracks for result in group] for name, group in by_renditions(results).items()}
