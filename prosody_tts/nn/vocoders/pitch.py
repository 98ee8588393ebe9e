"""F0 read from mel spectrograms: a distribution over a logarithmic scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Classes of F0 per octave (ours; CREPE, arXiv 1802.06182, has 60).
PER_OCTAVE = 48
#: Spread of the target around the true F0 and reach of the mean around the likeliest, in classes, as CREPE's 25 and
#: 80 cents are.
SPREAD, REACH = 1.0, 3


class PitchHead(nn.Module):
    """Scores of F0 on a logarithmic scale from ``low`` to ``high`` Hz, as in CREPE (Kim et al. 2018, section 2.1).

    Shapes: states [B, T, D] -> logits [B, T, K].
    """

    def __init__(self, width: int, low: float, high: float) -> None:
        super().__init__()
        count = 1 + math.ceil(math.log2(high / low) * PER_OCTAVE)
        self.linear = nn.Linear(width, count)
        self.register_buffer("octaves", math.log2(low) + torch.arange(count) / PER_OCTAVE, persistent=False)

    octaves: Tensor

    def forward(self, states: Tensor) -> Tensor:
        return self.linear(states)

    def hertz(self, logits: Tensor) -> Tensor:
        """F0 in Hz [B, T]: the mean, on the logarithmic scale, of the classes around the likeliest."""
        best = logits.argmax(-1, keepdim=True)
        index = torch.arange(logits.shape[-1], device=logits.device)
        near = (index - best).abs() <= REACH
        share = logits.masked_fill(~near, -torch.inf).softmax(-1)
        return (share @ self.octaves).exp2()

    def loss(self, logits: Tensor, f0: Tensor) -> Tensor:
        """Cross-entropy in nats per voiced frame, against F0 [B, T] in Hz (0 where unvoiced) smeared over classes."""
        voiced = f0 > 0
        distance = (self.octaves - f0.clamp(min=1.0).log2()[..., None]) * PER_OCTAVE
        target = (-0.5 * (distance / SPREAD).square()).softmax(-1)
        surprise = -(target * logits.log_softmax(-1)).sum(-1)
        return (surprise * voiced).sum() / voiced.sum().clamp(min=1)


def bridge(f0: Tensor) -> Tensor:
    """Fill unvoiced frames of F0 [B, T] (0 there): linear in the logarithm between neighbours, level at the ends.

    A clip without a voiced frame gets 100 Hz.
    """
    voiced = f0 > 0
    index = torch.arange(f0.shape[1], device=f0.device).expand_as(f0)
    before = torch.where(voiced, index, -1).cummax(1).values
    after = torch.where(voiced, index, f0.shape[1]).flip(1).cummin(1).values.flip(1)
    left = torch.where(before < 0, after, before).clamp(max=f0.shape[1] - 1)
    right = torch.where(after >= f0.shape[1], before, after).clamp(min=0)
    share = ((index - left).to(f0.dtype) / (right - left).clamp(min=1)).clamp(0, 1)
    logs = torch.where(voiced, f0, 1.0).log()
    filled = ((1 - share) * logs.gather(1, left) + share * logs.gather(1, right)).exp()
    return torch.where(voiced.any(1, keepdim=True), filled, 100.0)
