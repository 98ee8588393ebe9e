"""LightningDataModule of the trained vocoder: stretches of recordings with their mels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data_modules.audio import read_audio, sample_count
from data_modules.batches import VocoderBatch
from data_modules.conditioning import condition
from data_modules.corpora.contract import Split
from data_modules.loaders import BucketSampler, Prepared
from data_modules.store import AudioStore, CorpusStore
from prosody_tts.config import AudioConfig


class Stretch(NamedTuple):
    """``frames`` frames of recording number ``clip`` from frame ``first`` on."""

    clip: int
    first: int
    frames: int


@dataclass(frozen=True)
class Clip:
    """A whole recording, conditioned as its features were: mel [T, M], F0 [T] in Hz and its samples."""

    id: str
    mel: Tensor
    f0: Tensor
    wave: Tensor


class VocoderData(LightningDataModule):
    """Serves ``VocoderBatch`` from recordings and their features.

    A pass over the training split hears one stretch of ``seconds`` of every recording, at a place that depends on the
    seed and the pass's number alone; the development split's are the middles. Stretches of a batch are of one length:
    that of its shortest recording where one is shorter.
    """

    def __init__(
        self, corpus: CorpusStore, store: AudioStore, config: AudioConfig, seconds: float, batch: int, seed: int
    ) -> None:
        super().__init__()
        self.corpus, self.store, self.config = corpus, store, config
        self.frames = max(2, math.ceil(seconds * config.sample_rate / config.hop) + (config.padding != "half_hop"))
        self.batch = batch
        self.seed = seed

    def ids(self, split: Split) -> list[str]:
        """Utterances of a split that were measured and are two frames long, in the corpus's order."""
        own = zip(self.corpus.rows, self.corpus.splits, strict=True)
        rows = self.store.rows
        return [name for name, of in own if of == split and name in rows and self.store.frames[rows[name]] > 1]

    def clip(self, name: str) -> Clip:
        """Read a recording again as ``features.measure_recording`` did."""
        utterance, row = self.corpus.utterances[self.corpus.rows[name]], self.store.rows[name]
        path, config = self.corpus.audio(utterance), self.config
        wave = read_audio(path, config.sample_rate, utterance.start, utterance.seconds, utterance.speed)
        conditioned, _ = condition(wave, config)
        mel, f0 = (torch.from_numpy(np.array(values[row])) for values in (self.store.mel, self.store.f0))
        return Clip(name, mel, f0, torch.from_numpy(conditioned))

    def moments(self) -> tuple[list[float], list[float]]:
        """Mean and spread of each mel channel [M] over the training split."""
        mean, spread = self.store.mel_moments([self.store.rows[name] for name in self.ids("train")])
        return mean.tolist(), spread.tolist()

    def loader(self, split: Split, shuffle: bool) -> DataLoader[VocoderBatch]:
        """Batches of stretches of a split."""
        names = self.ids(split)
        lengths = [int(self.store.frames[self.store.rows[name]]) for name in names]
        sampler = StretchSampler(lengths, self.frames, self.batch, self.seed, shuffle)
        stretches = Stretches(Prepared(names, self.clip), self.config)
        return DataLoader(stretches, batch_sampler=sampler, collate_fn=vocoder_batch)  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[VocoderBatch]:
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[VocoderBatch]:
        return self.loader("dev", shuffle=False)


class StretchSampler(BucketSampler):
    """Batches of ``Stretch`` instead of numbers: at random places when shuffled, else in the middle."""

    def __init__(self, lengths: Sequence[int], frames: int, batch: int, seed: int, shuffle: bool) -> None:
        super().__init__(lengths, batch, seed, shuffle)
        self.frames = frames

    def __iter__(self) -> Iterator[list[Stretch]]:  # type: ignore[override]
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        for indices in super().__iter__():
            size = min(self.frames, *(self.lengths[index] for index in indices))
            rooms = [self.lengths[index] - size for index in indices]
            places = torch.rand(len(indices), generator=generator, dtype=torch.float64).tolist()
            yield [
                Stretch(index, int(place * (room + 1)) if self.shuffle else room // 2, size)
                for index, place, room in zip(indices, places, rooms, strict=True)
            ]


class Stretches(Dataset[Clip]):
    """Cuts stretches out of recordings."""

    def __init__(self, clips: Prepared[Clip], config: AudioConfig) -> None:
        self.clips, self.config = clips, config

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, stretch: Stretch) -> Clip:
        clip = self.clips[stretch.clip]
        first, last = stretch.first, stretch.first + stretch.frames
        begin = first * self.config.hop
        wave = clip.wave[begin : begin + sample_count(stretch.frames, self.config)]
        return Clip(clip.id, clip.mel[first:last], clip.f0[first:last], wave)


def vocoder_batch(clips: Sequence[Clip]) -> VocoderBatch:
    """Put stretches of one length together."""
    return VocoderBatch(
        ids=[clip.id for clip in clips],
        mel=torch.stack([clip.mel for clip in clips]),
        f0=torch.stack([clip.f0 for clip in clips]),
        wave=torch.stack([clip.wave for clip in clips]),
    )
