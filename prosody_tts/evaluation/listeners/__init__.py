"""Recognisers that listen to a system's speech while it is evaluated: one registry, each imported when it listens."""

from __future__ import annotations

from typing import Any

from prosody_tts.config import Experiment
from prosody_tts.evaluation.listeners import own, whisper
from prosody_tts.evaluation.listeners.contract import Kind, Listener

#: Recognisers by the value of ``evaluation.recogniser``.
LISTENERS: dict[str, Kind] = {"whisper": whisper.KIND, "ours": own.KIND}


def identity(experiment: Experiment) -> dict[str, Any]:
    """What tells the experiment's recogniser from others; empty where nobody listens.

    Raises:
        UserError: what it needs is not there.
    """
    settings = experiment.evaluation
    if settings.recogniser == "none":
        return {}
    return {"recogniser": {"kind": settings.recogniser, **LISTENERS[settings.recogniser].identity(settings)}}


def load(experiment: Experiment) -> Listener | None:
    """The experiment's recogniser, ready to listen; none where nobody does.

    Raises:
        UserError: it is missing or damaged.
    """
    name = experiment.evaluation.recogniser
    return None if name == "none" else LISTENERS[name].load(experiment.evaluation, experiment.run.threads)


__all__ = ["LISTENERS", "Kind", "Listener", "identity", "load"]
