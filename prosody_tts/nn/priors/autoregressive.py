"""CAMP's predictor: each unit's vector from its context and the vector before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.means import masked_mean, over_processes
from prosody_tts.nn.reference import Posterior


class AutoregressivePrior(nn.Module):
    """Pre-net on the previous vector, two LSTM layers, a projection; Huber loss (CAMP, section 2.3).

    CAMP's threshold of 1 holds on its vectors' own scale, which is not printed; ours have unit variance. Where what no
    text tells (a high or a low register) makes two clusters some two deviations apart, a Huber loss of threshold 1 is
    almost flat between them, and the prediction wanders to one of the two instead of their mean.

    The loss is the negative log-likelihood of a Huber density up to a constant, so sampling at a temperature adds
    noise of the training residual's spread, kept in ``spread`` (ours; CAMP takes the prediction itself).

    In training the previous vectors of a share ``own`` of the sentences are the predictor's own (scheduled sampling in
    two passes, after Mihaylova & Martins 2019; ours). Under teacher forcing alone the last vector tells which register
    the speaker chose, which text never does; at synthesis the predictor would follow its own first guess as if it
    were the speaker's, and end up in one register where the mean of all is asked for.
    """

    spread: Tensor

    def __init__(self, context: int, latent: int, recurrent: int, dropout: float, own: float, threshold: float) -> None:
        super().__init__()
        self.own = own
        self.threshold = threshold
        self.prenet = nn.Sequential(nn.Linear(latent, recurrent // 2), nn.ReLU(), nn.Dropout(dropout))
        self.recurrent = nn.LSTM(context + recurrent // 2, recurrent, num_layers=2, batch_first=True, dropout=dropout)
        self.out = nn.Linear(recurrent + context, latent)
        self.register_buffer("spread", torch.ones(latent))

    def loss(self, context: Tensor, posterior: Posterior, mask: Tensor) -> Tensor:
        given = posterior.mean
        if self.training and self.own > 0:
            chosen = torch.rand(given.shape[0], 1, 1, device=given.device) < self.own
            with torch.no_grad():
                given = torch.where(chosen, self.sample(context, mask, 0.0), given)
        previous = nn.functional.pad(given, (0, 0, 1, 0))[:, :-1]
        hidden = self.recurrent(torch.cat([context, self.prenet(previous)], dim=2))[0]
        predicted = self.out(torch.cat([hidden, context], dim=2))
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
        self, context: Tensor, mask: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        batch, units, _ = context.shape
        noise = torch.randn(
            batch, units, self.out.out_features, generator=generator, dtype=context.dtype, device=context.device
        )
        previous = context.new_zeros(batch, 1, self.out.out_features)
        state: tuple[Tensor, Tensor] | None = None
        vectors = []
        for unit in range(units):
            here = context[:, unit : unit + 1]
            hidden, state = self.recurrent(torch.cat([here, self.prenet(previous)], dim=2), state)
            previous = self.out(torch.cat([hidden, here], dim=2)) + temperature * self.spread * noise[:, unit, None]
            vectors.append(previous)
        return torch.cat(vectors, dim=1) * mask[:, :, None]
