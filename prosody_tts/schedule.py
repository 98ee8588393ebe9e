"""Runs the stages of a plan in long-lived worker processes, shows how they go, and survives what fails.

A stage starts when those it needs are done, longest chain first. A failure stops what depends on it and nothing
else; a worker that dies is replaced. Everything a stage prints goes to ``log.txt`` in its folder.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from data_modules.corpora.contract import Progress
from prosody_tts.display import Display, make_display
from prosody_tts.errors import UserError
from prosody_tts.pipeline import Stage, folder, is_done
from prosody_tts.processes import deaf_to_interrupts, environment, follow_parent, leave, spawnable_main

#: ``runner(stage, progress)``: does a stage and returns the content of its ``result.json``; picklable.
Runner = Callable[[Stage, Progress], dict[str, Any]]
LOG = "log.txt"

#: How long stages take beside each other, roughly: only the order of starting depends on it.
COSTS = {
    "aligner": 20.0,
    "acoustic": 10.0,
    "vocoder": 10.0,
    "text": 4.0,
    "corpus": 3.0,
    "sampler": 3.0,
    "duration": 3.0,
    "evaluate": 3.0,
}
#: Seconds a worker is given to end by itself before it is killed.
PATIENCE = 5.0
#: Seconds between two of a stage's progress messages.
REPORT_EVERY = 0.1


@dataclass(frozen=True)
class Outcome:
    """What became of a stage.

    Attributes:
        stage: the stage.
        status: ``done`` now, ``reused`` from earlier, ``failed``, or ``skipped`` because an input failed.
        seconds: wall time of this attempt.
        error: what went wrong, in one sentence; empty if nothing did.
        mendable: whether the user can mend it (a ``UserError``), rather than the program's authors.
        log: what the stage printed, where there is such a file.
    """

    stage: Stage
    status: Literal["done", "reused", "failed", "skipped"]
    seconds: float = 0.0
    error: str = ""
    mendable: bool = False
    log: Path | None = None


@dataclass(frozen=True)
class _Failure:
    """A worker's account of a stage that raised."""

    error: str
    mendable: bool


def run_all(
    stages: Sequence[Stage],
    workers: int,
    threads: int = 1,
    *,
    runner: Runner | None = None,
    progress: bool = True,
    display: Display | None = None,
) -> list[Outcome]:
    """Run stages, each once, in the order of their needs; stages that are done already are left alone.

    Args:
        stages: a plan; needs that are not among them count as met.
        workers: processes; 0 runs the stages in this one, where a debugger can follow. The numbers are the same.
        threads: threads of each worker's numeric libraries.
        runner: what does a stage; by default ``tracking.run_tracked``, which wraps ``pipeline.run_stage``.
        progress: whether to show anything.
        display: where to show it, instead of the terminal.

    Returns:
        One outcome a stage, in the order given.

    Raises:
        KeyboardInterrupt: the user stopped it; the workers are gone, and asking again resumes.
    """
    if runner is None:
        from prosody_tts.tracking import run_tracked

        runner = run_tracked
    board = _Board(stages)
    shown = display or make_display(progress)
    with shown:
        shown.begin(len(stages), sum(outcome.status == "reused" for outcome in board.outcomes.values()))
        if workers == 0:
            _run_here(board, runner, threads, shown)
        elif board.pending:
            _run_in_workers(board, runner, min(workers, len(board.pending)), threads, shown)
    return [board.outcomes[stage.key] for stage in stages]


