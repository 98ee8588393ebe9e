"""Whether a sweep survives being killed: python -m benchmarks.kills [SWEEP] [key=value ...] [--kills N] [--workers N].

Runs a sweep undisturbed in one folder. In another it is killed with its processes (SIGKILL) at random moments, each
time given again, and then left to end. Prints whether every figure is the same, and which stages ended twice.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from prosody_tts.command import one_file, split_arguments
from prosody_tts.files import read_json
from prosody_tts.pipeline import RESULT
from prosody_tts.sweeps import load_sweep


def main() -> None:
    """Read the arguments, print what came of it; exit status 1 where anything differs."""
    parser = argparse.ArgumentParser(description="Whether a sweep survives being killed.")
    parser.add_argument("arguments", nargs="*", metavar="SWEEP key=value", help="sweep and settings")
    parser.add_argument("--kills", type=int, default=20, help="how often it is killed")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--within", type=float, help="seconds within which it is killed (default: a fifth of all)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_intermixed_args()
    files, settings = split_arguments(arguments.arguments)
    words = [str(load_sweep(one_file(files, "paper_tables")).path), *settings]
    with tempfile.TemporaryDirectory(prefix="kills-") as place:
        root = Path(place)
        began = time.perf_counter()
        started(words, root / "whole", arguments.workers).wait()
        whole = time.perf_counter() - began
        print(f"undisturbed: {whole:.1f} s, {len(finished(root / 'whole'))} stages", flush=True)
        within = whole / 5 if arguments.within is None else arguments.within
        draw = random.Random(arguments.seed)
        twice = killed(words, root / "broken", arguments.workers, arguments.kills, within, draw)
        same = figures(root / "whole") == figures(root / "broken") and tables(root / "whole") == tables(root / "broken")
    print(f"every figure and table the same: {'yes' if same else 'NO'}")
    print(f"stages that ran to their end twice: {', '.join(sorted(twice)) or 'none'}")
    sys.exit(0 if same and not twice else 1)


def killed(words: Sequence[str], runs: Path, workers: int, kills: int, within: float, draw: random.Random) -> set[str]:
    """Give a command again and again; the stages that were finished and then made anew."""
    twice: set[str] = set()
    before: dict[str, tuple[int, int]] = {}
    for number in range(1, kills + 2):
        process = started(words, runs, workers)
        moment = draw.uniform(0.0, within)
        try:
            process.wait(None if number > kills else moment)
            how = "ended"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            how = f"killed after {moment:.1f} s"
        after = finished(runs)
        twice |= {key for key, mark in before.items() if after.get(key) != mark}
        before = after
        print(f"{number:3}: {how}, {len(after)} stages finished", flush=True)
    return twice


def started(words: Sequence[str], runs: Path, workers: int) -> subprocess.Popen[bytes]:
    """Give the command, as the head of a group of processes."""
    command = [sys.executable, "-m", "prosody_tts.cli", "sweep", *words, f"run.folder={runs}"]
    command += ["--workers", str(workers), "run.progress=false", "run.wandb=disabled"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def finished(runs: Path) -> dict[str, tuple[int, int]]:
    """Stage -> what tells its result from another one under the same name."""
    found = {}
    for path in runs.glob(f"*/*/{RESULT}"):
        told = path.stat()
        found[f"{path.parts[-3]}/{path.parts[-2]}"] = told.st_ino, told.st_mtime_ns
    return found


def figures(runs: Path) -> dict[str, object]:
    """Stage -> its figures."""
    return {f"{path.parts[-3]}/{path.parts[-2]}": read_json(path)["metrics"] for path in runs.glob(f"*/*/{RESULT}")}


def tables(runs: Path) -> dict[str, str]:
    """The tables of the reports, without the folder that they name."""
    found = runs.glob("reports/*/table.json")
    return {path.parts[-2]: path.read_text().replace(str(runs), "") for path in found}


if __name__ == "__main__":
    main()
