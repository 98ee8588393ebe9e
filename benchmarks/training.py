"""How fast stage one trains, and what its settings cost: python -m benchmarks.training [EXPERIMENT] [key=value ...].

Utterances of random phones and mels, as long as the sentences of a corpus would be spoken: of ``--texts`` (a
metadata.csv, such as LJSpeech's, whose last column is what is said), or lengths as LJSpeech has them. Each line trains
the stage one of CAMP, or of another experiment, by ``fit``, checkpoints and all, and counts recorded frames a second of
processor time on one core after an epoch of warming up; what ``torch.compile`` takes lies in the seconds before.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from benchmarks.recordings import random_recording
from data_modules.batches import AcousticBatch
from data_modules.collate import AcousticItem, acoustic_batch
from data_modules.loaders import BucketSampler
from data_modules.store import Specification
from prosody_tts.command import one_file, split_arguments
from prosody_tts.config import Experiment, OptimConfig, RunConfig, load
from prosody_tts.errors import UserError
from prosody_tts.stages.acoustic import AcousticStage
from prosody_tts.stages.fit import fit
from prosody_tts.systems import Sizes, build_acoustic

PHONES, BERT = 60, 384
#: Of LJSpeech: frames of 12.5 ms, phones and characters of a word.
FRAMES_A_CHARACTER, PHONES_A_WORD, CHARACTERS_A_WORD = 5.3, 4, 6
VARIANTS = {
    "as it is": {},
    "averaged weights": {"ema": 0.999},
    "bfloat16": {"precision": "bf16"},
    "torch.compile": {"compile": True},
}


def main() -> None:
    """Read the arguments, print the tables."""
    parser = argparse.ArgumentParser(description="Speed of training stage one.")
    parser.add_argument("arguments", nargs="*", metavar="EXPERIMENT key=value", help="experiment and settings")
    parser.add_argument("--texts", type=Path, help="metadata.csv whose last column is what is said")
    parser.add_argument("--utterances", type=int, default=160, help="utterances of an epoch")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=list(VARIANTS))
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    characters = spoken_characters(arguments.texts)
    frames = [round(FRAMES_A_CHARACTER * count) for count in characters]
    print(f"{'batch':>6} {'share of frames that pad, by batches sorted together':<60}")
    for batch in (8, 20, 32):
        shares = [f"{chunk}: {BucketSampler(frames, batch, 0, chunk=chunk).padding():.2%}" for chunk in (1, 8, 24, 64)]
        print(f"{batch:6} {'   '.join(shares)}", flush=True)
    step = max(1, len(characters) // arguments.utterances)
    files, settings = split_arguments(arguments.arguments)
    experiment = load(one_file(files, "camp"), settings)
    data = Utterances(characters[::step][: arguments.utterances], experiment)
    print(f"{'variant':>20} {'frames/s':>10} {'seconds before':>15} {'loss':>8}")
    for name in arguments.variants:
        try:
            speed, before, loss = measure(experiment, data, VARIANTS[name])
        except UserError as error:  # this device cannot
            print(f"{name:>20} {error}", flush=True)
            continue
        print(f"{name:>20} {speed:10.0f} {before:15.1f} {loss:8.4f}", flush=True)


def spoken_characters(texts: Path | None) -> list[int]:
    """Characters of every sentence; without a file, of as many as a real corpus has of each length."""
    if texts is not None:
        return [len(line.split("|")[-1]) for line in texts.read_text(encoding="utf-8").splitlines() if line]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return (15 + 170 * torch.distributions.Beta(3.0, 2.4).sample((4000,))).int().tolist()


class Utterances(LightningDataModule):
    """Random recordings of given lengths."""

    def __init__(self, characters: list[int], experiment: Experiment) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.batch, self.mels = experiment.acoustic.optim.batch, experiment.audio.mels
        self.items = [self._item(str(i), count, generator) for i, count in enumerate(characters)]
        self.frames = sum(len(item.mel) for item in self.items)

    def _item(self, name: str, characters: int, generator: torch.Generator) -> AcousticItem:
        words = max(1, characters // CHARACTERS_A_WORD)
        counts = torch.ones(2 * words + 1, dtype=torch.long)
        counts[1::2] = PHONES_A_WORD
        phones = int(counts.sum())
        durations = torch.poisson(torch.full((phones,), FRAMES_A_CHARACTER * characters / phones), generator=generator)
        to_word = torch.repeat_interleave(torch.arange(len(counts)), counts)
        return random_recording(name, to_word, durations.long().clamp(min=1), PHONES, self.mels, BERT, generator)

    def train_dataloader(self) -> DataLoader[AcousticBatch]:
        return self._loader(self.items, shuffle=True)

    def val_dataloader(self) -> DataLoader[AcousticBatch]:
        return self._loader(self.items[: self.batch], shuffle=False)

    def _loader(self, items: list[AcousticItem], shuffle: bool) -> DataLoader[AcousticBatch]:
        sampler = BucketSampler([len(item.mel) for item in items], self.batch, 0, shuffle)
        return DataLoader(items, batch_sampler=sampler, collate_fn=acoustic_batch)  # type: ignore[arg-type]


def measure(experiment: Experiment, data: Utterances, changes: dict[str, object]) -> tuple[float, float, float]:
    """Frames a second of processor time in the second epoch, seconds of it before, and the training loss."""
    optim: OptimConfig = replace(experiment.acoustic.optim, epochs=2, **changes)  # type: ignore[arg-type]
    spec = Specification(
        tuple(map(str, range(PHONES))), (0.0,) * data.mels, (1.0,) * data.mels, 0.0, 1.0, 0.0, 1.0, BERT, 3
    )
    torch.manual_seed(0)
    model = build_acoustic(experiment, Sizes(PHONES, data.mels, BERT, 3))
    module = AcousticStage(model, replace(experiment.acoustic, optim=optim), spec)
    times: list[float] = []
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        told = fit(
            module,
            data,
            optim,
            RunConfig(accelerator="cpu"),
            0,
            Path(folder),
            [],
            lambda done, total, what: times.append(time.process_time()),
        )
    # From the end of the first epoch's last step: validation and a checkpoint lie between, as in any training.
    middle = len(times) // 2 - 1
    return data.frames / (times[-1] - times[middle]), times[middle] - start, told["train/loss"]


if __name__ == "__main__":
    main()
