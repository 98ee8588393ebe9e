"""A text's dependency parse as arcs over its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prosody_tts.inspect.labels import drawable, levels
from prosody_tts.inspect.parse import Arc
from prosody_tts.report.drawing import CHARACTER, FONT, INK, MUTED, PAPER, blank, settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def arcs(words: Sequence[str], relations: Sequence[Arc]) -> Figure:
    """Words in a line, and from every head an arc to what depends on it, higher ones over those inside them."""
    widths = [CHARACTER * max(len(word), 4) + 0.22 for word in words]
    middles = [sum(widths[:place]) + width / 2 for place, width in enumerate(widths)]
    links = [arc for arc in relations if arc.head is not None]
    spans = [(min(pair), max(pair)) for pair in ((middles[arc.head or 0], middles[arc.dependent]) for arc in links)]
    heights = levels(spans, [0.065 * len(arc.label) + 0.05 for arc in links])
    top = max(heights, default=1) + 0.8
    width, height = max(sum(widths) + 0.2, 3.0), 0.36 + 0.21 * top
    with settings():
        figure = blank(width, height)
        axes = figure.add_axes((0.1 / width, 0.3 / height, 1 - 0.2 / width, 1 - 0.32 / height))
        for arc, (left, right), level in zip(links, spans, heights, strict=True):
            ends = left + 0.04, right - 0.04
            axes.plot([ends[0], ends[0], ends[1], ends[1]], [0, level, level, 0], color=MUTED, linewidth=0.9)
            at = ends[0] if middles[arc.dependent] == left else ends[1]
            axes.plot([at], [0.1], marker="v", markersize=3.4, color=MUTED, linestyle="none", clip_on=False)
            text = axes.text(
                (left + right) / 2, level, drawable(arc.label), ha="center", va="center", fontsize=FONT - 2
            )
            text.set(color=INK, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}, parse_math=False)
        for arc in relations:
            if arc.head is None:
                axes.plot([middles[arc.dependent]] * 2, [0, top - 0.4], color=INK, linewidth=0.9)
                text = axes.text(
                    middles[arc.dependent], top - 0.35, "root", ha="center", va="center", fontsize=FONT - 2
                )
                text.set(color=INK, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6})
        for word, middle in zip(words, middles, strict=True):
            text = axes.text(middle, -0.25, drawable(word), ha="center", va="top", fontsize=FONT + 0.5, color=INK)
            text.set_parse_math(False)
        axes.set_xlim(0, sum(widths))
        axes.set_ylim(-0.1, top)
        axes.axis("off")
    return figure


def _label(axes: Axes, x: float, y: float, text: str) -> None:
    written = axes.text(x, y, drawable(text), ha="center", va="center", fontsize=FONT - 2)
    written.set(color=INK, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6})
    written.set_parse_math(False)
