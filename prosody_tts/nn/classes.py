"""Discrete labels from context: a head beside the prior, for corpora whose labels come with classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from data_modules.batches import NO_CLASS
from prosody_tts.nn.means import ratio


class ClassHead(nn.Module):
    """A hidden layer and a softmax over the classes of each dimension that has some: context [B, U, C] -> D logits.

    ``counts`` [D] are the classes of each dimension, 0 for one without. The real-valued labels are then a second target
    of the same context. ``weight`` is that of its loss beside the prior's.
    """

    def __init__(self, context: int, width: int, counts: Sequence[int], dropout: float, weight: float) -> None:
        super().__init__()
        self.counts = tuple(counts)
        self.weight = weight
        self.hidden = nn.Sequential(nn.Linear(context, width), nn.GELU(), nn.Dropout(dropout))
        self.out = nn.Linear(width, sum(counts))

    def forward(self, context: Tensor) -> list[Tensor]:
        """Logits [B, U, K] of each dimension; K is 0 where it has no classes."""
        return list(self.out(self.hidden(context)).split(self.counts, dim=2))

    def loss(self, context: Tensor, classes: Tensor) -> Tensor:
        """Weighted cross-entropy in nats of classes [B, U, D], ``NO_CLASS`` where there is none: the sum over D."""
        terms = []
        for logits, wanted in self._labelled(context, classes):
            each = nn.functional.cross_entropy(logits, wanted, reduction="sum")
            terms.append(ratio(each, torch.tensor(len(wanted), device=each.device)))
        return self.weight * torch.stack(terms).sum()

    def error(self, context: Tensor, classes: Tensor) -> Tensor:
        """Share of wrong classes, the mean of the dimensions."""
        terms = []
        for logits, wanted in self._labelled(context, classes):
            wrong = (logits.argmax(1) != wanted).float().sum()
            terms.append(ratio(wrong, torch.tensor(len(wanted), device=wrong.device)))
        return torch.stack(terms).mean()

    def _labelled(self, context: Tensor, classes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits [N, K] and classes [N] of the units that have one, dimension by dimension."""
        for dimension, (count, logits) in enumerate(zip(self.counts, self(context), strict=True)):
            if count > 0:
                wanted = classes[:, :, dimension]
                there = wanted != NO_CLASS
                yield logits[there], wanted[there].long()
