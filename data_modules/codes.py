"""The codes that a tokenizer wrote of a corpus's recordings, on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_modules.store import Packed, write_packed
from prosody_tts.files import read_json, write_json


class CodeStore:
    """Codes [N, Q] of a corpus's recordings, and how many frames a segment has."""

    def __init__(self, folder: Path) -> None:
        index = read_json(folder / "codes.json")
        self.segment: int = index["segment"]
        self.codebooks: int = index["codebooks"]
        self.size: int = index["size"]
        self.rows: dict[str, int] = {name: row for row, name in enumerate(index["ids"])}
        self._codes = Packed(folder, "codes")

    @staticmethod
    def write(
        folder: Path, ids: Sequence[str], codes: Sequence[NDArray[np.int32]], segment: int, codebooks: int, size: int
    ) -> None:
        """Write codes atomically, the index last."""
        write_packed(folder, "codes", codes)
        index = {"segment": segment, "codebooks": codebooks, "size": size, "ids": list(ids)}
        write_json(folder / "codes.json", index)

    def codes(self, name: str) -> NDArray[np.int32]:
        """[N, Q]."""
        return self._codes[self.rows[name]]


def owners(durations: Sequence[int], segment: int) -> list[int]:
    """The phone in which the middle frame of each segment lies, from durations [P] in frames: [N]."""
    frames = sum(durations)
    starts = np.arange(0, frames, segment)
    middles = starts + (np.minimum(frames - starts, segment) - 1) // 2
    found: list[int] = np.searchsorted(np.cumsum(durations), middles, side="right").tolist()
    return found
