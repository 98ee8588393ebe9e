"""What a process that works for another one needs: it hears no interrupts, and ends with its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker

from prosody_tts.gpus import VARIABLE


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Keep Ctrl-C, which a terminal sends to the whole group, from new processes; the parent decides.

    A new process inherits the mask; this one gets what was held back at the end.
    """
    resource_tracker.ensure_running()  # its own start would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def environment(threads: int, gpus: Sequence[str] = ()) -> Iterator[None]:
    """Set what numeric libraries read once, when a new process loads them; the GPUs it sees, if any are given."""
    wanted = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    wanted["TOKENIZERS_PARALLELISM"] = "false"
    if gpus:
        wanted[VARIABLE] = ",".join(gpus)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def spawnable_main() -> Iterator[None]:
    """Keep new processes from importing the program that started this one; they need only this module."""
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name, None) for name in ("__file__", "__spec__")}
    try:
        main.__file__, main.__spec__ = None, None  # type: ignore[assignment]
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def leave(number: int, frame: object) -> None:
    """Handle SIGTERM."""
    raise SystemExit(128 + number)  # unwinds, so that half-written files are removed


def follow_parent() -> None:
    """End this process when its parent does, however that ends; for a thread of its own."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
