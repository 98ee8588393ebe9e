"""One attempt at a stage, in whatever process it is made: what it says, what it prints, what it raises."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from data_modules.corpora.contract import Progress
from prosody_tts.board import Outcome
from prosody_tts.disk import trouble
from prosody_tts.errors import UserError
from prosody_tts.pipeline import Stage, folder

#: ``runner(stage, progress)``: does a stage and returns the content of its ``result.json``; picklable.
Runner = Callable[[Stage, Progress], dict[str, Any]]
LOG = "log.txt"
#: Seconds between two of a stage's progress messages.
REPORT_EVERY = 0.1


@dataclass(frozen=True)
class Failure:
    """An account of a stage that raised: a sentence, and whether the user can mend it."""

    error: str
    mendable: bool


def attempt(runner: Runner, stage: Stage, progress: Progress) -> Failure | None:
    """Run a stage; turn what it raises into a sentence, and keep the traceback in its log."""
    try:
        runner(stage, progress)
    except UserError as error:
        _log(stage, f"{error}\n")
        return Failure(str(error), mendable=True)
    except Exception as error:
        _log(stage, traceback.format_exc())
        if (sentence := trouble(error, folder(stage))) is not None:
            return Failure(sentence, mendable=True)
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:300]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return Failure(f"{type(error).__name__}: {text} ({place})", mendable=False)
    return None


def outcome_of(stage: Stage, failure: Failure | None, seconds: float) -> Outcome:
    """What became of a stage that was attempted and took ``seconds``."""
    if failure is None:
        return Outcome(stage, "done", seconds)
    log = folder(stage) / LOG
    return Outcome(stage, "failed", seconds, failure.error, failure.mendable, log if log.exists() else None)


def _log(stage: Stage, text: str) -> None:
    path = folder(stage) / LOG
    with suppress(OSError):  # a full disk is reported by the stage itself
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)


def throttled(send: Callable[[int, int, str], None]) -> Progress:
    """Pass on the first news of a piece of work, its last, and some between."""
    last_time, last_what = 0.0, ""

    def progress(done: int, total: int, what: str) -> None:
        nonlocal last_time, last_what
        now = time.monotonic()
        if what == last_what and done < total and now - last_time < REPORT_EVERY:
            return
        last_time, last_what = now, what
        send(done, total, what)

    return progress


def limit_threads(threads: int) -> None:
    """Set torch's threads, if it is loaded; a worker that loads it later takes them from the environment."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)


@contextmanager
def printing_to(path: Path) -> Iterator[None]:
    """Send what this process and the libraries below it print to a file; a terminal would lose its display."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with _opened(path) as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in enumerate(kept, 1):
            os.dup2(old, number)
            os.close(old)


def _opened(path: Path) -> IO[str]:
    """A log to add to; where none can be written the attempt itself says so."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8")
    except OSError:
        return Path(os.devnull).open("a", encoding="utf-8")
