"""Runs the stages of a plan as the tasks of a Ray cluster: longest chain first, as many at once as it has room for.

Ray is an optional extra. It ships no code and no data: every machine has the package in the same version, and sees
the folder of runs by the same absolute path.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from prosody_tts.attempts import Failure, Runner, outcome_of
from prosody_tts.board import Board, Outcome
from prosody_tts.clusters.ray_cluster import Demand, connected, demand_of, machines, marked, places
from prosody_tts.clusters.ray_worker import Box, Terms, do
from prosody_tts.display import Display, make_display
from prosody_tts.pipeline import VERSIONS, Stage
from prosody_tts.schedule import run_board

#: Seconds a task is given to end by itself before it is killed.
PATIENCE = 5.0


def run_on_ray(
    stages: Sequence[Stage],
    address: str,
    *,
    runner: Runner | None = None,
    progress: bool = True,
    display: Display | None = None,
) -> list[Outcome]:
    """Run stages on a Ray cluster, each once, in the order of their needs; the counterpart of ``schedule.run_all``.

    A task has ``run.threads`` cores, and ``run.devices`` GPUs where ``run.accelerator`` is ``gpu``, or ``auto`` and
    the cluster has some. Nothing is tried again: a machine that dies fails its stages.

    Args:
        stages: a plan whose folder of runs is absolute; needs that are not among them count as met.
        address: of the cluster, as ``ray.init`` takes it; ``local`` starts one here. A connection that this process
            has already is used instead, and left open.
        runner: what does a stage, importable on every machine; by default ``tracking.run_tracked``.
        progress: whether to show anything.
        display: where to show it, instead of the terminal.

    Returns:
        One outcome a stage, in the order given.

    Raises:
        UserError: Ray is not installed, the cluster is not there, or no machine of it has what a stage asks for.
        KeyboardInterrupt: the user stopped it; the tasks are gone, and asking again resumes.
    """

    def work(board: Board, runner: Runner, shown: Display) -> None:
        run = next(iter(board.pending.values())).experiment.run  # the same for all
        with connected(address), marked(Path(run.folder)) as marker:
            terms = Terms(marker, VERSIONS, Path.cwd(), run.threads)
            _Tasks(board, runner, terms, demand_of(run, machines()), shown).run()

    return run_board(stages, work, runner, display or make_display(progress))


# Tasks --------------------------------------------------------------------------------------------------------------


class _Tasks:
    """The tasks that run, and the board that says which come next."""

    def __init__(self, board: Board, runner: Runner, terms: Terms, demand: Demand, display: Display) -> None:
        import ray

        self.board, self.demand, self.display = board, demand, display
        self.news = None if type(display) is Display else _Mailbox()  # that one shows nothing
        # No second try: a stage that killed its machine would kill the next, and asking again resumes.
        options = {"num_cpus": demand.cores, "num_gpus": demand.gpus, "max_retries": 0}
        self.task = ray.remote(do).options(**options)
        # Shipped once, not with every task.
        self.given = ray.put((runner, terms, self.news.box if self.news else None))
        self.running: dict[Any, tuple[Stage, float]] = {}

    def run(self) -> None:
        """Run all that can run."""
        import ray

        try:
            while True:
                room = max(1, places(machines(), self.demand))  # machines come and go
                while len(self.running) < room and (stage := self.board.take()) is not None:
                    self.display.start(stage)
                    self.running[self.task.remote(stage, self.given)] = (stage, time.perf_counter())
                if not self.running:
                    return
                done, _ = ray.wait(list(self.running), num_returns=1, timeout=1.0)
                self._tell()
                for reference in done:
                    self._close(reference)
                self.display.refresh()
        finally:
            self._cancel()

    def _tell(self) -> None:
        """Show what the stages that run have said since the last time."""
        if self.news is not None:
            said = self.news.read()
            for stage, _ in self.running.values():
                if stage.key in said:
                    self.display.update(stage, *said[stage.key])

    def _close(self, reference: Any) -> None:
        stage, began = self.running.pop(reference)
        for outcome in self.board.close(outcome_of(stage, _answer(reference), time.perf_counter() - began)):
            self.display.end(outcome)

    def _cancel(self) -> None:
        """End what still runs, by asking and then by force."""
        import ray

        if not self.running:
            return
        for reference in self.running:
            ray.cancel(reference)
        _, deaf = ray.wait(list(self.running), num_returns=len(self.running), timeout=PATIENCE)
        for reference in deaf:
            ray.cancel(reference, force=True)
        if deaf:
            ray.wait(deaf, num_returns=len(deaf), timeout=PATIENCE)


def _answer(reference: Any) -> Failure | None:
    """What a task says of its stage, or why it cannot."""
    from ray import exceptions, get

    try:
        answer: Failure | None = get(reference)
        return answer
    except exceptions.WorkerCrashedError:
        return Failure("the worker died (killed, or its machine is out of memory)", mendable=False)
    except exceptions.RayTaskError as error:
        # What a stage raises is an answer; this is of what comes before it.
        text = str(error)
        if "ModuleNotFoundError" in text or "failed to import" in text:
            last = text.strip().splitlines()[-1]
            return Failure(
                f"a machine of the Ray cluster cannot import the code ({last}); install prosody_tts on all of them",
                mendable=True,
            )
        return Failure(" ".join(text.split())[-300:], mendable=False)
    except exceptions.RayError as error:
        return Failure(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", mendable=False)


class _Mailbox:
    """Asks a box for news without ever waiting for it; that it is lost loses only news."""

    def __init__(self) -> None:
        import ray

        self.box = ray.remote(Box).options(num_cpus=0).remote()
        self.asked: Any = None

    def read(self) -> dict[str, tuple[int, int, str]]:
        """What has arrived; key -> news."""
        import ray

        self.asked = self.asked or self.box.empty.remote()
        if not ray.wait([self.asked], timeout=0)[0]:
            return {}
        asked, self.asked = self.asked, None
        with suppress(ray.exceptions.RayError):
            said: dict[str, tuple[int, int, str]] = ray.get(asked)
            return said
        return {}
