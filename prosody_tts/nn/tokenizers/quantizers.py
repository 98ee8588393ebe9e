"""Quantizers: vectors to integers, by vector-quantize-pytorch, one contract and one registry.

Contract: ``quantizer(rows [R, D]) -> Quantised``; ``vectors(codes [..., Q]) -> [..., D]``. ``codebooks`` is Q and every
code is below ``size``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from vector_quantize_pytorch import FSQ, ResidualVQ


@dataclass
class Quantised:
    """Vectors by their codes.

    Attributes:
        vectors: [R, D] what the codes stand for; gradients pass straight through.
        codes: [R, Q].
        distance: [R] what the vectors are to be drawn towards their codes by; zeros where nothing draws them.
    """

    vectors: Tensor
    codes: Tensor
    distance: Tensor


class Quantizer(nn.Module):
    """The contract of a quantizer."""

    codebooks: int
    size: int

    def forward(self, rows: Tensor) -> Quantised:
        raise NotImplementedError

    def vectors(self, codes: Tensor) -> Tensor:
        """What codes stand for."""
        raise NotImplementedError


class ResidualQuantizer(Quantizer):
    """Codebooks kept by moving averages, each of what those before it left over (SoundStream, arXiv 2107.03312).

    With one codebook it is the VQ-VAE's (arXiv 1711.00937). A code that no vector comes near is moved to one of the
    batch (ours: below half a vector a batch).
    """

    def __init__(self, width: int, codebooks: int, size: int) -> None:
        super().__init__()
        self.codebooks, self.size = codebooks, size
        self.books = ResidualVQ(
            dim=width,
            num_quantizers=codebooks,
            codebook_size=size,
            kmeans_init=False,
            decay=0.95,
            threshold_ema_dead_code=0.5,
            commitment_weight=0.0,  # the stage weighs its own, over all processes
        )

    def forward(self, rows: Tensor) -> Quantised:
        vectors, codes, _ = self.books(rows[None].float())
        return Quantised(vectors[0], codes[0], (rows - vectors[0].detach()).square().mean(1))

    def vectors(self, codes: Tensor) -> Tensor:
        flat = codes.reshape(1, -1, self.codebooks)
        return self.books.get_output_from_indices(flat)[0].reshape(*codes.shape[:-1], -1)


def balanced_levels(size: int) -> list[int]:
    """Levels of finite scalar quantization whose product is nearest to ``size`` (arXiv 2309.15505, section 4.1).

    The paper's own lists where there is one (2^8 to 2^12), else between 3 and 8 levels a dimension.
    """
    published = {256: [8, 6, 5], 512: [8, 8, 8], 1024: [8, 5, 5, 5], 2048: [8, 8, 6, 5], 4096: [7, 5, 5, 5, 5]}
    if size in published:
        return published[size]
    dimensions = max(1, round(math.log(size) / math.log(5.5)))
    level = max(3, min(8, round(size ** (1 / dimensions))))
    return [level] * dimensions


class FiniteQuantizer(Quantizer):
    """Finite scalar quantization (arXiv 2309.15505): a few bounded dimensions, each rounded to its levels.

    There is no codebook to collapse. Several codebooks quantise as many projections of the vector side by side.
    """

    def __init__(self, width: int, codebooks: int, size: int) -> None:
        super().__init__()
        levels = balanced_levels(size)
        self.codebooks, self.size = codebooks, math.prod(levels)
        self.scalars = FSQ(levels, dim=width, num_codebooks=codebooks, keep_num_codebooks_dim=True)

    def forward(self, rows: Tensor) -> Quantised:
        vectors, codes = self.scalars(rows[None].float())
        return Quantised(vectors[0], codes[0].long(), rows.new_zeros(len(rows)))

    def vectors(self, codes: Tensor) -> Tensor:
        flat = codes.reshape(1, -1, self.codebooks)
        found: Tensor = self.scalars.indices_to_codes(flat)
        return found.reshape(*codes.shape[:-1], -1)


QUANTIZERS: dict[str, type[ResidualQuantizer] | type[FiniteQuantizer]] = {
    "vq": ResidualQuantizer,
    "fsq": FiniteQuantizer,
}


def perplexity(counts: Sequence[int] | Tensor) -> float:
    """Two to the entropy in bits of how often each code is used: codes in effective use."""
    share = torch.as_tensor(counts, dtype=torch.float64)
    share = share / share.sum().clamp(min=1)
    return float(torch.exp(torch.special.entr(share).sum()))
