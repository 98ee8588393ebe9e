"""The prosody vectors of a corpus, on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_modules.store import Packed, write_packed
from prosody_tts.files import read_json, write_json


class VectorStore:
    """Vectors of a whole corpus, stage one's or explicit: mean and scale [U, D] of each utterance.

    Explicit vectors have dimensions that exist on some units only, and zeros elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self.rows = {name: row for row, name in enumerate(read_json(folder / "vectors.json"))}
        self._mean, self._scale = Packed(folder, "vectors-mean"), Packed(folder, "vectors-scale")
        self._exists = Packed(folder, "vectors-exists") if (folder / "vectors-exists.npy").exists() else None

    @staticmethod
    def write(
        folder: Path,
        ids: Sequence[str],
        means: Sequence[NDArray[np.float32]],
        scales: Sequence[NDArray[np.float32]],
        exists: Sequence[NDArray[np.bool_]] | None = None,
    ) -> None:
        """Write vectors atomically, the index last; without ``exists`` every dimension exists on every unit."""
        write_packed(folder, "vectors-mean", means)
        write_packed(folder, "vectors-scale", scales)
        if exists is not None:
            write_packed(folder, "vectors-exists", exists)
        write_json(folder / "vectors.json", list(ids))

    def mean(self, name: str) -> NDArray[np.float32]:
        """Posterior mean, or the vector itself, [U, D]."""
        return self._mean[self.rows[name]]

    def scale(self, name: str) -> NDArray[np.float32]:
        """Posterior standard deviation [U, D]; zeros where stage one is deterministic."""
        return self._scale[self.rows[name]]

    def exists(self, name: str) -> NDArray[np.bool_] | None:
        """Which dimensions exist on which units [U, D]; none where all do."""
        return None if self._exists is None else self._exists[self.rows[name]]

    def classes(self, name: str) -> NDArray[np.int8] | None:
        """Discrete labels [U, D]; none where there are none."""
        return None
