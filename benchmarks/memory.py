"""How much memory preparing a corpus takes as it grows: python -m benchmarks.memory [--texts FILE].

Makes corpora of lhotse's Shar format from a few short recordings of eSpeak NG, repeated, and distinct sentences. Each
stage runs in a fresh process; printed is the most memory that it, or one of its workers, had (resident, file pages
that it has mapped among them), and the ratio of the largest corpus to the smallest.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.text import read_texts
from data_modules.corpora.contract import silent
from prosody_tts.config import Experiment, load
from prosody_tts.pipeline import Stage, folder, plan, run_stage

#: Rows of the table: ``sentences`` is the text stage as far as BERT.
STEPS = ("corpus", "sentences", "text", "audio", "read")
SPOKEN = (
    "The red boat came home.",
    "A farmer sold nine horses.",
    "Nobody heard the old bell.",
    "We sang all night long.",
)
SUBJECTS = ["farmer", "sailor", "baker", "teacher", "doctor", "painter", "soldier", "neighbour", "lawyer", "singer"]
VERBS = ["counted", "carried", "painted", "forgot", "repaired", "admired", "followed", "sold", "described", "lost"]
OBJECTS = ["horses", "lanterns", "barrels", "letters", "windows", "bridges", "stories", "ladders", "gardens", "kettles"]
PLACES = ["garden", "harbour", "kitchen", "village", "forest", "station", "market", "valley", "library", "tower"]
SHARD = 1000


def main() -> None:
    """Read the arguments, print the table."""
    parser = argparse.ArgumentParser(description="Memory of preparing a corpus.")
    parser.add_argument("--texts", type=Path, help="metadata.csv whose last column is what is said, instead of ours")
    parser.add_argument("--counts", type=int, nargs="*", default=[100, 1000, 10000], help="utterances of the corpora")
    parser.add_argument("--workers", type=int, default=2, help="processes that measure recordings")
    parser.add_argument("--one", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], Path(arguments.one[1]), arguments.workers)))
        return
    texts = sentences(max(arguments.counts)) if arguments.texts is None else read_texts(arguments.texts)
    found: dict[str, list[float]] = {step: [] for step in STEPS}
    print(f"{'utterances':>10} {'step':>10} {'wall s':>8} {'peak MiB':>9}", flush=True)
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as home:
            write_corpus(Path(home) / "shar", [texts[i % len(texts)] for i in range(count)])
            for step in STEPS:
                command = [sys.executable, "-m", "benchmarks.memory", "--workers", str(arguments.workers)]
                told = subprocess.run([*command, "--one", step, home], check=True, stdout=subprocess.PIPE, text=True)
                result = json.loads(told.stdout.splitlines()[-1])
                found[step].append(result["peak"])
                print(f"{count:10} {step:>10} {result['wall']:8.1f} {result['peak']:9.0f}", flush=True)
    first, last = arguments.counts[0], arguments.counts[-1]
    first, last = arguments.counts[0], arguments.counts[-1]
    for step, peaks in found.items():
        print(f"{step:>10}: {last} utterances take {peaks[-1] / peaks[0]:.3f} of what {first} take")


def sentences(count: int) -> list[str]:
    """Distinct sentences, at most ten thousand."""
    made = [
        f"The {subject} {verb} {objects} in the {place}."
        for subject in SUBJECTS
        for verb in VERBS
        for objects in OBJECTS
        for place in PLACES
    ]
    step = max(len(made) // count, 1)
    return made[::step][:count]


def write_corpus(target: Path, texts: list[str]) -> None:
    """Cuts and tars as ``lhotse.shar.SharWriter`` writes them; the recordings are not encoded again for each."""
    import soundfile
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
    from lhotse.shar.writers import JsonlShardWriter, TarWriter

    from data_modules.espeak import speak

    clips = []
    for text in SPOKEN:
        spoken, stream = speak(text), io.BytesIO()
        soundfile.write(stream, spoken.samples, spoken.rate, format="FLAC", subtype="PCM_16")
        clips.append((stream.getvalue(), spoken.rate, len(spoken.samples)))
    target.mkdir()
    with (
        JsonlShardWriter(str(target / "cuts.%06d.jsonl.gz"), SHARD) as cuts,
        TarWriter(str(target / "recording.%06d.tar"), SHARD) as tars,
    ):
        for number, text in enumerate(texts):
            name, (content, rate, samples) = f"u{number:06}", clips[number % len(clips)]
            seconds = samples / rate
            source = AudioSource("shar", [0], "")
            recording = Recording(name, [source], rate, samples, seconds, channel_ids=[0])
            segment = SupervisionSegment(name, name, 0.0, seconds, text=text, speaker="espeak")
            cuts.write(MonoCut(name, 0.0, seconds, 0, [segment], recording=recording))
            tars.write(f"{name}.flac", io.BytesIO(content))
            tars.write(f"{name}.json", io.BytesIO(json.dumps(recording.to_dict()).encode()), count=False)


def measure(step: str, home: Path, workers: int) -> dict[str, float]:
    """Run a step in this process; MiB of the largest of its processes."""
    settings = ["corpus=shar", f"corpus_path={home / 'shar'}", f"run.folder={home / 'runs'}", "data.min_seconds=0.2"]
    experiment = load("baseline", [*settings, f"run.feature_workers={workers}"])
    stages = {stage.kind: stage for stage in plan(experiment)}
    act: dict[str, Callable[[], Any]] = {
        "sentences": lambda: analyse(stages["text"], experiment, home),
        "read": lambda: read(stages),
    }
    start = time.perf_counter()
    act.get(step, lambda: run_stage(stages[step], silent))()
    wall = time.perf_counter() - start
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {"wall": wall, "peak": max(usage.ru_maxrss for usage in usages) / 1024}


def analyse(stage: Stage, experiment: Experiment, home: Path) -> None:
    """The text stage without BERT."""
    from data_modules.store import CorpusStore
    from data_modules.text.analysis import TextAnalyser
    from prosody_tts.runners.prepared import write_sentences

    write_sentences(TextAnalyser(experiment), CorpusStore(stage.input("corpus")), home, silent)


def read(stages: dict[str, Stage]) -> None:
    """What a training reads in one pass: every utterance, once."""
    from data_modules.store import FeatureStore

    store = FeatureStore(*(folder(stages[kind]) for kind in ("corpus", "text", "audio")), durations=None)
    store.specification()
    for name in store.ids("train", "dev", "test"):
        store.recording(name, with_bert=True)


if __name__ == "__main__":
    main()
