"""CAMP's predictor: each unit's vector from its context and the vector before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.means import masked_mean, over_processes
from prosody_tts.nn.priors.contract import Known, Prior, normal
from prosody_tts.nn.priors.history import History
from prosody_tts.nn.priors.low_rank import LOG_TAU
from prosody_tts.nn.reference import Posterior


class AutoregressivePrior(Prior):
    """Pre-net on the previous vector, two LSTM layers, a projection; Huber loss (CAMP, section 2.3).

    CAMP's threshold of 1 holds on its vectors' own scale, which is not printed; ours have unit variance. Where what no
    text tells (a high or a low register) makes two clusters some two deviations apart, a Huber loss of threshold 1 is
    almost flat between them, and the prediction wanders to one of the two instead of their mean.

    The loss is the negative log-likelihood of a Huber density up to a constant, so sampling at a temperature adds
    noise of the training residual's spread, kept in ``spread`` (ours; CAMP takes the prediction itself). The
    likelihood is that of these draws: Gaussian about each prediction.

    In training the previous vectors of a share ``own`` of the sentences are the predictor's own (scheduled sampling in
    two passes, after Mihaylova & Martins 2019; ours). Under teacher forcing alone the last vector tells which register
    the speaker chose, which text never does; at synthesis the predictor would follow its own first guess as if it
    were the speaker's, and end up in one register where the mean of all is asked for.
    """

    likelihood = True
    fixes = "later"
    watched = "dev/vector_mse"

    spread: Tensor

    def __init__(self, context: int, latent: int, recurrent: int, dropout: float, own: float, threshold: float) -> None:
        super().__init__()
        self.own = own
        self.threshold = threshold
        self.history = History(context, latent, recurrent, dropout)
        self.out = nn.Linear(self.history.width, latent)
        self.register_buffer("spread", torch.ones(latent))

    def loss(
        self, context: Tensor, posterior: Posterior, mask: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        given = posterior.mean
        if self.training and self.own > 0:
            chosen = torch.rand(given.shape[0], 1, 1, device=given.device) < self.own
            with torch.no_grad():
                given = torch.where(chosen, self.sample(context, mask, 0.0), given)
        predicted = self.out(self.history(context, given))
        if self.training:
            self._track((posterior.mean - predicted).detach(), mask, posterior.exists)
        if posterior.exists is not None:
            mask = posterior.exists & mask[:, :, None]
        each = nn.functional.huber_loss(predicted, posterior.mean, delta=self.threshold, reduction="none")
        return masked_mean(each, mask)

    def _track(self, residual: Tensor, mask: Tensor, exists: Tensor | None) -> None:
        """Keep a moving average of the residual's root mean square, of each dimension where it exists."""
        there = mask[:, :, None].expand_as(residual) if exists is None else exists & mask[:, :, None]
        count = over_processes(there.sum((0, 1)))
        size = (over_processes((residual * there).square().sum((0, 1))) / count.clamp(min=1)).sqrt()
        self.spread.lerp_(torch.where(count > 0, size, self.spread), 0.01)

    def sample(
        self,
        context: Tensor,
        mask: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        known: Known | None = None,
    ) -> Tensor:
        noise = normal(context.new_empty(*context.shape[:2], len(self.spread)), generator)

        def say(state: Tensor, unit: int) -> Tensor:
            return self.out(state) + temperature * self.spread * noise[:, unit, None]  # type: ignore[no-any-return]

        return self.history.unroll(context, len(self.spread), say, known) * mask[:, :, None]

    def log_likelihood(self, context: Tensor, vectors: Tensor, mask: Tensor, exists: Tensor | None = None) -> Tensor:
        there = mask[:, :, None] if exists is None else mask[:, :, None] & exists
        heard = torch.where(there, vectors, 0.0)
        residual = (vectors - self.out(self.history(context, heard))) / self.spread
        each = -0.5 * (LOG_TAU + residual.square()) - self.spread.log()
        return torch.where(there, each, 0.0).sum((1, 2))
