"""Stages that do as their label says; importable by the scheduler's worker processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from data_modules.corpora.contract import Progress
from prosody_tts.config import Experiment, RunConfig
from prosody_tts.errors import UserError
from prosody_tts.files import write_json
from prosody_tts.pipeline import RESULT, Stage, folder


def stage(root: Path, kind: str, identity: str, does: str = "work", needs: tuple[Stage, ...] = ()) -> Stage:
    experiment = Experiment(run=RunConfig(folder=str(root)))
    return Stage(kind, identity, experiment, {other.kind: other.identity for other in needs}, does)


def order(root: Path) -> list[str]:
    """Keys of the stages that began, in the order in which they did."""
    return [line.split()[0] for line in (root / "order.txt").read_text().splitlines()]


def runner(stage: Stage, progress: Progress) -> dict[str, Any]:
    here = folder(stage)
    here.mkdir(parents=True, exist_ok=True)
    for need in stage.needs:
        assert (here.parent.parent / need / RESULT).exists(), f"{stage.key} started before {need} was done"
    with (here.parent.parent / "order.txt").open("a") as order:
        order.write(f"{stage.key} {os.getpid()}\n")
    for done in range(1, 4):
        progress(done, 3, "step")
    match stage.label.partition(" ")[0]:
        case "user":
            raise UserError("acoustic.width=0 must be at least 1")
        case "crash":
            raise ZeroDivisionError("the loss divided by zero")
        case "print":
            print("a library speaks")
            os.write(2, b"a C library speaks\n")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            sys.exit(3)
        case "hang":
            threading.Event().wait()
        case "interrupt":
            os.kill(os.getppid(), signal.SIGINT)
            threading.Event().wait()
        case "threads":
            import torch

            write_json(here / "threads.json", torch.get_num_threads())
        case "gpus":
            write_json(here / "gpus.json", os.environ.get("CUDA_VISIBLE_DEVICES"))
    result = {"metrics": {"value": len(stage.identity)}, "label": stage.label}
    write_json(here / RESULT, result)
    return result
