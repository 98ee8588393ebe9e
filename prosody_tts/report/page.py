"""The report as one HTML file: table, figures, voices, and what every figure means. It asks the network for nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prosody_tts.errors import UserError
from prosody_tts.evaluation.metrics import of_metric
from prosody_tts.evaluation.names import RECORDING
from prosody_tts.evaluation.pairs import MATRIX
from prosody_tts.evaluation.results import OfSentence, UtteranceResult, by_renditions
from prosody_tts.evaluation.summary import COLUMNS, COPY_SYNTHESIS
from prosody_tts.evaluation.variation import MEASURES
from prosody_tts.files import write_text
from prosody_tts.inspect.parse import Arc
from prosody_tts.report import figures
from prosody_tts.report.boxes import Box, boxes
from prosody_tts.report.distributions import distribution_figures
from prosody_tts.report.drawing import HUES, png_data
from prosody_tts.report.figures import Style
from prosody_tts.report.papers import ORACLES, beside_speech
from prosody_tts.report.parses import arcs
from prosody_tts.report.provenance import Provenance
from prosody_tts.report.space import drawing, space_of
from prosody_tts.report.spectra import Voice, spectra
from prosody_tts.report.table import (
    HEADINGS,
    SYSTEMS,
    Table,
    every,
    interval,
    number,
    paper,
    percent,
    share,
    signed,
    spreads,
    star,
    tokenizers,
)

#: Utterances -> the relations of each one's words.
Parses = Callable[[Sequence[str]], Mapping[str, Sequence[Arc]]]


@dataclass(frozen=True)
class Spoken:
    """One system's evaluation: its results, and the folder their ``audio`` is relative to."""

    folder: Path
    results: tuple[UtteranceResult, ...]


def write_page(
    path: Path,
    table: Table,
    systems: Mapping[str, Spoken],
    recordings: Mapping[str, Path],
    provenance: Provenance,
    lower: str = "baseline",
    confidence: float = 0.95,
    resamples: int = 2000,
    examples: int = 8,
    parses: Parses | None = None,
) -> None:
    """Write the page, atomically.

    Args:
        path: of the HTML file.
        table: of the same systems.
        systems: name -> evaluation, in the order of the page.
        recordings: utterance id -> recording; utterances without one get no player for it.
        provenance: for the end of the page.
        lower: the lower bound of gaps.
        confidence: coverage of the intervals in ``table``.
        resamples: behind them.
        examples: sentences to listen to, one rendition of each.
        parses: gives relations of the words of utterances; none for no parse on the page.

    Raises:
        UserError: a file of audio is missing or no audio.
    """
    style = figures.styles(table.systems)
    shown = figures.default_shown(table, lower)
    gaps = figures.gaps(table, style)
    upper = "the vocoded recordings" if COPY_SYNTHESIS in systems else "the recordings"
    everything = [every(row) for row in table.rows]
    page = template("page.html").render(
        title=f"Prosody on {provenance.corpus}",
        findings=findings(table, lower, upper),
        facts=_facts(table, systems, provenance),
        lower=lower,
        upper=upper,
        first=table.systems[0],
        sentences=len(by_renditions(next(iter(systems.values())).results)),
        confidence=f"{100 * confidence:g}",
        resamples=resamples,
        primary=HEADINGS.get(table.primary, table.primary),
        heads=[_head(metric) for metric in table.main],
        lines=[_line(table, system) for system in table.systems],
        to_oracle=any(row.gap_to_oracle is not None for row in table.rows if row.metric == table.primary),
        dots=safe(figures.svg(figures.dots(table, style), "dots", "Main metrics by system", style=style)),
        gaps=safe(figures.svg(gaps, "gaps", "Share of the gap closed by system", style=style)) if gaps else None,
        sources=list(dict.fromkeys(row.paper_source for row in table.rows if row.paper_source)),
        effects=_effects(table),
        tokenizers=tokenizers(table) if table.coded() else None,
        matrix=MATRIX,
        pairs=[{"label": COLUMNS[name].label, "table": table.matrix(name)} for name in table.tested()],
        distributions=_distributions(table, systems, style),
        papers=beside_speech(table.systems),
        boxes=_boxes(table, systems, style),
        spaces=_spaces(systems),
        examples=_examples(systems, recordings, style, shown, examples, parses),
        columns=[COLUMNS[name] for name in table.metrics()],
        every=everything,
        provenance=origin(provenance),
        notes=provenance.notes,
        hues=HUES,
    )
    write_text(path, page)


def findings(table: Table, lower: str, upper: str) -> list[str]:
    """One sentence on the best system that does not hear the recording, from the rows alone."""
    best = table.best(table.primary)
    row = None if best is None else table.cell(best, table.primary)
    if row is None or row.gap_closed is None or row.system == lower:
        return []
    text = (
        f"{row.system} does best of those that do not hear the recording: on {COLUMNS[row.metric].label} it closes "
        f"{percent(row.gap_closed, row.gap_low, row.gap_high)} of the gap between {lower} and {upper}"
    )
    if row.gap_to_oracle is not None:
        text += f", and {percent(row.gap_to_oracle)} of the gap to its own oracle"
    return [text + (f". In the paper, listeners gave it {paper(row)}." if row.paper is not None else ".")]


