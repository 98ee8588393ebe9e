"""Figures of distributions: what was recorded, what a system says, and what it draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prosody_tts.evaluation.distributions import GRIDS
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.results import UtteranceResult
from prosody_tts.evaluation.variation import MEASURES, pooled
from prosody_tts.report.drawing import FONT, INK, MUTED, RULE, blank, settings
from prosody_tts.report.figures import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Panels beside each other.
COLUMNS = 4
#: Of what a system says without drawing.
DASHED = (0, (2, 1.2))


def distribution_figures(
    systems: Mapping[str, Sequence[UtteranceResult]], style: Mapping[str, Style]
) -> dict[str, Figure]:
    """A figure a measure of the systems that draw; none where no system does."""
    drawing = {name: found for name, found in systems.items() if any(item.draws is not None for item in found)}
    if not drawing:
        return {}
    values = {measure: {name: pooled(found, measure) for name, found in drawing.items()} for measure in MEASURES}
    return {
        measure: distribution(measure, found, style)
        for measure, found in values.items()
        if all("drawn" in one for one in found.values())
    }


def distribution(measure: str, systems: Mapping[str, Mapping[str, Floats]], style: Mapping[str, Style]) -> Figure:
    """Kernel densities of a measure, a panel a system: recordings filled, speech dashed, draws a solid line.

    Args:
        measure: of ``variation.MEASURES``.
        systems: name -> values ``recorded``, ``point`` and ``drawn``.
        style: of the systems.
    """
    grid = GRIDS[measure]
    ends = np.concatenate([np.percentile(found[key], [0.5, 99.5]) for found in systems.values() for key in found])
    pad = 4 * grid.bandwidth
    low, high = float(ends.min()) - pad, float(ends.max()) + pad
    places = grid.places
    shown = (places >= low) & (places <= high)
    lines: dict[str, dict[str, Floats]] = {
        name: {key: 100.0 * grid.density(grid.counts(found[key]))[shown] for key in ("recorded", "point", "drawn")}
        for name, found in systems.items()
    }
    columns = min(COLUMNS, len(systems))
    # The speech of a point estimate may be a spike, which is cut off above what the others need, and marked so.
    top = 1.15 * max(float(one[key].max()) for one in lines.values() for key in ("recorded", "drawn"))
    rows, wide, tall, left = -(-len(systems) // columns), 2.55, 1.6, 0.62
    width, height = left + wide * columns, (tall + 0.95) * rows + 0.25
    with settings():
        figure = blank(width, height)
        for place, (name, densities) in enumerate(lines.items()):
            line, column = divmod(place, columns)
            bottom = height - 0.25 - (tall + 0.95) * (line + 1) + 0.52
            axes = figure.add_axes(
                ((left + wide * column) / width, bottom / height, (wide - 0.25) / width, tall / height)
            )
            _panel(axes, places[shown], densities, style[name], top)
            axes.set_title(name, color=INK, fontsize=FONT, loc="left", pad=4, parse_math=False)
            axes.set_xlabel(f"{MEASURES[measure].label} ({MEASURES[measure].unit})", color=MUTED, fontsize=FONT - 1.5)
            axes.tick_params(labelleft=column == 0)
            if column == 0:
                axes.set_ylabel("% a bin", color=MUTED, fontsize=FONT - 1.5)
        _legend(figure, left / width)
    return figure


def _legend(figure: Figure, left: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=RULE, label="recordings"),
        Line2D([], [], color=MUTED, linestyle=DASHED, label="the system's mean"),
        Line2D([], [], color=MUTED, label="draws"),
    ]
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(left, 1.0), ncols=3, frameon=False, labelcolor=INK)


def _panel(axes: Axes, places: Floats, densities: Mapping[str, Floats], style: Style, top: float) -> None:
    axes.fill_between(places, densities["recorded"], color=RULE, linewidth=0, zorder=1)
    dashes: dict[str, Any] = {"point": DASHED, "drawn": "solid"}
    for key, dash in dashes.items():
        axes.plot(places, densities[key], color=style.light, linestyle=dash, linewidth=1.5, zorder=3)
    peak = float(densities["point"].max())
    if peak > top:
        note = f"dashed: to {peak:.0f} %"
        axes.text(0.99, 0.99, note, transform=axes.transAxes, ha="right", va="top", fontsize=FONT - 2, color=MUTED)
    axes.set_ylim(0, top)
    axes.set_xlim(places[0], places[-1])
    axes.locator_params(nbins=4)
