"""A prior: every dimension of every vector by itself, Laplace distributed, so that outliers pull less than usual."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.means import ratio
from prosody_tts.nn.priors import PRIORS, Known, Prior
from prosody_tts.nn.reference import Posterior


class LaplacePrior(Prior):
    """Location and scale from the context; units are independent given the text."""

    likelihood = True
    fixes = "alone"
    watched = "dev/vector_mse"

    def __init__(self, context: int, latent: int, recurrent: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(context, recurrent), nn.GELU(), nn.Dropout(dropout))
        self.place = nn.Linear(recurrent, latent)
        self.log_scale = nn.Linear(recurrent, latent)

    def distribution(self, context: Tensor) -> torch.distributions.Laplace:
        """The distribution of every unit [B, U, D]."""
        hidden = self.hidden(context)
        return torch.distributions.Laplace(self.place(hidden), self.log_scale(hidden).clamp(-7, 3).exp())

    def loss(
        self, context: Tensor, posterior: Posterior, mask: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        return ratio(-self.log_likelihood(context, posterior.mean, mask, posterior.exists).sum(), mask.sum())

    def sample(
        self,
        context: Tensor,
        mask: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        known: Known | None = None,
    ) -> Tensor:
        found = self.distribution(context)
        even = torch.rand(found.loc.shape, generator=generator, dtype=found.loc.dtype, device=found.loc.device)
        even = (even - 0.5).clamp(-0.499999, 0.499999)
        noise = -even.sign() * torch.log1p(-2 * even.abs())
        vectors = found.loc + temperature * found.scale * noise
        return (vectors if known is None else known.put(vectors)) * mask[:, :, None]

    def log_likelihood(self, context: Tensor, vectors: Tensor, mask: Tensor, exists: Tensor | None = None) -> Tensor:
        there = mask[:, :, None] if exists is None else mask[:, :, None] & exists
        each = self.distribution(torch.where(mask[:, :, None], context, 0.0)).log_prob(vectors)
        return torch.where(there, each, 0.0).sum((1, 2))


PRIORS["laplace"] = LaplacePrior
