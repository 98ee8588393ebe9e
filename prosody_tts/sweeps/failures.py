"""The points of a sweep that could not be finished, and the last that was printed of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prosody_tts.board import Outcome
from prosody_tts.config import Experiment
from prosody_tts.pipeline import plan

#: Lines of a failed stage's log that are shown.
LAST = 5


def failures(experiments: Mapping[str, Experiment], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Each failed stage once: the points that need it, and its last lines.

    Args:
        experiments: name of a point -> its settings.
        outcomes: of their stages.
    """
    keys = {name: {stage.key for stage in plan(experiment)} for name, experiment in experiments.items()}
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    lost = {name for name, needs in keys.items() if any(outcome.stage.key in needs for outcome in failed)}
    if failed:
        yield f"{len(lost)} of {len(experiments)} points are not finished; the same command tries them again"
    for outcome in failed:
        names = [name for name, needs in keys.items() if outcome.stage.key in needs]
        yield f"  {outcome.stage.label} ({outcome.stage.key}), needed by {'; '.join(names)}"
        yield from (f"    {line}" for line in _last_lines(outcome))


def _last_lines(outcome: Outcome) -> list[str]:
    if outcome.log is None:
        return [outcome.error]
    try:
        lines = outcome.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return [outcome.error]
    return [line.rstrip() for line in lines if line.strip()][-LAST:]
