"""The learned aligner: a hidden Markov model whose Gaussians a small network computes from phones in context.

Every phone has three states, begin, middle and end, of which the last two may be skipped, so that a phone lasts a frame
or more; a pause slot has three states that are passed one after the other or skipped together, so that a pause lasts no
frame at all, or longer than the closure of a stop. Means come from the states' embeddings and their neighbours (the
idea of neural HMMs: Mehta et al. 2022, arXiv 2108.13320); training raises the probability of the mels summed over all
paths. As a density of the mels it has no reason to be peaky, unlike CTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

#: States of a phone, which share a label with no other, and of a pause slot, which share one.
STATES, PAUSE_STATES = 3, 3
#: Nats that entering a pause costs: short closures of stops look like pauses (ours).
PAUSE_COST = 6.0
#: Weight of a frame's log-density; its mel channels are far from independent, so their sum says too much (ours).
TEMPER = 0.1
#: Natural logarithms of variances are kept in this range.
LOG_VARIANCE = (-5.0, 3.0)
#: Variances learn this much faster than the learning rate says, for they are far from their start (ours).
GAIN = 10.0
#: While training begins: nats of the penalty one ``DIAGONAL_WIDTH`` (share of the clip) from the diagonal (ours).
DIAGONAL, DIAGONAL_WIDTH = 10.0, 0.3
#: While training begins: nats a standard deviation that a frame louder than ``QUIET`` speaks against a pause (ours).
LOUDNESS, QUIET = 2.0, -0.8
#: A logarithm of nothing that stays finite.
NEVER = -1e9


@dataclass(frozen=True)
class Lattice:
    """The states through which an utterance passes from left to right.

    Attributes:
        phone: [B, S] phone each state belongs to, on the axis P.
        label: [B, S] index of the state among all phones' states.
        pause: [B, S] whether it is a pause slot's.
        needed: [B] number of phones that are no pauses: the fewest frames a path can have.
        lengths: [B] number of states.
        jumps: [J + 1, B, S] natural-log weight of arriving at a state from the one ``j`` before it.
        first: [B, S] natural-log weight of beginning in a state.
        last: [B, S] natural-log weight of ending in a state.
    """

    phone: Tensor
    label: Tensor
    pause: Tensor
    needed: Tensor
    lengths: Tensor
    jumps: Tensor
    first: Tensor
    last: Tensor


def lattice(phones: Tensor, pauses: Tensor, lengths: Tensor) -> Lattice:
    """Lay out the states of phones [B, P], some of which are ``pauses`` [B, P], for ``lengths`` [B]."""
    spoken = torch.arange(phones.shape[1], device=phones.device) < lengths[:, None]
    counts = torch.where(pauses, PAUSE_STATES, STATES) * spoken
    needed = (spoken & ~pauses).sum(1)
    sizes = counts.sum(1)
    index = torch.arange(int(sizes.max()), device=phones.device).expand(len(phones), -1).contiguous()
    inside = index < sizes[:, None]
    ends = counts.cumsum(1)
    phone = torch.searchsorted(ends, index, right=True).clamp(max=phones.shape[1] - 1)
    part = (index - (ends - counts).gather(1, phone)) * inside
    pause = pauses.gather(1, phone) & inside
    label = phones.gather(1, phone) * STATES + part * ~pause
    skippable = (pause | (part > 0)) & inside
    # A pause is entered at its first state and left from its last.
    enter, leave = ~pause | (part == 0), ~pause | (part == PAUSE_STATES - 1)
    first = _all_before(skippable) & enter & inside
    last = _all_before((skippable | ~inside).flip(1)).flip(1) & leave & inside
    jumps = _jumps(skippable, enter, leave)
    jumps[1:] -= PAUSE_COST * (pause & (part == 0))
    return Lattice(phone, label, pause, needed, sizes, jumps, _log(first), _log(last))


def forward_sum(emissions: Tensor, states: Lattice, frames: Tensor) -> Tensor:
    """Natural-log probability [B] of all paths through the lattice.

    ``emissions`` [B, T, S] are natural-log densities of ``frames`` [B] frames in each state. Differentiable in the
    emissions: the gradient is the states' posterior, by the forward-backward algorithm (Rabiner 1989).
    """
    return _ForwardSum.apply(emissions, states.jumps, states.first, states.last, frames)  # type: ignore[return-value]


class Aligner(nn.Module):
    """Emission densities of phones' states, and the loss that trains them.

    Args:
        phones: size of the inventory, padding included.
        mels: channels of the mel spectrogram, normalised to zero mean and unit variance per channel.
        width: channels of the states' embeddings.
    """

    def __init__(self, phones: int, mels: int, width: int) -> None:
        super().__init__()
        self.phones, self.mels, self.width = phones, mels, width
        self.embedding = nn.Embedding(phones * STATES, width)
        self.context = nn.Conv1d(width, width, 2 * STATES + 1, padding=STATES)
        self.norm = nn.LayerNorm(width)
        self.mean = nn.Linear(width, 2 * mels)
        self.log_variance = nn.Embedding(phones * STATES, 2 * mels)
        nn.init.normal_(self.mean.weight, std=0.01)
        nn.init.zeros_(self.log_variance.weight)

    def forward(self, mel: Tensor, frames: Tensor, states: Lattice) -> Tensor:
        """Tempered natural-log densities [B, T, S] of mel [B, T, M] with ``frames`` [B] and its slope in each state."""
        observed = torch.cat([mel, slopes(mel, frames)], dim=2)
        embedded = self.embedding(states.label) * _inside(states)[:, :, None]
        hidden = self.context(embedded.transpose(1, 2)).transpose(1, 2)
        mean = self.mean(embedded + nn.functional.gelu(self.norm(hidden)))
        log_variance = (GAIN * self.log_variance(states.label)).clamp(*LOG_VARIANCE)
        precision = (-log_variance).exp()
        # The square of the distance, multiplied out: [B, T, S, 2 M] never exists.
        quadratic = observed.square() @ precision.transpose(1, 2)
        linear = observed @ (mean * precision).transpose(1, 2)
        constant = (mean.square() * precision + log_variance + math.log(2 * math.pi)).sum(2)
        return -0.5 * TEMPER * (quadratic - 2 * linear + constant[:, None])

    def loss(self, mel: Tensor, frames: Tensor, states: Lattice, guidance: float) -> Tensor:
        """Negative log-likelihood in (tempered) nats per frame; a scalar.

        ``guidance``, from 1 at the beginning to 0, weighs what is known beforehand: paths are near the diagonal, and
        pauses are quiet. Clips with fewer frames than phones have no path and do not count.
        """
        emissions = self(mel, frames, states)
        if guidance > 0:
            emissions = emissions + guidance * _guide(mel, frames, states)
        possible = frames >= states.needed
        likelihood = forward_sum(emissions, states, frames)
        return -(likelihood * possible).sum() / (frames * possible).sum().clamp(min=1)


def slopes(mel: Tensor, frames: Tensor) -> Tensor:
    """Difference of each frame's neighbours [B, T, M]; beyond its ends a clip stays as it is there."""
    index = torch.arange(mel.shape[1], device=mel.device)
    following = torch.minimum(index + 1, (frames - 1).clamp(min=0)[:, None])
    before = torch.cat([mel[:, :1], mel[:, :-1]], dim=1)
    return mel.gather(1, following[:, :, None].expand_as(mel)) - before


