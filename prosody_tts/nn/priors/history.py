"""What an autoregressive prior knows at a unit: its context, and the vectors before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.layers import LSTMState, SteppedLSTM

#: Hidden and cell states of an LSTM's layers; none before the first unit.
State = LSTMState | None


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

    def step(self, here: Tensor, previous: Tensor, state: State) -> tuple[Tensor, State]:
        """The state [B, 1, width] at one unit from its context [B, 1, C] and the vector before it [B, 1, D]."""
        heard = torch.cat([here, self.prenet(previous)], dim=2)[:, 0]
        hidden, state = self.recurrent.step(heard, self.recurrent.start(heard) if state is None else state)
        return torch.cat([hidden[:, None], here], dim=2), state
