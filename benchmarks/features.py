"""How fast recordings are measured, and in how much memory: python benchmarks/features.py FOLDER [--preset hifigan].

Prints times faster than real time per CPU-second for every step and for the whole audio stage, then the peak resident
memory of the stage for growing corpora (the folder's recordings, repeated). Each corpus is measured by a fresh process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from data_modules.audio import energy, f0, mel_spectrogram, read_audio
from data_modules.conditioning import condition
from data_modules.corpora.contract import silent
from data_modules.features import Task, measure_corpus
from prosody_tts.config import AudioConfig, load

#: Passes over the recordings; the fastest counts.
PASSES = 3


def main() -> None:
    """Read the arguments, print the tables."""
    parser = argparse.ArgumentParser(description="Speed and memory of the audio stage.")
    parser.add_argument("folder", type=Path, help="folder of wavs")
    parser.add_argument("--preset", default="hifigan", help="a file of experiments/audio")
    parser.add_argument("--workers", type=int, default=2, help="processes that measure")
    parser.add_argument("--copies", type=int, nargs="*", default=[100, 1000, 10000], help="utterances of the corpora")
    parser.add_argument("settings", nargs="*", default=[], help="more settings, as in audio.trim_db=40")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    config = load(None, [f"audio.preset={arguments.preset}", *arguments.settings]).audio
    paths = sorted(arguments.folder.glob("*.wav"))
    if not paths:
        parser.error(f"{arguments.folder} holds no wavs")
    if arguments.one is not None:
        print(json.dumps(measure(paths, config, arguments.one, arguments.workers)))
        return
    steps(paths, config)
    print(f"\n{'utterances':>10} {'hours':>8} {'x real time':>12} {'wall s':>8} {'peak MiB':>9}  (largest process)")
    for count in arguments.copies:
        command = [sys.executable, __file__, *sys.argv[1:], "--one", str(count)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        speed = told["seconds"] / told["cpu"]
        print(f"{count:10} {told['seconds'] / 3600:8.2f} {speed:12.0f} {told['wall']:8.1f} {told['peak']:9.0f}")


def steps(paths: list[Path], config: AudioConfig) -> None:
    """Print the speed of every step by itself."""
    waves = [read_audio(path, config.sample_rate) for path in paths]
    seconds = sum(map(len, waves)) / config.sample_rate
    print(
        f"{len(paths)} recordings, {seconds:.1f} s, preset {config.preset}: times faster than real time per CPU-second"
    )
    rows: list[tuple[str, Callable[[], object]]] = [
        ("read", lambda: [read_audio(path, config.sample_rate) for path in paths]),
        ("trim, level", lambda: [condition(wave, config) for wave in waves]),
        ("mel", lambda: [mel_spectrogram(wave, config) for wave in waves]),
        (f"F0 ({config.f0_tracker})", lambda: [f0(wave, config) for wave in waves]),
        ("energy", lambda: [energy(wave, config) for wave in waves]),
        ("whole, written", lambda: written(paths, config)),
    ]
    for name, step in rows:
        step()
        print(f"{name:>16} {seconds / min(cpu(step) for _ in range(PASSES)):8.0f}")


def cpu(step: Callable[[], object]) -> float:
    """CPU-seconds of one call."""
    start = time.process_time()
    step()
    return time.process_time() - start


def written(paths: list[Path], config: AudioConfig) -> None:
    """The audio stage, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        measure_corpus([Task(path.stem, path) for path in paths], config, Path(folder), 1, silent)


def measure(paths: list[Path], config: AudioConfig, count: int, workers: int) -> dict[str, float]:
    """Measure a corpus of ``count`` utterances; CPU-seconds of all processes, memory of the largest."""
    tasks = [Task(f"{number:06d}", paths[number % len(paths)]) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        measured = measure_corpus(tasks, config, Path(folder), workers, silent)
        wall = time.perf_counter() - start
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    peak = max(usage.ru_maxrss for usage in usages) / 1024
    spent = float(np.sum([usage.ru_utime + usage.ru_stime for usage in usages]))
    return {"seconds": measured.seconds, "cpu": spent, "wall": wall, "peak": peak}


if __name__ == "__main__":
    main()
