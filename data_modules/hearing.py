"""LightningDataModule of the recogniser: recordings, speech of a system, or both, with what is said in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from data_modules.batches import HeardBatch
from data_modules.collate import padded
from data_modules.loaders import BucketSampler, Prepared
from data_modules.scripts import CHARACTERS, read, spelled
from data_modules.store import FeatureStore, Packed, Specification, write_packed
from data_modules.text.sentence import Sentence
from prosody_tts.config import RecogniserConfig
from prosody_tts.files import read_json, write_json

#: What an utterance's id begins with where it is a system's speech.
SYNTHESIS = "synthesis:"


class SpeechStore:
    """Mels [T, M] of a system's speech, natural log and un-normalised, by the utterance whose text was said."""

    def __init__(self, folder: Path) -> None:
        self.rows: dict[str, int] = {name: row for row, name in enumerate(read_json(folder / "speech.json"))}
        self._mel = Packed(folder, "speech")

    @staticmethod
    def write(folder: Path, ids: Sequence[str], mels: Sequence[NDArray[np.float32]]) -> None:
        """Write atomically, the index last."""
        write_packed(folder, "speech", mels)
        write_json(folder / "speech.json", list(ids))

    def mel(self, name: str) -> NDArray[np.float32]:
        """[T, M]."""
        return self._mel[self.rows[name]]

    @property
    def frames(self) -> NDArray[np.int64]:
        """Frames of each row."""
        return np.array([len(self._mel[row]) for row in self.rows.values()])


@dataclass(frozen=True)
class HeardItem:
    """One utterance; names and shapes as in ``HeardBatch``, less the batch axis."""

    id: str
    text: str
    mel: Tensor
    characters: Tensor


def written(sentence: Sentence) -> str:
    """A sentence's words in ``scripts.CHARACTERS``."""
    return " ".join(read(spelled([word.text for word in sentence.words])).split())


def heard_recordings(store: FeatureStore, settings: RecogniserConfig) -> list[str]:
    """Training recordings that a recogniser hears: those of the first ``settings.recordings`` sentences."""
    return [] if settings.hears == "synthesis" else store.first_sentences("train", settings.recordings)


class HearingData(LightningDataModule):
    """Serves ``HeardBatch`` of ``training``, ids of recordings or of speech (``SYNTHESIS``), and of the development
    split's recordings."""

    def __init__(
        self,
        store: FeatureStore,
        speech: SpeechStore | None,
        spec: Specification,
        training: Sequence[str],
        batch: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.store, self.speech, self.spec = store, speech, spec
        self.training, self.size, self.seed = list(training), batch, seed
        self._mean, self._scale = np.array(spec.mel_mean, np.float32), np.array(spec.mel_scale, np.float32)

    def item(self, name: str) -> HeardItem:
        """Prepare an utterance."""
        utterance = name.removeprefix(SYNTHESIS)
        if name != utterance:
            assert self.speech is not None
            mel = np.array(self.speech.mel(utterance))
        else:
            mel = np.array(self.store.recording(utterance).mel)
        text = written(self.store.text.sentence(utterance))
        classes = torch.tensor([1 + CHARACTERS.index(character) for character in text])
        return HeardItem(name, text, torch.from_numpy((mel - self._mean) / self._scale), classes)

    def frames(self, name: str) -> int:
        """Frames of an utterance."""
        utterance = name.removeprefix(SYNTHESIS)
        if name == utterance:
            return self.store.frames(name)
        assert self.speech is not None
        return len(self.speech.mel(utterance))

    def batch(self, ids: Sequence[str]) -> HeardBatch:
        """Utterances, padded."""
        return heard_batch([self.item(name) for name in ids])

    def loader(self, ids: Sequence[str], shuffle: bool) -> DataLoader[HeardBatch]:
        """Batches of utterances of like length."""
        sampler = BucketSampler([self.frames(name) for name in ids], self.size, self.seed, shuffle)
        return DataLoader(Prepared(ids, self.item), batch_sampler=sampler, collate_fn=heard_batch)  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[HeardBatch]:
        return self.loader(self.training, shuffle=True)

    def val_dataloader(self) -> DataLoader[HeardBatch]:
        return self.loader(self.store.ids("dev"), shuffle=False)


def heard_batch(items: Sequence[HeardItem]) -> HeardBatch:
    """Pad utterances."""
    return HeardBatch(
        ids=[item.id for item in items],
        texts=[item.text for item in items],
        mel=padded([item.mel for item in items]),
        frame_lengths=torch.tensor([len(item.mel) for item in items]),
        characters=padded([item.characters for item in items]),
        character_lengths=torch.tensor([len(item.characters) for item in items]),
    )
