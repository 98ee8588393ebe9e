"""Several processes that train one model on shares of every batch.

This process is the first of them and stays what it was: it reports, logs and writes. The others get copies of what is
trained, hear no interrupts, and end when this one does, however it ends. Lightning's own launchers do not fit: one runs
the whole program again, which would be a worker of ``schedule``, the other leaves this process idle.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments import ClusterEnvironment
from torch import distributed

from prosody_tts.errors import UserError
from prosody_tts.processes import deaf_to_interrupts, environment, follow_parent, leave, spawnable_main

#: How long a process waits for the others; the first one also draws pictures and writes checkpoints meanwhile.
TIMEOUT = timedelta(minutes=10)
#: Seconds a process is given to say why it failed, or to end by itself.
PATIENCE = 5.0


@dataclass(frozen=True)
class Rank:
    """Which of how many processes this one is."""

    number: int = 0
    of: int = 1


class Ranks(ClusterEnvironment):
    """Tells Lightning that the processes are there already, and have met."""

    def __init__(self, rank: Rank) -> None:
        super().__init__()
        self._rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        """Always: ``companions`` does."""
        return True

    @property
    def main_address(self) -> str:
        """Unused: the processes meet by a file."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Unused."""
        return 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._rank.of

    def set_world_size(self, size: int) -> None:
        """It is given."""

    def global_rank(self) -> int:
        return self._rank.number

    def set_global_rank(self, rank: int) -> None:
        """It is given."""

    def local_rank(self) -> int:
        return self._rank.number

    def node_rank(self) -> int:
        return 0


@contextmanager
def companions(count: int, on_gpu: bool, work: Callable[..., None], arguments: Sequence[Any]) -> Iterator[Rank]:
    """Start ``count - 1`` further processes that each run ``work(rank, *arguments)``; this one is rank 0.

    Args:
        count: processes in all.
        on_gpu: whether each has a GPU of its own.
        work: importable; what it does must meet what this process does in the block, step by step.
        arguments: picklable; each process gets its own copy.

    Raises:
        UserError: one of the processes had it.
        RuntimeError: one of them failed otherwise; holds its traceback.
    """
    # By value: multiprocessing's own pickling would put weights into memory that all processes share.
    payload = pickle.dumps((work, tuple(arguments)))
    context = multiprocessing.get_context("spawn")
    others: list[tuple[BaseProcess, Connection]] = []
    with tempfile.TemporaryDirectory(prefix="prosody-tts-") as place:
        meeting = Path(place) / "meeting"
        try:
            for number in range(1, count):
                here, there = context.Pipe(duplex=False)
                call = (Rank(number, count), meeting, on_gpu, torch.get_num_threads(), payload, there)
                process: BaseProcess = context.Process(target=_accompany, args=call, name=f"prosody-tts rank {number}")
                with environment(torch.get_num_threads()), spawnable_main(), deaf_to_interrupts():
                    process.start()
                    others.append((process, here))
                there.close()
            with _meeting(Rank(0, count), meeting, on_gpu):
                yield Rank(0, count)
        except Exception as error:
            _explain([pipe for _, pipe in others], error)
            raise
        else:
            for process, _ in others:
                process.join(PATIENCE)
        finally:
            _end([process for process, _ in others])


@contextmanager
def _meeting(rank: Rank, meeting: Path, on_gpu: bool) -> Iterator[None]:
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{meeting}",
        rank=rank.number,
        world_size=rank.of,
        timeout=TIMEOUT,
        device_id=torch.device("cuda", rank.number) if on_gpu else None,
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _accompany(rank: Rank, meeting: Path, on_gpu: bool, threads: int, payload: bytes, pipe: Connection) -> None:
    """Life of a further process."""
    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=follow_parent, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        work, arguments = pickle.loads(payload)
        with _meeting(rank, meeting, on_gpu):
            work(rank, *arguments)
    except UserError as error:
        pipe.send((str(error), True))
        raise SystemExit(2) from None
    except Exception:
        pipe.send((f"process {rank.number} of {rank.of} failed:\n{traceback.format_exc()}", False))
        raise SystemExit(1) from None


def _explain(pipes: Sequence[Connection], error: Exception) -> None:
    """Raise what another process says went wrong, of which ``error`` is only the consequence; a user's error first."""
    if isinstance(error, UserError):
        return
    said: list[tuple[str, bool]] = []
    waiting, until = list(pipes), time.monotonic() + PATIENCE
    while waiting and (ready := wait(waiting, max(0.0, until - time.monotonic()))):
        for pipe in ready:
            assert isinstance(pipe, Connection)
            waiting.remove(pipe)
            try:
                said.append(pipe.recv())
            except (EOFError, OSError):
                continue
    for text, mendable in sorted(said, key=lambda item: not item[1]):
        raise (UserError if mendable else RuntimeError)(text) from error


def _end(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    until = time.monotonic() + PATIENCE
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
