"""All benchmarks that need nothing but the package, one after the other: python -m benchmarks.everything [NAME ...].

Writes what each prints into one Markdown file with the machine and the versions, and prints where it is. On a machine
that does nothing else; about twenty minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from prosody_tts.files import write_text
from prosody_tts.pipeline import git_commit, versions

#: What is measured, and by which command below ``python -m``.
BENCHMARKS: dict[str, Sequence[str]] = {
    "a step of stage one, and its share of what the machine multiplies": ["benchmarks.acoustic", "camp", "baseline"],
    "training stage one": ["benchmarks.training", "camp", "--variants", "as it is", "averaged weights"],
    "stage one beside FastSpeech 2's design": ["benchmarks.peers", "phones", "peer", "--epochs", "1"],
    "priors": ["benchmarks.priors", "--training", "200"],
    "language models of speech": ["benchmarks.language", "--passes", "1"],
    "synthesis": ["benchmarks.synthesis", "camp"],
    "vocoders": ["benchmarks.vocoders"],
    "memory of preparing a corpus": ["benchmarks.memory", "--counts", "100", "1000"],
    "a sweep with stages that are shared": ["benchmarks.sharing", "paper_tables", "size=smoke"],
}


def main() -> None:
    """Run the benchmarks, write the file; exit status 1 where one fails."""
    parser = argparse.ArgumentParser(description="All benchmarks, in one file.")
    known = ", ".join(map(module, BENCHMARKS.values()))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {known}; by default all")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/index.md"), help="file that is written")
    arguments = parser.parse_args()
    chosen = {
        title: words for title, words in BENCHMARKS.items() if not arguments.names or module(words) in arguments.names
    }
    parts = [head()]
    failed = []
    for number, (title, words) in enumerate(chosen.items(), start=1):
        print(f"{number} of {len(chosen)}: {title}", file=sys.stderr, flush=True)
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            failed.append(title)
        parts.append(part(title, words, done.stdout, seconds, done.returncode))
        write_text(arguments.out, "\n".join(parts))
    print(arguments.out)
    sys.exit(1 if failed else 0)


def module(words: Sequence[str]) -> str:
    """The short name of a benchmark."""
    return words[0].removeprefix("benchmarks.")


def head() -> str:
    """The machine and the versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    machine = f"{processor()}, {cores} cores, {platform.system()} {platform.release()}"
    return f"# Benchmarks\n\n- {machine}\n- commit {git_commit()}; {told}\n- {time.strftime('%Y-%m-%d')}\n"


def processor() -> str:
    """The processor's name, where the system tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def part(title: str, words: Sequence[str], printed: str, seconds: float, status: int) -> str:
    """What one benchmark printed."""
    failure = f" It failed with status {status}." if status else ""
    said = f"`python -m {' '.join(words)}` took {seconds:.0f} s.{failure}"
    return f"## {title[0].upper()}{title[1:]}\n{said}\n```text\n{printed.rstrip()}\n```\n"


if __name__ == "__main__":
    main()
