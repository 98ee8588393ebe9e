"""Speaking with a language model: one element after another, and never without end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data_modules.batches import TextBatch
from data_modules.scripts import END, FIRST_PHONE, NEXT, NONE, SPEAK, SPEECH
from prosody_tts.nn.language.model import SpeechLanguageModel
from prosody_tts.nn.language.reading import Reading, framed
from prosody_tts.nn.units import length_mask


@dataclass(frozen=True)
class Choice:
    """How the next element is chosen.

    Attributes:
        temperature: scale of the draw; 0 takes the likeliest.
        top_k: only so many of the likeliest; 0 for all.
        top_p: only the likeliest that have this probability together; 1 for all.
        repeats: a code of the first codebook may follow itself so many times; 0 for any number.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    repeats: int = 0

    def __call__(self, scores: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """One of each row of natural-log probabilities [N, K]: [N].

        Rows belong to the generators in turns of like length, so that what a sentence draws is its own.
        """
        if self.temperature == 0:
            return scores.argmax(1)
        scores = narrowed(scores / self.temperature, self.top_k, self.top_p)
        shape = len(scores) // len(generators), scores.shape[1]
        uniform = torch.cat([torch.rand(shape, generator=generator) for generator in generators])
        # The largest of log-probabilities with Gumbel noise is a draw.
        gumbel = -(-uniform.clamp(min=1e-20).log()).log().to(scores)
        return (scores + gumbel).argmax(1)


def narrowed(scores: Tensor, top_k: int, top_p: float) -> Tensor:
    """Log-probabilities [N, K] of all but the likeliest set to minus infinity."""
    if top_k > 0:
        least = scores.topk(min(top_k, scores.shape[1]), dim=1).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if top_p < 1:
        ordered, places = scores.softmax(1).sort(dim=1, descending=True)
        before = ordered.cumsum(1) - ordered
        outside = torch.zeros_like(before, dtype=torch.bool).scatter(1, places, before >= top_p)
        scores = scores.masked_fill(outside, -torch.inf)
    return scores


def generators_of(seeds: Sequence[int] | None, count: int) -> list[torch.Generator]:
    """One generator a sentence, so that what it draws is its own; without seeds all have 0."""
    return [torch.Generator().manual_seed(seed) for seed in seeds or [0] * count]


@dataclass
class Said:
    """What was spoken.

    Attributes:
        codes: [B, N, Q] zeros past the lengths.
        lengths: [B] segments.
        owners: [B, N] the phone of each segment; ``NONE`` where the model was not told where it is.
        cut: [B] whether a guard ended the sentence, or a phone in it.
    """

    codes: Tensor
    lengths: Tensor
    owners: Tensor
    cut: Tensor


@torch.no_grad()
def speak(
    model: SpeechLanguageModel,
    text: TextBatch,
    choice: Choice,
    longest: int,
    interleaved: bool,
    seeds: Sequence[int] | None = None,
    cached: bool = True,
) -> Said:
    """Say sentences.

    Args:
        model: in evaluation mode.
        text: what is said.
        choice: how elements are chosen.
        longest: segments a phone lasts at most; where the model is not told where it is, on average over the sentence.
        interleaved: whether each phone stands again before its segments, as in training.
        seeds: of each sentence's draws; none is 0 for all.
        cached: keep keys and values; without, everything is read again at each step, for the same result.
    """
    generators = generators_of(seeds, len(text.ids))
    speaker = _Speaker(model, text, choice, longest, interleaved, generators, cached)
    while not bool(speaker.done.all()):
        speaker.step()
    return speaker.said()


class _Speaker:
    """The state of so many sentences being said; those that are done go on reading padding."""

    def __init__(
        self,
        model: SpeechLanguageModel,
        text: TextBatch,
        choice: Choice,
        longest: int,
        interleaved: bool,
        generators: Sequence[torch.Generator],
        cached: bool,
    ) -> None:
        self.model, self.choice, self.longest, self.interleaved = model, choice, longest, interleaved
        self.generators = generators
        self.text = text
        device, count = text.phones.device, len(text.phones)
        self.phone = torch.full((count,), NONE, device=device)
        self.in_phone = torch.zeros(count, dtype=torch.long, device=device)
        self.lengths = torch.zeros_like(self.in_phone)
        self.run = torch.zeros_like(self.in_phone)
        self.last = torch.full_like(self.phone, NONE)
        self.done = torch.zeros(count, dtype=torch.bool, device=device)
        self.cut = torch.zeros_like(self.done)
        self.codes: list[Tensor] = []
        self.places: list[Tensor] = []
        self.spoken: list[Tensor] = []
        self.reading = self._prompt(cached)
        if interleaved:
            self._enter(~self.done)

    def _prompt(self, cached: bool) -> Reading:
        """Read the phones of every sentence."""
        phones, lengths = self.text.phones, self.text.phone_lengths
        symbols = framed(FIRST_PHONE + phones, lengths, SPEAK, SPEECH)
        inside = length_mask(lengths, phones.shape[1])
        places = torch.where(inside, torch.arange(phones.shape[1], device=phones.device), NONE)
        placed = torch.nn.functional.pad(places, (1, 1), value=NONE)
        codes = phones.new_zeros(*symbols.shape, self.model.codebooks)
        return Reading(self.model, symbols, codes, placed, lengths + 2, self.model.knowledge(self.text), cached)

    def step(self) -> None:
        """Choose one element for every sentence and read it."""
        model = self.model
        hidden = self.reading.hidden
        scores = model.head.first(hidden)
        scores[:, : model.symbols] = scores[:, : model.symbols].masked_fill(~self._allowed(), -torch.inf)
        if self.choice.repeats > 0:
            # A code that holds on for ever is how such a model gets stuck.
            stuck = self.run >= self.choice.repeats
            rows = stuck.nonzero()[:, 0]
            scores[rows, model.symbols + self.last[rows]] = -torch.inf
        chosen = self.choice(scores, self.generators)
        guarded = self._too_long() & ~self.done
        ends = (chosen < model.symbols) | guarded
        self.cut |= guarded & (chosen >= model.symbols)
        says = ~ends & ~self.done
        first = (chosen - model.symbols).clamp(min=0)
        codes = model.head.say(hidden, first, lambda rows: self.choice(rows, self.generators))
        self._keep(codes, says, first)
        if self.interleaved:
            self._enter(ends & ~self.done, codes, says)
        else:
            self.done = self.done | ends
            self.reading.read(torch.where(says, NONE, END), codes, torch.full_like(self.phone, NONE))

    def _allowed(self) -> Tensor:
        """Which symbols may come: [symbols]."""
        allowed = torch.zeros(self.model.symbols, dtype=torch.bool, device=self.phone.device)
        allowed[NEXT if self.interleaved else END] = True
        return allowed

    def _too_long(self) -> Tensor:
        if self.interleaved:
            return self.in_phone >= self.longest
        return self.lengths >= self.longest * self.text.phone_lengths

    def _keep(self, codes: Tensor, says: Tensor, first: Tensor) -> None:
        self.run = torch.where(says & (first == self.last), self.run + 1, torch.where(says, 1, self.run))
        self.last = torch.where(says, first, self.last)
        self.lengths = self.lengths + says
        self.in_phone = self.in_phone + says
        self.codes.append(codes)
        self.places.append(self.phone.clone())
        self.spoken.append(says)

    def _enter(self, next_phone: Tensor, codes: Tensor | None = None, says: Tensor | None = None) -> None:
        """Go on to the next phone in some sentences; the others read the segment they said."""
        self.phone = self.phone + next_phone
        self.in_phone = torch.where(next_phone, 0, self.in_phone)
        self.done = self.done | (self.phone >= self.text.phone_lengths)
        place = self.phone.clamp(max=self.text.phones.shape[1] - 1)
        symbols = FIRST_PHONE + self.text.phones.gather(1, place[:, None])[:, 0]
        symbols = torch.where(self.done, END, symbols)
        phones = torch.where(self.done, NONE, place)
        if codes is None or says is None:
            codes = self.phone.new_zeros(len(symbols), self.model.codebooks)
        else:
            symbols, phones = torch.where(says, NONE, symbols), torch.where(says, NONE, phones)
        self.reading.read(symbols, codes, phones)

    def said(self) -> Said:
        """Everything that was said, without the steps at which nothing was."""
        spoken = torch.stack(self.spoken, dim=1)
        order = (~spoken).long().argsort(dim=1, stable=True)[:, : int(self.lengths.max())]
        inside = length_mask(self.lengths, order.shape[1])
        codes = torch.stack(self.codes, dim=1)
        picked = codes.gather(1, order[:, :, None].expand(-1, -1, codes.shape[2])) * inside[:, :, None]
        places = torch.stack(self.places, dim=1).gather(1, order)
        return Said(picked, self.lengths, torch.where(inside, places, NONE), self.cut)
