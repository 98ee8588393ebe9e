"""LightningDataModule of the language models: sentences with the codes that a tokenizer wrote of their recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from data_modules.batches import LanguageBatch
from data_modules.codes import CodeStore, owners
from data_modules.collate import TextItem, padded, text_batch, text_item
from data_modules.loaders import BucketSampler, Prepared
from data_modules.scripts import (
    NONE,
    PAD,
    Script,
    continuing,
    recognising,
    speaking,
    spelled,
    writing,
)
from data_modules.store import FeatureStore, Specification
from prosody_tts.config import LanguageTask

#: What joins an utterance's id to the task that is made of it.
OF = "#"


@dataclass(frozen=True)
class LanguageItem:
    """One sequence: its sentence, its script, and the codes [N, Q] that the script's segments number."""

    text: TextItem
    script: Script
    codes: Tensor


class LanguageData(LightningDataModule):
    """Serves ``LanguageBatch``: every utterance once for each task in ``tasks``, batches of like length."""

    def __init__(
        self,
        store: FeatureStore,
        codes: CodeStore,
        spec: Specification,
        tasks: Sequence[LanguageTask],
        interleaved: bool,
        batch: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.store, self.codes, self.spec = store, codes, spec
        self.tasks, self.interleaved = tuple(tasks), interleaved
        self.batch, self.seed = batch, seed

    def item(self, name: str) -> LanguageItem:
        """Prepare ``ID#TASK``."""
        utterance, task = name.rsplit(OF, 1)
        sentence = self.store.text.sentence(utterance)
        text = text_item(utterance, sentence, self.store.text.bert(utterance), self.spec, self.store.speaker(utterance))
        codes = torch.from_numpy(np.array(self.codes.codes(utterance), np.int64))
        makers: dict[str, Callable[[], Script]] = {
            "speak": lambda: speaking(text.phones.tolist(), self._owners(utterance), self.interleaved),
            "recognise": lambda: recognising(len(codes), self._written(utterance)),
            "write": lambda: writing(self._written(utterance)),
            "continue": lambda: continuing(len(codes)),
        }
        return LanguageItem(text, makers[task](), codes)

    def _owners(self, utterance: str) -> list[int]:
        """The phone in which each segment of a recording lies."""
        durations = self.store.recording(utterance).durations
        assert durations is not None
        return owners(durations.tolist(), self.codes.segment)

    def _written(self, utterance: str) -> list[int]:
        """What is said in a recording, in symbols of characters."""
        return spelled([word.text for word in self.store.text.sentence(utterance).words])

    def length(self, name: str) -> int:
        """What the elements of ``ID#TASK`` grow with: segments, or characters where no speech is in it."""
        utterance, task = name.rsplit(OF, 1)
        return len(self._written(utterance)) if task == "write" else len(self.codes.codes(utterance))

    def names(self, split: Literal["train", "dev"]) -> list[str]:
        """Every utterance with every task."""
        return [f"{name}{OF}{task}" for name in self.store.ids(split) for task in self.tasks]

    def loader(self, names: Sequence[str], shuffle: bool) -> DataLoader[LanguageBatch]:
        """Batches of ``ID#TASK``."""
        sampler = BucketSampler([self.length(name) for name in names], self.batch, self.seed, shuffle)
        return DataLoader(Prepared(names, self.item), batch_sampler=sampler, collate_fn=language_batch)  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[LanguageBatch]:
        return self.loader(self.names("train"), shuffle=True)

    def val_dataloader(self) -> DataLoader[LanguageBatch]:
        return self.loader(self.names("dev"), shuffle=False)


def language_batch(items: Sequence[LanguageItem]) -> LanguageBatch:
    """Pad sequences."""
    scripts = [item.script for item in items]
    rows = []
    for item in items:
        segments = item.script.segments
        codes = item.codes[segments.clamp(min=0)] if len(item.codes) else item.codes.new_zeros(len(segments), 1)
        rows.append(codes * (segments != NONE)[:, None])
    return LanguageBatch(
        text=text_batch([item.text for item in items]),
        symbols=padded([script.symbols for script in scripts], PAD),
        codes=padded(rows),
        phones=padded([script.phones for script in scripts], NONE),
        targets=padded([script.targets for script in scripts], PAD),
        said=padded([script.said for script in scripts]),
        lengths=torch.tensor([len(script.symbols) for script in scripts]),
    )
