"""JSON lines on disk, parsed when they are asked for: memory grows by eight bytes a line."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np

from prosody_tts.files import atomic

#: Parsed lines that are kept.
KEPT = 128
#: Bytes read at once.
BLOCK = 1 << 20

Item = TypeVar("Item")


def write_lines(path: Path, items: Iterable[dict[str, Any]]) -> None:
    """Write JSON lines atomically, each as it comes."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for item in items:
            stream.write(json.dumps(item, ensure_ascii=False) + "\n")


class Records(Sequence[Item], Generic[Item]):
    """The lines of a file of JSON lines, each given to ``parse`` when it is read; the last ones read are kept.

    A file that is replaced later (``files.atomic``) changes nothing here.
    """

    def __init__(self, path: Path, parse: Callable[[dict[str, Any]], Item]) -> None:
        self.path = path
        self._parse = parse
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._bounds = _bounds(self._file)
        self._kept = lru_cache(maxsize=KEPT)(self._read)

    def __reduce__(self) -> tuple[type[Records[Item]], tuple[Path, Callable[[dict[str, Any]], Item]]]:
        """Another process opens the file itself."""
        return Records, (self.path, self._parse)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self._kept(row) for row in range(*index.indices(len(self)))]
        return self._kept(range(len(self))[index])

    def __iter__(self) -> Iterator[Item]:
        return map(self._read, range(len(self)))

    def plain(self) -> Iterator[dict[str, Any]]:
        """The lines as plain data."""
        return map(self._load, range(len(self)))

    def _read(self, row: int) -> Item:
        return self._parse(self._load(row))

    def _load(self, row: int) -> dict[str, Any]:
        start, end = int(self._bounds[row]), int(self._bounds[row + 1])
        line: dict[str, Any] = json.loads(os.pread(self._file, end - start, start))
        return line


class Named(Mapping[str, Item], Generic[Item]):
    """Records by name; ``rows`` is the row of each."""

    def __init__(self, rows: Mapping[str, int], records: Sequence[Item]) -> None:
        self.rows, self.records = rows, records

    def __getitem__(self, name: str) -> Item:
        return self.records[self.rows[name]]

    def __contains__(self, name: object) -> bool:
        return name in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def _bounds(file: int) -> np.ndarray:
    """Offsets [N + 1] at which lines begin and end."""
    parts, place = [np.zeros(1, np.int64)], 0
    while block := os.pread(file, BLOCK, place):
        parts.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + place + 1)
        place += len(block)
    return np.concatenate(parts)
