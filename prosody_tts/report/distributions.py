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
    lines = {
        name: {key: 100 * grid.density(grid.counts(found[key]))[shown] for key in ("recorded", "point", "drawn")}
        for name, found in systems.items()
    }
    columns = min(COLUMNS, len(systems))
    rows, wide, tall, left = -(-len(systems) // columns), 2.55, 1.6, 0.62
    width, height = left + wide * columns, (tall + 0.95) * rows
    with settings():
        figure = blank(width, height)
        for place, (name, densities) in enumerate(lines.items()):
            line, column = divmod(place, columns)
            bottom = height - (tall + 0.95) * (line + 1) + 0.52
            axes = figure.add_axes(
                ((left + wide * column) / width, bottom / height, (wide - 0.25) / width, tall / height)
            )
            _panel(axes, places[shown], densities, style[name])
            axes.set_title(name, color=INK, fontsize=FONT, loc="left", pad=4, parse_math=False)
            axes.set_xlabel(f"{MEASURES[measure].label} ({MEASURES[measure].unit})", color=MUTED, fontsize=FONT - 1.5)
            if column == 0:
                axes.set_ylabel("% a bin", color=MUTED, fontsize=FONT - 1.5)
    return figure


def _panel(axes: Axes, places: Floats, densities: Mapping[str, Floats], style: Style) -> None:
    """The speech of a point estimate may be a spike, which is cut off above what the others need, and marked so."""
    top = 1.15 * max(float(densities["recorded"].max()), float(densities["drawn"].max()))
    axes.fill_between(places, densities["recorded"], color=RULE, linewidth=0, zorder=1)
    dashes: dict[str, Any] = {"point": (0, (2, 1.2)), "drawn": "solid"}
    for key, dash in dashes.items():
        axes.plot(places, densities[key], color=style.light, linestyle=dash, linewidth=1.5, zorder=3)
    peak = float(densities["point"].max())
    if peak > top:
        at = float(places[int(np.argmax(densities["point"]))])
        axes.text(at, 0.99 * top, f" to {peak:.0f} %", ha="left", va="top", fontsize=FONT - 2, color=MUTED)
    axes.set_ylim(0, top)
    axes.set_xlim(places[0], places[-1])
    axes.locator_params(nbins=4)
