"""Duration model: how long each phone and pause lasts, given the phones and their prosody vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.layers import BiLSTM, ConvStack
from prosody_tts.nn.units import length_mask


class DurationModel(nn.Module):
    """Convolutions and a BiLSTM over phone states that already carry their unit's vector (CAMP, section 2.1).

    Shapes: states [B, P, D], lengths [B] -> log(1 + frames) [B, P].
    """

    def __init__(self, width: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.stack = ConvStack(width, kernel, 2, dropout)
        self.recurrent = BiLSTM(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        hidden = self.stack(states, length_mask(lengths, states.shape[1]))
        return self.out(hidden + self.recurrent(hidden, lengths))[:, :, 0]


def to_frames(log_durations: Tensor, pauses: Tensor, lengths: Tensor) -> Tensor:
    """Round predicted log(1 + frames) [B, P] to whole frames, carrying each rounding error on to the next phone.

    Phones last at least one frame; pauses (true in ``pauses`` [B, P]) may vanish. Padding gets zero.
    """
    mask = length_mask(lengths, log_durations.shape[1])
    exact = log_durations.double().expm1().clamp(min=0)
    # A pause shorter than half a frame is no pause: without this, many tiny ones would add up.
    exact = torch.where(pauses & (exact < 0.5), 0.0, exact) * mask
    ends = exact.cumsum(1).round()
    frames = torch.diff(ends, dim=1, prepend=ends.new_zeros(ends.shape[0], 1)).long()
    least = (mask & ~pauses).long()
    return torch.maximum(frames, least) * mask


def at_pace(durations: Tensor, pace: Tensor, pauses: Tensor) -> Tensor:
    """Frames [B, P] at other paces [B, P], above zero, each rounding error carried on to the next phone (ours).

    Where the pace is 1 they stay as they are, and a phone that has frames keeps one; pauses, true in ``pauses`` [B, P],
    may vanish.
    """
    # Halves always go up, so that what follows a half does not waver.
    ends = ((durations.double() / pace).cumsum(1) + (0.5 + 1e-9)).floor()
    frames = torch.diff(ends, dim=1, prepend=ends.new_zeros(ends.shape[0], 1)).long()
    return torch.maximum(frames, ((durations > 0) & ~pauses).long())
