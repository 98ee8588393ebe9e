"""Rows of arrays on disk: read when they are asked for, and not mapped, so that a process holds none of them."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prosody_tts.errors import UserError


class Rows:
    """The array of a ``.npy`` file; ``read`` gives copies of its rows.

    Raises:
        UserError: the file is cut short or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except OSError:
            raise
        except Exception:  # a header is read as Python's literals are, whose errors share no base
            raise self._short() from None
        if not isinstance(array, np.memmap) or not (array.flags.c_contiguous or array.size == 0):
            raise self._short()
        self.shape, self.dtype = array.shape, array.dtype
        self._first = array.offset
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> tuple[type[Rows], tuple[Path]]:
        """Another process opens the file itself."""
        return Rows, (self.path,)

    def read(self, start: int, end: int) -> NDArray[Any]:
        """Rows ``start`` to ``end``, which is excluded."""
        found = np.empty((end - start, *self.shape[1:]), self.dtype)
        if found.size:
            size = found.nbytes // len(found)
            if os.preadv(self._file, [found.data.cast("B")], self._first + int(start) * size) < found.nbytes:
                raise self._short()
        return found

    def _short(self) -> UserError:
        return UserError(f"{self.path} is cut short or damaged; delete its folder and run again")
