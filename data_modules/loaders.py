"""Batches of like length, shuffled by seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler


class BucketSampler(Sampler[list[int]]):
    """Batch sampler: shuffle, sort by length within chunks of ``chunk`` batches, cut, shuffle the batches.

    The order of epoch ``e`` depends on ``(seed, e)`` alone, so a resumed run sees what the uninterrupted one saw.
    Lightning calls ``set_epoch`` on ``batch_sampler.sampler``; this object is its own.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int, shuffle: bool = True, chunk: int = 8) -> None:
        self.lengths = list(lengths)
        self.batch = batch
        self.seed = seed
        self.shuffle = shuffle
        self.chunk = chunk
        self.epoch = 0
        self.sampler = self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch)

    def __iter__(self) -> Iterator[list[int]]:
        if not self.shuffle:
            order = sorted(range(len(self.lengths)), key=lambda i: (self.lengths[i], i))
            yield from (order[i : i + self.batch] for i in range(0, len(order), self.batch))
            return
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch * self.chunk
        chunks = [sorted(order[i : i + size], key=lambda i: self.lengths[i]) for i in range(0, len(order), size)]
        flat = [index for chunk in chunks for index in chunk]
        batches = [flat[i : i + self.batch] for i in range(0, len(flat), self.batch)]
        yield from (batches[i] for i in torch.randperm(len(batches), generator=generator).tolist())
