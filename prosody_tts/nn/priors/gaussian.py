"""Kathaka's sampler: a Gaussian fitted to the posterior by a Kullback-Leibler divergence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.means import ratio
from prosody_tts.nn.priors.contract import Known, Prior
from prosody_tts.nn.priors.low_rank import LowRankGaussian
from prosody_tts.nn.reference import Posterior

#: Below this standard deviation (of unit-variance vectors) a posterior counts as a point.
POINT = 1e-3


class GaussianPrior(Prior):
    """Mean and variance from context; the loss is KL(sampler || posterior) as Kathaka prints it (section 3.2).

    ``direction`` turns it round: KL(posterior || sampler) covers the posterior's spread, the printed one seeks its
    mode. For a deterministic stage one only the latter is finite, up to a constant: the negative log-likelihood.

    Kathaka's covariance is diagonal, which draws every unit by itself. With ``rank`` directions (ours) the units of a
    sentence vary together: each reads its rows of a factor F from its context, and the covariance of the whole sentence
    is the diagonal plus F F^T. What is known of some units then shapes all others, by the Gaussian's own conditional.
    """

    likelihood = True
    watched = "dev/vector_mse"

    def __init__(
        self, context: int, latent: int, recurrent: int, dropout: float, direction: str, rank: int = 0
    ) -> None:
        super().__init__()
        self.direction = direction
        self.rank = rank
        self.fixes = "all" if rank > 0 else "alone"
        self.hidden = nn.Sequential(nn.Linear(context, recurrent), nn.GELU(), nn.Dropout(dropout))
        self.mean = nn.Linear(recurrent, latent)
        self.log_scale = nn.Linear(recurrent, latent)
        self.factor = nn.Linear(recurrent, latent * rank) if rank > 0 else None

    def distribution(self, context: Tensor, mask: Tensor, exists: Tensor | None = None) -> LowRankGaussian:
        """The sentences' Gaussians."""
        hidden = self.hidden(context)
        mean, scale = self.mean(hidden), self.log_scale(hidden).clamp(-7, 3).exp()
        factor = mean.new_zeros(*mean.shape, 0)
        if self.factor is not None:
            factor = self.factor(hidden).unflatten(2, (-1, self.rank))
        there = mask[:, :, None].expand_as(mean)
        return LowRankGaussian(mean, scale, factor, there if exists is None else there & exists)

    def loss(
        self, context: Tensor, posterior: Posterior, mask: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        drawn = self.distribution(context, mask, posterior.exists)
        target = torch.zeros_like(posterior.mean) if posterior.scale is None else posterior.scale
        divergence = drawn.kl_to if self.direction == "sampler_posterior" else drawn.kl_from
        # Nats a unit, as of units that are drawn each by itself.
        return ratio(divergence(posterior.mean, target.clamp(min=POINT)).sum(), mask.sum())

    def sample(
        self,
        context: Tensor,
        mask: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        known: Known | None = None,
    ) -> Tensor:
        vectors = self.distribution(context, mask).draw(temperature, generator, known)
        return (vectors if known is None else known.put(vectors)) * mask[:, :, None]

    def log_likelihood(self, context: Tensor, vectors: Tensor, mask: Tensor, exists: Tensor | None = None) -> Tensor:
        return self.distribution(context, mask, exists).log_density(vectors)
