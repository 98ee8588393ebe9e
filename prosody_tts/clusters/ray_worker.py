"""What happens on the machines of a Ray cluster: a stage in a worker process of Ray's, and a box for its news."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_modules.corpora.contract import Progress, silent
from prosody_tts.attempts import LOG, Failure, Runner, attempt, limit_threads, printing_to, throttled
from prosody_tts.pipeline import VERSIONS, Stage, folder


@dataclass(frozen=True)
class Terms:
    """What a task must find on its machine.

    Attributes:
        marker: a file in the folder of runs.
        versions: of the code of every kind of stage.
        place: the folder in which relative paths among the settings start, where a machine has it.
        threads: threads of numeric libraries.
    """

    marker: Path
    versions: Mapping[str, int]
    place: Path
    threads: int


def do(stage: Stage, given: tuple[Runner, Terms, Any]) -> Failure | None:
    """A task, in a worker process of Ray's: check the machine, run the stage, say how it went."""
    runner, terms, box = given
    unfit = _unfit(terms)
    if unfit:
        return Failure(f"{unfit} ({platform.node()})", mendable=True)
    if terms.place.is_dir():
        os.chdir(terms.place)
    limit_threads(terms.threads)  # Ray sets OMP_NUM_THREADS by the cores asked for
    progress: Progress = silent
    if box is not None:
        progress = throttled(lambda *said: box.put.remote(stage.key, said))
    with printing_to(folder(stage) / LOG):
        return attempt(runner, stage, progress)


def _unfit(terms: Terms) -> str:
    if not terms.marker.exists():
        runs = terms.marker.parent
        return f"a machine of the Ray cluster does not see run.folder={runs}; give a folder that all of them share"
    if terms.versions != VERSIONS:
        return "a machine of the Ray cluster has another version of prosody_tts; install the same on all of them"
    return ""


class Box:
    """Keeps the last news of every stage; an actor of Ray's."""

    def __init__(self) -> None:
        self.said: dict[str, tuple[int, int, str]] = {}

    def put(self, key: str, news: tuple[int, int, str]) -> None:
        """Take in news of a stage."""
        self.said[key] = news

    def empty(self) -> dict[str, tuple[int, int, str]]:
        """Give what was said since the last time; key -> news."""
        said, self.said = self.said, {}
        return said
