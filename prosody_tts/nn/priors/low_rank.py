"""A Gaussian over all vectors of a sentence, whose units vary together in a few directions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prosody_tts.nn.priors.contract import Known, normal

#: Nats of a dimension's normalisation: log(2 pi).
LOG_TAU = 1.8378770664093453


@dataclass
class LowRankGaussian:
    """N(mean, diag(scale^2) + F F^T) over the U * D numbers of each sentence.

    Everything is read off an R x R matrix by the Woodbury identity and the matrix determinant lemma, with R the rank;
    rank 0 is a diagonal Gaussian.

    Attributes:
        mean: [B, U, D].
        scale: [B, U, D], above 0.
        factor: [B, U, D, R] rows of F.
        there: [B, U, D] numbers that count: not padding, and existing.
    """

    mean: Tensor
    scale: Tensor
    factor: Tensor
    there: Tensor

    def __post_init__(self) -> None:
        self.factor = self.factor * self.there[..., None]

    def kl_to(self, mean: Tensor, scale: Tensor) -> Tensor:
        """KL(self || N(mean, scale^2)) in nats of each sentence: [B]."""
        variance = self.scale.square() + self.factor.square().sum(3)
        each = (variance + (self.mean - mean).square()) / scale.square() - 1 + 2 * (scale / self.scale).log()
        return 0.5 * (self._sum(each) - log_determinant(self._inner(self.factor)))

    def kl_from(self, mean: Tensor, scale: Tensor) -> Tensor:
        """KL(N(mean, scale^2) || self) in nats of each sentence: [B]."""
        ratio = (scale / self.scale).square()
        cholesky = self._inner(self.factor)
        # tr(P^-1 S) = sum s^2 / d^2 - |L^-1 F^T D^-1 S^1/2|^2, where L L^T = I + F^T D^-1 F.
        shared = (self.factor * (scale / self.scale.square())[..., None]).flatten(1, 2)
        saved = torch.linalg.solve_triangular(cholesky, shared.mT, upper=False).square().sum((1, 2))
        diagonal = self._sum(ratio - 1 - ratio.log())
        return 0.5 * (diagonal - saved + log_determinant(cholesky) + self._mahalanobis(mean, cholesky))

    def log_density(self, vectors: Tensor) -> Tensor:
        """Nats of each sentence's vectors: [B]."""
        cholesky = self._inner(self.factor)
        diagonal = self._sum(LOG_TAU + 2 * self.scale.log())
        return -0.5 * (diagonal + log_determinant(cholesky) + self._mahalanobis(vectors, cholesky))

    def draw(self, temperature: float, generator: torch.Generator | None = None, known: Known | None = None) -> Tensor:
        """Vectors [B, U, D] given those that are known, whose places keep what is drawn beside them.

        What the sentence has in common, [B, R], is drawn first: standard normal, or by its conditional given what is
        known, which is Gaussian; the units are independent given it.
        """
        noise = normal(self.mean, generator)
        common = normal(self.factor[:, 0, 0], generator)
        heard = torch.zeros_like(self.mean) if known is None else known.where[:, :, None] * (known.values - self.mean)
        factor = self.factor if known is None else self.factor * known.where[:, :, None, None]
        factor = torch.zeros_like(self.factor) if known is None else factor
        cholesky = self._inner(factor)
        weighted = torch.einsum("budr,bud->br", factor, heard / self.scale.square())
        centre = torch.cholesky_solve(weighted[:, :, None], cholesky)
        spread = torch.linalg.solve_triangular(cholesky.mT, common[:, :, None], upper=True)
        shared = torch.einsum("budr,br->bud", self.factor, (centre + temperature * spread)[:, :, 0])
        return self.mean + shared + temperature * self.scale * noise

    def _sum(self, each: Tensor) -> Tensor:
        return torch.where(self.there, each, 0.0).sum((1, 2))

    def _inner(self, factor: Tensor) -> Tensor:
        """Cholesky factor [B, R, R] of I + F^T D^-1 F, in which D is diagonal."""
        scaled = (factor / self.scale[..., None]).flatten(1, 2)
        rank = scaled.shape[2]
        return torch.linalg.cholesky(scaled.mT @ scaled + torch.eye(rank, dtype=scaled.dtype, device=scaled.device))

    def _mahalanobis(self, vectors: Tensor, cholesky: Tensor) -> Tensor:
        residual = torch.where(self.there, (vectors - self.mean) / self.scale, 0.0)
        shared = torch.einsum("budr,bud->br", self.factor / self.scale[..., None], residual)
        explained = torch.linalg.solve_triangular(cholesky, shared[:, :, None], upper=False).square().sum((1, 2))
        return residual.square().sum((1, 2)) - explained


def log_determinant(cholesky: Tensor) -> Tensor:
    """Log-determinant [B] of matrices by their Cholesky factors [B, R, R]."""
    return 2 * torch.diagonal(cholesky, dim1=1, dim2=2).log().sum(1)