def _guide(mel: Tensor, frames: Tensor, states: Lattice) -> Tensor:
    time = torch.arange(mel.shape[1], device=mel.device)[None] / frames[:, None]
    place = torch.arange(states.phone.shape[1], device=mel.device)[None] / states.lengths[:, None]
    diagonal = -DIAGONAL * ((time[:, :, None] - place[:, None]) / DIAGONAL_WIDTH).square()
    loudness = mel.mean(2) - QUIET
    return diagonal - LOUDNESS * loudness[:, :, None] * states.pause[:, None]


def _inside(states: Lattice) -> Tensor:
    return torch.arange(states.phone.shape[1], device=states.phone.device) < states.lengths[:, None]


def _log(possible: Tensor) -> Tensor:
    return torch.where(possible, 0.0, NEVER)


def _all_before(skippable: Tensor) -> Tensor:
    """Whether all states before one may be skipped."""
    before = nn.functional.pad(skippable[:, :-1], (1, 0), value=True)
    return before.long().cumprod(1).bool()


def _longest_run(skippable: Tensor) -> int:
    """Length of the longest run of states that may be skipped."""
    index = torch.arange(1, skippable.shape[1] + 1, device=skippable.device)
    stops = torch.where(skippable, 0, index).cummax(1).values
    return int((index - stops).max())


