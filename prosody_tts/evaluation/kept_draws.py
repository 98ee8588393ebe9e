"""How draws are kept with an evaluation's results; reading them loads no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_modules.store import Packed, write_packed
from prosody_tts.files import read_json, write_json

#: File of the ids that draws are of, and start of the names of those that hold them.
INDEX, NAME = "draws.json", "draws"
#: What is kept of a recorded corpus's draws, in the order of the last axis.
HEARD = ("log_f0", "duration")


def write_draws(folder: Path, drawn: Mapping[str, NDArray[np.float32]], of: Mapping[str, str] | None = None) -> None:
    """Keep draws [W, S, K] of sentences beside the results, atomically, the index last.

    Args:
        folder: of the evaluation.
        drawn: name -> its draws, all of the same number and measures.
        of: utterance -> the name whose draws are its own; by default each name is an utterance.
    """
    rows = {name: row for row, name in enumerate(drawn)}
    write_packed(folder, NAME, list(drawn.values()))
    write_json(folder / INDEX, rows if of is None else {utterance: rows[name] for utterance, name in of.items()})


class Draws(Mapping[str, NDArray[np.float32]]):
    """Draws [W, S, K] by utterance, read when they are asked for; empty where an evaluation has none."""

    def __init__(self, folder: Path) -> None:
        there = (folder / INDEX).exists()
        self._rows: dict[str, int] = read_json(folder / INDEX) if there else {}
        self._packed = Packed(folder, NAME) if there else None

    def __getitem__(self, utterance: str) -> NDArray[np.float32]:
        row = self._rows[utterance]
        assert self._packed is not None
        return self._packed[row]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
