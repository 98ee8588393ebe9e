"""What an autoregressive prior knows at a unit: its context, and the vectors before it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from prosody_tts.nn.layers import SteppedLSTM
from prosody_tts.nn.priors.contract import Known

#: Share of previous vectors that priors which learn a density hide in training (ours).
FORGET = 0.2


class History(nn.Module):
    """Pre-net on the previous vector and two LSTM layers, with the context beside their state (CAMP, section 2.3).

    ``forget`` is the share of previous vectors that training hides (ours): under teacher forcing alone a prior leans on
    the vector before, whose register tells it more than the text does, and hears the text too little.

    Shapes: context [B, U, C], vectors [B, U, D] -> [B, U, width].
    """

    def __init__(self, context: int, latent: int, recurrent: int, dropout: float, forget: float = 0.0) -> None:
        super().__init__()
        self.forget = forget
        self.width = recurrent + context
        self.prenet = nn.Sequential(nn.Linear(latent, recurrent // 2), nn.ReLU(), nn.Dropout(dropout))
        self.recurrent = SteppedLSTM(context + recurrent // 2, recurrent, 2, dropout)

    def forward(self, context: Tensor, vectors: Tensor) -> Tensor:
        """The states at all units of vectors that are known."""
        previous = nn.functional.pad(vectors, (0, 0, 1, 0))[:, :-1]
        if self.training and self.forget > 0:
            previous = previous * (torch.rand_like(previous[:, :, :1]) >= self.forget)
        hidden = self.recurrent(torch.cat([context, self.prenet(previous)], dim=2))
        return torch.cat([hidden, context], dim=2)

    def unroll(self, context: Tensor, latent: int, say: Callable[[Tensor, int], Tensor], known: Known | None) -> Tensor:
        """Vectors [B, U, D] said one after another, each heard by those after it.

        ``say(state [B, 1, width], unit) -> [B, 1, D]``; units that are ``known`` stand as they are given.
        """
        previous = context.new_zeros(len(context), 1, latent)
        state = self.recurrent.start(context[:, 0])
        vectors = []
        for unit in range(context.shape[1]):
            here = context[:, unit, None]
            heard = torch.cat([here, self.prenet(previous)], dim=2)[:, 0]
            hidden, state = self.recurrent.step(heard, state)
            previous = say(torch.cat([hidden[:, None], here], dim=2), unit)
            if known is not None:
                previous = torch.where(known.where[:, unit, None, None], known.values[:, unit, None], previous)
            vectors.append(previous)
        return torch.cat(vectors, dim=1)
