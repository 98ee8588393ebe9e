"""How figures are drawn: palette, type, matplotlib's settings, PNG files. Shared by the report and ``inspect``."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prosody_tts.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of the drawing that stand for CSS variables of the page; hex digits, lower case, none twice.
INK, MUTED, RULE, PAPER = "#1b1f25", "#5c6571", "#d5d9df", "#fefefd"
VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", PAPER: "--paper"}
#: Dots an inch of PNG files.
DPI = 160
#: Points of ordinary labels.
FONT = 9.0
#: Inches a character of a label takes, on the safe side.
CHARACTER = 0.078

#: Colours of systems, in light and in dark mode.
HUES = (
    ("#0b62a8", "#6db5f2"),
    ("#b4480a", "#f59a5c"),
    ("#18794e", "#5fcf9b"),
    ("#a0307c", "#ef8fcf"),
    ("#7a6200", "#d9bd3b"),
    ("#4f46b8", "#a9a2fb"),
    ("#0d7286", "#55c7dd"),
    ("#a32a2f", "#f58a8d"),
    ("#5e6f12", "#b9cf55"),
    ("#7c4a2d", "#d6a583"),
    ("#55606e", "#a9b6c6"),
    ("#7d2bb0", "#cf9cf0"),
)


def settings() -> Any:
    """Matplotlib's settings for these figures: few lines, text kept as text, ids that do not change between runs."""
    import matplotlib

    return matplotlib.rc_context(
        {
            "font.family": ["DejaVu Sans"],
            "font.size": FONT,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "axes.edgecolor": RULE,
            "axes.linewidth": 0.8,
            "axes.labelsize": FONT - 0.5,
            "xtick.color": RULE,
            "ytick.color": RULE,
            "xtick.labelcolor": MUTED,
            "ytick.labelcolor": INK,
            "xtick.labelsize": FONT - 1,
            "ytick.labelsize": FONT,
            "ytick.major.size": 0,
            "xtick.major.size": 3,
            "text.color": INK,
            "svg.fonttype": "none",
            "svg.hashsalt": "prosody_tts",
        }
    )


def blank(width: float, height: float) -> Figure:
    """An empty figure of so many inches; it belongs to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def hertz(axes: Axes) -> None:
    """Make the vertical axis of F0 in Hz logarithmic, around what is drawn, with ticks at round values."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    low, high = axes.dataLim.y0, axes.dataLim.y1
    axes.set_yscale("log")
    if not (np.isfinite(low) and np.isfinite(high) and 0 < low <= high):
        low, high = 80.0, 250.0
    axes.set_ylim(low / 1.06, high * 1.06)
    step = next((step for step in (5, 10, 20, 25, 50, 100) if (high - low) / step <= 7), 200)
    ticks = np.arange(np.ceil(low / 1.06 / step) * step, high * 1.06, step)
    axes.yaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color=RULE, linewidth=0.5)


def write_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG on paper white, atomically, without a date or a version."""
    with settings(), atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})


def png_data(figure: Figure) -> str:
    """A figure as an address of PNG data, for a page that is one file."""
    stream = io.BytesIO()
    with settings():
        figure.savefig(stream, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
