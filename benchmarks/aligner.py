"""How near the learned aligner comes to known boundaries: python benchmarks/aligner.py [FOLDER --textgrids GRIDS].

Without a folder: the testbed, whose phone times are exact; the aligner is trained as for a corpus that has none. With a
folder in LJSpeech's layout and TextGrids of the same clips: the aligner is trained on allison's recordings and the
folder's together, and only on those of the folder it is compared, in words that both pronounce alike.

A boundary is the beginning of a phone, or its end where a pause follows. Errors are in milliseconds; the aligner cannot
place a boundary more finely than its frames' hop.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_modules.alignment.export import phone_times
from data_modules.alignment.grid_files import read_grids
from data_modules.alignment.matching import timed_phones
from data_modules.alignment.textgrids import read_grid
from data_modules.audio import first_centre
from data_modules.corpora.contract import PhoneTime, Progress, silent
from data_modules.store import CorpusStore, FeatureStore
from data_modules.text.pronounce import ARPABET
from prosody_tts import pipeline
from prosody_tts.config import Experiment, load, to_plain
from prosody_tts.errors import UserError
from prosody_tts.files import digest
from prosody_tts.pipeline import Stage, plan, run_stage
from prosody_tts.runners.aligned import learned_durations, run_aligner
from prosody_tts.runners.stores import store_of


@dataclass(frozen=True)
class Compared:
    """Signed errors in seconds of one utterance's boundaries, and the words left out because they sound different."""

    errors: NDArray[np.float64]
    words: int
    left_out: int


def main() -> None:
    """Read the arguments, print the figures."""
    parser = argparse.ArgumentParser(description="Boundary errors of the learned aligner.")
    parser.add_argument("folder", type=Path, nargs="?", help="clips in LJSpeech's layout; none: the testbed")
    parser.add_argument("--textgrids", help="folder or archive of their TextGrids")
    parser.add_argument("--runs", type=Path, help="run folder; one that goes away by default")
    parser.add_argument("settings", nargs="*", default=[], help="more settings, as in aligner.width=64")
    arguments = parser.parse_intermixed_args()
    if arguments.folder is not None and "=" in str(arguments.folder):
        arguments.settings.insert(0, str(arguments.folder))
        arguments.folder = None
    if (arguments.folder is None) != (arguments.textgrids is None):
        parser.error("a folder and --textgrids belong together")
    with tempfile.TemporaryDirectory() as temporary:
        runs = arguments.runs or Path(temporary)
        settings = [f"run.folder={runs}", "run.progress=false", *arguments.settings]
        if arguments.folder is None:
            testbed(settings)
        else:
            sample(arguments.folder, arguments.textgrids, Path(temporary), settings)


def testbed(settings: Sequence[str]) -> None:
    """Compare with the testbed's own times, split by split."""
    experiment = load("baseline", settings)
    store, durations = align(experiment)
    for split in ("train", "dev", "test"):
        names = [name for name in store.ids(split) if name in durations]  # type: ignore[arg-type]
        tell(f"testbed, {split}", [own_times(store, name, durations[name], experiment) for name in names])


def sample(folder: Path, grids: str, scratch: Path, settings: Sequence[str]) -> None:
    """Compare with TextGrids of a folder's clips, after training on them and on allison."""
    both = scratch / "both"
    own = [path.stem for path in sorted((folder / "wavs").glob("*.wav"))]
    merge(folder, load("baseline", ["corpus=allison", *settings]), both)
    experiment = load(
        "baseline", ["corpus=folder", f"corpus_path={both}", "data.min_seconds=0.5", "data.allowed_bad=0.1", *settings]
    )
    store, durations = align(experiment)
    compared = []
    for name, content in read_grids(grids, set(own)):
        try:
            if isinstance(content, UserError):
                raise content
            times = timed_phones(read_grid(content), store.utterances[name].text, ARPABET)
        except UserError as error:
            print(f"{name} has no grid to compare with: {error}")
            continue
        compared.append(compare(store, name, durations[name], times, experiment))
    tell(f"{folder.name}, {len(compared)} clips", compared)


