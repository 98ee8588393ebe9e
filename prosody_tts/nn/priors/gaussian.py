"""Kathaka's sampler: a diagonal Gaussian per unit, fitted to the posterior by a Kullback-Leibler divergence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.means import masked_mean
from prosody_tts.nn.reference import Posterior

#: Below this standard deviation (of unit-variance vectors) a posterior counts as a point.
POINT = 1e-3


def kl_gaussians(
    mean_a: Tensor, scale_a: Tensor, mean_b: Tensor, scale_b: Tensor, exists: Tensor | None = None
) -> Tensor:
    """KL(a || b) in nats of diagonal Gaussians, summed over the dimensions of the last axis that exist."""
    ratio = (scale_a / scale_b).square()
    each = ratio - 1 - ratio.log() + ((mean_a - mean_b) / scale_b).square()
    return 0.5 * (each if exists is None else each * exists).sum(-1)


class GaussianPrior(nn.Module):
    """Mean and variance from context; the loss is KL(sampler || posterior) as Kathaka prints it (section 3.2).

    ``direction`` turns it round: KL(posterior || sampler) covers the posterior's spread, the printed one seeks its
    mode. For a deterministic stage one only the latter is finite, up to a constant: the negative log-likelihood.
    """

    def __init__(self, context: int, latent: int, recurrent: int, dropout: float, direction: str) -> None:
        super().__init__()
        self.direction = direction
        self.hidden = nn.Sequential(nn.Linear(context, recurrent), nn.GELU(), nn.Dropout(dropout))
        self.mean = nn.Linear(recurrent, latent)
        self.log_scale = nn.Linear(recurrent, latent)

    def distribution(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, each [B, U, D]."""
        hidden = self.hidden(context)
        return self.mean(hidden), self.log_scale(hidden).clamp(-7, 3).exp()

    def loss(self, context: Tensor, posterior: Posterior, mask: Tensor) -> Tensor:
        mean, scale = self.distribution(context)
        target = torch.zeros_like(scale) if posterior.scale is None else posterior.scale
        target = target.clamp(min=POINT)
        if self.direction == "sampler_posterior":
            divergence = kl_gaussians(mean, scale, posterior.mean, target, posterior.exists)
        else:
            divergence = kl_gaussians(posterior.mean, target, mean, scale, posterior.exists)
        return masked_mean(divergence, mask)

    def sample(
        self, context: Tensor, mask: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        mean, scale = self.distribution(context)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return (mean + temperature * scale * noise) * mask[:, :, None]
