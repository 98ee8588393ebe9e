"""Figures of an acoustic tokenizer that no sentence has: how many codes, how they are used, how pure of phone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data_modules.codes import CodeStore, owners
from data_modules.store import FeatureStore
from prosody_tts.evaluation.metrics import Better


@dataclass(frozen=True)
class CodeFigure:
    """A figure of a tokenizer's codes.

    Attributes:
        name: key in ``CODES`` and in tables.
        label: for people.
        unit: of the value.
        definition: one sentence.
        better: which direction, other things being equal.
        stage: kind of the stage whose ``result.json`` has it.
        key: its name there.
    """

    name: str
    label: str
    unit: str
    definition: str
    better: Better
    stage: Literal["tokenizer", "evaluate"]
    key: str


_PURITY = (
    "Share of the held-out recordings' segments whose phone is the commonest that {of} has in the training recordings; "
    "one that is not met there has none. HuBERT's phone purity (arXiv 2106.07447, section 4.5) but for the two splits, "
    "without which a code that occurs once would be pure by itself. A segment's phone is that of its middle frame, "
    "pauses included."
)
_CODES = (
    CodeFigure(
        "codes_per_second",
        "Codes per second",
        "1/s",
        "Integers that a second of speech becomes: codebooks over the length of a segment.",
        "lower",
        "tokenizer",
        "codes_per_second",
    ),
    CodeFigure(
        "bits_per_second",
        "Bits per second",
        "bit/s",
        "codes_per_second times log2 of a codebook's codes, whether they are used or not.",
        "lower",
        "tokenizer",
        "bits_per_second",
    ),
    CodeFigure(
        "codes_used",
        "Codes used",
        "share",
        "Share of a codebook's codes that the training recordings have at least once; mean over codebooks.",
        "higher",
        "tokenizer",
        "used",
    ),
    CodeFigure(
        "code_perplexity",
        "Perplexity",
        "codes",
        "Codes of a codebook in effective use: 2 to the entropy in bits of how often the training recordings have "
        "each; mean over codebooks.",
        "higher",
        "tokenizer",
        "perplexity",
    ),
    CodeFigure(
        "purity_first",
        "Purity, first codebook",
        "share",
        _PURITY.format(of="the first of its codes"),
        "higher",
        "evaluate",
        "purity_first",
    ),
    CodeFigure(
        "purity_all",
        "Purity, all codebooks",
        "share",
        _PURITY.format(of="all its codes together"),
        "higher",
        "evaluate",
        "purity_all",
    ),
)
#: Every figure by name, in the order of tables.
CODES: dict[str, CodeFigure] = {one.name: one for one in _CODES}


def figures(results: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Every figure that is there, from kind of a stage -> what its ``result.json`` measured."""
    return {
        one.name: float(results[one.stage][one.key]) for one in CODES.values() if one.key in results.get(one.stage, {})
    }


def purity(training: Iterable[tuple[object, str]], held_out: Iterable[tuple[object, str]]) -> float:
    """Share of held-out pairs of a code and a phone whose phone is the code's commonest in training (``CODES``).

    Of phones that are equally common the first met counts. NaN without held-out pairs.
    """
    counts: dict[object, Counter[str]] = {}
    for code, phone in training:
        counts.setdefault(code, Counter())[phone] += 1
    commonest = {code: of.most_common(1)[0][0] for code, of in counts.items()}
    right = [commonest.get(code) == phone for code, phone in held_out]
    return float(np.mean(right)) if right else float("nan")


def purities(store: FeatureStore, codes: CodeStore, held_out: Sequence[str]) -> dict[str, float]:
    """``purity_first`` and ``purity_all`` of a tokenizer's codes, on the recordings named."""
    training, measured = ([_segments(store, codes, name) for name in of] for of in (store.ids("train"), held_out))
    found = {}
    for name, books in (("purity_first", slice(0, 1)), ("purity_all", slice(None))):
        sides = (
            [
                (tuple(code), phone)
                for rows, phones in of
                for code, phone in zip(rows[:, books].tolist(), phones, strict=True)
            ]
            for of in (training, measured)
        )
        found[name] = purity(*sides)
    return found


def _segments(store: FeatureStore, codes: CodeStore, name: str) -> tuple[NDArray[np.int32], list[str]]:
    """Codes [N, Q] of a recording, and the phone of each segment."""
    assert store.durations is not None
    phones, durations = store.text.sentence(name).phones, store.durations[name]
    return codes.codes(name), [phones[owner] for owner in owners(durations, codes.segment)]
