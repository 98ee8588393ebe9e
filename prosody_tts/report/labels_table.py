"""The table of systems that learn labels: ``table.json``, ``table.md`` and the terminal's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prosody_tts.errors import UserError
from prosody_tts.evaluation.label_metrics import METRICS, TrackLike, summarise_labels
from prosody_tts.evaluation.labels import LabelResult, read_label_results
from prosody_tts.evaluation.summary import Row
from prosody_tts.files import read_json, write_json, write_text
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


def build(
    folder: Path,
    systems: Mapping[str, Path],
    provenance: Provenance,
    *,
    repeats: Mapping[str, Sequence[Path]] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Group:
    """Write the table of evaluations and return it for the terminal.

    Args:
        folder: of the report.
        systems: name -> folder of its evaluation, in the order of the table.
        provenance: printed under the table.
        repeats: name -> folders of the evaluations of the system's other seeds.
        confidence: coverage of intervals.
        resamples: bootstrap resamples.
        seed: of the resamples.

    Raises:
        UserError: an evaluation is missing, broken, or of other utterances than the others.
    """
    runs = {name: [path, *(repeats or {}).get(name, ())] for name, path in systems.items()}
    results = {name: [read_label_results(path) for path in paths] for name, paths in runs.items()}
    first = next(iter(results))
    expected = [result.id for result in results[first][0]]
    for name, seeds in results.items():
        if any([result.id for result in found] != expected for found in seeds):
            raise UserError(
                f"'{name}' and '{first}' were evaluated on different utterances; "
                "evaluate both with the same corpus, data.seed, evaluation.split and evaluation.limit"
            )
    grouped = {name: [_by_sentence(found) for found in seeds] for name, seeds in results.items()}
    others = {name: seeds[1:] for name, seeds in grouped.items()}
    rows = summarise_labels({name: seeds[0] for name, seeds in grouped.items()}, confidence, resamples, seed, others)
    write_json(folder / "table.json", [row.to_dict() for row in rows])
    write_json(folder / "provenance.json", provenance.to_dict())
    write_text(folder / "table.md", markdown(rows, provenance))
    return terminal(rows, provenance)


def _by_sentence(results: Sequence[LabelResult]) -> dict[str, list[Mapping[str, TrackLike]]]:
    sentences: dict[str, list[Mapping[str, TrackLike]]] = {}
    for result in results:
        sentences.setdefault(result.sentence, []).append(result.tracks)
    return sentences


def show(folder: Path, provenance: Provenance) -> Group:
    """The table of a report that ``build`` wrote, without making it again."""
    return terminal([Row.from_dict(row) for row in read_json(folder / "table.json")], provenance)


def _short(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    cells = {(row.system, row.metric): row for row in rows}
    main = [name for name in MAIN if any(row.metric == name for row in rows)]
    body = []
    for system in dict.fromkeys(row.system for row in rows):
        found = (cells.get((system, name)) for name in main)
        body.append([system, *("—" if row is None else plus_minus(row) for row in found)])
    return ["system", *(METRICS[name].label for name in main)], body


def _notes(rows: Sequence[Row], provenance: Provenance) -> list[str]:
    main = [name for name in MAIN if any(row.metric == name for row in rows)]
    n = max((row.n for row in rows), default=0)
    return [
        f"Value ± half its bootstrap interval over {n} sentences; tokens of all sentences are pooled.",
        *seeds_note(rows),
        *(f"{METRICS[name].label}: {METRICS[name].definition}" for name in main),
        *provenance.notes,
        provenance.line(),
    ]


def terminal(rows: Sequence[Row], provenance: Provenance) -> Group:
    """A rich renderable: the short table and the footer."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as Grid
    from rich.text import Text

    titles, body = _short(rows)
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, title in enumerate(titles):
        grid.add_column(Text(title), justify="left" if index == 0 else "right", no_wrap=index == 0)
    for line in body:
        grid.add_row(*map(Text, line))
    return Group(grid, *(Text(line, style="dim") for line in _notes(rows, provenance)))


def markdown(rows: Sequence[Row], provenance: Provenance) -> str:
    """The short table, the footer and every metric as Markdown."""
    titles, short = _short(rows)
    lines = [*markdown_grid(titles, short), "", *(f"- {note}" for note in _notes(rows, provenance))]
    body = [[row.system, row.metric, number(row.value), interval(row) or "—", count(row)] for row in rows]
    lines += ["", "## Every metric", "", *markdown_grid(["system", "metric", "value", "interval", "n"], body)]
    return "\n".join(lines) + "\n"
