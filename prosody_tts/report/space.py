"""The space of prosody vectors that stage one gives recordings: two directions of it, and what lies along them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.metrics import log_or_nan, nanmean
from prosody_tts.evaluation.results import UtteranceResult
from prosody_tts.report.drawing import FONT, INK, MUTED, RULE, blank, settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Points drawn at most, evenly spaced in the list of all.
MOST = 500


@dataclass(frozen=True, eq=False)
class Space:
    """Vectors of all units, projected onto the two directions in which they differ most.

    Attributes:
        unit: what a vector stands for.
        places: [N, 2].
        shares: of the variance along each direction.
        log_f0: [N] mean log F0 of each unit's recording less its speaker's mean; NaN where it has none.
        log_duration: [N] mean natural log of seconds of its words, or of itself.
    """

    unit: str
    places: Floats
    shares: tuple[float, float]
    log_f0: Floats
    log_duration: Floats

    def correlation(self, values: Floats) -> float:
        """Multiple correlation of values with both directions."""
        sound = np.isfinite(values)
        y, x = values[sound] - values[sound].mean(), self.places[sound] - self.places[sound].mean(axis=0)
        if len(y) < 4 or not y.any():
            return 0.0
        fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
        return float(np.sqrt((fitted @ fitted) / (y @ y)))


def space_of(results: Sequence[UtteranceResult]) -> Space | None:
    """The space of an oracle's vectors; none where there are too few, or none."""
    rows: list[tuple[Floats, Floats, Floats]] = []
    unit = ""
    means = _speakers(results)
    for result in results:
        found = _units(result)
        if found is not None:
            unit, vectors, log_f0, log_duration = found
            rows.append((vectors, log_f0 - means[result.speaker], log_duration))
    if sum(len(vectors) for vectors, _, _ in rows) < 4:
        return None
    vectors, log_f0, log_duration = (np.concatenate(side) for side in zip(*rows, strict=True))
    centred = vectors - vectors.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    places = np.pad(centred @ directions[:2].T, ((0, 0), (0, max(0, 2 - len(directions)))))
    # The sign of a direction is nobody's: higher F0 lies to the right, and above.
    for axis in range(2):
        sound = np.isfinite(log_f0)
        if places[sound, axis] @ (log_f0[sound] - log_f0[sound].mean()) < 0:
            places[:, axis] *= -1
    spread = np.pad(sizes**2, (0, 2)) / max(float((sizes**2).sum()), 1e-12)
    return Space(unit, places, (float(spread[0]), float(spread[1])), log_f0, log_duration)


def _speakers(results: Sequence[UtteranceResult]) -> dict[str, float]:
    found: dict[str, list[Floats]] = {}
    for result in results:
        found.setdefault(result.speaker, []).append(result.reference.log_f0[result.words])
    return {speaker: float(nanmean(np.concatenate(values)[:, None])[0]) for speaker, values in found.items()}


def _units(result: UtteranceResult) -> tuple[str, Floats, Floats, Floats] | None:
    """Unit, vectors, log F0 and log duration of what a result has vectors of, pauses left out."""
    vectors, reference, words = result.vectors, result.reference, result.words
    if vectors is None or not words:
        return None
    seconds = log_or_nan(reference.duration)
    if len(vectors) == 1:
        f0, pace = nanmean(reference.log_f0[words][:, None]), nanmean(seconds[words][:, None])
        return "utterance", vectors, f0, pace
    if len(vectors) == len(result.tokens):
        return "word", vectors[words], reference.log_f0[words], seconds[words]
    if result.phones is None or len(vectors) != len(result.phones.spoken):
        return None
    spoken, own = np.array(result.phones.spoken), result.phones.reference
    return "phone", vectors[spoken], own.log_f0[spoken], log_or_nan(own.duration)[spoken]


def drawing(space: Space) -> Figure:
    """Two pictures of the space: by F0 and by duration; more of either is darker and larger."""
    kept = np.unique(np.linspace(0, len(space.places) - 1, min(MOST, len(space.places))).astype(int))
    sides = (
        ("log F0 less the speaker's mean", space.log_f0),
        ("log seconds of a phone" if space.unit == "phone" else "log seconds of a word", space.log_duration),
    )
    with settings():
        figure = blank(7.6, 3.5)
        for column, (label, values) in enumerate(sides):
            axes = figure.add_axes((0.075 + 0.48 * column, 0.13, 0.36, 0.74))
            own = values[kept]
            sound = np.isfinite(own)
            low, high = np.percentile(own[sound], [2, 98]) if sound.any() else (0.0, 1.0)
            shade = np.clip((own - low) / max(high - low, 1e-9), 0, 1)
            places = space.places[kept]
            axes.scatter(places[~sound, 0], places[~sound, 1], s=4, facecolors="none", edgecolors=MUTED, linewidths=0.4)
            x, y = places[sound].T
            size = 5 + 22 * shade[sound]
            dots = axes.scatter(x, y, s=size, c=own[sound], cmap="viridis_r", vmin=low, vmax=high)
            dots.set_linewidth(0)
            axes.set_title(
                f"{label}\nR with both directions {space.correlation(values):.2f}", fontsize=FONT, loc="left", color=INK
            )
            axes.set_xlabel(
                f"first direction, {100 * space.shares[0]:.0f} % of the variance", color=MUTED, fontsize=FONT - 1
            )
            if column == 0:
                axes.set_ylabel(f"second, {100 * space.shares[1]:.0f} %", color=MUTED, fontsize=FONT - 1)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.axhline(0, color=RULE, linewidth=0.5, zorder=0)
            axes.axvline(0, color=RULE, linewidth=0.5, zorder=0)
            bar = figure.colorbar(dots, cax=figure.add_axes((0.445 + 0.48 * column, 0.13, 0.012, 0.74)))
            bar.outline.set_linewidth(0)
            bar.ax.tick_params(labelsize=FONT - 2, length=2)
    return figure
