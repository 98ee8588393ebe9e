"""Runs the stages of a plan in long-lived worker processes, shows how they go, and survives what fails.

A stage starts when those it needs are done, longest chain first. A failure stops what depends on it and nothing
else; a worker that dies is replaced. Each worker has GPUs of its own where there are any. Everything a stage prints
goes to ``log.txt`` in its folder.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from prosody_tts.attempts import LOG, Failure, Runner, attempt, limit_threads, outcome_of, printing_to, throttled
from prosody_tts.board import Board, Outcome
from prosody_tts.display import Display, make_display
from prosody_tts.gpus import gpus_for, share
from prosody_tts.pipeline import Stage, folder
from prosody_tts.processes import deaf_to_interrupts, environment, follow_parent, leave, spawnable_main

#: Seconds a worker is given to end by itself before it is killed.
PATIENCE = 5.0


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

    def work(board: Board, runner: Runner, shown: Display) -> None:
        if workers == 0:
            _run_here(board, runner, threads, shown)
        else:
            _run_in_workers(board, runner, min(workers, len(board.pending)), threads, shown)

    return run_board(stages, work, runner, display or make_display(progress))


def run_board(
    stages: Sequence[Stage], work: Callable[[Board, Runner, Display], None], runner: Runner | None, display: Display
) -> list[Outcome]:
    """Have what is pending of some stages done by ``work``, and shown; see ``run_all``.

    Args:
        stages: a plan.
        work: runs all of a board that can run, if anything is pending.
        runner: what does a stage; by default ``tracking.run_tracked``.
        display: where it is shown.
    """
    if runner is None:
        from prosody_tts.tracking import run_tracked

        runner = run_tracked
    board = Board(stages)
    with display:
        display.begin(len(stages), sum(outcome.status == "reused" for outcome in board.outcomes.values()))
        if board.pending:
            work(board, runner, display)
    return [board.outcomes[stage.key] for stage in stages]


def _run_here(board: Board, runner: Runner, threads: int, display: Display) -> None:
    limit_threads(threads)
    while (stage := board.take()) is not None:
        display.start(stage)
        began = time.perf_counter()
        answer = attempt(runner, stage, throttled(lambda *news, stage=stage: display.update(stage, *news)))
        for outcome in board.close(outcome_of(stage, answer, time.perf_counter() - began)):
            display.end(outcome)


# Workers ------------------------------------------------------------------------------------------------------------


@dataclass
class _Worker:
    """A process, the pipe to it, its place among the workers, and the stage it runs."""

    process: BaseProcess
    pipe: Connection
    place: int
    stage: Stage | None = None
    began: float = field(default_factory=time.perf_counter)

    def give(self, stage: Stage) -> None:
        self.stage, self.began = stage, time.perf_counter()
        with suppress(OSError):  # a worker that died while idle is noticed by its sentinel
            self.pipe.send(stage)


def _run_in_workers(board: Board, runner: Runner, count: int, threads: int, display: Display) -> None:
    pool: list[_Worker] = []
    run = next(iter(board.pending.values())).experiment.run  # the same for all
    gpus = gpus_for(run)
    try:
        while True:
            for worker in [worker for worker in pool if worker.stage is None]:
                _assign(board, worker, display)
            while len(pool) < count and (stage := board.take()) is not None:
                place = min(set(range(count)) - {worker.place for worker in pool})
                _hire(pool, place, runner, threads, share(gpus, run.devices, place))
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


def _assign(board: Board, worker: _Worker, display: Display) -> None:
    stage = board.take()
    if stage is not None:
        display.start(stage)
        worker.give(stage)


def _listen(board: Board, worker: _Worker, display: Display) -> None:
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
            for outcome in board.close(outcome_of(stage, news, time.perf_counter() - worker.began)):
                display.end(outcome)
            return
    except (EOFError, OSError):
        worker.process.join(PATIENCE)
        dead = True
    if dead:
        worker.stage = None
        failure = Failure(_cause_of_death(worker.process.exitcode), mendable=False)
        for outcome in board.close(outcome_of(stage, failure, time.perf_counter() - worker.began)):
            display.end(outcome)


def _cause_of_death(code: int | None) -> str:
    if code is not None and code < 0:
        hint = " (killed; the machine may be out of memory)" if -code == signal.SIGKILL else ""
        return f"the worker died with signal {-code}{hint}"
    return f"the worker ended with status {code}"


def _hire(pool: list[_Worker], place: int, runner: Runner, threads: int, gpus: Sequence[str]) -> None:
    """Add a worker to the pool, with some GPUs; without any it finds what there is."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    # Not a daemon: a stage may start processes of its own, to load data or to train on several devices.
    process = context.Process(target=_work, args=(there, runner, threads), name="prosody-tts worker")
    with environment(threads, gpus), spawnable_main(), deaf_to_interrupts():
        process.start()
        # Before an interrupt that was held back is heard, which would leave the process alone.
        pool.append(_Worker(process, here, place))
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
    limit_threads(threads)
    while True:
        try:
            stage = pipe.recv()
        except (EOFError, OSError):
            return
        if stage is None:
            return
        with printing_to(folder(stage) / LOG):
            answer = attempt(runner, stage, throttled(lambda *news: pipe.send(news)))
        pipe.send(answer)
