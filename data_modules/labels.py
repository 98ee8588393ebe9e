"""Explicit vectors: what a corpus of labels measured, one vector [D] a token, with what exists on which token.

A dimension stands on words or on pause slots. Words and the slots between them have values; the slots before the first
word and after the last have none: what is measured there is where the clip was cut, not how the sentence was said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_modules.batches import NO_CLASS
from data_modules.corpora.contract import Utterance
from data_modules.store import Packed, write_packed
from data_modules.vectors import VectorStore
from prosody_tts.config import LABELS
from prosody_tts.errors import UserError

#: Seconds of the frame in which pauses are counted, as long as a frame of the acoustic models.
FRAME = 0.0125
#: Seconds from which a silence between two words is a pause (ours; an aligner's shortest silences are its own doing).
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labels of one utterance on the word axis.

    Attributes:
        values: [W, D] in the order of ``config.LABELS``; zeros where there is none.
        exists: [W, D].
        classes: [W, D] the discrete label of the same, ``NO_CLASS`` where there is none.
    """

    values: NDArray[np.float32]
    exists: NDArray[np.bool_]
    classes: NDArray[np.int8]


Labeller = Callable[[Sequence[Utterance]], list[Labelled]]


def word_places(words: int) -> NDArray[np.int64]:
    """Tokens that are words."""
    return np.arange(words) * 2 + 1


def between_places(words: int) -> NDArray[np.int64]:
    """Tokens that are pause slots between two words: one after each word but the last."""
    return np.arange(words - 1) * 2 + 2


def on_tokens(
    of_words: Sequence[float], between: Sequence[float], word_classes: Sequence[float], slot_classes: Sequence[float]
) -> Labelled:
    """Lay one value a word and one value a slot between words on the tokens, as dimensions 0 and 1."""
    words = len(of_words)
    shape = (1 + 2 * words, 2)
    values, exists = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    classes = np.full(shape, NO_CLASS, np.int8)
    rows = ((word_places(words), of_words, word_classes), (between_places(words), between, slot_classes))
    for dimension, (places, row, discrete) in enumerate(rows):
        values[places, dimension] = row
        exists[places, dimension] = True
        classes[places, dimension] = discrete if len(discrete) else NO_CLASS
    return Labelled(values, exists, classes)


def phone_means(utterances: Sequence[Utterance]) -> dict[str, float]:
    """Mean duration of each phone in seconds over utterances with timed phones; ``""`` is the mean of them all."""
    lengths: defaultdict[str, list[float]] = defaultdict(list)
    for utterance in utterances:
        for phone in utterance.phones or ():
            if phone.word >= 0:
                lengths[phone.label].append(phone.end - phone.start)
    everything = [length for row in lengths.values() for length in row]
    return {"": float(np.mean(everything)), **{phone: float(np.mean(row)) for phone, row in lengths.items()}}


def timing(utterances: Sequence[Utterance]) -> list[Labelled]:
    """A word's lengthening and the pause after it.

    ``timing`` of a word is the natural log of its duration over the sum of its phones' mean durations in the training
    split (a phone that is not in it has the mean of all), ``pause`` of a slot ``log(1 + seconds / FRAME)``. The class
    of a slot is 1 from ``PAUSE_SECONDS`` on, else 0; words have none.
    """
    means = phone_means([utterance for utterance in utterances if utterance.split == "train"])
    return [_timing(utterance, means) for utterance in utterances]


def _timing(utterance: Utterance, means: Mapping[str, float]) -> Labelled:
    assert utterance.phones is not None
    words: defaultdict[int, list[tuple[str, float, float]]] = defaultdict(list)
    for phone in utterance.phones:
        if phone.word >= 0:
            words[phone.word].append((phone.label, phone.start, phone.end))
    rows = [words[index] for index in range(len(words))]
    expected = [sum(means.get(label, means[""]) for label, _, _ in row) for row in rows]
    lengthening = [float(np.log((row[-1][2] - row[0][1]) / mean)) for row, mean in zip(rows, expected, strict=True)]
    silences = [max(0.0, after[0][1] - row[-1][2]) for row, after in pairwise(rows)]
    pauses = [float(np.log1p(silence / FRAME)) for silence in silences]
    return on_tokens(lengthening, pauses, [], [silence >= PAUSE_SECONDS for silence in silences])


def helsinki(utterances: Sequence[Utterance]) -> list[Labelled]:
    """The corpus's real-valued prominence of each word, and its boundary on the slot after the word.

    The corpus sets the boundary after a sentence's last word to 2.0 without measuring it; here it has none.
    """
    return [
        on_tokens(
            labels["prominence"], labels["boundary"][:-1], labels["prominence_class"], labels["boundary_class"][:-1]
        )
        for labels in (utterance.labels for utterance in utterances)
    ]


#: Corpus of labels -> what makes its vectors.
LABELLERS: dict[str, Labeller] = {"ljspeech_timing": timing, "helsinki": helsinki}


class LabelStore(VectorStore):
    """Explicit vectors of a corpus, and the discrete labels beside them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._classes = Packed(folder, "labels-classes")

    @staticmethod
    def write_labels(folder: Path, ids: Sequence[str], labels: Sequence[Labelled]) -> None:
        """Write labels as vectors without spread, atomically, the index last."""
        write_packed(folder, "labels-classes", [item.classes for item in labels])
        VectorStore.write(
            folder,
            ids,
            [item.values for item in labels],
            [np.zeros_like(item.values) for item in labels],
            [item.exists for item in labels],
        )

    def classes(self, name: str) -> NDArray[np.int8]:
        """Discrete labels [W, D], ``NO_CLASS`` where there are none."""
        return self._classes[self.rows[name]]


def label_corpus(corpus: str, utterances: Sequence[Utterance]) -> list[Labelled]:
    """Explicit vectors of a corpus's utterances.

    Raises:
        UserError: a dimension exists nowhere in the training split.
    """
    labels = LABELLERS[corpus](utterances)
    training = [item for item, utterance in zip(labels, utterances, strict=True) if utterance.split == "train"]
    for dimension, name in enumerate(LABELS[corpus]):
        if not any(item.exists[:, dimension].any() for item in training):
            raise UserError(
                f"corpus={corpus} has no training sentence with a label of {name}; give more sentences, of more words"
            )
    return labels
