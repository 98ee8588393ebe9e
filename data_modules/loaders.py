"""Items prepared when they are wanted, and batches of like length, shuffled by seed and epoch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import Dataset, Sampler

#: Bytes of prepared items that are kept: what a small corpus needs altogether.
KEPT = 1 << 30
#: Batches among whose utterances those of like length are put together: some 3 % of LJSpeech's frames pad then, with 8
#: batches 8 %. Of a short epoch it is a quarter, or the same utterances would meet in every epoch.
CHUNK = 24

Item = TypeVar("Item")


class Prepared(Dataset[Item], Generic[Item]):
    """Items by number, each prepared by ``prepare(name)``.

    Items are kept until they fill ``kept`` bytes; those beyond are prepared anew every time, so that memory does not
    grow with the corpus.
    """

    def __init__(self, names: Sequence[str], prepare: Callable[[str], Item], kept: int = KEPT) -> None:
        self.names = list(names)
        self.prepare = prepare
        self.room = kept
        self.items: dict[int, Item] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Item:
        if index in self.items:
            return self.items[index]
        item = self.prepare(self.names[index])
        size = size_of(item)
        if size <= self.room:
            self.room -= size
            self.items[index] = item
        return item


def size_of(item: Any) -> int:
    """Bytes of the tensors in a dataclass, its dicts and the dataclasses it holds."""
    if isinstance(item, torch.Tensor):
        return item.nbytes
    parts = item if isinstance(item, dict) else getattr(item, "__dict__", {})
    return sum(size_of(part) for part in parts.values())


class BucketSampler(Sampler[list[int]]):
    """Batch sampler: shuffle, sort by length within chunks of ``chunk`` batches, cut, shuffle the batches.

    Batches hold at most ``batch`` utterances, and sizes that differ by one at most.
    The order of epoch ``e`` depends on ``(seed, e)`` alone, so a resumed run sees what the uninterrupted one saw, and
    the batches are the same however many processes share them (``share``).
    Lightning calls ``set_epoch`` on ``batch_sampler.sampler``; this object is its own.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, shuffle: bool = True, chunk: int = CHUNK) -> None:
        self.lengths = list(lengths)
        self.batch = batch
        self.seed = seed
        self.shuffle = shuffle
        self.chunk = chunk
        self.epoch = 0
        self.sampler = self
        self._rank, self._ranks = 0, 1
        self._resumed, self._done = 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass."""
        self.epoch = epoch

    def share(self, rank: int, ranks: int) -> None:
        """Give process ``rank`` of ``ranks`` its utterances of every batch.

        They are taken in turns, so that all processes pad alike. A batch of fewer utterances than processes goes to
        all of them whole: the average of their gradients is still its own.
        """
        self._rank, self._ranks = rank, ranks

    def resume(self, epoch: int, done: int) -> None:
        """Begin with ``epoch``, whose first ``done`` batches are not served again, nor their items prepared."""
        self.epoch = self._resumed = epoch
        self._done = done

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch)

    def __iter__(self) -> Iterator[list[int]]:
        done = self._done if self.epoch == self._resumed else 0
        for batch in self.batches()[done:]:
            yield batch if len(batch) < self._ranks else batch[self._rank :: self._ranks]

    def batches(self) -> list[list[int]]:
        """Every batch of the epoch in its order, whole."""
        sizes, count = self._sizes(), len(self.lengths)
        if not self.shuffle:
            return _cut(sorted(range(count), key=lambda i: (self.lengths[i], i)), sizes)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(count, generator=generator).tolist()
        chunk = max(1, min(self.chunk, len(sizes) // 4))
        groups = [sizes[i : i + chunk] for i in range(0, len(sizes), chunk)]
        batches: list[list[int]] = []
        for members, group in zip(_cut(order, [sum(group) for group in groups]), groups, strict=True):
            batches += _cut(sorted(members, key=lambda i: self.lengths[i]), group)
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def _sizes(self) -> list[int]:
        """Utterances of each batch: the last is no handful whose gradient would weigh as much as a whole batch's."""
        count = len(self)
        least, more = divmod(len(self.lengths), max(1, count))
        return [least + (i < more) for i in range(count)]

    def padding(self) -> float:
        """Share of the epoch's frames (or whatever lengths count) that only pad."""
        batches = self.batches()
        padded = sum(len(batch) * max(self.lengths[i] for i in batch) for batch in batches)
        return 1 - sum(self.lengths) / max(1, padded)


def _cut(items: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Consecutive parts of the given sizes."""
    ends = list(accumulate(sizes, initial=0))
    return [list(items[start:end]) for start, end in pairwise(ends)]
