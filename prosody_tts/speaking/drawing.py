"""What is asked of stage two's draws: how freely, of how many the likeliest, and which words keep their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data_modules.collate import TextItem, text_batch
from prosody_tts.config import Experiment, Units
from prosody_tts.errors import UserError
from prosody_tts.nn.priors import PRIORS, Known
from prosody_tts.synthesis import Synthesizer


@dataclass(frozen=True)
class Drawing:
    """How often, and how freely, stage two draws each sentence.

    Attributes:
        seeds: of the recordings that are asked for, one each.
        temperature: scale of the prior's spread.
        best: draws of which the recordings are the likeliest, in order; 1 takes draws as they come.
    """

    seeds: tuple[int, ...]
    temperature: float
    best: int = 1

    def candidates(self, number: int) -> tuple[int, ...]:
        """Seeds of the draws that recording ``number`` is chosen from."""
        if self.best == 1:
            return (self.seeds[number],)
        return tuple(self.seeds[0] + place for place in range(self.best))


def check_drawing(experiment: Experiment, drawing: Drawing, keeps: bool, copies: bool) -> None:
    """Raise ``UserError`` for draws that a system cannot make, before anything is trained.

    Args:
        experiment: the system.
        drawing: what is asked for.
        keeps: whether some words keep their vectors.
        copies: whether a recording's prosody is copied.
    """
    if drawing.temperature < 0:
        raise UserError(f"a temperature of {drawing.temperature:g} is none; give 0 or more")
    if keeps and not experiment.has_stage_two:
        raise UserError(f"{experiment.system} has no stage two to draw the words beside those of --keep; name another")
    if keeps and experiment.units == "utterance":
        raise UserError(
            "--keep fixes the vectors of words, and with units=utterance one vector stands for all of them; name a "
            "system of words or phones, such as camp"
        )
    if drawing.best == 1:
        return
    if drawing.best < len(drawing.seeds):
        raise UserError(f"--best {drawing.best} leaves too few draws for --samples {len(drawing.seeds)}")
    if copies and not keeps:
        raise UserError("--best chooses among draws, and --reference copies all vectors; leave one out, or give --keep")
    if not experiment.has_stage_two:
        raise UserError(f"{experiment.system} has no stage two, whose draws --best would choose among; leave it out")
    if drawing.temperature == 0:
        raise UserError("--best chooses among draws, and at synthesis.temperature=0 all are alike; give it above 0")
    if not PRIORS[experiment.sampler.prior].likelihood:
        able = ", ".join(name for name, prior in PRIORS.items() if prior.likelihood)
        raise UserError(
            f"--best needs likelihoods, which sampler.prior={experiment.sampler.prior} has not; leave it out, or name "
            f"a system whose prior is one of {able}"
        )


def predicted(
    synthesizer: Synthesizer, item: TextItem, temperature: float = 0.0, seed: int = 0, known: Known | None = None
) -> Tensor:
    """Stage two's vectors [1, U, D] of one sentence."""
    vectors = synthesizer.predict(text_batch([item]), temperature, seed, known)
    assert vectors is not None
    return vectors.cpu()


def draw(synthesizer: Synthesizer, item: TextItem, drawing: Drawing, number: int, known: Known | None) -> Tensor:
    """Vectors [U, D] of one sentence for recording ``number``, whatever is spoken beside it."""
    text = text_batch([item])
    found = [predicted(synthesizer, item, drawing.temperature, seed, known) for seed in drawing.candidates(number)]
    if len(found) == 1:
        return found[0][0]
    nats = torch.cat([synthesizer.log_likelihood(text, vectors) for vectors in found])
    return found[int(nats.argsort(descending=True)[number])][0]


def units_of(item: TextItem, tokens: Sequence[tuple[int, int]], units: Units) -> Tensor:
    """[1, U] whether a unit belongs to the tokens, first and one after the last, of words that keep their vectors."""
    where = torch.zeros(len(item.word_to_node), dtype=torch.bool)
    for start, end in tokens:
        where[start:end] = True
    return (where if units == "word" else where[item.phone_to_word])[None]
