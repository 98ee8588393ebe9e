"""Box plots, as papers draw listeners' scores: of every system, with the mean and its interval below the box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prosody_tts.evaluation.measure import Floats
from prosody_tts.report.drawing import FONT, INK, MUTED, PAPER, RULE, blank, settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prosody_tts.report.figures import Style


@dataclass(frozen=True, eq=False)
class Box:
    """One system's values [N], their mean as a table has it, and its interval where there is one."""

    values: Floats
    mean: float
    low: float | None
    high: float | None


def boxes(systems: Mapping[str, Box], style: Mapping[str, Style], label: str) -> Figure:
    """Boxes of the quartiles, whiskers to 1.5 of their distance.

    Args:
        systems: name -> what is drawn, from the top.
        style: of each.
        label: of the axis.
    """
    height = 0.62 + 0.46 * len(systems)
    margin = 0.25 + 0.078 * max(map(len, systems))
    width = margin + 6.2
    with settings():
        figure = blank(width, height)
        axes = figure.add_axes((margin / width, 0.42 / height, 6.0 / width, (height - 0.5) / height))
        for place, (name, box) in enumerate(systems.items()):
            own = style[name]
            drawn = axes.boxplot(
                [box.values[~np.isnan(box.values)]],
                positions=[place],
                vert=False,
                widths=0.42,
                patch_artist=True,
                manage_ticks=False,
                flierprops={"marker": ".", "markersize": 2.5, "markeredgecolor": MUTED},
                medianprops={"color": INK, "linewidth": 1.4},
                whiskerprops={"color": MUTED},
                capprops={"color": MUTED},
            )
            drawn["boxes"][0].set(facecolor=PAPER, edgecolor=own.light, linewidth=1.4)
            if box.low is not None and box.high is not None:
                axes.plot([box.low, box.high], [place + 0.38] * 2, color=own.light, linewidth=2)
            (mark,) = axes.plot(box.mean, place + 0.38, marker=own.marker, color=own.light, markersize=6)
            mark.set_markeredgecolor(PAPER)
        axes.set_yticks(range(len(systems)), list(systems))
        axes.set_ylim(len(systems) - 0.4, -0.5)
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"{label}: box of quartiles; below it mean and interval", color=MUTED, fontsize=FONT - 1)
        for text in axes.get_yticklabels():
            text.set_parse_math(False)
    return figure