def choose(results: Sequence[OfSentence], count: int) -> list[str]:
    """Ids of ``count`` utterances, evenly spaced over sentences in the order of their names, the first of each."""
    groups = list(by_renditions(results).values())
    places = np.unique(np.linspace(0, len(groups) - 1, min(count, len(groups))).round().astype(int))
    return [groups[place][0].id for place in places]


def audio_data(path: Path) -> str:
    """A recording as a ``data:`` address: FLAC, 16 bit, half the size of the WAV.

    Raises:
        UserError: the file is missing or no audio.
    """
    import soundfile

    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=False)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot read the audio {path} ({error}); evaluate the system again") from None
    stream = io.BytesIO()
    soundfile.write(stream, np.clip(wave, -1.0, 1.0), rate, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def template(name: str, *folders: Path) -> Any:
    """A page's template from ``folders`` or the report's own, which hold style and script; it escapes every value."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(name)


def safe(text: str) -> Any:
    """Mark our own SVG as HTML; matplotlib escaped the texts in it."""
    from markupsafe import Markup

    return Markup(text)


def _facts(table: Table, systems: Mapping[str, Spoken], provenance: Provenance) -> list[tuple[str, Any]]:
    results = next(iter(systems.values())).results
    facts = [
        ("corpus", provenance.corpus),
        ("split", provenance.split),
        ("sentences", len(by_renditions(results))),
        ("utterances", len(results)),
        ("systems", len(table.systems)),
        ("seed", provenance.seed),
    ]
    return facts + ([("size", provenance.size)] if provenance.size else [])


def _head(metric: str) -> dict[str, str]:
    column = COLUMNS[metric]
    lower = column.better == "lower"
    return {
        "label": HEADINGS.get(metric, column.label),
        "unit": column.unit,
        "arrow": "↓" if lower else "↑",
        "better": f"{column.better} is better",
    }


def _bound(system: str) -> bool:
    return system == COPY_SYNTHESIS or system in ORACLES.values()


def _line(table: Table, system: str) -> dict[str, Any]:
    cells = []
    for metric in table.main:
        row = table.cell(system, metric)
        best = table.best(metric) == system
        cells.append(row and {"value": number(row.value), "range": interval(row), "star": star(row), "best": best})
    main = table.cell(system, table.primary)
    nothing = _share_cell(None, None, None)
    return {
        "system": system,
        "what": SYSTEMS.get(system, ""),
        "bound": _bound(system),
        "cells": cells,
        "gap": _share_cell(main.gap_closed, main.gap_low, main.gap_high) if main else nothing,
        "oracle": _share_cell(main.gap_to_oracle, main.gap_to_oracle_low, main.gap_to_oracle_high) if main else nothing,
        "paper": paper(main) if main else "—",
    }


def _share_cell(value: float | None, low: float | None, high: float | None) -> dict[str, str]:
    if value is None:
        return {"value": "", "range": "", "width": "0"}
    ends = "" if low is None or high is None else f"[{percent(low)[:-2]}, {percent(high)[:-2]}]"
    return {"value": percent(value), "range": ends, "width": f"{min(max(value / 100, 0), 1):.3f}"}


def _effects(table: Table) -> dict[str, Any] | None:
    metrics = [name for name in table.effects() if not name.endswith("_readout")]
    if not metrics:
        return None
    lines = []
    for system in table.systems:
        cells = []
        for metric in metrics:
            row = table.cell(system, metric)
            cells.append(
                row and {"value": share(row), "range": interval(row), "width": f"{min(max(row.value, 0), 1):.3f}"}
            )
        lines.append({"system": system, "bound": _bound(system), "cells": cells})
    return {"heads": [COLUMNS[name].label for name in metrics], "lines": lines}


def _distributions(table: Table, systems: Mapping[str, Spoken], style: Mapping[str, Style]) -> list[dict[str, Any]]:
    """Figures and tables of the measures that some system draws."""
    drawn = distribution_figures({name: spoken.results for name, spoken in systems.items()}, style)
    found = []
    for measure, figure in drawn.items():
        label = MEASURES[measure].label
        spread = spreads(table, measure)
        drawing = safe(figures.svg(figure, f"d-{measure}", f"Distribution of {label} by system", style=style))
        what = MEASURES[measure].what
        found.append(
            {"label": label, "what": what, "heads": spread.heads[1:], "lines": spread.lines, "drawing": drawing}
        )
    return found


def _examples(
    systems: Mapping[str, Spoken],
    recordings: Mapping[str, Path],
    style: Mapping[str, Style],
    shown: Sequence[str],
    count: int,
    parses: Parses | None,
) -> list[dict[str, Any]]:
    first = next(iter(systems.values())).results
    by_id = {name: {result.id: result for result in spoken.results} for name, spoken in systems.items()}
    examples = []
    hidden = [item.index for name, item in style.items() if name != RECORDING and name not in shown]
    chosen = choose(first, count)
    relations = {} if parses is None else parses(chosen)
    for place, utterance in enumerate(chosen):
        results = {name: found[utterance] for name, found in by_id.items()}
        result = next(iter(results.values()))
        drawn = {name: item for name, item in results.items() if item.contour is not None}
        contour = None
        if drawn:
            figure = figures.contours(drawn, style, legend=False)
            label = f"F0 over the words of: {result.text}"
            contour = safe(figures.svg(figure, f"f{place}", label, hidden, style))
        voices = []
        if utterance in recordings:
            voices.append(_voice(RECORDING, recordings[utterance], style, True, bool(drawn)))
        for name, item in results.items():
            path = systems[name].folder / item.audio
            voices.append(_voice(name, path, style, name in shown, name in drawn, item.heard))
        heard = {name: item for name, item in results.items() if name in shown}
        examples.append(
            {
                "text": result.text,
                "id": utterance,
                "voices": voices,
                "contour": contour,
                "words": [result.tokens[word] for word in result.words],
                "apart": _apart(results),
                "spectra": _spectra(result, recordings.get(utterance), systems, heard),
                "parse": _parse(place, result, relations.get(utterance)),
            }
        )
    return examples


def _apart(results: Mapping[str, UtteranceResult]) -> list[tuple[str, str, list[str]]]:
    """How far every word's F0 lies off the recording's, in semitones, and its duration in per cent; signed."""
    lines = []
    for name, item in results.items():
        words = item.words
        semitones = 12 / np.log(2) * (item.system.log_f0 - item.reference.log_f0)[words]
        with np.errstate(divide="ignore", invalid="ignore"):
            longer = 100 * (item.system.duration / item.reference.duration - 1)[words]
        lines.append((name, "F0, semitones", [_signed(value, 1) for value in semitones]))
        lines.append((name, "duration, %", [_signed(value, 0) for value in longer]))
    return lines


def _signed(value: float, places: int) -> str:
    if not np.isfinite(value):
        return "—"
    return signed(value, f"{abs(value):.{places}f}")


def _spectra(
    result: UtteranceResult,
    recording: Path | None,
    systems: Mapping[str, Spoken],
    heard: Mapping[str, UtteranceResult],
) -> str | None:
    """Spectrograms of the recording and of the systems that are shown, as an address of data."""
    if result.contour is None:
        return None
    voices = {}
    if recording is not None:
        voices[RECORDING] = Voice(RECORDING, recording, result.tokens, result.contour.reference_starts)
    for name, item in heard.items():
        if item.contour is not None:
            voices[name] = Voice(name, systems[name].folder / item.audio, item.tokens, item.contour.system_starts)
    return png_data(spectra(voices)) if voices else None


def _parse(place: int, result: UtteranceResult, relations: Sequence[Arc] | None) -> Any:
    if relations is None:
        return None
    words = [result.tokens[word] for word in result.words]
    figure = arcs(words, relations)
    return safe(figures.svg(figure, f"p{place}", f"Dependency parse of: {result.text}"))


def _boxes(table: Table, systems: Mapping[str, Spoken], style: Mapping[str, Style]) -> Any:
    """Every sentence's value of the primary metric."""
    found = {}
    for name, spoken in systems.items():
        values, row = of_metric(table.primary, spoken.results), table.cell(name, table.primary)
        if values and row is not None:
            found[name] = Box(np.array(list(values.values())), row.value, row.low, row.high)
    if len(found) < 2:
        return None
    column = COLUMNS[table.primary]
    figure = boxes(found, style, f"{column.label} ({column.unit}) of sentences")
    return safe(figures.svg(figure, "boxes", f"{column.label} of sentences by system", style=style))


def _spaces(systems: Mapping[str, Spoken]) -> list[dict[str, Any]]:
    """The space of every oracle's vectors."""
    found = []
    for name, spoken in systems.items():
        space = space_of(spoken.results)
        if space is not None:
            label = f"Vectors of {name} in two directions"
            drawn = safe(figures.svg(drawing(space), f"space-{name}", label))
            found.append({"name": name, "unit": space.unit, "count": len(space.places), "drawing": drawn})
    return found


def _voice(
    name: str, path: Path, style: Mapping[str, Style], shown: bool, drawn: bool, heard: str | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "what": SYSTEMS.get(name, ""),
        "heard": heard,
        "audio": audio_data(path),
        "series": f"s{style[name].index}",
        "shown": shown,
        "swatch": safe(figures.swatch(style[name])) if drawn else None,
    }


def origin(provenance: Provenance) -> list[tuple[str, Any]]:
    """Lines of the page's end: where its figures come from, what is unknown left out."""
    lines: list[tuple[str, Any]] = [
        ("Corpus", provenance.corpus),
        ("Split", provenance.split),
        ("Seeds" if provenance.seeds else "Seed", provenance.seed_text),
        ("Size", provenance.size),
        ("Vocoder", provenance.vocoder),
        ("Code", provenance.tree()),
        ("Command", provenance.command),
        ("Evaluations", ", ".join(f"{name} {value}" for name, value in provenance.identities.items())),
        ("Versions", ", ".join(f"{name} {value}" for name, value in provenance.versions.items())),
    ]
    return [(name, value) for name, value in lines if value != ""]
