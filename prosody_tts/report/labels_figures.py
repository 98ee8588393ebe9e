"""Figures of systems that learn labels: their spread beside the speaker's, their calibration, single sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from prosody_tts.evaluation.decisions import DECISIONS, Ints
from prosody_tts.evaluation.labels import LabelResult, Track
from prosody_tts.evaluation.measure import Floats
from prosody_tts.report.drawing import CHARACTER, FONT, INK, MUTED, PAPER, RULE, blank, settings
from prosody_tts.report.figures import Panel, Style, panel_dots
from prosody_tts.report.labels_table import LabelTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What the dashed line of a metric is: the end of its counterpart's name, and in words.
LINES = {
    "sd": ("sd_human", "the speaker's"),
    "two_way": ("majority", "commonest"),
    "three_way": ("majority", "commonest"),
}
#: Bins of a distribution, of equal width.
BINS = 40
#: Bins of a calibration, of as many tokens each.
QUANTILES = 10
#: Panels beside each other.
COLUMNS = 4
#: Inches of a line of words, of the slot between two, and of what stands left of them.
LINE, SLOT, LEFT = 10.6, 0.2, 0.85
#: A measured class of slots between words, as phoneticians write boundaries; of words, how they are set.
BOUNDARIES = ("", "|", "‖")
WEIGHTS = ((MUTED, "normal"), (INK, "normal"), (INK, "bold"))


class Pooled(NamedTuple):
    """One dimension over the tokens of all sentences: measured and predicted, [N] each; drawn [S N], or none."""

    reference: Floats
    predicted: Floats
    drawn: Floats | None = None


def pooled(results: Sequence[LabelResult], dimension: str) -> Pooled:
    """All tokens of a dimension."""
    tracks = [result.tracks[dimension] for result in results]
    draws = [track.draws.ravel() for track in tracks if track.draws is not None]
    return Pooled(
        np.concatenate([track.reference for track in tracks]),
        np.concatenate([track.predicted for track in tracks]),
        np.concatenate(draws) if draws else None,
    )


def metrics(table: LabelTable, dimension: str, style: Mapping[str, Style], names: Mapping[str, str]) -> Figure:
    """Every metric of a dimension by system: value and interval.

    Args:
        table: of all systems.
        dimension: of ``config.LABELS``.
        style: by short name.
        names: system -> short name.
    """
    panels = []
    for metric in table.of_systems(dimension):
        rows = {names[system]: row for system in table.systems if (row := table.cell(system, metric.name)) is not None}
        suffix = metric.name.removeprefix(f"{dimension}_")
        line, note = None, "better →"
        if suffix in LINES:
            other, word = LINES[suffix]
            counterpart = f"{dimension}_{other}" if other == "sd_human" else f"{metric.name}_{other}"
            row = table.cell(table.systems[0], counterpart)
            if row is not None:
                line = row.value
                note = f"dashed: {word}" if suffix == "sd" else f"dashed: {word}; better →"
        panels.append(Panel(metric.label.removeprefix(f"{dimension} "), rows, line, note, "right"))
    return panel_dots(panels, list(names.values()), style, columns=5)


def distributions(tokens: Mapping[str, Pooled], style: Mapping[str, Style], axis: str) -> Figure:
    """How often each value is measured (filled), predicted and drawn (lines), a panel a system; standard deviations.

    Where a system draws, its draws are the solid line and its predictions a dashed one.

    Args:
        tokens: short name of a system -> its tokens.
        style: by short name.
        axis: what the values are.
    """
    reference = next(iter(tokens.values())).reference
    low, high = np.percentile(reference, [0.5, 99.5])
    pad = 0.05 * max(high - low, 1e-6)
    edges = np.linspace(low - pad, high + pad, BINS + 1)
    measured = _shares(reference, edges)
    lines = {
        name: [(_shares(item.predicted, edges), "solid" if item.drawn is None else (0, (2, 1.2)))]
        + ([] if item.drawn is None else [(_shares(item.drawn, edges), "solid")])
        for name, item in tokens.items()
    }
    top = 1.08 * max(measured.max(), *(row.max() for rows in lines.values() for row, _ in rows))
    with settings():
        figure, grid = _grid(list(tokens), 1.7, axis, "share of tokens")
        for axes, (name, rows) in zip(grid, lines.items(), strict=True):
            axes.stairs(measured, edges, fill=True, color=RULE, zorder=1)
            for shares, dash in rows:
                axes.stairs(
                    shares, edges, baseline=None, color=style[name].light, linewidth=1.6, linestyle=dash, zorder=3
                )
            axes.set_yscale("function", functions=(np.sqrt, np.square))
            axes.set_ylim(0, top)
            ticks = [tick for tick in (0.01, 0.05, 0.1, 0.25, 0.5, 1.0) if tick < top]
            axes.set_yticks(ticks, [f"{100 * tick:g} %" for tick in ticks] if axes in grid[::COLUMNS] else [])
            item = tokens[name]
            spread = f"SD {item.predicted.std():.2f}"
            spread += f" of {reference.std():.2f}" if item.drawn is None else f", drawn {item.drawn.std():.2f}"
            spread += "" if item.drawn is None else f" of {reference.std():.2f}"
            axes.text(
                0.98, 0.97, spread, transform=axes.transAxes, ha="right", va="top", fontsize=FONT - 1, color=MUTED
            )
    return figure


def _shares(values: Floats, edges: Floats) -> Floats:
    """Share of values in each bin; those beyond the ends are in the bins at the ends."""
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return counts / max(len(values), 1)


def calibration(tokens: Mapping[str, Pooled], style: Mapping[str, Style], axis: str) -> Figure:
    """What was measured where so much was predicted: mean, and from the 10th to the 90th percentile, in ten bins.

    Args:
        tokens: short name of a system -> its tokens.
        style: by short name.
        axis: what the values are.
    """
    bins = {name: calibrated(item) for name, item in tokens.items()}
    everything = np.concatenate(
        [part[:, 1:].ravel() for part in bins.values()] + [part[:, 0] for part in bins.values()]
    )
    low, high = float(everything.min()), float(everything.max())
    pad = 0.06 * max(high - low, 1e-6)
    with settings():
        figure, grid = _grid(list(tokens), 2.0, f"predicted {axis}", "measured")
        for axes, (name, rows) in zip(grid, bins.items(), strict=True):
            axes.plot([low, high], [low, high], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
            axes.vlines(rows[:, 0], rows[:, 2], rows[:, 3], color=style[name].light, linewidth=1.2, alpha=0.5, zorder=2)
            axes.plot(
                rows[:, 0],
                rows[:, 1],
                color=style[name].light,
                linewidth=1.2,
                marker=style[name].marker,
                markersize=5.2,
                markeredgecolor=PAPER,
                markeredgewidth=0.7,
                zorder=3,
            )
            axes.set_xlim(low - pad, high + pad)
            axes.set_ylim(low - pad, high + pad)
            axes.locator_params(nbins=5)
            if axes not in grid[::COLUMNS]:
                axes.tick_params(labelleft=False)
    return figure


def calibrated(tokens: Pooled) -> Floats:
    """[bins, 4] mean prediction, and mean, 10th and 90th percentile of what was measured, by tenths of predictions."""
    order = np.argsort(tokens.predicted, kind="stable")
    rows = []
    for part in np.array_split(order, min(QUANTILES, len(order))):
        said, was = tokens.predicted[part], tokens.reference[part]
        rows.append([said.mean(), was.mean(), *np.percentile(was, [10, 90])])
    return np.array(rows)


def _grid(names: Sequence[str], tall: float, below: str, beside: str) -> tuple[Figure, list[Axes]]:
    """A panel a name, ``COLUMNS`` in a line, called by what it shows."""
    columns = min(COLUMNS, len(names))
    lines = -(-len(names) // columns)
    wide, block, left = 2.55, tall + 0.8, 0.72
    width, height = left + wide * columns, block * lines
    figure = blank(width, height)
    panels = []
    for index, name in enumerate(names):
        line, column = divmod(index, columns)
        bottom = height - block * (line + 1) + 0.48
        panels.append(
            figure.add_axes(((left + wide * column) / width, bottom / height, (wide - 0.28) / width, tall / height))
        )
        panels[-1].set_title(name, color=INK, fontsize=FONT, loc="left", pad=4, parse_math=False)
        panels[-1].set_xlabel(below, color=MUTED, fontsize=FONT - 1.5)
        if column == 0:
            panels[-1].set_ylabel(beside, color=MUTED, fontsize=FONT - 1.5)
    return figure, panels


# Sentences ------------------------------------------------------------------------------------------------------------


def sentence(results: Mapping[str, LabelResult], style: Mapping[str, Style], axes_of: Mapping[str, str]) -> Figure:
    """One sentence's words with what was measured (bars) and what systems predict (marks), broken into lines.

    Words stand between their two dimensions: above, that of words; below, that of the slots between. A system's mark is
    filled where it decides for a class other than 0.

    Args:
        results: short name of a system -> its result; all of the same utterance.
        style: by short name; its first is the speaker's.
        axes_of: dimension -> what its axis is called.
    """
    result = next(iter(results.values()))
    edges = _edges(result.tokens)
    lines = _lines(edges)
    dimensions = list(result.tracks)
    limits = {name: _limits([item.tracks[name] for item in results.values()]) for name in dimensions}
    width = LEFT + max(edges[stop] - edges[start] for start, stop in lines) + 0.1
    tall, words, gap = (1.05, 0.8), 0.34, 0.26
    block = sum(tall) + words + gap
    height = block * len(lines)
    with settings():
        figure = blank(width, height)
        for number, (start, stop) in enumerate(lines):
            long = edges[stop] - edges[start]
            top = height - block * number - 0.08
            bottoms = (top - tall[0], top - tall[0] - words - tall[1])
            for place, (name, bottom) in enumerate(zip(dimensions, bottoms, strict=True)):
                axes = figure.add_axes((LEFT / width, bottom / height, long / width, tall[place] / height))
                axes.set_xlim(edges[start], edges[stop])
                axes.set_ylim(*limits[name])
                axes.set_xticks([])
                axes.spines["bottom"].set_visible(False)
                axes.axhline(0, color=RULE, linewidth=0.8, zorder=0)
                axes.locator_params(axis="y", nbins=3)
                axes.set_ylabel(axes_of[name], color=MUTED, fontsize=FONT - 1.5)
                tracks = {key: item.tracks[name] for key, item in results.items()}
                _values(axes, name, tracks, style, edges, (start, stop), f"{number}{place}")
            _write_words(figure, result, edges, (start, stop), (bottoms[0] - words / 2) / height, width)
    return figure


def _edges(tokens: Sequence[str]) -> Floats:
    """[W + 1] inches at which tokens begin: a word is as wide as its letters, every slot the same."""
    widths = [max(CHARACTER * len(token) + 0.06, 0.24) if token else SLOT for token in tokens]
    return np.concatenate([[0.0], np.cumsum(widths)])


def _lines(edges: Floats) -> list[tuple[int, int]]:
    """First and last + 1 token of each line: no wider than ``LINE`` where one word allows it, broken after slots."""
    lines, start = [], 0
    ends = range(1, len(edges), 2)  # a slot ends a line: token 2k is a slot
    best = start
    for end in ends:
        if edges[end] - edges[start] > LINE and best > start:
            lines.append((start, best))
            start = best
        best = end
    return [*lines, (start, len(edges) - 1)]


def _limits(tracks: Sequence[Track]) -> tuple[float, float]:
    values = np.concatenate([row for track in tracks for row in (track.reference, track.predicted)] + [np.zeros(1)])
    pad = 0.12 * max(float(np.ptp(values)), 1e-6)
    return float(values.min()) - pad, float(values.max()) + pad


def _values(
    axes: Axes,
    dimension: str,
    tracks: Mapping[str, Track],
    style: Mapping[str, Style],
    edges: Floats,
    span: tuple[int, int],
    gid: str,
) -> None:
    """Bars of what was measured and marks of what is predicted, of the tokens in ``span``."""
    middles, widths = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    for index, (name, track) in enumerate(tracks.items()):
        inside = (track.places >= span[0]) & (track.places < span[1])
        places, own = track.places[inside], style[name]
        if index == 0:
            axes.bar(middles[places], track.reference[inside], 0.86 * widths[places], color=INK, alpha=0.22, zorder=1)
        classes = _classes(track, dimension)
        filled = np.ones(len(places), bool) if classes is None else classes[1][inside] > 0
        (line,) = axes.plot(
            middles[places], track.predicted[inside], color=own.light, linestyle=own.line, linewidth=1.0, alpha=0.6
        )
        line.set_gid(f"series-{own.index}-line-{gid}0")
        for kind, (chosen, face) in enumerate(((filled, own.light), (~filled, PAPER))):
            (marks,) = axes.plot(
                middles[places][chosen],
                track.predicted[inside][chosen],
                linestyle="none",
                marker=own.marker,
                markersize=5,
                markerfacecolor=face,
                markeredgecolor=own.light,
                markeredgewidth=1.0,
                zorder=4,
            )
            marks.set_gid(f"series-{own.index}-marks-{gid}{kind}")


def _classes(track: Track, dimension: str) -> tuple[Ints, Ints] | None:
    """Measured and predicted classes of the finest decision of a dimension; None where nothing is decided."""
    decisions = DECISIONS.get(dimension)
    return track.decisions[max(decisions, key=lambda key: decisions[key].classes)] if decisions else None


def _write_words(
    figure: Figure, result: LabelResult, edges: Floats, span: tuple[int, int], height: float, width: float
) -> None:
    """The words of a line, set by their measured class, and between them the measured boundaries."""
    words, slots = (_by_place(result, dimension) for dimension in result.tracks)
    for place in range(*span):
        token = result.tokens[place]
        if token:
            colour, weight = WEIGHTS[words.get(place, 1)]
        else:
            token, colour, weight = BOUNDARIES[slots.get(place, 0)], INK, "bold"
        x = LEFT + (edges[place] + edges[place + 1]) / 2 - edges[span[0]]
        if token:
            figure.text(
                x / width,
                height,
                token,
                ha="center",
                va="center",
                color=colour,
                fontweight=weight,
                fontsize=FONT,
                parse_math=False,
            )


def _by_place(result: LabelResult, dimension: str) -> dict[int, int]:
    track = result.tracks[dimension]
    classes = _classes(track, dimension)
    return {} if classes is None else dict(zip(track.places.tolist(), classes[0].tolist(), strict=True))
