"""The stage that measures a system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_modules.corpora.contract import Progress
from prosody_tts.pipeline import Stage
from prosody_tts.runners.stores import store_of, text_of


def run_evaluate(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Synthesise and measure the held-out sentences, or hold predicted labels against theirs."""
    if "labels" in stage.inputs:
        from prosody_tts.evaluation.labels import evaluate_labels

        return evaluate_labels(stage, text_of(stage), folder, progress)
    if stage.experiment.measures == "recognition":
        from prosody_tts.evaluation.recognition import evaluate_recogniser

        return evaluate_recogniser(stage, store_of(stage), folder, progress)
    from prosody_tts.evaluation.evaluate import evaluate

    return evaluate(stage, store_of(stage), folder, progress)
