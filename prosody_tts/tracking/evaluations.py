"""What an evaluation leaves in a W&B run, under the same names in every run, so that runs line up side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_modules.corpora.contract import Progress
from prosody_tts.files import flat
from prosody_tts.pipeline import Stage, folder, run_stage
from prosody_tts.tracking.tracker import Tracker, track

if TYPE_CHECKING:
    from prosody_tts.evaluation.results import UtteranceResult

#: Sentences that can be heard: the first ones by name.
HEARD = 3
#: A line of ``evaluate/metrics``.
COLUMNS = ("metric", "name", "value", "unit", "better")


def run_tracked(stage: Stage, progress: Progress) -> dict[str, Any]:
    """Run a stage; what an evaluation measured goes into a W&B run."""
    result = run_stage(stage, progress)
    if stage.kind == "evaluate" and stage.experiment.run.wandb != "disabled":
        with track(stage.experiment, "evaluate", stage.label) as tracker:
            show(tracker, stage, result["metrics"])
    return result


def show(tracker: Tracker, stage: Stage, metrics: Mapping[str, Any]) -> None:
    """Log a finished evaluation: its summary, its metrics as a table and, of speech, sentences, sound and pictures.

    Args:
        tracker: the run; where it is off nothing is read.
        stage: the evaluation, done now or earlier.
        metrics: of its ``result.json``.
    """
    if not tracker.on:
        return
    tracker.summary({"evaluate": metrics})  # first, as it matters most and may be all that arrives
    tracker.table("evaluate/metrics", COLUMNS, metric_rows(stage.experiment.measures, metrics))
    if stage.experiment.measures == "speech":
        from prosody_tts.evaluation.results import read_results

        results = read_results(folder(stage))
        tracker.table("evaluate/sentences", *sentence_table(results))
        tracker.media(_pictures(stage), _sounds(results, folder(stage)))


def metric_rows(measures: str, metrics: Mapping[str, Any]) -> list[list[Any]]:
    """One line a number that was measured, in the order of ``COLUMNS``; what no registry knows has no heading."""
    known = _headings(measures)
    numbers = {name: value for name, value in flat(metrics).items() if isinstance(value, int | float)}
    blank = ("", "", "")
    found = []
    for name, value in numbers.items():
        label, unit, better = known.get(name, blank)
        found.append([name, label, float(value), unit, better])
    return found


def _headings(measures: str) -> dict[str, tuple[str, str, str]]:
    """Metric -> its heading, its unit, which direction is better."""
    if measures == "labels":
        from prosody_tts.evaluation.label_metrics import METRICS as LABELLED

        return {name: (metric.label, "", metric.better) for name, metric in LABELLED.items()}
    if measures == "recognition":
        from prosody_tts.evaluation.recognition import DEFINITIONS

        return {name: (label, "", "lower") for name, (label, _) in DEFINITIONS.items()}
    from prosody_tts.evaluation.metrics import METRICS

    return {name: (metric.label, metric.unit, metric.better) for name, metric in METRICS.items()}


def sentence_table(results: Sequence[UtteranceResult]) -> tuple[list[str], list[list[Any]]]:
    """Columns and lines of a table of every metric of every sentence; a system has all columns, whatever it measures.

    Means over these lines are those of the summary, but for metrics in which sentences do not count alike.
    """
    from prosody_tts.evaluation.metrics import by_sentence
    from prosody_tts.evaluation.results import by_renditions

    values = by_sentence(results)
    lines: list[list[Any]] = []
    for sentence, group in by_renditions(results).items():
        lines.append([sentence, group[0].text, *(of_metric.get(sentence) for of_metric in values.values())])
    return ["sentence", "text", *values], lines


def _sounds(results: Sequence[UtteranceResult], place: Path) -> dict[str, Path]:
    """What is said of the first sentences, by their first recording, whether a system says it for that one or all."""
    from prosody_tts.evaluation.results import by_renditions

    firsts = [group[0] for group in by_renditions(results).values()][:HEARD]
    return {f"evaluate/sound {one.id}": place / one.audio for one in firsts if (place / one.audio).is_file()}


def _pictures(stage: Stage) -> dict[str, Path]:
    """The last pictures that stage one drew (``run.samples_every``), also where it was trained for another system."""
    if "acoustic" not in stage.inputs:
        return {}
    drawn = sorted((stage.input("acoustic") / "samples").glob("epoch-*"), key=lambda epoch: int(epoch.name[6:]))
    return {f"evaluate/picture {path.stem}": path for path in sorted(drawn[-1].glob("*.png"))} if drawn else {}