def _jumps(skippable: Tensor, enter: Tensor, leave: Tensor) -> Tensor:
    """Log weights [J + 1, B, S]: stay, go on by one, or go where all states between may be skipped."""
    exists = torch.ones_like(skippable)
    between = exists
    weights = [_log(exists), _log(_delayed(exists, 1))]
    for jump in range(2, _longest_run(skippable) + 2):
        between = between & _delayed(skippable, jump - 1)
        weights.append(_log(between & enter & _delayed(leave, jump)))
    return torch.stack(weights)


def _delayed(x: Tensor, by: int) -> Tensor:
    """Move the last axis ``by`` places to the right, false entering."""
    return nn.functional.pad(x, (by, 0), value=False)[..., : x.shape[-1]]


def _arrivals(score: Tensor, reach: int) -> Tensor:
    """[J + 1, B, S] scores of the states ``j`` before each."""
    padded = nn.functional.pad(score, (reach, 0), value=NEVER)
    size = score.shape[1]
    return torch.stack([padded[:, reach - j : reach - j + size] for j in range(reach + 1)])


class _ForwardSum(torch.autograd.Function):
    """Forward-backward in natural logarithms, re-scaled at every frame."""

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, jumps: Tensor, first: Tensor, last: Tensor, frames: Tensor) -> Tensor:
        rows = torch.arange(len(frames), device=frames.device)
        reach = len(jumps) - 1
        scores = emissions.new_empty(emissions.shape[1], *emissions.shape[::2])
        total = emissions.new_zeros(len(frames))
        score = emissions[:, 0] + first
        for t in range(emissions.shape[1]):
            if t:
                score = torch.logsumexp(_arrivals(score, reach) + jumps, 0) + emissions[:, t]
            peak = score.max(1).values
            score = score - peak[:, None]
            total = total + torch.where(t < frames, peak, 0.0)
            scores[t] = score
        total = total + torch.logsumexp(scores[frames - 1, rows] + last, 1)
        ctx.save_for_backward(emissions, jumps, last, frames, scores)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        emissions, jumps, last, frames, scores = ctx.saved_tensors
        reach, size = len(jumps) - 1, emissions.shape[2]
        # Weights of leaving a state towards the one j after it.
        leave = torch.stack(
            [nn.functional.pad(jumps[j], (0, j), value=NEVER)[:, j : j + size] for j in range(reach + 1)]
        )
        posterior = torch.zeros_like(emissions)
        rest = last
        for t in range(emissions.shape[1] - 1, -1, -1):
            if t + 1 < emissions.shape[1]:
                ahead = nn.functional.pad(rest + emissions[:, t + 1], (0, reach), value=NEVER)
                following = torch.stack([ahead[:, j : j + size] for j in range(reach + 1)])
                rest = torch.logsumexp(following + leave, 0)
                rest = torch.where((t < frames - 1)[:, None], rest - rest.max(1, keepdim=True).values, last)
            posterior[:, t] = torch.softmax(scores[t] + rest, 1) * (t < frames)[:, None]
        return gradients[0][:, None, None] * posterior, None, None, None, None
