"""What stages read: the features of their inputs; and how many utterances may be unusable."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from data_modules.corpora.contract import Fault
from data_modules.store import FeatureStore, TextFeatures
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError
from prosody_tts.files import write_json
from prosody_tts.pipeline import LEARNING, Stage


def allow(faults: list[Fault], total: int, experiment: Experiment, folder: Path) -> None:
    """Write the faults; raise where they are more than the allowed share."""
    write_json(folder / "faults.json", [asdict(fault) for fault in faults])
    if len(faults) > experiment.data.allowed_bad * total:
        raise UserError(
            f"{len(faults)} of {total} utterances are unusable, more than data.allowed_bad="
            f"{experiment.data.allowed_bad}; the first is {faults[0].item}: {faults[0].reason} "
            f"(all are listed in {folder / 'faults.json'})"
        )


def store_of(stage: Stage) -> FeatureStore:
    """The features a stage reads; without durations for one that comes before the alignment."""
    durations = stage.input("alignment") / "durations.json" if "alignment" in stage.inputs else None
    places = stage.input("corpus"), stage.input("text"), stage.input("audio")
    return FeatureStore(*places, durations, _learn_from(stage))


def text_of(stage: Stage) -> TextFeatures:
    """The text a stage reads, with the features of recordings where there are some."""
    if "audio" in stage.inputs:
        return store_of(stage)
    return TextFeatures(stage.input("corpus"), stage.input("text"), _learn_from(stage))


def _learn_from(stage: Stage) -> int | None:
    return stage.experiment.data.learn_from if stage.kind in LEARNING else None
