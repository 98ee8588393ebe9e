"""What sharing stages saves of a sweep's time: python -m benchmarks.sharing [SWEEP] [key=value ...] [--workers N].

Runs the sweep in an empty folder, then each of its points in an empty folder of its own, one after the other, as one
would without it, with as many processes; wall time of both. On a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from prosody_tts.command import one_file, split_arguments
from prosody_tts.sweeps import experiments_of, load_sweep


def main() -> None:
    """Read the arguments, print the table."""
    parser = argparse.ArgumentParser(description="What sharing stages saves.")
    parser.add_argument("arguments", nargs="*", metavar="SWEEP key=value", help="sweep and settings")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    arguments = parser.parse_intermixed_args()
    files, settings = split_arguments(arguments.arguments)
    sweep = load_sweep(one_file(files, "paper_tables"))
    with tempfile.TemporaryDirectory(prefix="sharing-") as place:
        root = Path(place)
        shared = seconds("sweep", [str(sweep.path), *settings], root / "shared", arguments.workers)
        print(f"{'all points, shared':<40} {shared:8.1f} s", flush=True)
        alone = []
        for number, (name, (point, _)) in enumerate(experiments_of(sweep, settings).items()):
            words = [point.experiment, *point.overrides, *settings]
            alone.append(seconds("evaluate", words, root / f"alone-{number}", arguments.workers))
            print(f"{name:<40} {alone[-1]:8.1f} s", flush=True)
    print(f"{'all points, each alone':<40} {sum(alone):8.1f} s")
    print(f"{'share':<40} {shared / sum(alone):8.1%}")


def seconds(verb: str, words: Sequence[str], runs: Path, workers: int) -> float:
    """Wall time of a command in an empty folder of runs."""
    command = [sys.executable, "-m", "prosody_tts.cli", verb, *words, f"run.folder={runs}", "--workers", str(workers)]
    began = time.perf_counter()
    subprocess.run([*command, "run.progress=false", "run.wandb=disabled"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
