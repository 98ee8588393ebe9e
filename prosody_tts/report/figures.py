"""The report's figures: F0 over words, metrics by system, gaps beside the papers'.

Every series has a marker and a dash of its own, so nothing hangs on colour. The same drawing becomes a PNG in light
colours and an SVG whose colours are CSS variables, so that a page in dark mode redraws it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.names import RECORDING
from prosody_tts.evaluation.results import UtteranceResult
from prosody_tts.evaluation.summary import COLUMNS, COPY_SYNTHESIS, Row
from prosody_tts.report.drawing import CHARACTER, FONT, HUES, INK, MUTED, PAPER, RULE, VARIABLES, blank, hertz, settings
from prosody_tts.report.papers import ORACLES
from prosody_tts.report.table import READOUT, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Style:
    """How a system is drawn: colour in light and in dark mode, marker, dash pattern in points (None: solid)."""

    index: int
    light: str
    dark: str
    marker: str
    dash: tuple[float, ...] | None

    @property
    def line(self) -> Any:
        """The dash as matplotlib takes it."""
        return "solid" if self.dash is None else (0, self.dash)


_MARKERS = ("s", "^", "D", "v", "p", "<", "h", ">", "d", "P", "X")
_DASHES: tuple[tuple[float, ...] | None, ...] = (None, (5, 1.6), (1.2, 1.4), (6, 1.5, 1.2, 1.5), (3, 1.2))


def styles(systems: Sequence[str]) -> dict[str, Style]:
    """A style for the recordings and every system, by their order."""
    found = {RECORDING: Style(0, INK, "#eceef1", "o", None)}
    for index, name in enumerate(systems):
        light, dark = HUES[index % len(HUES)]
        found[name] = Style(
            index + 1, light, dark, _MARKERS[index % len(_MARKERS)], _DASHES[(index + 1) % len(_DASHES)]
        )
    return found


def contours(
    utterances: Mapping[str, UtteranceResult],
    style: Mapping[str, Style],
    shown: Sequence[str] | None = None,
    legend: bool = True,
) -> Figure:
    """F0 of one utterance over its words: the recording and systems, each system's words moved to the recording's.

    Args:
        utterances: system -> its result for the utterance; all of the same recording.
        style: from ``styles``.
        shown: systems to draw; all by default.
        legend: name the series above the figure.
    """
    drawn = [name for name in utterances if shown is None or name in shown]
    any_result = next(iter(utterances.values()))
    contour = any_result.contour
    if contour is None:
        raise ValueError(f"{any_result.id} has no contour")
    starts = contour.reference_starts
    words = any_result.words
    width = max(7.6, 1.15 * CHARACTER * sum(len(any_result.tokens[word]) + 2 for word in words))
    with settings():
        figure = blank(width, 3.0)
        axes = figure.add_axes((0.62 / width, 0.17, 1 - 0.74 / width, 0.7 if legend else 0.8))
        _draw(axes, style[RECORDING], starts, contour.reference_f0, contour.hop_seconds, starts, thick=True)
        _marks(axes, style[RECORDING], starts, words, any_result.reference.log_f0, size=5.2)
        for name in drawn:
            result = utterances[name]
            if result.contour is None:
                continue
            _draw(
                axes, style[name], starts, result.contour.system_f0, contour.hop_seconds, result.contour.system_starts
            )
            _marks(axes, style[name], starts, words, result.system.log_f0, size=4.6)
        _words(axes, any_result, starts, width)
        hertz(axes)
        axes.set_xlim(starts[words[0]] - 0.04, starts[words[-1] + 1] + 0.04)
        axes.set_ylabel("F0 (Hz)", color=MUTED)
        if legend:
            _series_legend(figure, [RECORDING, *drawn], style, width)
    return figure


def _series_legend(figure: Figure, names: Sequence[str], style: Mapping[str, Style], width: float) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=style[name].light,
            linestyle=style[name].line,
            linewidth=2.6 if name == RECORDING else 1.4,
            marker=style[name].marker,
            markeredgecolor=PAPER,
            label=name,
        )
        for name in names
    ]
    legend = figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.5 / width, 1.01),
        ncols=len(names),
        frameon=False,
        labelcolor=INK,
        handlelength=2.6,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _draw(
    axes: Axes, style: Style, target: Floats, f0: Floats, hop: float, starts: Floats, thick: bool = False
) -> None:
    frames = np.arange(len(f0)) * hop
    # Tokens of no length give the map two values at one place; a hair's breadth keeps them in order.
    places = starts + np.arange(len(starts)) * 1e-9
    (line,) = axes.plot(
        np.interp(frames, places, target),
        np.where(f0 > 0, f0, np.nan),
        color=style.light,
        linestyle=style.line,
        linewidth=2.6 if thick else 1.4,
        alpha=0.45 if thick else 1.0,
        solid_capstyle="round",
        zorder=2 if thick else 3,
    )
    line.set_gid(f"series-{style.index}-line")


def _marks(axes: Axes, style: Style, starts: Floats, words: Sequence[int], log_f0: Floats, size: float) -> None:
    middles = [(starts[word] + starts[word + 1]) / 2 for word in words]
    (marks,) = axes.plot(
        middles,
        np.exp(log_f0[list(words)]),
        linestyle="none",
        marker=style.marker,
        markersize=size,
        color=style.light,
        markeredgecolor=PAPER,
        markeredgewidth=0.8,
        zorder=4,
    )
    marks.set_gid(f"series-{style.index}-marks")


def _words(axes: Axes, result: UtteranceResult, starts: Floats, width: float) -> None:
    """Name the words below the axis, on a second line where the first has no room, and mark their bounds."""
    low, high = starts[result.words[0]], starts[result.words[-1] + 1]
    scale = (width - 0.74) / max(high - low + 0.08, 1e-6)
    free = [-np.inf, -np.inf]
    for word in result.words:
        axes.axvline(starts[word], color=RULE, linewidth=0.7, zorder=1)
        axes.axvline(starts[word + 1], color=RULE, linewidth=0.7, zorder=1)
        middle = (starts[word] + starts[word + 1]) / 2
        half = CHARACTER * len(result.tokens[word]) / 2 + 0.03
        row = 0 if middle * scale - half >= free[0] else 1
        free[row] = middle * scale + half
        axes.text(
            middle,
            -0.045 - 0.085 * row,
            result.tokens[word],
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            color=INK,
            fontsize=FONT + 0.5,
            parse_math=False,  # a text may hold dollars
        )
    axes.set_xticks([])


@dataclass(frozen=True)
class Panel:
    """One metric of all systems.

    Attributes:
        title: above it.
        rows: system -> its row; systems without one stay empty.
        line: value of the dashed line, or None.
        note: below it.
        side: end of the axis that the note stands at.
    """

    title: str
    rows: Mapping[str, Row]
    line: float | None
    note: str
    side: Literal["left", "right"]


def dots(table: Table, style: Mapping[str, Style], columns: int = 3) -> Figure:
    """Main metrics by system: value and interval, one panel a metric; the dashed line is the first system."""
    panels = []
    for metric in table.main:
        column = COLUMNS[metric]
        found = {system: row for system in table.systems if (row := table.cell(system, metric)) is not None}
        first = found.get(table.systems[0])
        unit = f" ({column.unit})".replace("g ", "g\u00a0") if column.unit else ""
        lower = column.better == "lower"
        panels.append(
            Panel(
                f"{column.label}{unit}",
                found,
                None if first is None else first.value,
                "← better" if lower else "better →",
                "left" if lower else "right",
            )
        )
    return panel_dots(panels, table.systems, style, columns)


def panel_dots(panels: Sequence[Panel], systems: Sequence[str], style: Mapping[str, Style], columns: int = 3) -> Figure:
    """Value and interval of every system, one panel a metric."""
    columns = min(columns, len(panels))
    lines = -(-len(panels) // columns)
    label, wide, tall = 0.25 + CHARACTER * max(map(len, systems)), 1.95, 0.95 + 0.24 * len(systems)
    width, height = label + wide * columns, tall * lines
    with settings():
        figure = blank(width, height)
        for index, panel in enumerate(panels):
            line, column = divmod(index, columns)
            bottom = height - tall * (line + 1) + 0.42
            axes = figure.add_axes(
                ((label + wide * column) / width, bottom / height, (wide - 0.27) / width, (tall - 0.9) / height)
            )
            _panel(axes, panel, systems, style)
            axes.set_yticks(range(len(systems)), systems if column == 0 else [""] * len(systems))
            for text in axes.get_yticklabels():
                text.set_parse_math(False)
    return figure


def _panel(axes: Axes, panel: Panel, systems: Sequence[str], style: Mapping[str, Style]) -> None:
    for place, system in enumerate(systems):
        axes.axhline(place, color=RULE, linewidth=0.5, zorder=0)
        row = panel.rows.get(system)
        if row is not None:
            _dot(axes, row.value, row.low, row.high, place, style[system].marker, style[system].light)
    if panel.line is not None:
        axes.axvline(panel.line, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    axes.set_title(_wrapped(panel.title, 25), color=INK, fontsize=FONT, loc="left", pad=5)
    axes.set_xlabel(panel.note, color=MUTED, fontsize=FONT - 1.5, loc=panel.side)
    axes.set_ylim(len(systems) - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.locator_params(axis="x", nbins=4)


def gaps(table: Table, style: Mapping[str, Style]) -> Figure | None:
    """Share of the gap closed with intervals, on audio and by read-out, beside the paper's; None without gaps."""
    audio = table.primary
    metrics = [name for name in (audio, READOUT.get(audio)) if name is not None]
    rows = {
        system: [row for row in (table.cell(system, name) for name in metrics) if row is not None and _has_gap(row)]
        for system in table.systems
    }
    systems = [system for system in table.systems if rows[system]]
    if not systems:
        return None
    label = 0.3 + CHARACTER * max(map(len, systems))
    width, height = label + 6.2, 1.35 + 0.5 * len(systems)
    with settings():
        figure = blank(width, height)
        axes = figure.add_axes((label / width, 0.5 / height, 1 - (label + 0.15) / width, 1 - 1.05 / height))
        for place, system in enumerate(systems):
            axes.axhline(place, color=RULE, linewidth=0.5, zorder=0)
            for row in rows[system]:
                readout = row.metric != audio
                at = place + (0.0 if readout else -0.22)
                _dot(axes, row.gap_closed, row.gap_low, row.gap_high, at, "s" if readout else "o", style[system].light)
            row = rows[system][0]
            if row.paper is not None:
                half = row.paper_half
                low, high = (None, None) if half is None else (row.paper - half, row.paper + half)
                _dot(axes, row.paper, low, high, place + 0.22, "D", INK, hollow=True)
        for at in (0, 100):
            axes.axvline(at, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
        left = min(0.0, *(row.gap_closed or 0.0 for own in rows.values() for row in own)) - 8
        right = max(100.0, *(row.gap_closed or 0.0 for own in rows.values() for row in own)) + 8
        axes.set_xlim(max(left, -100), min(right, 200))
        axes.set_ylim(len(systems) - 0.45, -0.55)
        axes.set_yticks(range(len(systems)), systems)
        for text in axes.get_yticklabels():
            text.set_parse_math(False)
        axes.xaxis.set_major_formatter("{x:.0f} %")
        axes.set_xlabel("of the gap closed: 0 % is the lower bound, 100 % the upper", color=MUTED)
        _gap_legend(figure, readout=any(row.metric != audio for own in rows.values() for row in own), width=width)
    return figure


def _has_gap(row: Row) -> bool:
    return row.gap_closed is not None and row.system != COPY_SYNTHESIS


def _gap_legend(figure: Figure, readout: bool, width: float) -> None:
    from matplotlib.lines import Line2D

    def key(marker: str, label: str, hollow: bool = False) -> Line2D:
        face = PAPER if hollow else MUTED
        return Line2D(
            [], [], marker=marker, linestyle="none", color=INK if hollow else MUTED, markerfacecolor=face, label=label
        )

    handles = [key("o", "measured on audio")]
    handles += [key("s", "read-out head")] if readout else []
    handles += [key("D", "the paper's, by listeners", hollow=True)]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.1 / width, 1.0),
        ncols=3,
        frameon=False,
        labelcolor=INK,
        handletextpad=0.3,
        columnspacing=1.4,
    )


