"""What needs no model: of each word the class that it has most often in training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from data_modules.labels import LabelStore, word_places
from data_modules.text.sentence import Word
from prosody_tts.evaluation.decisions import Decision, Ints


def word_majority(
    words_of: Callable[[str], Sequence[Word]],
    labels: LabelStore,
    training: Sequence[str],
    held: Sequence[str],
    dimension: int,
    decision: Decision,
) -> float | None:
    """Accuracy on held-out words of saying each word's commonest class (Talman et al. 2019, section 4).

    ``words_of`` gives the words of an utterance. One that was not trained on gets the commonest class of all; capitals
    do not tell words apart, and of equally common classes the lower is said. None of a dimension that does not stand on
    words.
    """
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for name in training:
        for word, label in _words(words_of(name), labels, name, dimension, decision):
            counts[word][label] += 1
            counts[""][label] += 1
    said = {word: min(found, key=lambda label: (-found[label], label)) for word, found in counts.items()}
    right = [
        said.get(word, said[""]) == label
        for name in held
        for word, label in _words(words_of(name), labels, name, dimension, decision)
    ]
    return float(np.mean(right)) if right else None


def _words(
    words: Sequence[Word], labels: LabelStore, name: str, dimension: int, decision: Decision
) -> list[tuple[str, int]]:
    """Every word of a sentence that has a class, and the class."""
    discrete: Ints = labels.classes(name)[word_places(len(words)), dimension].astype(np.int64)
    known = decision.labels(discrete)
    return [(word.text.lower(), int(label)) for word, label in zip(words, known, strict=True) if label >= 0]
