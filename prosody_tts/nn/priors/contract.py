"""What a prior is: from context to prosody vectors, one contract for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from prosody_tts.nn.reference import Posterior

#: Steps in which priors that draw in steps do so unless told otherwise, as on the development split.
STEPS = 8


@dataclass
class Known:
    """Units whose vectors are given; the others are drawn given them.

    Attributes:
        values: [B, U, D] vectors, read where ``where`` holds.
        where: [B, U] whether a unit's vector is given.
    """

    values: Tensor
    where: Tensor

    def put(self, vectors: Tensor) -> Tensor:
        """Vectors [B, U, D] with the given ones in their places."""
        return torch.where(self.where[:, :, None], self.values, vectors)


class Prior(nn.Module):
    """The contract of a prior; vectors have zero mean and unit variance over the training split.

    Shapes: context [B, U, C], mask [B, U], vectors [B, U, D]. What stands in the padding changes nothing, and samples
    are zero there. Values of dimensions that ``exists`` says are not there mean nothing.
    """

    #: Whether ``log_likelihood`` is there.
    likelihood: ClassVar[bool] = False
    #: How units whose vectors are given shape the others: not at all, those after them only, or all.
    fixes: Literal["alone", "later", "all"] = "all"
    #: The metric of the development split by which the best epoch is kept: the loss, or how far ``temperature=0`` is.
    watched: ClassVar[str] = "dev/loss"
    #: Steps of a draw, of priors that draw in steps; more are slower and nearer to what has been learned.
    steps: int = STEPS

    def prepare(self, vectors: Tensor, seed: int) -> None:
        """See the training split's vectors [N, D] before training; only priors that quantise do something."""

    def loss(
        self, context: Tensor, posterior: Posterior, mask: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """A scalar to make small; leaves out what ``posterior.exists`` says is not there.

        ``generator`` is of what the loss draws, if it draws; the same one gives the same loss in evaluation mode.
        """
        raise NotImplementedError

    def sample(
        self,
        context: Tensor,
        mask: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        known: Known | None = None,
    ) -> Tensor:
        """Draw vectors [B, U, D]; a temperature of 0 draws nothing and takes the middle, and 1 is what was learned.

        Units that are ``known`` come back as they are given.
        """
        raise NotImplementedError

    def log_likelihood(self, context: Tensor, vectors: Tensor, mask: Tensor, exists: Tensor | None = None) -> Tensor:
        """Nats [B] of each sentence's vectors in the normalised scale, of dimensions that exist [B, U, D]; if any."""
        raise NotImplementedError


def drawn(posterior: Posterior, generator: torch.Generator | None = None) -> Tensor:
    """What a prior that learns a density is shown [B, U, D]: draws of the posterior, so that it fits their aggregate.

    Dimensions that do not exist are standard normal noise: a density of their constants would have no bound.
    """
    vectors = posterior.sample(generator)
    if posterior.exists is None:
        return vectors
    return torch.where(posterior.exists, vectors, normal(vectors, generator))


def normal(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal noise of a tensor's shape."""
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def present(mask: Tensor, exists: Tensor | None) -> Tensor:
    """[B, U] units that have a dimension at all."""
    return mask if exists is None else mask & exists.any(2)
