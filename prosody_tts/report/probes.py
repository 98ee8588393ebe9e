"""Probes of a system's word vectors as files and as a table: ``probes.json``, ``swaps.png``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_modules.corpora.contract import Progress
from data_modules.store import FeatureStore
from data_modules.vectors import VectorStore
from prosody_tts import pipeline
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError
from prosody_tts.evaluation.evaluate import held_out
from prosody_tts.evaluation.probes import Probed, Words, probe
from prosody_tts.evaluation.swaps import MEASURED, Changes, Moved, moved, swap
from prosody_tts.files import write_json
from prosody_tts.report.drawing import HUES, INK, MUTED, RULE, blank, settings, write_png
from prosody_tts.report.table import number
from prosody_tts.synthesis import Synthesizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Group

#: Dots of a panel; more would hide one another.
DOTS = 1500
#: Panels: measure, and what its axes count.
PANELS = (("log_f0", "log F0 (audio)"), ("log_f0_readout", "log F0 (read-out)"), ("log_duration", "log duration"))


def check_probes(experiment: Experiment) -> None:
    """Raise ``UserError`` for a system whose stage one has no word vectors."""
    if experiment.acoustic.reference == "none" or experiment.units != "word":
        raise UserError(
            f"{experiment.system} has no vectors of words to probe; give a system with units=word and an "
            "acoustic.reference, such as 'camp'"
        )


def build(experiment: Experiment, progress: Progress) -> tuple[Group, Path]:
    """Probe a trained stage one's vectors, swap them, write the figures; return a rich renderable and the folder."""
    check_probes(experiment)
    at = {stage.kind: pipeline.folder(stage) for stage in pipeline.plan(experiment)[:-2]}
    places = at["corpus"], at["text"], at["audio"], at["alignment"] / "durations.json"
    store = FeatureStore(*places, experiment.data.learn_from)
    vectors, audio, measured = VectorStore(at["acoustic"]), experiment.audio, experiment.evaluation
    recordings = held_out(store, experiment)
    hop = audio.hop / audio.sample_rate
    progress(0, 0, "reading words")
    train = Words.read(store, vectors, store.ids("train"), hop)
    test = Words.read(store, vectors, [recording.utterance.id for recording in recordings], hop)
    probed: list[Probed] = []
    for source, (known, asked) in {
        "vectors": (train, test),
        "measured": (train.measured(), test.measured()),
    }.items():
        progress(0, 0, f"probing {source}")
        probed += probe(known, asked, source, measured.resamples, measured.confidence, experiment.seed)
    # Reading a measure from itself says nothing.
    probed = [row for row in probed if row.source == "vectors" or row.metric != "r2"]
    changes = swap(recordings, vectors, Synthesizer.read(experiment, at["acoustic"]), audio, progress)
    shares = moved(changes, measured.resamples, measured.confidence, experiment.seed)
    folder = Path(experiment.run.folder) / "probes" / at["acoustic"].name
    write_json(
        folder / "probes.json",
        {
            "system": experiment.system,
            "acoustic": at["acoustic"].name,
            "split": measured.split,
            "limit": measured.limit,
            "commit": pipeline.git_commit(),
            "probes": [row.to_dict() for row in probed],
            "swaps": [row.to_dict() for row in shares],
        },
    )
    if "all" in changes:
        write_png(scatter(changes["all"], [row for row in shares if row.which == "all"]), folder / "swaps.png")
    return terminal(experiment.system, probed, shares), folder


def scatter(changes: Changes, shares: Sequence[Moved]) -> Figure:
    """What words change by when they get another rendition's vectors, over what the recordings differ by."""
    of = {row.measure: row for row in shares}
    shown = [(measure, label) for measure, label in PANELS if measure in of]
    with settings():
        figure = blank(3.2 * len(shown), 3.2)
        for place, (measure, label) in enumerate(shown):
            axes = figure.add_axes(((place + 0.2) / len(shown), 0.17, 0.74 / len(shown), 0.68))
            column = MEASURED.index(measure)
            x, y = changes.recorded[:, column], changes.spoken[:, column]
            sound = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
            # Every so many, so that the same words are drawn each time.
            sound = sound[:: max(1, len(sound) // DOTS)]
            reach = float(np.abs(np.concatenate([x[sound], y[sound]])).max()) * 1.05 or 1.0
            axes.axhline(0, color=RULE, linewidth=0.6)
            axes.axvline(0, color=RULE, linewidth=0.6)
            axes.plot((-reach, reach), (-reach, reach), color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
            axes.plot(x[sound], y[sound], ".", color=HUES[0][0], markersize=2.4, alpha=0.4, markeredgewidth=0)
            row = of[measure]
            axes.plot((-reach, reach), (-reach * row.slope, reach * row.slope), color=HUES[1][0], linewidth=1.4)
            axes.set_xlim(-reach, reach)
            axes.set_ylim(-reach, reach)
            axes.set_title(f"{label}\nslope {number(row.slope)}, r {number(row.correlation)}", fontsize=8.5, color=INK)
            axes.set_xlabel("difference of the recordings", color=MUTED)
            if place == 0:
                axes.set_ylabel("change with the vector", color=MUTED)
    return figure


def terminal(system: str, probed: Sequence[Probed], shares: Sequence[Moved]) -> Group:
    """A rich renderable of both tables."""
    from rich.console import Group
    from rich.table import Table

    first = Table("read", "from", "by", "figure", "value", "interval", "chance", "words", title=f"probes of {system}")
    for row in probed:
        ends = _ends(row.low, row.high)
        values = (number(row.value), ends, number(row.chance), f"{row.words} of {row.sentences} sentences")
        first.add_row(row.target, row.source, row.kind, row.metric, *values)
    second = Table("measure", "words", "share moved", "interval", "r", "interval", "pairs", title="vectors swapped")
    for move in shares:
        slope, r = _ends(move.slope_low, move.slope_high), _ends(move.correlation_low, move.correlation_high)
        count = f"{move.words} of {move.sentences} sentences"
        second.add_row(move.measure, move.which, number(move.slope), slope, number(move.correlation), r, count)
    nothing = "no sentence has two renditions by one speaker: nothing was swapped"
    return Group(first, second if shares else nothing)


def _ends(low: float | None, high: float | None) -> str:
    return "—" if low is None else f"[{number(low)}, {number(high)}]"
