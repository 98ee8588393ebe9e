"""What a sweep's points are called, and their settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prosody_tts.config import Experiment
from prosody_tts.sweeps.file import Sweep
from prosody_tts.sweeps.points import Point, points, resolve
from prosody_tts.sweeps.search import Search


def experiments_of(sweep: Sweep, overrides: Sequence[str] = (), seed: int = 0) -> dict[str, tuple[Point, Experiment]]:
    """Resolve every point of a sweep, its settings under those of the command line; name -> point, experiment.

    Of a search these are the points that it has proposed so far.
    """
    if sweep.method == "bayes":
        return proposed(Search(sweep, overrides, seed))
    return _named([(point, resolve(sweep, point, overrides)) for point in points(sweep, seed)])


def proposed(search: Search) -> dict[str, tuple[Point, Experiment]]:
    """What a search has proposed so far; name -> point, experiment."""
    found = [trial.point for trial in search.trials()]
    return _named([(point, search.experiment(point)) for point in found])


def _named(found: Sequence[tuple[Point, Experiment]]) -> dict[str, tuple[Point, Experiment]]:
    """A point is called as its experiment's file where that is enough to tell it from the others."""
    files = [Path(point.experiment).stem for point, _ in found]
    varying = {
        item for point, _ in found for item in point.overrides if not all(item in other.overrides for other, _ in found)
    }
    named: dict[str, tuple[Point, Experiment]] = {}
    for (point, experiment), file in zip(found, files, strict=True):
        own = [item for item in point.overrides if item in varying]
        named[file if files.count(file) == 1 else ", ".join([file, *own])] = (point, experiment)
    return named
