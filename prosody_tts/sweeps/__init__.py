"""W&B sweep files without a server: the same points, as stages that are shared, resumed and rerun."""

from __future__ import annotations

from prosody_tts.sweeps.file import SWEEPS, Metric, Sweep, load_sweep, to_slug
from prosody_tts.sweeps.named import experiments_of, proposed
from prosody_tts.sweeps.points import Point, points
from prosody_tts.sweeps.run import estimate, overview, run_search, run_sweep
from prosody_tts.sweeps.search import Search, value_of

__all__ = [
    "SWEEPS",
    "Metric",
    "Point",
    "Search",
    "Sweep",
    "estimate",
    "experiments_of",
    "load_sweep",
    "overview",
    "points",
    "proposed",
    "run_search",
    "run_sweep",
    "to_slug",
    "value_of",
]
