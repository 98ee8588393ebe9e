"""From predicted numbers to classes: thresholds fitted on training sentences, exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prosody_tts.evaluation.measure import Floats

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Decision:
    """A question with ``classes`` ordered answers that a predicted number settles.

    A regression predicts means, which lie nearer to each other than what they are means of; so the thresholds on
    predictions are fitted, not those that define the classes.

    Attributes:
        classes: how many; a label above the last counts as the last.
        fit: (predictions [N], labels [N]) -> ``classes - 1`` ascending thresholds.
        likeliest: whether the likeliest class is the best answer where probabilities are known: of accuracy, not of F1.
    """

    classes: int
    fit: Callable[[Floats, Ints], Floats]
    likeliest: bool = True

    def labels(self, discrete: Ints) -> Ints:
        """A corpus's discrete labels as this question's classes."""
        return np.minimum(discrete, self.classes - 1)

    def decide(self, predicted: Floats, thresholds: Floats) -> Ints:
        """Classes of predictions: the number of thresholds each reaches."""
        return np.searchsorted(thresholds, predicted, side="right")

    def choose(self, shares: Floats) -> Ints:
        """The likeliest class of each of the probabilities [N, K]; those above the last count together with it."""
        last = self.classes - 1
        merged = np.concatenate([shares[:, :last], shares[:, last:].sum(1, keepdims=True)], axis=1)
        return merged.argmax(1)


def _places(ordered: Floats, cuts: list[int]) -> Floats:
    """Thresholds between neighbours; a cut before the first or after the last lies one beyond it."""
    padded = np.concatenate([[ordered[0] - 2.0], ordered, [ordered[-1] + 2.0]])
    return np.array([(padded[cut] + padded[cut + 1]) / 2 for cut in cuts])


def _between(ordered: Floats) -> NDArray[np.bool_]:
    """[N + 1] where a threshold can stand: not between equals."""
    return np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])


def most_accurate(predicted: Floats, labels: Ints, classes: int) -> Floats:
    """The thresholds with which most labels are met, of all there are (dynamic programme over sorted predictions)."""
    order = np.argsort(predicted, kind="stable")
    ordered, labels = predicted[order], labels[order]
    zero = np.zeros(1, np.int64)
    counts = [np.concatenate([zero, np.cumsum(labels == value)]) for value in range(classes)]
    allowed = _between(ordered)
    score = counts[0].astype(float)
    back: list[Ints] = []
    for value in range(1, classes):
        gain = np.where(allowed, score - counts[value], -np.inf)
        best = np.maximum.accumulate(gain)
        back.append(np.maximum.accumulate(np.where(gain == best, np.arange(len(gain)), 0)))
        score = best + counts[value]
    cuts, at = [], len(ordered)
    for places in reversed(back):
        at = int(places[at])
        cuts.append(at)
    return _places(ordered, cuts[::-1])


def best_f1(predicted: Floats, labels: Ints) -> Floats:
    """The threshold with the greatest F1 of class 1."""
    order = np.argsort(predicted, kind="stable")
    ordered, positive = predicted[order], labels[order] == 1
    total = positive.sum()
    hits = total - np.concatenate([[0], np.cumsum(positive)])
    said = len(ordered) - np.arange(len(ordered) + 1)
    score = np.where(_between(ordered), 2 * hits / np.maximum(said + total, 1), -1.0)
    return _places(ordered, [int(np.argmax(score))])


TWO_WAY = Decision(2, lambda predicted, labels: most_accurate(predicted, labels, 2))
THREE_WAY = Decision(3, lambda predicted, labels: most_accurate(predicted, labels, 3))
DETECTION = Decision(2, best_f1, likeliest=False)

#: Dimension of labels -> name of a decision -> the decision.
DECISIONS: dict[str, dict[str, Decision]] = {
    "pause": {"f1": DETECTION},
    "prominence": {"two_way": TWO_WAY, "three_way": THREE_WAY},
    "boundary": {"two_way": TWO_WAY, "three_way": THREE_WAY},
}
