"""Features in shards: a folder of arrays for so many utterances each, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_modules.arrays import Rows

#: Arrays of a shard of features.
MEASURES = ("mel", "f0", "energy")
#: Shards of one measure that a process keeps open.
OPEN_SHARDS = 64


class Sharded:
    """Arrays of utterances laid end to end in numbered shards, of ``sizes`` utterances each; item ``i`` is a copy.

    Shards are opened when they are read, and few at a time: a process may hold only so many files open.
    """

    def __init__(self, folder: Path, name: str, sizes: Sequence[int], lengths: NDArray[np.int64]) -> None:
        self.folder, self.name, self.sizes = folder, name, sizes
        self.firsts = np.cumsum([0, *sizes])
        self.ends = np.cumsum(lengths)
        self.lengths = lengths
        self._open = lru_cache(maxsize=OPEN_SHARDS)(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens shards for itself."""
        return Sharded, (self.folder, self.name, self.sizes, self.lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> NDArray[Any]:
        shard = int(np.searchsorted(self.firsts, row, side="right")) - 1
        first = self.firsts[shard]
        end = self.ends[row] - (self.ends[first - 1] if first else 0)
        return self._open(shard).read(end - self.lengths[row], end)

    def _rows(self, shard: int) -> Rows:
        return Rows(shard_folder(self.folder, shard) / f"{self.name}.npy")


def shard_folder(folder: Path, number: int) -> Path:
    """Where the audio stage keeps a shard."""
    return folder / "shards" / f"{number:05d}"
