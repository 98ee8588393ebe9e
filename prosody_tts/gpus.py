"""Which GPUs a process may use, found without loading torch, and how workers share them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from prosody_tts.config import RunConfig

#: What CUDA reads: the GPUs that a process sees, by number or name.
VARIABLE = "CUDA_VISIBLE_DEVICES"
DRIVER, DEVICES = Path("/proc/driver/nvidia/gpus"), Path("/dev")


def visible_gpus(driver: Path = DRIVER, devices: Path = DEVICES) -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them.

    Args:
        driver: folder in which the driver keeps one folder a GPU.
        devices: folder of the GPUs' files; a container has only those it was given.
    """
    told = os.environ.get(VARIABLE)
    if told is not None:
        names = (name.strip() for name in told.split(","))
        return list(takewhile(lambda name: name and not name.startswith("-"), names))  # CUDA stops at a wrong one too
    known = len(list(driver.iterdir())) if driver.is_dir() else 0
    given = sum(re.fullmatch(r"nvidia\d+", path.name) is not None for path in devices.iterdir()) if known else 0
    return [str(number) for number in range(min(known, given))]


def gpus_for(run: RunConfig) -> list[str]:
    """The GPUs that stages with these settings may use."""
    return [] if run.accelerator == "cpu" else visible_gpus()


def share(gpus: Sequence[str], devices: int, place: int) -> list[str]:
    """The GPUs of the worker at ``place``, from 0 on: ``devices`` of its own, round robin where there are too few."""
    count = min(devices, len(gpus))
    return [gpus[(place * count + number) % len(gpus)] for number in range(count)]
