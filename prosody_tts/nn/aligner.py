"""The learned aligner: a hidden Markov model with Gaussians finds the phones, a classifier of frames learns from it.

Every phone has three states, begin, middle and end, of which the last two may be skipped, so that a phone lasts a frame
or more; a pause slot has one state that may be skipped, so that a pause may last no frame at all.

Two emissions are trained side by side. *Densities* of the mels, Gaussians whose means come from the embeddings of a
state and its neighbours (the idea of neural HMMs: Mehta et al. 2022, arXiv 2108.13320), find the phones from a flat
start and have no reason to be peaky, unlike CTC. A *classifier* of single frames with a narrow view learns the states'
posteriors, and after the guided steps takes part in them. It alone aligns, its posteriors divided by the states' priors
as in hybrid recognisers (Bourlard and Morgan 1994; for CTC alignment: Huang et al. 2024, arXiv 2406.02560).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prosody_tts.nn.layers import ConvStack
from prosody_tts.nn.means import over_processes, ratio
from prosody_tts.nn.units import length_mask

#: States of a phone, and of a pause slot.
STATES, PAUSE_STATES = 3, 1
#: Nats that entering a pause costs: closures of stops look like short pauses (ours).
PAUSE_COST = 6.0
#: Weight of a frame's log-density; its mel channels are far from independent, so their sum says too much (ours).
TEMPER = 0.025
#: Natural logarithms of variances are kept in this range, and learn faster than the learning rate says (ours).
LOG_VARIANCE, VARIANCE_GAIN = (-5.0, 3.0), 10.0
#: Layers, kernel in frames and dropout of the classifier (ours).
LAYERS, KERNEL, DROPOUT = 3, 3, 0.1
#: Share of a batch in the running mean of the states' priors, and the lowest prior (ours): divided by less, the trace
#: of probability that a classifier leaves to a phone it never met would outweigh every phone it knows.
PRIOR_SHARE, LOWEST_PRIOR = 0.02, 3e-4
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
    spoken = length_mask(lengths, phones.shape[1])
    counts = torch.where(pauses, PAUSE_STATES, STATES) * spoken
    needed = (spoken & ~pauses).sum(1)
    sizes = counts.sum(1)
    index = torch.arange(int(sizes.max()), device=phones.device).expand(len(phones), -1).contiguous()
    inside = index < sizes[:, None]
    ends = counts.cumsum(1)
    phone = torch.searchsorted(ends, index, right=True).clamp(max=phones.shape[1] - 1)
    part = (index - (ends - counts).gather(1, phone)) * inside
    pause = pauses.gather(1, phone) & inside
    label = phones.gather(1, phone) * STATES + part
    skippable = (pause | (part > 0)) & inside
    first = _all_before(skippable) & inside
    last = _all_before((skippable | ~inside).flip(1)).flip(1) & inside
    jumps = _jumps(skippable)
    jumps[1:] -= PAUSE_COST * pause
    return Lattice(phone, label, pause, needed, sizes, jumps, _log(first), _log(last))


@torch.no_grad()
def forward_backward(emissions: Tensor, states: Lattice, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over all paths through the lattice (Rabiner 1989), in natural logarithms, re-scaled at every frame.

    ``emissions`` [B, T, S] are log-weights of ``frames`` [B] frames in each state. Returns the log of the sum [B], and
    the posterior [B, T, S] of the states in every frame, which is also the sum's gradient.
    """
    rows, reach = torch.arange(len(frames), device=frames.device), len(states.jumps) - 1
    scores = emissions.new_empty(emissions.shape[1], *emissions.shape[::2])
    total = emissions.new_zeros(len(frames))
    score = emissions[:, 0] + states.first
    for t in range(emissions.shape[1]):
        if t:
            score = torch.logsumexp(_before(score, reach) + states.jumps, 0) + emissions[:, t]
        peak = score.max(1).values
        score = score - peak[:, None]
        total = total + torch.where(t < frames, peak, 0.0)
        scores[t] = score
    total = total + torch.logsumexp(scores[frames - 1, rows] + states.last, 1)
    posterior = torch.zeros_like(emissions)
    departures = _after(states.jumps, reach, each=True)
    rest = states.last
    for t in range(emissions.shape[1] - 1, -1, -1):
        if t + 1 < emissions.shape[1]:
            rest = torch.logsumexp(_after(rest + emissions[:, t + 1], reach) + departures, 0)
            rest = torch.where((t < frames - 1)[:, None], rest - rest.max(1, keepdim=True).values, states.last)
        posterior[:, t] = torch.softmax(scores[t] + rest, 1) * (t < frames)[:, None]
    return total, posterior


