"""The networks of duration models."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from prosody_tts.nn.durations.contract import DurationModel
from prosody_tts.nn.durations.targets import DurationTarget
from prosody_tts.nn.layers import BiLSTM, ConvStack, SentenceDropout
from prosody_tts.nn.units import length_mask

Error = Callable[[Tensor], Tensor]


class ConvolutionalDurations(DurationModel):
    """Two convolutions and a BiLSTM beside them (ours)."""

    def __init__(
        self, inputs: int, width: int, kernel: int, dropout: float, target: DurationTarget, error: Error
    ) -> None:
        super().__init__(target, error)
        self.enter = nn.Identity() if inputs == width else nn.Linear(inputs, width)
        self.stack = ConvStack(width, kernel, 2, dropout)
        self.recurrent = BiLSTM(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        hidden = self.stack(self.enter(states), length_mask(lengths, states.shape[1]))
        return self.out(hidden + self.recurrent(hidden, lengths))[:, :, 0]


class CampDurations(DurationModel):
    """A BiLSTM over phone states and their words' vectors, three convolutions, an LSTM (CAMP, section 2.2).

    The layers are those of figure 6.2 of Hodari's thesis; widths, kernel and dropout are not printed.
    """

    def __init__(
        self, inputs: int, width: int, kernel: int, dropout: float, target: DurationTarget, error: Error
    ) -> None:
        super().__init__(target, error)
        self.enter = BiLSTM(inputs, width)
        self.stack = ConvStack(width, kernel, 3, dropout)
        self.recurrent = nn.LSTM(width, width, batch_first=True)
        self.out = nn.Linear(width, 1)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        hidden = self.stack(self.enter(states, lengths), length_mask(lengths, states.shape[1]))
        # One-way: what comes after a sentence's end cannot reach it.
        return self.out(self.recurrent(hidden)[0])[:, :, 0]


class RecurrentDurations(DurationModel):
    """Two BiLSTMs, one on the other (for Kathaka's and DurIAN+'s, whose layers are not printed; ours)."""

    def __init__(
        self, inputs: int, width: int, kernel: int, dropout: float, target: DurationTarget, error: Error
    ) -> None:
        super().__init__(target, error)
        self.lower = BiLSTM(inputs, width)
        self.dropout = SentenceDropout(dropout)
        self.upper = BiLSTM(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        hidden = self.dropout(self.lower(states, lengths))
        return self.out(self.upper(hidden, lengths))[:, :, 0]
