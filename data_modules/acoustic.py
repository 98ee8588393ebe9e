"""LightningDataModule of stage one and of the aligner: recordings with their text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from data_modules.batches import AcousticBatch
from data_modules.collate import AcousticItem, acoustic_batch, acoustic_item
from data_modules.corpora.perturbed import original
from data_modules.loaders import BucketSampler, Prepared
from data_modules.store import FeatureStore, Specification


class AcousticData(LightningDataModule):
    """Serves ``AcousticBatch`` from a feature store.

    Items are prepared when they are wanted, and kept as far as ``loaders.KEPT`` goes; batches hold ``batch``
    utterances of like length. With ``copies`` "perturbed", training serves recordings at other speeds besides; with
    "repeated", the originals as often instead, so that a pass has as many batches either way.
    """

    def __init__(
        self,
        store: FeatureStore,
        spec: Specification,
        batch: int,
        seed: int,
        copies: Literal["none", "perturbed", "repeated"] = "none",
    ) -> None:
        super().__init__()
        self.store = store
        self.spec = spec
        self.batch = batch
        self.seed = seed
        self.copies = copies

    def item(self, name: str) -> AcousticItem:
        """Prepare an utterance."""
        return acoustic_item(self.store.recording(name), self.spec)

    def extremes(self) -> tuple[Tensor, Tensor]:
        """The lowest and the highest normalised value of each mel channel [M] in the training split."""
        rows = [(mel.amin(0), mel.amax(0)) for mel in (self.item(name).mel for name in self.store.ids("train"))]
        low, high = (torch.stack(side) for side in zip(*rows, strict=True))
        return low.amin(0), high.amax(0)

    def loader(self, ids: Sequence[str], shuffle: bool) -> DataLoader[AcousticBatch]:
        """Batches of the utterances."""
        sampler = BucketSampler([self.store.frames(name) for name in ids], self.batch, self.seed, shuffle)
        return DataLoader(Prepared(ids, self.item), batch_sampler=sampler, collate_fn=acoustic_batch)  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[AcousticBatch]:
        names, copied = self.store.ids("train"), self.store.ids("perturbed")
        if self.copies == "perturbed":
            names = self.store.ids("train", "perturbed")
        elif self.copies == "repeated":
            names = names + [original(name) for name in copied]
        return self.loader(names, shuffle=True)

    def val_dataloader(self) -> DataLoader[AcousticBatch]:
        return self.loader(self.store.ids("dev"), shuffle=False)
