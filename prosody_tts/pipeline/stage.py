"""A stage, a unit of work that is done once: its identity, its folder, its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prosody_tts.config import Experiment
from prosody_tts.errors import UserError
from prosody_tts.files import read_json

#: Raised by one when the code of a stage changes what it computes.
VERSIONS = {
    "corpus": 1,
    "text": 2,
    "audio": 1,
    "aligner": 5,
    "alignment": 4,
    "labels": 2,
    "acoustic": 8,
    "sampler": 6,
    "duration": 1,
    "vocoder": 1,
    "tokenizer": 1,
    "language": 2,
    "speech": 1,
    "recogniser": 1,
    "evaluate": 3,
    "report": 5,
}
#: Stages that learn from ``data.learn_from`` sentences.
LEARNING = frozenset({"acoustic", "sampler", "duration"})
RESULT = "result.json"
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Stage:
    """One unit of work that is done once and reused.

    Attributes:
        kind: its role, a key of ``VERSIONS``.
        identity: hash of what can change its result.
        experiment: the settings it runs with.
        inputs: kind -> identity of the stages it reads.
        label: what a person calls it.
    """

    kind: str
    identity: str
    experiment: Experiment
    inputs: dict[str, str]
    label: str

    @property
    def key(self) -> str:
        """``kind/identity``."""
        return f"{self.kind}/{self.identity}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the stages it reads."""
        return tuple(f"{kind}/{identity}" for kind, identity in self.inputs.items())

    def input(self, kind: str) -> Path:
        """Folder of an input."""
        return Path(self.experiment.run.folder) / kind / self.inputs[kind]


def folder(stage: Stage) -> Path:
    """Where a stage's results lie."""
    return Path(stage.experiment.run.folder) / stage.kind / stage.identity


def is_done(stage: Stage) -> bool:
    """Whether the stage has finished; its result is written last."""
    return (folder(stage) / RESULT).exists()


def read_result(stage: Stage) -> dict[str, Any]:
    """The content of a finished stage's ``result.json``.

    Raises:
        UserError: it is damaged; a stage that never finished has none.
    """
    path = folder(stage) / RESULT
    try:
        result = read_json(path)
        # What every reader asks for.
        return {**result, "metrics": dict(result["metrics"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({' '.join(str(error).split()) or type(error).__name__}); delete its folder to "
            f"have the stage made again ({stage.label})"
        ) from None


#: Name of the pseudo-system that sends the recording's own mel through the vocoder.
COPY = "copy_synthesis"
