"""A conditional normalising flow of each unit's vector given its context and the vectors before it."""

from __future__ import annotations

import torch
import zuko
from torch import Tensor, nn

from prosody_tts.nn.means import ratio
from prosody_tts.nn.priors.contract import Known, Prior, drawn, normal, present
from prosody_tts.nn.priors.history import FORGET, History
from prosody_tts.nn.priors.low_rank import LOG_TAU
from prosody_tts.nn.reference import Posterior

#: Halves of a vector that a transform couples: one is transformed given the other (Dinh et al., arXiv 1605.08803).
HALVES = 2


class FlowPrior(Prior):
    """Neural spline flow (Durkan et al., arXiv 1906.04032) behind an LSTM that reads the vectors before (ours).

    The likelihood of a sentence's vectors is exact: the product of its units' densities. Vectors have unit variance;
    splines bend within five deviations and are linear beyond. Temperature scales the base's noise, and 0 takes the
    base's centre, which is in the midst of the draws but not their mean.

    Vectors that are known shape the units after them exactly, and those before them not at all.

    Where stage one gives Gaussians, the flow is shown draws of them, and so fits the aggregate. Dimensions that do not
    exist are shown as standard normal noise; the likelihood leaves them out as far as the flow has learned that.
    """

    likelihood = True
    fixes = "later"

    def __init__(self, context: int, latent: int, recurrent: int, dropout: float, transforms: int, bins: int) -> None:
        super().__init__()
        self.latent = latent
        self.history = History(context, latent, recurrent, dropout, FORGET)
        self.narrow = nn.Sequential(nn.Linear(self.history.width, recurrent), nn.GELU(), nn.Dropout(dropout))
        self.flow = zuko.flows.NSF(
            latent, recurrent, transforms=transforms, bins=bins, passes=HALVES, hidden_features=(recurrent,)
        )

    def loss(
        self, context: Tensor, posterior: Posterior, mask: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        vectors = drawn(posterior, generator)
        heard = vectors if posterior.exists is None else vectors * posterior.exists
        nats = self._density(context, vectors, heard)
        mask = present(mask, posterior.exists)
        return -ratio(torch.where(mask, nats, 0.0).sum(), mask.sum())

    def _density(self, context: Tensor, vectors: Tensor, heard: Tensor) -> Tensor:
        """Nats of each unit's vector given those ``heard`` before it: [B, U]."""
        states = self.narrow(self.history(context, heard))
        return self.flow(states).log_prob(vectors)  # type: ignore[no-any-return]

    def sample(
        self,
        context: Tensor,
        mask: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        known: Known | None = None,
    ) -> Tensor:
        noise = temperature * normal(context.new_empty(*context.shape[:2], self.latent), generator)

        def say(state: Tensor, unit: int) -> Tensor:
            return self.flow(self.narrow(state)).transform.inv(noise[:, unit, None])  # type: ignore[no-any-return]

        return self.history.unroll(context, self.latent, say, known) * mask[:, :, None]

    def log_likelihood(self, context: Tensor, vectors: Tensor, mask: Tensor, exists: Tensor | None = None) -> Tensor:
        there = mask[:, :, None].expand_as(vectors) if exists is None else mask[:, :, None] & exists
        heard = torch.where(there, vectors, 0.0)
        mask = present(mask, exists)
        # What does not exist stands at the noise's centre, whose density is taken off again.
        filled = (~there).sum(2) * 0.5 * LOG_TAU
        return torch.where(mask, self._density(context, heard, heard) + filled, 0.0).sum(1)
