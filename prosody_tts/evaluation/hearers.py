"""Who hears recordings: a recogniser of its own, or a language model that writes what it reads in codes.

Contract: ``(stage of the test, its features, ids) -> Heard`` of every id, in the order given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data_modules.codes import CodeStore
from data_modules.collate import padded
from data_modules.hearing import HearingData
from data_modules.store import FeatureStore, Specification
from prosody_tts.config import read_stored
from prosody_tts.language_synthesis import load_language
from prosody_tts.nn.language.generate import Choice
from prosody_tts.nn.language.transcribe import write
from prosody_tts.nn.recogniser import BeamSearch, Recogniser, greedy
from prosody_tts.pipeline import SETTINGS, Stage
from prosody_tts.stages.fit import BEST, load_checkpoint
from prosody_tts.synthesis import choose_device, fill
from prosody_tts.systems import Sizes, build_recogniser

#: Recordings heard together; changes speed only.
BATCH = 16


@dataclass(frozen=True)
class Heard:
    """What was heard in one recording.

    Attributes:
        id: the utterance.
        text: in ``scripts.CHARACTERS``.
        cut: whether a guard ended it; none where nothing could go on for ever.
    """

    id: str
    text: str
    cut: bool | None = None


Hearer = Callable[[Stage, FeatureStore, Sequence[str]], Iterator[Heard]]


@torch.inference_mode()
def by_classes(stage: Stage, store: FeatureStore, names: Sequence[str]) -> Iterator[Heard]:
    """Classes of every step by a recogniser, and the best text of them."""
    model, spec = load_recogniser(stage.input("recogniser"))
    beams = stage.experiment.recogniser.beams
    decode = greedy if beams == 1 else BeamSearch(beams)
    data = HearingData(store, None, spec, [], BATCH, 0)
    for start in range(0, len(names), BATCH):
        batch = data.batch(names[start : start + BATCH])
        yield from map(Heard, batch.ids, decode(*model(batch.mel, batch.frame_lengths)))


@torch.inference_mode()
def by_language_model(stage: Stage, store: FeatureStore, names: Sequence[str]) -> Iterator[Heard]:
    """The likeliest character after those before it, by a language model."""
    codes = CodeStore(stage.input("tokenizer"))
    folder, tokenizer = stage.input("language"), stage.inputs["tokenizer"]
    model, _ = load_language(folder, tokenizer, codes.codebooks, codes.size)
    device = choose_device(stage.experiment.run)
    model.to(device)
    longest = stage.experiment.language.longest_text
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        rows = [torch.from_numpy(np.array(codes.codes(name), np.int64)) for name in batch]
        lengths = torch.tensor([len(row) for row in rows], device=device)
        found = write(model, padded(rows).to(device), lengths, Choice(temperature=0.0), longest)
        yield from map(Heard, batch, found.texts(), found.cut.tolist())


#: ``recogniser.model`` -> who hears.
HEARERS: dict[str, Hearer] = {"ctc": by_classes, "language": by_language_model}


def load_recogniser(folder: Path) -> tuple[Recogniser, Specification]:
    """Rebuild a recogniser from its folder.

    Raises:
        UserError: the checkpoint is missing, damaged, or another system's.
    """
    checkpoint = load_checkpoint(folder / BEST)
    spec = Specification.from_dict(checkpoint["specification"])
    model = build_recogniser(read_stored(folder / SETTINGS), Sizes.of(spec))
    fill(model, checkpoint["state_dict"], folder)
    return model, spec
