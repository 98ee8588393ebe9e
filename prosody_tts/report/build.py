"""From evaluations on disk to a report folder: ``table.json``, ``table.md``, figures, ``index.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prosody_tts.errors import UserError
from prosody_tts.evaluation.pairs import Pair
from prosody_tts.evaluation.results import read_results
from prosody_tts.evaluation.summary import Row, compare_systems, summarise
from prosody_tts.files import read_json, write_json
from prosody_tts.report import figures
from prosody_tts.report.distributions import distribution_figures
from prosody_tts.report.drawing import write_png
from prosody_tts.report.grids import write_tables
from prosody_tts.report.page import Parses, Spoken, choose, write_page
from prosody_tts.report.papers import ORACLES
from prosody_tts.report.provenance import Provenance
from prosody_tts.report.table import Table, longest, tables, terminal

if TYPE_CHECKING:
    from rich.console import Group

_AUDIO = (".wav", ".flac", ".ogg")


def build(
    folder: Path,
    systems: Mapping[str, Path],
    recordings: Mapping[str, Path] | Path | None,
    provenance: Provenance,
    *,
    lower: str = "baseline",
    oracles: Mapping[str, str] = ORACLES,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    examples: int = 8,
    repeats: Mapping[str, Sequence[Path]] | None = None,
    codes: Mapping[str, Sequence[Mapping[str, float]]] | None = None,
    parses: Parses | None = None,
) -> Group:
    """Write a report and return the table for the terminal.

    Every file is written atomically, the page last; the same inputs give the same bytes.

    Args:
        folder: of the report.
        systems: name -> folder of its evaluation (``utterances.jsonl``, ``audio/``), in the order of the table;
            ``copy_synthesis`` may be among them.
        recordings: utterance id -> recording, or a folder of ``<utterance id>.wav``, or None for no such player.
        provenance: printed under every table.
        lower: the lower bound of gaps.
        oracles: start of a system's name -> its oracle.
        confidence: coverage of intervals.
        resamples: bootstrap resamples.
        seed: of the resamples.
        examples: sentences to listen to on the page.
        repeats: name -> folders of the evaluations of the system's other seeds, which enter its rows.
        codes: name -> figures of the codes that the system says, for each of its seeds.
        parses: gives relations of the words of utterances; none for no parse on the page.

    Returns:
        A rich renderable.

    Raises:
        UserError: an evaluation is missing, broken, or of other utterances than the others; audio is missing.
    """
    spoken = {name: Spoken(path, tuple(read_results(path))) for name, path in systems.items()}
    results = {name: item.results for name, item in spoken.items()}
    more = {name: [read_results(path) for path in paths] for name, paths in (repeats or {}).items()}
    rows = summarise(results, lower, confidence, resamples, seed, oracles, more, codes)
    table = Table.of(rows, compare_systems(results, more))
    first = results[table.systems[0]]
    chosen = choose(first, examples)
    heard = _recordings(recordings, chosen)

    style = figures.styles(table.systems)
    shown = figures.default_shown(table, lower)
    by_id = {name: {result.id: result for result in found} for name, found in results.items()}
    write_png(figures.dots(table, style), folder / "metrics.png")
    gaps = figures.gaps(table, style)
    if gaps is not None:
        write_png(gaps, folder / "gaps.png")
    spread = distribution_figures(results, style)
    for measure, figure in spread.items():
        write_png(figure, folder / f"{measure}_distribution.png")
    drawn = {name: found[chosen[0]] for name, found in by_id.items() if found[chosen[0]].contour is not None}
    if drawn:
        write_png(figures.contours(drawn, style, shown), folder / "contour.png")

    write_json(folder / "table.json", [row.to_dict() for row in rows])
    write_json(folder / "pairs.json", [pair.to_dict() for pair in table.pairs])
    write_json(folder / "provenance.json", provenance.to_dict())
    found = tables(table, provenance)
    write_tables(folder, [*found, longest(table)], [row.to_dict() for row in rows], found)
    page = folder / "index.html"
    write_page(page, table, spoken, heard, provenance, lower, confidence, resamples, examples, parses)
    return terminal(table, provenance)


def show(folder: Path, provenance: Provenance) -> Group:
    """The table of a report that ``build`` wrote, without making it again."""
    rows = [Row.from_dict(row) for row in read_json(folder / "table.json")]
    pairs = [Pair.from_dict(pair) for pair in read_json(folder / "pairs.json")]
    return terminal(Table.of(rows, pairs), provenance)


def _recordings(recordings: Mapping[str, Path] | Path | None, wanted: list[str]) -> dict[str, Path]:
    if recordings is None:
        return {}
    if not isinstance(recordings, Path):
        return {name: Path(recordings[name]) for name in wanted if name in recordings}
    found = {}
    for name in wanted:
        paths = [recordings / f"{name}{suffix}" for suffix in _AUDIO if (recordings / f"{name}{suffix}").is_file()]
        if not paths:
            raise UserError(f"there is no recording {recordings / name}.wav; build the corpus again")
        found[name] = paths[0]
    return found
