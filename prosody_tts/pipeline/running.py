"""Runs a stage, or resumes it, or returns what it left, and writes down what made it."""

from __future__ import annotations

import platform
import resource
import subprocess
import time
from functools import cache
from importlib import metadata
from typing import Any

from filelock import FileLock

from data_modules.corpora.contract import Progress
from prosody_tts.config import ROOT, to_plain
from prosody_tts.files import write_json
from prosody_tts.pipeline.stage import RESULT, SETTINGS, Stage, folder, is_done, read_result


def run_stage(stage: Stage, progress: Progress) -> dict[str, Any]:
    """Run a stage, or resume it, or return what it left; two processes asking at once run it once.

    With ``run.artifacts`` what another machine left is fetched instead, and what was made here is uploaded.

    Returns:
        The content of its ``result.json``.

    Raises:
        UserError: what the user must mend.
    """
    target = folder(stage)
    target.mkdir(parents=True, exist_ok=True)
    # The operating system drops the lock of a process that dies, so no stale lock outlives a crash.
    lock = FileLock(target.with_suffix(".lock"))
    if not is_done(stage):
        progress(0, 0, "waiting for another process")
    with lock:
        if is_done(stage):
            return read_result(stage)
        from prosody_tts.tracking import artifacts  # which reads plans

        if artifacts.fetched(stage, progress):
            return read_result(stage)
        write_json(target / SETTINGS, to_plain(stage.experiment))
        from prosody_tts.runners import RUNNERS  # loads torch, which planning must not

        start = time.perf_counter()
        metrics = RUNNERS[stage.kind](stage, target, progress)
        result = {
            "kind": stage.kind,
            "identity": stage.identity,
            "label": stage.label,
            "system": stage.experiment.system,
            "inputs": stage.inputs,
            "seconds": round(time.perf_counter() - start, 2),
            "metrics": metrics,
            "seed": stage.experiment.seed,
            "host": platform.node(),
            # Of the process so far, which may have run other stages before.
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": git_commit(),
            "versions": versions(),
        }
        write_json(target / RESULT, result)
    artifacts.keep(stage)
    return result


@cache
def git_commit() -> str:
    """The commit of the code, with ``-dirty`` where the tree differs from it; ``unknown`` outside a checkout."""
    if not (ROOT / ".git").exists():  # git would go up, and find whatever the user keeps the environment in
        return "unknown"
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or "unknown"
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape results."""
    names = ("torch", "lightning", "transformers", "torch-geometric", "spacy", "numpy", "praat-parselmouth", "zuko")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
