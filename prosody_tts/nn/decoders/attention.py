"""Tacotron-2's decoder: where to read next is learned, and so is when to stop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders.contract import Attended, Decoded
from prosody_tts.nn.decoders.feedback import FeedbackDecoder
from prosody_tts.nn.decoders.postnets import PostNet
from prosody_tts.nn.decoders.steps import by_frame, step_lengths, widened
from prosody_tts.nn.layers import SteppedLSTM
from prosody_tts.nn.means import masked_mean
from prosody_tts.nn.units import length_mask

#: Filters over the cumulative attention and their width in phones (Tacotron-2).
FILTERS, REACH = 32, 31
#: Spread of the diagonal that the guided attention loss allows (Tachibana et al. 2018, arXiv 1710.08969, section 4.1).
DIAGONAL = 0.2
#: A sentence has one last step and many others: its weight in the stop loss (ours).
LAST = 5.0
#: Costs more than any path: a phone that gets no frame.
SKIP = 1e6


@dataclass
class Memory:
    """What is read.

    Attributes:
        states: [B, P, C] of phones.
        keys: [B, P, A].
        mask: [B, P] which phones there are.
        kernel: [A, REACH] from the weights around a phone to where a query meets its key.
        gates: [4 D, C + D] of the LSTM, from what was read and its own state.
    """

    states: Tensor
    keys: Tensor
    mask: Tensor
    kernel: Tensor
    gates: Tensor


@dataclass
class Gaze:
    """Where the attention stands after a step.

    Attributes:
        hidden: [B, D] of its LSTM.
        cell: [B, D].
        context: [B, C] what was read.
        weights: [B, P] where.
        cumulative: [B, P] their sum over all steps so far.
    """

    hidden: Tensor
    cell: Tensor
    context: Tensor
    weights: Tensor
    cumulative: Tensor


class LocationAttention(nn.Module):
    """Location-sensitive attention (Chorowski et al. 2015, arXiv 1506.07503), heard by an LSTM of its own.

    As Tacotron-2 has it, the location is the sum of all earlier steps' weights. Padding is never looked at.
    """

    def __init__(self, heard: int, inputs: int, recurrent: int, width: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(heard + inputs, recurrent)
        self.query = nn.Linear(recurrent, width)
        self.key = nn.Linear(inputs, width, bias=False)
        self.filters = nn.Linear(REACH, FILTERS, bias=False)
        self.location = nn.Linear(FILTERS, width, bias=False)
        self.energy = nn.Linear(width, 1, bias=False)

    def memory(self, states: Tensor, lengths: Tensor) -> Memory:
        """Prepare what every step reads."""
        mask = length_mask(lengths, states.shape[1])
        # A convolution and the layer after it are one linear map.
        kernel = self.location.weight @ self.filters.weight
        gates = torch.cat([self.cell.weight_ih[:, -states.shape[2] :], self.cell.weight_hh], dim=1)
        return Memory(states, self.key(states), mask, kernel, gates)

    def entered(self, heard: Tensor) -> Tensor:
        """What frames heard [..., D] say to the LSTM, which needs no step before: [..., 4 D']."""
        return nn.functional.linear(
            heard, self.cell.weight_ih[:, : heard.shape[-1]], self.cell.bias_ih + self.cell.bias_hh
        )

    def start(self, memory: Memory) -> Gaze:
        """The gaze before the first step: nowhere."""
        batch, phones, width = memory.states.shape
        hidden = memory.states.new_zeros(batch, self.cell.hidden_size)
        nowhere = memory.states.new_zeros(batch, phones)
        return Gaze(hidden, hidden, memory.states.new_zeros(batch, width), nowhere, nowhere)

    def forward(self, entered: Tensor, gaze: Gaze, memory: Memory) -> Gaze:
        """Look once, after a frame ``entered`` [B, 4 D]."""
        gates = torch.addmm(entered, torch.cat([gaze.context, gaze.hidden], dim=1), memory.gates.T)
        enter, forget, new, leave = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * gaze.cell + enter.sigmoid() * new.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        around = nn.functional.pad(gaze.cumulative, (REACH // 2, REACH // 2)).unfold(1, REACH, 1)
        match = torch.tanh(self.query(hidden)[:, None] + memory.keys + around @ memory.kernel.T)
        energy = self.energy(match)[:, :, 0].masked_fill(~memory.mask, float("-inf"))
        weights = energy.softmax(1)
        context = (weights[:, None] @ memory.states)[:, 0]
        return Gaze(hidden, cell, context, weights, gaze.cumulative + weights)


class AttentionDecoder(FeedbackDecoder):
    """Pre-net, attention, LSTMs, projections to frames and to a stop, a post-net (Tacotron-2, arXiv 1712.05884).

    Under teacher forcing only the attention runs step by step: nothing that the further LSTMs say comes back to it.
    At synthesis a sentence ends when the stop token says so, between ``shortest`` and ``longest`` frames a phone.
    Further arguments are those of ``FeedbackDecoder``.

    Args:
        inputs: dimensions of the phone states.
        recurrent: units of the LSTMs.
        layers: LSTMs, the attention's included: Tacotron-2 has 2, CAMP's s2s 4 by Hodari's thesis.
        attention: dimensions in which query and keys meet.
        dropout: between the further LSTMs.
        shortest: frames a phone before which no sentence ends (ours).
        longest: frames a phone at which every sentence ends (ours).
    """

    timed = False

    def __init__(
        self,
        inputs: int,
        mels: int,
        recurrent: int,
        layers: int,
        attention: int,
        prenet: int,
        postnet: PostNet | None,
        frames_per_step: int,
        dropout: float,
        prenet_dropout: float,
        prenet_always: bool,
        seed: int,
        shortest: float,
        longest: float,
    ) -> None:
        super().__init__(recurrent, mels, prenet, postnet, frames_per_step, prenet_dropout, prenet_always, seed)
        self.shortest, self.longest = shortest, longest
        self.attention = LocationAttention(prenet, inputs, recurrent, attention)
        self.recurrent = SteppedLSTM(recurrent + inputs, recurrent, layers - 1, dropout)
        self.mel = nn.Linear(recurrent + inputs, mels * frames_per_step)
        self.stop = nn.Linear(recurrent + inputs, 1)

    def forward(
        self, states: Tensor, lengths: Tensor, durations: Tensor | None, recording: AcousticBatch | None
    ) -> Decoded:
        memory = self.attention.memory(states, lengths)
        return self.alone(memory, lengths) if recording is None else self.taught(memory, lengths, recording)

    def taught(self, memory: Memory, lengths: Tensor, recording: AcousticBatch) -> Decoded:
        """Rebuild a recording, whose frames are heard; durations are its own."""
        step, frames = self.frames_per_step, recording.mel.shape[1]
        steps = step_lengths(recording.frame_lengths, step)
        kept = self.prenet.kept(int(steps.max()), memory.states)
        heard = self.before(recording.mel, len(kept))
        if self.training and self.own > 0:
            with torch.no_grad():
                made = by_frame(self.mel(self.follow(memory, kept, heard)[0]), frames, step)
            heard = self.mixed(heard, self.before(made, len(kept)))
        read, weights = self.follow(memory, kept, heard)
        mask = length_mask(recording.frame_lengths, frames)
        mel = by_frame(self.mel(read), frames, step) * mask[:, :, None]
        weights = weights * length_mask(steps, len(kept))[:, :, None]
        attended = Attended(weights, steps, torch.ones_like(steps, dtype=torch.bool))
        hidden, contexts = read.split([read.shape[2] - memory.states.shape[2], memory.states.shape[2]], dim=2)
        extra = {"stop": self.stop(read)[:, :, 0], "phones": lengths}
        states, total = widened(hidden, frames, step), recording.frame_lengths
        draft = Decoded(mel, states, recording.durations, total, extra, attended=attended)
        return self.refined(draft, contexts, recording)

    def follow(self, memory: Memory, kept: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """Hear frames [B, S, M]: the LSTMs' states with what they read, [B, S, D + C], and where, [B, S, P]."""
        gaze = self.attention.start(memory)
        gazes = []
        for entered in self.attention.entered(self.prenet(heard, kept)).unbind(1):
            gaze = self.attention(entered, gaze, memory)
            gazes.append(gaze)
        contexts = torch.stack([gaze.context for gaze in gazes], dim=1)
        queries = torch.stack([gaze.hidden for gaze in gazes], dim=1)
        hidden = self.recurrent(torch.cat([queries, contexts], dim=2))
        return torch.cat([hidden, contexts], dim=2), torch.stack([gaze.weights for gaze in gazes], dim=1)

    def alone(self, memory: Memory, lengths: Tensor) -> Decoded:
        """Speak until the stop token says so."""
        step, mels = self.frames_per_step, self.mel.out_features // self.frames_per_step
        least = step_lengths((lengths * self.shortest).ceil().long(), step).clamp(min=1)
        most = torch.maximum(step_lengths((lengths * self.longest).ceil().long(), step), least)
        kept = self.prenet.kept(int(most.max()), memory.states)
        gaze, state = self.attention.start(memory), self.recurrent.start(memory.states)
        heard = memory.states.new_zeros(len(lengths), mels)
        steps, stopped = most.clone(), torch.zeros_like(lengths, dtype=torch.bool)
        reads, contexts, said, weights = [], [], [], []
        for count in range(1, len(kept) + 1):
            entered = self.attention.entered(self.prenet(heard[:, None], kept[count - 1 : count])[:, 0])
            gaze = self.attention(entered, gaze, memory)
            hidden, state = self.recurrent.step(torch.cat([gaze.hidden, gaze.context], dim=1), state)
            read = torch.cat([hidden, gaze.context], dim=1)
            out = self.mel(read)
            heard = out[:, -mels:]
            reads.append(hidden)
            contexts.append(gaze.context)
            said.append(out)
            weights.append(gaze.weights)
            ending = (self.stop(read)[:, 0] > 0) & (count >= least) & (count <= most) & ~stopped
            steps = torch.where(ending, count, steps)
            stopped |= ending
            if bool((stopped | (count >= most)).all()):
                break
        total = steps * step
        frames = int(total.max())
        looked = torch.stack(weights, dim=1) * length_mask(steps, len(weights))[:, :, None]
        mel = by_frame(torch.stack(said, dim=1), frames, step) * length_mask(total, frames)[:, :, None]
        durations = read_off(looked.repeat_interleave(step, dim=1), lengths, total)
        hidden = widened(torch.stack(reads, dim=1), frames, step)
        draft = Decoded(mel, hidden, durations, total, {}, attended=Attended(looked, steps, stopped))
        return self.refined(draft, torch.stack(contexts, dim=1), None)

    def losses(self, decoded: Decoded, recording: AcousticBatch) -> dict[str, Tensor]:
        assert decoded.attended is not None
        stop, steps = decoded.extra["stop"], decoded.attended.steps
        inside = length_mask(steps, stop.shape[1])
        last = (torch.arange(stop.shape[1], device=stop.device) == steps[:, None] - 1).to(stop.dtype)
        ends = masked_mean(
            nn.functional.binary_cross_entropy_with_logits(
                stop, last, pos_weight=stop.new_tensor(LAST), reduction="none"
            ),
            inside,
        )
        guide = guided(decoded.attended.weights, steps, decoded.extra["phones"])
        return {**super().losses(decoded, recording), "stop": ends, "guide": guide}


def guided(weights: Tensor, steps: Tensor, phones: Tensor) -> Tensor:
    """Guided attention loss (Tachibana et al. 2018, section 4.1): the mean weight far from the diagonal.

    Args:
        weights: [B, S, P].
        steps: [B].
        phones: [B].
    """
    mask = length_mask(steps, weights.shape[1])[:, :, None] & length_mask(phones, weights.shape[2])[:, None]
    step = torch.arange(weights.shape[1], device=weights.device) / steps[:, None]
    phone = torch.arange(weights.shape[2], device=weights.device) / phones[:, None]
    off = 1 - torch.exp(-(phone[:, None] - step[:, :, None]).square() / (2 * DIAGONAL**2))
    return masked_mean(weights * off, mask)


def read_off(weights: Tensor, phones: Tensor, frames: Tensor) -> Tensor:
    """Durations by the best monotonic path through an attention: [B, T, P] and lengths -> frames of each phone [B, P].

    They sum to ``frames``. Every phone lasts a frame at least, unless there are more phones than frames; then as few as
    can be last none. Which frames are a phone's is the path of the largest product of weights (Viterbi 1967).
    """
    weights = weights.double().clamp(min=1e-8).log()
    batch, size, count = weights.shape
    places = torch.arange(count, device=weights.device)
    weights = weights.masked_fill(places >= phones[:, None, None], -2 * SKIP * count)
    skips = SKIP * places
    score = weights[:, 0] - skips
    came = []  # where each frame's path was a frame earlier, [B, P]
    rows = torch.arange(batch, device=weights.device)
    scores = [score]
    for t in range(1, size):
        best, source = (score + skips).cummax(1)
        jump = nn.functional.pad(best[:, :-1] - skips[:-1], (1, 0), value=float("-inf"))
        source = nn.functional.pad(source[:, :-1], (1, 0))
        came.append(torch.where(score >= jump, places, source))
        score = torch.maximum(score, jump) + weights[:, t]
        scores.append(score)
    ends = torch.stack(scores, dim=1)[rows, frames - 1] - SKIP * (phones[:, None] - 1 - places).clamp(min=0)
    phone = ends.argmax(1)
    durations = torch.zeros(batch, count, dtype=torch.long, device=weights.device)
    for t in range(size - 1, -1, -1):
        there = t < frames
        durations[rows, phone] += there.long()
        if t > 0:
            phone = torch.where(there, came[t - 1][rows, phone], phone)
    return durations
