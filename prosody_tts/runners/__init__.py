"""What each kind of stage does. A kind's libraries are loaded when there is work of it, so that who measures a corpus
need not load what trains models."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from data_modules.corpora.contract import Progress
from prosody_tts.pipeline import Stage

Runner = Callable[[Stage, Path, Progress], dict[str, Any]]


def _of(module: str, name: str) -> Runner:
    """The function of a module of this package, which is loaded when it is called."""

    def run(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
        result: dict[str, Any] = getattr(import_module(f"{__name__}.{module}"), name)(stage, folder, progress)
        return result

    return run


RUNNERS: dict[str, Runner] = {
    "corpus": _of("prepared", "run_corpus"),
    "text": _of("prepared", "run_text"),
    "audio": _of("prepared", "run_audio"),
    "aligner": _of("aligned", "run_aligner"),
    "alignment": _of("aligned", "run_alignment"),
    "labels": _of("prepared", "run_labels"),
    "acoustic": _of("trained", "run_acoustic"),
    "sampler": _of("trained", "run_sampler"),
    "duration": _of("trained", "run_duration"),
    "vocoder": _of("trained", "run_vocoder"),
    "tokenizer": _of("coded", "run_tokenizer"),
    "language": _of("coded", "run_language"),
    "speech": _of("coded", "run_speech"),
    "recogniser": _of("coded", "run_recogniser"),
    "evaluate": _of("evaluated", "run_evaluate"),
}