class _Board:
    """Which stages wait, may start, or are over."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = {stage.key: stage for stage in stages}
        self.outcomes: dict[str, Outcome] = {}
        self.pending: dict[str, Stage] = {}
        for key, stage in self.stages.items():
            if is_done(stage):
                self.outcomes[key] = Outcome(stage, "reused")
            else:
                self.pending[key] = stage
        self.priority = self._priorities()

    def _priorities(self) -> dict[str, float]:
        """The cost of the longest chain that starts at each stage."""
        dependents: dict[str, list[str]] = {key: [] for key in self.stages}
        for key, stage in self.stages.items():
            for need in stage.needs:
                if need in dependents:
                    dependents[need].append(key)
        longest: dict[str, float] = {}

        def measure(key: str) -> float:
            if key not in longest:
                after = max((measure(other) for other in dependents[key]), default=0.0)
                longest[key] = COSTS.get(self.stages[key].kind, 1.0) + after
            return longest[key]

        for key in self.stages:
            measure(key)
        return longest

    def take(self) -> Stage | None:
        """Remove and return the stage to start next, if one may start."""
        ready = [stage for stage in self.pending.values() if all(self._is_met(need) for need in stage.needs)]
        if not ready:
            return None
        best = max(ready, key=lambda stage: self.priority[stage.key])
        return self.pending.pop(best.key)

    def _is_met(self, need: str) -> bool:
        if need not in self.stages:
            return True
        return need in self.outcomes and self.outcomes[need].status in {"done", "reused"}

    def close(self, outcome: Outcome) -> list[Outcome]:
        """Record an outcome; return it and those of the stages that cannot run because of it."""
        self.outcomes[outcome.stage.key] = outcome
        closed = [outcome]
        if outcome.status in {"failed", "skipped"}:
            for key in [key for key, stage in self.pending.items() if outcome.stage.key in stage.needs]:
                if key in self.pending:
                    error = f"needs {outcome.stage.label}, which {outcome.status}"
                    if outcome.status == "skipped":
                        error = f"needs {outcome.stage.label}, which was skipped"
                    closed += self.close(Outcome(self.pending.pop(key), "skipped", error=error))
        return closed


def _run_here(board: _Board, runner: Runner, threads: int, display: Display) -> None:
    _limit_threads(threads)
    while (stage := board.take()) is not None:
        display.start(stage)
        began = time.perf_counter()
        answer = _attempt(runner, stage, _throttled(lambda *news, stage=stage: display.update(stage, *news)))
        for outcome in board.close(_outcome(stage, answer, time.perf_counter() - began)):
            display.end(outcome)


def _attempt(runner: Runner, stage: Stage, progress: Progress) -> _Failure | None:
    """Run a stage; turn what it raises into a sentence, and keep the traceback in its log."""
    try:
        runner(stage, progress)
    except UserError as error:
        _log(stage, f"{error}\n")
        return _Failure(str(error), mendable=True)
    except Exception as error:
        _log(stage, traceback.format_exc())
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:300]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return _Failure(f"{type(error).__name__}: {text} ({place})", mendable=False)
    return None


def _outcome(stage: Stage, failure: _Failure | None, seconds: float) -> Outcome:
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


def _throttled(send: Callable[[int, int, str], None]) -> Progress:
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


# Workers ------------------------------------------------------------------------------------------------------------


@dataclass
class _Worker:
    """A process, the pipe to it, and the stage it runs."""

    process: BaseProcess
    pipe: Connection
    stage: Stage | None = None
    began: float = field(default_factory=time.perf_counter)

    def give(self, stage: Stage) -> None:
        self.stage, self.began = stage, time.perf_counter()
        with suppress(OSError):  # a worker that died while idle is noticed by its sentinel
            self.pipe.send(stage)


def _run_in_workers(board: _Board, runner: Runner, count: int, threads: int, display: Display) -> None:
    pool: list[_Worker] = []
    try:
        while True:
            for worker in [worker for worker in pool if worker.stage is None]:
                _assign(board, worker, display)
            while len(pool) < count and (stage := board.take()) is not None:
                _hire(pool, runner, threads)
                display.start(stage)
                pool[-1].give(stage)
            busy = [worker for worker in pool if worker.stage is not None]
            if not busy:
                return
            ready = set(wait([item for worker in busy for item in (worker.pipe, worker.process.sentinel)], timeout=1.0))
            for worker in busy:
                if worker.pipe in ready or worker.process.sentinel in ready:
                    _listen(board, worker, display)
                    if worker.stage is None and not worker.process.is_alive():
                        pool.remove(worker)
            display.refresh()
    finally:
        _dismiss(pool)


def _assign(board: _Board, worker: _Worker, display: Display) -> None:
    stage = board.take()
    if stage is not None:
        display.start(stage)
        worker.give(stage)


def _listen(board: _Board, worker: _Worker, display: Display) -> None:
    """Take in a worker's news; if it died, close its stage."""
    stage = worker.stage
    assert stage is not None
    dead = not worker.process.is_alive()  # asked before the pipe is drained, so that nothing it said is lost
    try:
        while worker.pipe.poll():
            news = worker.pipe.recv()
            if isinstance(news, tuple):
                display.update(stage, *news)
                continue
            worker.stage = None
            for outcome in board.close(_outcome(stage, news, time.perf_counter() - worker.began)):
                display.end(outcome)
            return
    except (EOFError, OSError):
        worker.process.join(PATIENCE)
        dead = True
    if dead:
        worker.stage = None
        failure = _Failure(_cause_of_death(worker.process.exitcode), mendable=False)
        for outcome in board.close(_outcome(stage, failure, time.perf_counter() - worker.began)):
            display.end(outcome)


def _cause_of_death(code: int | None) -> str:
    if code is not None and code < 0:
        hint = " (killed; the machine may be out of memory)" if -code == signal.SIGKILL else ""
        return f"the worker died with signal {-code}{hint}"
    return f"the worker ended with status {code}"


def _hire(pool: list[_Worker], runner: Runner, threads: int) -> None:
    """Add a worker to the pool."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    # Not a daemon: a stage may start processes of its own, to load data or to train on several devices.
    process = context.Process(target=_work, args=(there, runner, threads), name="prosody-tts worker")
    with environment(threads), spawnable_main(), deaf_to_interrupts():
        process.start()
        # Before an interrupt that was held back is heard, which would leave the process alone.
        pool.append(_Worker(process, here))
    there.close()


def _dismiss(pool: Sequence[_Worker]) -> None:
    """End workers, by asking and then by force."""
    for worker in pool:
        if worker.stage is None:
            with suppress(OSError):
                worker.pipe.send(None)
        else:
            worker.process.terminate()
    until = time.monotonic() + PATIENCE
    for worker in pool:
        worker.process.join(max(0.0, until - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()


def _work(pipe: Connection, runner: Runner, threads: int) -> None:
    """A worker's life: take a stage, run it, say how it went."""
    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=follow_parent, daemon=True).start()
    _limit_threads(threads)
    while True:
        try:
            stage = pipe.recv()
        except (EOFError, OSError):
            return
        if stage is None:
            return
        with _printing_to(folder(stage) / LOG):
            answer = _attempt(runner, stage, _throttled(lambda *news: pipe.send(news)))
        pipe.send(answer)


def _limit_threads(threads: int) -> None:
    """Set torch's threads, if it is loaded; a worker that loads it later takes them from the environment."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(threads)


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Send what this process and the libraries below it print to a file; a terminal would lose its display."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("a", encoding="utf-8") as stream:
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