def _dot(
    axes: Axes,
    value: float | None,
    low: float | None,
    high: float | None,
    place: float,
    marker: str,
    colour: str,
    hollow: bool = False,
) -> None:
    if value is None:
        return
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
        axes.plot([low, high], [place, place], color=colour, linestyle="none", marker="|", markersize=6, zorder=2)
    axes.plot(
        [value],
        [place],
        marker=marker,
        markersize=6.2,
        color=colour,
        markerfacecolor=PAPER if hollow else colour,
        markeredgecolor=colour if hollow else PAPER,
        markeredgewidth=1.3 if hollow else 0.8,
        zorder=3,
    )


def default_shown(table: Table, lower: str) -> list[str]:
    """Systems a contour figure shows at first: the lower bound, the best that hears no recording, and its oracle."""
    from prosody_tts.report.papers import oracle_of

    bounds = {lower, COPY_SYNTHESIS, *ORACLES.values()}
    rows = [row for row in table.rows if row.metric == table.primary and row.system not in bounds]
    sign = 1 if COLUMNS[table.primary].better == "higher" else -1
    best = max(rows, key=lambda row: sign * row.value).system if rows else None
    wanted = [lower, best, oracle_of(best) if best else None]
    shown = [name for name in wanted if name in table.systems]
    return shown or list(table.systems[:2])


