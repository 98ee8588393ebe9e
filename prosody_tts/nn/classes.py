"""Discrete labels from context: a head beside the prior, for corpora whose labels come with classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
        """Weighted cross-entropy in nats of classes [B, U, D], below zero where there is none: the dimensions' sum."""
        terms = []
        for dimension, logits in enumerate(self(context)):
            if self.counts[dimension] > 0:
                wanted = classes[:, :, dimension].long()
                there = wanted >= 0
                each = nn.functional.cross_entropy(logits[there], wanted[there], reduction="sum")
                terms.append(ratio(each, there.sum()))
        return self.weight * torch.stack(terms).sum()
