"""What a duration model is: how long each phone and pause lasts, given states that carry their unit's vector."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from prosody_tts.nn.durations.targets import DurationTarget
from prosody_tts.nn.means import masked_mean
from prosody_tts.nn.units import length_mask


class DurationModel(nn.Module):
    """The contract of a duration model, and all of it but the network.

    ``forward(states [B, P, inputs], lengths [B]) -> [B, P]``, durations in the scale of ``target``; ``error`` measures
    a miss in that scale (``targets.ERRORS``). Whatever the network, scale and error are free.
    """

    def __init__(self, target: DurationTarget, error: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.target = target
        self.error = error

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        raise NotImplementedError

    def loss(self, states: Tensor, lengths: Tensor, pauses: Tensor, durations: Tensor) -> Tensor:
        """Mean error over phones and pause slots; ``durations`` [B, P] in frames, ``pauses`` [B, P] true on slots."""
        missed = self(states, lengths) - self.target.encode(durations, pauses)
        return masked_mean(self.error(missed), length_mask(lengths, states.shape[1]))

    def frames(self, states: Tensor, lengths: Tensor, pauses: Tensor) -> Tensor:
        """Predicted whole frames of each phone [B, P]; ``pauses`` [B, P] may vanish."""
        return to_frames(self.target.decode(self(states, lengths), pauses), pauses, lengths)


def to_frames(durations: Tensor, pauses: Tensor, lengths: Tensor) -> Tensor:
    """Round durations [B, P] in frames to whole ones, carrying each rounding error on to the next phone.

    Phones last at least one frame; pauses (true in ``pauses`` [B, P]) may vanish. Padding gets zero.
    """
    mask = length_mask(lengths, durations.shape[1])
    exact = durations.double().clamp(min=0)
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
