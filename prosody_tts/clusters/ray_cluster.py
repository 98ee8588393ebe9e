"""A connection to a Ray cluster, and what its machines have room for."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prosody_tts.config import RunConfig
from prosody_tts.errors import UserError

#: Seconds in which a cluster's head must answer.
KNOCK = 10.0


@contextmanager
def connected(address: str) -> Iterator[None]:
    """A connection to a cluster, closed at the end unless it was there before.

    Raises:
        UserError: Ray is not installed, or the cluster is not there.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns of what it will do one day
    os.environ.setdefault("RAY_worker_niceness", "0")  # one that starts here is as eager as worker processes are
    try:
        import ray
    except ImportError:
        raise UserError("--ray needs Ray, which is not installed; pip install 'prosody_tts[ray]'") from None
    if ray.is_initialized():
        yield
        return
    local: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        _reach(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **local)
    except Exception as error:  # of many kinds, by the address
        ray.shutdown()
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"cannot use the Ray cluster at '{address}' ({type(error).__name__}: {reason}); give HOST:PORT of its "
            "head, auto, or local"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Knock at a cluster's door: Ray itself would go on asking for minutes.

    Raises:
        OSError: nobody is there.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK).close()


@contextmanager
def marked(runs: Path) -> Iterator[Path]:
    """A file by which a machine knows that it sees the same folder of runs."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".ray-", dir=runs)
        os.close(handle)
    except OSError as error:
        raise UserError(f"cannot write to run.folder={runs}: {error.strerror or error}; give another folder") from None
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Demand:
    """What a task asks of its machine."""

    cores: int
    gpus: int

    def __str__(self) -> str:
        """Say it, such as ``2 cores and 1 GPU``."""
        cores = f"{self.cores} core{'' if self.cores == 1 else 's'}"
        return f"{cores} and {self.gpus} GPU{'' if self.gpus == 1 else 's'}" if self.gpus else cores


def machines() -> list[dict[str, float]]:
    """What each machine of the cluster that is there has, by Ray's names."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def places(having: Sequence[Mapping[str, float]], demand: Demand) -> int:
    """How many tasks machines that have so much have room for at once."""
    rooms = []
    for machine in having:
        room = int(machine.get("CPU", 0) // demand.cores)
        rooms.append(min(room, int(machine.get("GPU", 0) // demand.gpus)) if demand.gpus else room)
    return sum(rooms)


def demand_of(run: RunConfig, having: Sequence[Mapping[str, float]]) -> Demand:
    """What a stage's task asks for: GPUs where the settings say so, or leave it open and a machine has enough.

    Raises:
        UserError: no machine has it, so that tasks would wait forever.
    """
    with_gpus = Demand(run.threads, run.devices)
    wants = run.accelerator == "gpu" or (run.accelerator == "auto" and places(having, with_gpus) > 0)
    demand = with_gpus if wants else Demand(run.threads, 0)
    if not places(having, demand):
        other = " or run.devices, or set run.accelerator=cpu" if demand.gpus else ""
        raise UserError(f"no machine of the Ray cluster has {demand} for a stage; lower run.threads{other}")
    return demand