def merge(folder: Path, other: Experiment, target: Path) -> None:
    """A folder of the clips of ``folder`` and of the recordings of another corpus."""
    (target / "wavs").mkdir(parents=True)
    lines = (folder / "metadata.csv").read_text(encoding="utf-8").splitlines()
    for path in sorted((folder / "wavs").glob("*.wav")):
        os.symlink(path.resolve(), target / "wavs" / path.name)
    corpus = plan(other)[0]
    run_stage(corpus, silent)
    store = CorpusStore(pipeline.folder(corpus))
    for utterance in store.recorded:
        os.symlink(store.clip(utterance).resolve(), target / "wavs" / f"{utterance.id}.wav")
        lines.append(f"{utterance.id}|{utterance.text}|{utterance.text}")
    (target / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def align(experiment: Experiment) -> tuple[FeatureStore, dict[str, list[int]]]:
    """Train an aligner on a corpus, whatever times it comes with, and align it."""
    stages = {stage.kind: stage for stage in plan(experiment)}
    inputs = {kind: stages[kind].identity for kind in ("corpus", "text", "audio")}
    for kind in inputs:
        run_stage(stages[kind], silent)
    name = digest({"inputs": inputs, "settings": to_plain(experiment)["aligner"], "seed": experiment.seed})
    aligner = Stage("aligner", name, experiment, inputs, "aligner")
    place = pipeline.folder(aligner)
    place.mkdir(parents=True, exist_ok=True)
    start = time.process_time()
    run_aligner(aligner, place, every(20))
    print(f"trained in {time.process_time() - start:.0f} CPU-s")
    alignment = Stage("alignment", name, experiment, {**inputs, "aligner": name}, "alignment")
    store = store_of(alignment)
    durations, _, faults = learned_durations(alignment, store, silent)
    print(f"{len(durations)} aligned, {len(faults)} not")
    return store, durations


def every(seconds: float) -> Progress:
    """Print progress now and then."""
    last = time.monotonic()

    def tell(done: int, total: int, what: str) -> None:
        nonlocal last
        if time.monotonic() - last > seconds:
            last = time.monotonic()
            print(f"{what}: {done} of {total}", flush=True)

    return tell


def own_times(store: FeatureStore, name: str, durations: Sequence[int], experiment: Experiment) -> Compared:
    """Compare with the times that the corpus gives."""
    times = store.utterances[name].phones
    assert times is not None
    return compare(store, name, durations, times, experiment)


def compare(
    store: FeatureStore, name: str, durations: Sequence[int], times: Sequence[PhoneTime], experiment: Experiment
) -> Compared:
    """Errors of one utterance's boundaries against true times."""
    audio = experiment.audio
    first = first_centre(audio) / audio.sample_rate + store.start(name)
    found = list(words_of(phone_times(store.text.sentence(name), durations, audio.hop / audio.sample_rate, first)))
    true = list(words_of(times))
    if len(found) != len(true):
        raise UserError(f"{name}: {len(true)} words have times and {len(found)} are in the text")
    errors: list[float] = []
    left_out = 0
    for ours, theirs in zip(found, true, strict=True):
        if [phone.label for phone in ours] != [phone.label for phone in theirs]:
            left_out += 1
            continue
        errors += [a.start - b.start for a, b in zip(ours, theirs, strict=True)]
    for left, right in zip(zip(found, true, strict=True), [*zip(found[1:], true[1:], strict=True), None], strict=True):
        paused = right is None or right[1][0].start > left[1][-1].end
        if paused and left[0][-1].label == left[1][-1].label:
            errors.append(left[0][-1].end - left[1][-1].end)
    return Compared(np.array(errors), len(found), left_out)


def words_of(times: Sequence[PhoneTime]) -> Iterator[list[PhoneTime]]:
    """The timed phones of each word, pauses left out."""
    word: list[PhoneTime] = []
    for phone in times:
        if word and phone.word != word[-1].word:
            yield word
            word = []
        if phone.word >= 0:
            word.append(phone)
    if word:
        yield word


def tell(what: str, compared: Sequence[Compared]) -> None:
    """Print the errors of some utterances."""
    errors = 1000 * np.concatenate([one.errors for one in compared])
    words, left_out = sum(one.words for one in compared), sum(one.left_out for one in compared)
    size = np.abs(errors)
    shares = ", ".join(f"{100 * (size <= limit).mean():.1f} % within {limit} ms" for limit in (25, 50, 100))
    print(
        f"{what}: {len(errors)} boundaries, median {np.median(size):.1f} ms, mean {size.mean():.1f} ms, {shares}; "
        f"bias {np.median(errors):+.1f} ms; {left_out} of {words} words are pronounced otherwise"
    )


if __name__ == "__main__":
    main()