def svg(
    figure: Figure, prefix: str, label: str, hidden: Sequence[int] = (), style: Mapping[str, Style] | None = None
) -> str:
    """A figure as inline SVG: colours are CSS variables, ids are unique to the page, text is text.

    Args:
        figure: what ``contours``, ``dots`` or ``gaps`` gave.
        prefix: of every id.
        label: read out by screen readers.
        hidden: indices of styles whose series start hidden (class ``off``).
        style: the systems' styles, to turn their colours into ``--s1``, ``--s2``, ...
    """
    from html import escape

    stream = io.StringIO()
    with settings():
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.S)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\1#{prefix}-", text)
    colours = {**VARIABLES, **{item.light: f"--s{(item.index - 1) % len(HUES) + 1}" for item in (style or {}).values()}}
    colours[INK] = "--ink"
    text = re.sub(r'style="[^"]*"', lambda hit: _with_variables(hit.group(), colours), text)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.S)
    text = re.sub(
        rf'<g id="{prefix}-series-(\d+)-(line|marks)(-\d+)?"',
        lambda hit: f'{hit.group()} class="series s{hit[1]}{" off" if int(hit[1]) in hidden else ""}"',
        text,
    )
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{escape(label, quote=True)}" ', text, count=1)


def swatch(style: Style) -> str:
    """A small inline SVG of a system's line and marker, for its checkbox."""
    from matplotlib.markers import MarkerStyle

    marker = MarkerStyle(style.marker)
    path = marker.get_path().transformed(marker.get_transform())
    points = [f"{20 + 10 * x:.2f},{8 - 10 * y:.2f}" for x, y in np.asarray(path.to_polygons()[0])]
    colour = "var(--ink)" if style.index == 0 else f"var(--s{(style.index - 1) % len(HUES) + 1})"
    dash = "" if style.dash is None else f' stroke-dasharray="{" ".join(f"{2 * part:g}" for part in style.dash)}"'
    thick = 5 if style.index == 0 else 2.2
    return (
        f'<svg viewBox="0 0 40 16" aria-hidden="true"><path d="M0 8H40" fill="none" stroke="{colour}" '
        f'stroke-width="{thick}"{dash} opacity="{0.45 if style.index == 0 else 1}"/>'
        f'<polygon points="{" ".join(points)}" fill="{colour}" stroke="var(--paper)" stroke-width="1.2"/></svg>'
    )


def _with_variables(style: str, colours: Mapping[str, str]) -> str:
    for colour, name in colours.items():
        style = style.replace(colour, f"var({name})")
    return style.replace("font-family: 'DejaVu Sans'", "font-family: inherit")


def _wrapped(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))
