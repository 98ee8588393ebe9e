"""What a language model says of the next element: which symbol, or which codes a segment of speech has.

Contract, for hidden states [N, D]: ``first(hidden) -> [N, symbols + size]``, natural-log probabilities of every symbol
and of every code of the first codebook; ``rest(hidden, codes [N, Q]) -> [N, Q - 1, size]``, of every code of the other
codebooks, given those before it in ``codes``; ``say(hidden, first [N], choose) -> codes [N, Q]`` draws them in turn.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Choose = Callable[[Tensor], Tensor]


class Head(nn.Module):
    """The part all heads share: a symbol is as likely as a segment, so one softmax weighs both."""

    def __init__(self, width: int, symbols: int, codebooks: int, size: int) -> None:
        super().__init__()
        self.symbols, self.codebooks, self.size = symbols, codebooks, size
        self.front = nn.Linear(width, symbols + size)

    def first(self, hidden: Tensor) -> Tensor:
        """[N, symbols + size] natural-log probabilities."""
        return self.front(hidden).log_softmax(-1)

    def rest(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """[N, Q - 1, size] natural-log probabilities."""
        raise NotImplementedError

    def say(self, hidden: Tensor, first: Tensor, choose: Choose) -> Tensor:
        """Codes [N, Q] whose first is given; ``choose`` takes one of each row of log-probabilities."""
        raise NotImplementedError


class ParallelHead(Head):
    """Codebooks are independent given the past: dMel's (arXiv 2407.15835, section 2.2)."""

    def __init__(self, width: int, symbols: int, codebooks: int, size: int) -> None:
        super().__init__(width, symbols, codebooks, size)
        self.others = nn.Linear(width, (codebooks - 1) * size)

    def rest(self, hidden: Tensor, codes: Tensor) -> Tensor:
        return self.others(hidden).unflatten(-1, (self.codebooks - 1, self.size)).log_softmax(-1)

    def say(self, hidden: Tensor, first: Tensor, choose: Choose) -> Tensor:
        scores = self.rest(hidden, first[:, None])
        return torch.cat([first[:, None], choose(scores.flatten(0, 1)).unflatten(0, scores.shape[:2])], dim=1)


class DepthHead(Head):
    """Each codebook knows the codes of the segment before it (as the depth transformer of arXiv 2203.01941; ours: one
    hidden layer a codebook)."""

    def __init__(self, width: int, symbols: int, codebooks: int, size: int) -> None:
        super().__init__(width, symbols, codebooks, size)
        self.embedding = nn.Embedding(max(1, codebooks - 1) * size, width)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, size))
            for _ in range(codebooks - 1)
        )

    def rest(self, hidden: Tensor, codes: Tensor) -> Tensor:
        scores = []
        for book, layer in enumerate(self.layers):
            hidden = hidden + self.embedding(book * self.size + codes[:, book])
            scores.append(layer(hidden).log_softmax(-1))
        return torch.stack(scores, dim=1) if scores else hidden.new_zeros(len(hidden), 0, self.size)

    def say(self, hidden: Tensor, first: Tensor, choose: Choose) -> Tensor:
        codes = [first]
        for book, layer in enumerate(self.layers):
            hidden = hidden + self.embedding(book * self.size + codes[-1])
            codes.append(choose(layer(hidden).log_softmax(-1)))
        return torch.stack(codes, dim=1)


HEADS: dict[str, type[ParallelHead] | type[DepthHead]] = {"parallel": ParallelHead, "depth": DepthHead}
