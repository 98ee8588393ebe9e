"""LightningDataModule of stage two: text with the vectors that stage one wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from data_modules.batches import SamplerBatch
from data_modules.collate import SamplerItem, corpus_item, sampler_batch
from data_modules.loaders import BucketSampler
from data_modules.store import AnySpecification, TextFeatures
from data_modules.text.bert import PieceReader
from data_modules.vectors import VectorStore


class SamplerData(LightningDataModule):
    """Serves ``SamplerBatch``: the text of the corpus and its vectors.

    With a ``reader`` the texts have their word pieces, for a BERT that is trained along, and not a frozen one's states.
    """

    def __init__(
        self,
        store: TextFeatures,
        vectors: VectorStore,
        spec: AnySpecification,
        batch: int,
        seed: int,
        reader: PieceReader | None = None,
    ) -> None:
        super().__init__()
        self.store = store
        self.vectors = vectors
        self.spec = spec
        self.batch = batch
        self.seed = seed
        self.reader = reader

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [D] of the training split's vectors, over the units each dimension exists on."""
        names = self.store.ids("train")
        joined = np.concatenate([self.vectors.mean(name) for name in names]).astype(np.float64)
        masks = [mask for mask in map(self.vectors.exists, names) if mask is not None]
        where: Any = np.concatenate(masks) if masks else True
        mean, scale = joined.mean(0, where=where), joined.std(0, where=where)
        # A dimension that never moves carries nothing; blowing its rounding noise up to unit variance would.
        return torch.from_numpy(mean).float(), torch.from_numpy(np.maximum(scale, 1e-3 * scale.max() + 1e-8)).float()

    def training_vectors(self) -> Tensor:
        """All vectors [N, D] of the training split; a dimension that does not exist on a unit stands at its mean."""
        mean, rows = self.statistics()[0].numpy(), []
        for name in self.store.ids("train"):
            exists = self.vectors.exists(name)
            vectors = self.vectors.mean(name)
            rows.append(vectors if exists is None else np.where(exists, vectors, mean))
        return torch.from_numpy(np.concatenate(rows)).float()

    def items(self, ids: Sequence[str]) -> list[SamplerItem]:
        """Prepare utterances."""
        items = []
        for name in ids:
            text = corpus_item(self.store, name, self.spec, self.reader)
            mean, scale = np.array(self.vectors.mean(name)), np.array(self.vectors.scale(name))
            mask = self.vectors.exists(name)
            exists = None if mask is None else torch.from_numpy(np.array(mask))
            found = self.vectors.classes(name)
            classes = None if found is None else torch.from_numpy(np.array(found))
            items.append(SamplerItem(text, torch.from_numpy(mean), torch.from_numpy(scale), exists, classes))
        return items

    def loader(self, ids: Sequence[str], shuffle: bool) -> DataLoader[SamplerBatch]:
        """Batches of the utterances."""
        items = self.items(ids)
        sampler = BucketSampler([len(item.text.word_to_node) for item in items], self.batch, self.seed, shuffle)
        return DataLoader(items, batch_sampler=sampler, collate_fn=sampler_batch)  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[SamplerBatch]:
        return self.loader(self.store.ids("train"), shuffle=True)

    def val_dataloader(self) -> DataLoader[SamplerBatch]:
        return self.loader(self.store.ids("dev"), shuffle=False)
