"""Training recordings at other speeds besides their own (speed perturbation: Ko et al., Interspeech 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from data_modules.corpora.contract import PhoneTime, Utterance


def perturbed(utterances: Sequence[Utterance], speeds: Sequence[float]) -> tuple[Utterance, ...]:
    """Copies of the training utterances at each speed, in a split of their own, phone times with them.

    A speed of 1.1 is a tenth faster and a tenth higher. Of a small corpus a model learns by heart how each sentence
    was said; said at several pitches, its words no longer tell, and the prosody vector has to.
    """
    training = [utterance for utterance in utterances if utterance.split == "train"]
    return tuple(_at(utterance, speed) for speed in speeds for utterance in training)


def original(name: str) -> str:
    """Id of the recording that a copy was made of."""
    return name.rpartition("@")[0]


def _at(utterance: Utterance, speed: float) -> Utterance:
    phones = utterance.phones
    if phones is not None:
        phones = tuple(PhoneTime(p.label, p.start / speed, p.end / speed, p.word) for p in phones)
    return replace(utterance, id=f"{utterance.id}@{speed:g}", split="perturbed", speed=speed, phones=phones)
