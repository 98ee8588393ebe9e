"""Plots of a corpus: histograms of what is measured, shares of tags, diameters of parse graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prosody_tts.inspect.numbers import Summary
from prosody_tts.inspect.spread import Distribution
from prosody_tts.report.drawing import CHARACTER, FONT, HUES, INK, MUTED, PAPER, blank, settings
from prosody_tts.report.table import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches of a plot.
WIDTH, HEIGHT = 4.6, 2.5
#: Values of a tag that a plot has room for.
MOST_VALUES = 20
_BLUE, _ORANGE, _GREEN = (HUES[i][0] for i in (0, 1, 2))


def plots(summary: Summary) -> dict[str, Figure]:
    """Every plot of a corpus by name; what has no values has no plot."""
    drawn = {name: histogram(item) for name, item in summary.distributions.items() if len(item.values)}
    if summary.diameters:
        drawn["graph_diameters"] = columns(summary.diameters, "diameter of parse graphs (edges)", "texts")
    for tag, title in (("pos", "part of speech"), ("word_class", "word class"), ("punctuation", "after a word")):
        if summary.tags[tag]:
            drawn[f"tag_{tag}"] = shares(summary.tags[tag], title)
    return drawn


def histogram(distribution: Distribution) -> Figure:
    """Counts of a quantity's values, its median, and the span of the middle nine tenths."""
    counts, edges = distribution.histogram()
    spread = distribution.spread
    assert spread is not None
    from matplotlib.ticker import MaxNLocator

    with settings():
        figure, axes = _plot(f"{distribution.label} ({distribution.unit})", HEIGHT)
        axes.bar(edges[:-1], counts, width=edges[1:] - edges[:-1], align="edge", color=_BLUE, edgecolor=PAPER, lw=0.5)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.axvline(spread.median, color=_ORANGE, linewidth=1.6)
        axes.axvspan(spread.p5, spread.p95, color=_ORANGE, alpha=0.09, linewidth=0, zorder=0)
        note = f"n {spread.n}   median {number(spread.median)}   5 to 95 %: {number(spread.p5)} to {number(spread.p95)}"
        axes.set_title(note, color=MUTED, fontsize=FONT - 1, loc="left")
    return figure


def columns(counts: Mapping[int, int], label: str, unit: str) -> Figure:
    """Counts of whole numbers."""
    from matplotlib.ticker import MaxNLocator

    with settings():
        figure, axes = _plot(label, HEIGHT)
        axes.bar(list(counts), list(counts.values()), width=0.8, color=_GREEN)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(f"n {sum(counts.values())} {unit}", color=MUTED, fontsize=FONT - 1, loc="left")
    return figure


def shares(values: Mapping[str, float], label: str) -> Figure:
    """Shares of a tag's values in per cent, the commonest first."""
    shown = dict(list(values.items())[:MOST_VALUES])
    with settings():
        figure, axes = _plot(f"{label} (% of words)", 0.75 + 0.17 * len(shown), names=max(map(len, shown)))
        axes.barh(range(len(shown)), [100 * share for share in shown.values()], height=0.72, color=_BLUE)
        axes.set_yticks(range(len(shown)), [value.replace("_", " ") for value in shown])
        for text in axes.get_yticklabels():
            text.set_parse_math(False)  # a tag is named "$"
        axes.tick_params(axis="y", labelsize=FONT - 1.5)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        for place, share in enumerate(shown.values()):
            axes.annotate(
                f"{100 * share:.1f}",
                (100 * share, place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                color=MUTED,
                fontsize=FONT - 2,
            )
        axes.margins(x=0.12)
        if len(values) > len(shown):
            axes.set_title(f"the commonest {len(shown)} of {len(values)}", color=MUTED, fontsize=FONT - 1, loc="left")
    return figure


def _plot(label: str, height: float, names: int = 4) -> tuple[Figure, Axes]:
    """A figure with one panel, room for ``names`` characters at its left."""
    figure = blank(WIDTH, height)
    left = 0.2 + CHARACTER * names
    axes = figure.add_axes((left / WIDTH, 0.42 / height, 1 - (left + 0.15) / WIDTH, 1 - 0.68 / height), label="plot")
    axes.tick_params(axis="y", labelsize=FONT - 1.5, labelcolor=MUTED)
    axes.set_xlabel(label, color=INK)
    return figure, axes
