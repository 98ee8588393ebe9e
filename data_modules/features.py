"""Measures a corpus's recordings: shards of utterances, by several processes, going on where a killed run stopped.

Every shard holds the next ``SHARD`` utterances in the corpus's order, whoever measured it, so that the result does
not depend on the number of processes. A shard's ``index.json`` is written last: its presence means the shard is done.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from data_modules.audio import analyse, frame_count, read_audio
from data_modules.conditioning import condition
from data_modules.corpora.contract import Fault, Progress
from data_modules.members import Member
from data_modules.shards import MEASURES, shard_folder
from prosody_tts.config import AudioConfig
from prosody_tts.errors import UserError
from prosody_tts.files import atomic, read_json, write_json

#: Utterances of a shard: what a process holds in memory, and the most that a kill can cost it.
SHARD = 256
WHAT = "mel, F0, energy"
INDEX = "index.json"
#: What a process says that wants a shard.
READY = "ready"


class Task(NamedTuple):
    """One recording to measure: its name, where it lies, which part of it in seconds (none: to the end), how fast."""

    name: str
    path: Path | Member
    start: float = 0.0
    seconds: float | None = None
    speed: float = 1.0


@dataclass(frozen=True)
class Measured:
    """What became of a corpus: seconds of features, the share of voiced frames, and the recordings left out."""

    seconds: float
    voiced: float
    faults: tuple[Fault, ...]


def measure_corpus(
    tasks: Sequence[Task], config: AudioConfig, folder: Path, workers: int, progress: Progress
) -> Measured:
    """Write the features of recordings to ``folder``, as ``store.AudioStore`` reads them.

    ``workers`` processes share the work; shards that are there already are left alone. ``tasks`` may be made when
    they are asked for: no more than a shard a process is held.

    Raises:
        UserError: a process died, as one does when memory runs out.
    """
    shards = -(-len(tasks) // SHARD)

    def shard(number: int) -> Sequence[Task]:
        return tasks[number * SHARD : (number + 1) * SHARD]

    left = [number for number in range(shards) if not _is_done(shard_folder(folder, number), shard(number))]
    done = len(tasks) - sum(min(SHARD, len(tasks) - number * SHARD) for number in left)
    progress(done, len(tasks), WHAT)

    def tell() -> None:
        nonlocal done
        done += 1
        progress(done, len(tasks), WHAT)

    jobs = ((shard(number), shard_folder(folder, number)) for number in left)
    if min(workers, len(left)) <= 1:
        with _one_thread():
            for own, target in jobs:
                measure_shard(own, config, target, tell)
    else:
        _measure_in_processes(jobs, config, min(workers, len(left)), tell)
    return _join(folder, shards, config)


def measure_recording(task: Task, config: AudioConfig) -> dict[str, Any]:
    """Read, condition and measure one recording: ``mel`` [T, M], ``f0`` [T], ``energy`` [T], ``start`` in seconds.

    Raises:
        UserError: it cannot be read, is shorter than a frame's hop, or has no voiced frame.
    """
    _, path, begin, seconds, speed = task
    wave, start = condition(read_audio(path, config.sample_rate, begin, seconds, speed), config)
    if len(wave) < config.hop or frame_count(len(wave), config) == 0:
        shortest = config.hop / config.sample_rate
        raise UserError(f"{path} lasts {len(wave) / config.sample_rate:.4f} s, less than one frame of {shortest:.4f} s")
    found = analyse(wave, config)
    if not found.f0.any():
        raise UserError(
            f"{path} has no voiced frame between audio.f0_low={config.f0_low:g} and audio.f0_high={config.f0_high:g} Hz"
        )
    return {"mel": found.mel, "f0": found.f0, "energy": found.energy, "start": start}


def measure_shard(tasks: Sequence[Task], config: AudioConfig, target: Path, tell: Callable[[], None]) -> None:
    """Measure recordings and write them as one shard; one that cannot be measured is listed as a fault."""
    index: dict[str, Any] = {"utterances": [], "frames": [], "starts": [], "faults": []}
    rows: list[dict[str, Any]] = []
    for task in tasks:
        name = task.name
        try:
            row = measure_recording(task, config)
        except UserError as error:
            index["faults"].append([name, str(error)])
        else:
            rows.append(row)
            index["utterances"].append(name)
            index["frames"].append(len(row["f0"]))
            index["starts"].append(row["start"])
        tell()
    empty = {"mel": np.zeros((0, config.mels), np.float32)}
    for measure in MEASURES:
        joined = np.concatenate([empty.get(measure, np.zeros(0, np.float32)), *(row[measure] for row in rows)])
        with atomic(target / f"{measure}.npy") as temporary, temporary.open("wb") as stream:
            np.save(stream, joined, allow_pickle=False)
    index["voiced"] = int(sum(np.count_nonzero(row["f0"]) for row in rows))
    write_json(target / INDEX, index)


def _is_done(target: Path, tasks: Sequence[Task]) -> bool:
    """Whether the shard is there and holds these very utterances."""
    try:
        index = read_json(target / INDEX)
    except (OSError, ValueError):
        return False
    names = {*index["utterances"], *(name for name, _ in index["faults"])}
    return names == {task.name for task in tasks}


def _join(folder: Path, shards: int, config: AudioConfig) -> Measured:
    """Write the index of all shards."""
    joined: dict[str, list[Any]] = {"utterances": [], "frames": [], "starts": [], "shards": []}
    faults: list[Fault] = []
    voiced = 0
    for number in range(shards):
        index = read_json(shard_folder(folder, number) / INDEX)
        for name in ("utterances", "frames", "starts"):
            joined[name] += index[name]
        joined["shards"].append(len(index["utterances"]))
        faults += [Fault(name, reason) for name, reason in index["faults"]]
        voiced += index["voiced"]
    write_json(folder / INDEX, joined)
    frames = sum(joined["frames"])
    return Measured(frames * config.hop / config.sample_rate, voiced / max(frames, 1), tuple(faults))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: how a product is split among threads may show in its last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _measure_in_processes(
    jobs: Iterator[tuple[Sequence[Task], Path]], config: AudioConfig, workers: int, tell: Callable[[], None]
) -> None:
    """Share shards out to fresh processes, the next one to whoever is free, until all are done or one fails."""
    context = multiprocessing.get_context("spawn")  # a fork would copy this process's threads' locks
    pool: dict[Connection, Any] = {}
    try:
        for _ in range(workers):
            here, there = context.Pipe()
            pool[here] = context.Process(target=_work, args=(there, config), daemon=True)
            pool[here].start()
            there.close()
        while pool:
            for pipe in wait(list(pool)):
                assert isinstance(pipe, Connection)
                try:
                    news = pipe.recv()
                    if news == READY:
                        pipe.send(next(jobs, None))
                        continue
                except (EOFError, OSError):  # it has ended, or died with something left unread
                    _see_off(pool.pop(pipe))
                    continue
                if isinstance(news, BaseException):
                    raise news
                tell()
    finally:
        for process in pool.values():
            process.kill()
            process.join()


def _see_off(process: Any) -> None:
    process.join()
    if process.exitcode != 0:
        raise UserError(
            f"a process that measures recordings died (status {process.exitcode}); if the machine is out of memory, "
            "lower run.feature_workers; asking again goes on where it stopped"
        )


def _work(pipe: Connection, config: AudioConfig) -> None:
    """A process's life: ask for a shard, measure it, say so for every recording."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches all; the parent decides
    threading.Thread(target=_follow_parent, daemon=True).start()
    torch.set_num_threads(1)
    while True:
        pipe.send(READY)
        job = pipe.recv()
        if job is None:
            return
        shard, target = job
        try:
            measure_shard(shard, config, target, lambda: pipe.send(None))
        except Exception as error:
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))
            raise


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
