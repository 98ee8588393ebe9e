"""What a search found: its points from the best, and a picture of how it went."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prosody_tts.files import atomic
from prosody_tts.sweeps.search import Search, value_of

if TYPE_CHECKING:
    from rich.console import Group

#: Points that are listed.
LISTED = 10
PICTURE = "search.png"


def found_lines(search: Search, folder: Path) -> Iterator[Group | str]:
    """The best points as a table; draws ``search.png`` in the report's folder and says where it is.

    Args:
        search: what was proposed.
        folder: of the report.
    """
    from prosody_tts.report.grids import Grid, terminal

    trials = search.trials()
    values = [value_of(search.experiment(trial.point), search.metric) for trial in trials]
    known = [(value, place) for place, value in enumerate(values) if value is not None]
    known.sort(reverse=search.metric.goal == "maximize")
    free = [name for name, space in search.space.items() if space is not None]
    lines = [
        (f"{place + 1}", *(str(trials[place].values[name]) for name in free), f"{value:.4g}")
        for value, place in known[:LISTED]
    ]
    heads = ("proposed as", *free, search.metric.name)
    notes = [
        f"Points of {len(trials)} proposed from seed {search.seed}, best first ({search.metric.goal} "
        f"{search.metric.name}); {len(trials) - len(known)} came to nothing. The search is Optuna's, not W&B's. Its "
        "best is the best of many looks at one split: measure it on another before it is told."
    ]
    yield terminal([Grid("Search", heads, lines)], notes)
    picture = folder / PICTURE
    _draw(picture, search, values, [[trial.values[name] for trial in trials] for name in free], free)
    yield f"picture: {picture}"


def _draw(path: Path, search: Search, values: list[float | None], columns: list[list[Any]], names: list[str]) -> None:
    """The value of every point in the order of proposing, with the best so far, and against each parameter."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * (1 + len(names)), 3.0), layout="constrained")
    axes = figure.subplots(1, 1 + len(names), sharey=True, squeeze=False)[0]
    there = [(place + 1, value) for place, value in enumerate(values) if value is not None]
    best: list[float] = []
    pick = min if search.metric.goal == "minimize" else max
    for _, value in there:
        best.append(value if not best else pick(best[-1], value))
    axes[0].plot([place for place, _ in there], [value for _, value in there], "o", color="#888888", markersize=4)
    axes[0].step([place for place, _ in there], best, where="post", color="#c0392b")
    axes[0].set(xlabel="proposed as", ylabel=search.metric.name)
    for axis, name, column in zip(axes[1:], names, columns, strict=True):
        numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in column)
        shown = column if numbers else [str(item) for item in column]
        pairs = [(item, value) for item, value in zip(shown, values, strict=True) if value is not None]
        axis.plot([item for item, _ in pairs], [value for _, value in pairs], "o", color="#2c6fbb", markersize=4)
        axis.set_xlabel(name)
        if numbers and "log" in str(search.sweep.parameters[name].get("distribution", "")):
            axis.set_xscale("log")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=120)
