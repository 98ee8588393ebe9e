"""LightningDataModule of duration models that are trained by themselves, and what durations are on average."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from data_modules.batches import DurationBatch
from data_modules.collate import DurationItem, corpus_item, duration_batch, no_states, text_item
from data_modules.loaders import BucketSampler, Prepared
from data_modules.store import FeatureStore, Specification
from data_modules.text.bert import PieceReader
from data_modules.vectors import VectorStore


class DurationData(LightningDataModule):
    """Serves ``DurationBatch``: texts and the frames of their phones.

    With ``vectors`` each recording's own come along; ``with_bert`` gives the texts the states that stage two reads, or
    with a ``reader`` the word pieces.
    """

    def __init__(
        self,
        store: FeatureStore,
        spec: Specification,
        batch: int,
        seed: int,
        vectors: VectorStore | None = None,
        with_bert: bool = False,
        reader: PieceReader | None = None,
    ) -> None:
        super().__init__()
        self.store = store
        self.spec = spec
        self.batch = batch
        self.seed = seed
        self.vectors = vectors
        self.with_bert = with_bert
        self.reader = reader

    def item(self, name: str) -> DurationItem:
        """Prepare an utterance."""
        if self.with_bert:
            text = corpus_item(self.store, name, self.spec, self.reader)
        else:
            sentence = self.store.text.sentence(name)
            text = text_item(name, sentence, no_states(sentence), self.spec, self.store.speaker(name))
        durations = torch.from_numpy(_durations(self.store, name))
        if self.vectors is None:
            return DurationItem(text, durations)
        mean, scale = np.array(self.vectors.mean(name)), np.array(self.vectors.scale(name))
        return DurationItem(text, durations, torch.from_numpy(mean), torch.from_numpy(scale))

    def loader(self, ids: Sequence[str], shuffle: bool) -> DataLoader[DurationBatch]:
        """Batches of the utterances."""
        sampler = BucketSampler([len(_durations(self.store, name)) for name in ids], self.batch, self.seed, shuffle)
        return DataLoader(Prepared(ids, self.item), batch_sampler=sampler, collate_fn=duration_batch)  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[DurationBatch]:
        return self.loader(self.store.ids("train"), shuffle=True)

    def val_dataloader(self) -> DataLoader[DurationBatch]:
        return self.loader(self.store.ids("dev"), shuffle=False)


def group_statistics(store: FeatureStore) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [2] of the training split's durations in frames: of phones, and of pause slots."""
    phones, pauses = [], []
    for name in store.ids("train"):
        slots = np.array(store.text.sentence(name).phone_to_word) % 2 == 0
        durations = _durations(store, name)
        phones.append(durations[~slots])
        pauses.append(durations[slots])
    groups = [np.concatenate(group).astype(np.float64) for group in (phones, pauses)]
    # A group whose durations are all the same, as pauses that never are, has no scale to be measured in.
    scales = [float(group.std()) or 1.0 for group in groups]
    return torch.tensor([float(group.mean()) for group in groups]), torch.tensor(scales)


def _durations(store: FeatureStore, name: str) -> NDArray[np.int64]:
    assert store.durations is not None
    return np.array(store.durations[name], np.int64)