class Densities(nn.Module):
    """Tempered log-densities of a frame's mel and slope in each state, Gaussian and diagonal."""

    def __init__(self, phones: int, mels: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(phones * STATES, width)
        self.context = nn.Conv1d(width, width, 2 * STATES + 1, padding=STATES)
        self.norm = nn.LayerNorm(width)
        self.mean = nn.Linear(width, 2 * mels)
        self.log_variance = nn.Embedding(phones * STATES, 2 * mels)
        nn.init.normal_(self.mean.weight, std=0.01)
        nn.init.zeros_(self.log_variance.weight)

    def forward(self, mel: Tensor, frames: Tensor, states: Lattice) -> Tensor:
        """Mel [B, T, M] with ``frames`` [B] -> [B, T, S]."""
        observed = torch.cat([mel, slopes(mel, frames)], dim=2)
        embedded = self.embedding(states.label) * _inside(states)[:, :, None]
        hidden = self.context(embedded.transpose(1, 2)).transpose(1, 2)
        mean = self.mean(embedded + nn.functional.gelu(self.norm(hidden)))
        log_variance = (VARIANCE_GAIN * self.log_variance(states.label)).clamp(*LOG_VARIANCE)
        precision = (-log_variance).exp()
        # The square of the distance, multiplied out: [B, T, S, 2 M] never exists.
        quadratic = observed.square() @ precision.transpose(1, 2)
        linear = observed @ (mean * precision).transpose(1, 2)
        constant = (mean.square() * precision + log_variance + math.log(2 * math.pi)).sum(2)
        return -0.5 * TEMPER * (quadratic - 2 * linear + constant[:, None])


class FrameClassifier(nn.Module):
    """Log-probabilities of all phones' states in each frame, seen with three frames on either side."""

    def __init__(self, phones: int, mels: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(mels, width)
        self.stack = ConvStack(width, KERNEL, LAYERS, DROPOUT)
        self.leave = nn.Linear(width, phones * STATES)
        self.register_buffer("log_prior", torch.full((phones * STATES,), -math.log(phones * STATES)))

    log_prior: Tensor

    def forward(self, mel: Tensor, frames: Tensor) -> Tensor:
        """Mel [B, T, M] with ``frames`` [B] -> [B, T, phones * STATES]."""
        mask = length_mask(frames, mel.shape[1])
        return self.leave(self.stack(self.enter(mel) * mask[:, :, None], mask)).log_softmax(2)

    def ratios(self, log_probabilities: Tensor, states: Lattice) -> Tensor:
        """Natural logarithm of posterior over prior of the lattice's states: [B, T, S]."""
        label = states.label[:, None].expand(-1, log_probabilities.shape[1], -1)
        return (log_probabilities - self.log_prior).gather(2, label)

    @torch.no_grad()
    def update_prior(self, shares: Tensor) -> None:
        """Let the priors follow the ``shares`` [phones * STATES] of a batch's frames."""
        mean = (1 - PRIOR_SHARE) * self.log_prior.exp() + PRIOR_SHARE * shares
        self.log_prior.copy_(mean.clamp(min=LOWEST_PRIOR).log())


class Aligner(nn.Module):
    """Emissions of phones' states in frames, and the loss that trains them.

    Args:
        phones: size of the inventory, padding included.
        mels: channels of the mel spectrogram, normalised to zero mean and unit variance per channel.
        width: channels of the two networks.
    """

    def __init__(self, phones: int, mels: int, width: int) -> None:
        super().__init__()
        self.phones, self.mels, self.width = phones, mels, width
        self.densities = Densities(phones, mels, width)
        self.classifier = FrameClassifier(phones, mels, width)

    def forward(self, mel: Tensor, frames: Tensor, states: Lattice) -> Tensor:
        """Log-weights [B, T, S] by which to align mel [B, T, M] with ``frames`` [B]: the classifier's ratios."""
        return self.classifier.ratios(self.classifier(mel, frames), states)

    def loss(self, mel: Tensor, frames: Tensor, states: Lattice, guidance: float) -> Tensor:
        """Negative log-likelihood of the densities plus the classifier's cross-entropy, in nats per frame; a scalar.

        ``guidance``, from 1 at the beginning to 0, weighs what is known beforehand: paths are near the diagonal, and
        pauses are quiet. Once it is 0, the classifier takes part in its own targets. Clips with fewer frames than
        phones have no path and do not count.
        """
        densities = self.densities(mel, frames, states)
        log_probabilities = self.classifier(mel, frames)
        weights = densities.detach()
        if guidance > 0:
            weights = weights + guidance * _guide(mel, frames, states)
        else:
            weights = weights + self.classifier.ratios(log_probabilities, states).detach()
        total, posterior = forward_backward(weights, states, frames)
        possible = frames >= states.needed
        posterior = posterior * possible[:, None, None]
        count = (frames * possible).sum()
        # One step of expectation-maximisation: this surrogate has the likelihood's gradient, and is given its value.
        expected = ratio((posterior * densities).sum(), count)
        likelihood = expected + (ratio((total * possible).sum(), count) - expected).detach()
        index = states.label[:, None].expand(-1, mel.shape[1], -1)
        target = torch.zeros_like(log_probabilities).scatter_add(2, index, posterior)
        if self.training:
            shares = over_processes(target.sum((0, 1))) / over_processes(count).clamp(min=1)
            self.classifier.update_prior(shares)
        return -likelihood - ratio((target * log_probabilities).sum(), count)

    def surprise(self, mel: Tensor, frames: Tensor, states: Lattice) -> Tensor:
        """Negative log of the classifier's sum over all paths, in nats per frame; a scalar to compare aligners by."""
        total, _ = forward_backward(self(mel, frames, states), states, frames)
        possible = frames >= states.needed
        return -ratio((total * possible).sum(), (frames * possible).sum())


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
    return length_mask(states.lengths, states.phone.shape[1])


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


def _jumps(skippable: Tensor) -> Tensor:
    """Log weights [J + 1, B, S]: stay, go on by one, or go where all states between may be skipped."""
    exists = torch.ones_like(skippable)
    between = exists
    weights = [_log(exists), _log(_delayed(exists, 1))]
    for jump in range(2, _longest_run(skippable) + 2):
        between = between & _delayed(skippable, jump - 1)
        weights.append(_log(between & _delayed(exists, jump)))
    return torch.stack(weights)


def _delayed(x: Tensor, by: int) -> Tensor:
    """Move the last axis ``by`` places to the right, false entering."""
    return nn.functional.pad(x, (by, 0), value=False)[..., : x.shape[-1]]


def _before(score: Tensor, reach: int) -> Tensor:
    """[J + 1, B, S] scores of the states ``j`` before each."""
    padded = nn.functional.pad(score, (reach, 0), value=NEVER)
    size = score.shape[-1]
    return torch.stack([padded[:, reach - j : reach - j + size] for j in range(reach + 1)])


def _after(score: Tensor, reach: int, each: bool = False) -> Tensor:
    """[J + 1, B, S] scores of the states ``j`` after each; with ``each``, of scores that depend on ``j`` themselves."""
    padded = nn.functional.pad(score, (0, reach), value=NEVER)
    size = score.shape[-1]
    return torch.stack([(padded[j] if each else padded)[:, j : j + size] for j in range(reach + 1)])
