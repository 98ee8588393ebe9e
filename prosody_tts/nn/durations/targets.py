"""What a duration model is asked for: the scale of durations, and how a miss in it is measured."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

#: ``error(predicted - true) -> error``, element by element.
ERRORS: dict[str, Callable[[Tensor], Tensor]] = {"l1": torch.abs, "l2": torch.square}


class DurationTarget(nn.Module):
    """The contract of a scale of durations; ``pauses`` [B, P] are true on pause slots.

    ``encode(frames [B, P], pauses) -> [B, P]``, and ``decode(values [B, P], pauses) -> [B, P]``, its inverse: frames as
    real numbers, in double precision, which may be negative where a prediction is.
    """

    def learn(self, mean: Tensor, scale: Tensor) -> None:
        """Take the training split's mean and standard deviation [2] in frames, of phones and of pause slots.

        A scale that needs neither takes nothing.
        """

    def encode(self, frames: Tensor, pauses: Tensor) -> Tensor:
        raise NotImplementedError

    def decode(self, values: Tensor, pauses: Tensor) -> Tensor:
        raise NotImplementedError


class LogFrames(DurationTarget):
    """log(1 + frames), in which a pause of no frames is zero (ours)."""

    def encode(self, frames: Tensor, pauses: Tensor) -> Tensor:
        return frames.float().log1p()

    def decode(self, values: Tensor, pauses: Tensor) -> Tensor:
        return values.double().expm1()


class GroupedFrames(DurationTarget):
    """Frames at zero mean and unit variance in each group, phones and pause slots (Kathaka, section 2, equation 1).

    The paper does not enumerate its groups; that the slots without a pause count among the pauses is ours.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("scale", torch.ones(2))

    def learn(self, mean: Tensor, scale: Tensor) -> None:
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def encode(self, frames: Tensor, pauses: Tensor) -> Tensor:
        group = pauses.long()
        return (frames.float() - self.mean[group]) / self.scale[group]

    def decode(self, values: Tensor, pauses: Tensor) -> Tensor:
        group = pauses.long()
        return values.double() * self.scale.double()[group] + self.mean.double()[group]


TARGETS: dict[str, type[DurationTarget]] = {"log": LogFrames, "grouped": GroupedFrames}
