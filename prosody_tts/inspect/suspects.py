"""Utterances whose alignment looks wrong: the first to listen to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data_modules.store import Recording
from data_modules.text.sentence import PAUSE, Sentence

#: Seconds above which a phone is suspicious (ours).
LONGEST_PHONE = 1.0
#: Seconds above which a pause is suspicious (ours).
LONGEST_PAUSE = 2.0
#: Times the corpus's median speaking rate, or its inverse, beyond which an utterance is suspicious (ours).
RATE_FACTOR = 1.6
#: Share of phones of a single frame above which an utterance is suspicious: an aligner that has not learned (ours).
SINGLE_FRAMES = 0.5


@dataclass(frozen=True)
class Suspect:
    """An utterance to listen to, and why, in a phrase or more."""

    utterance: str
    reasons: tuple[str, ...]


def speaking_rate(recording: Recording, hop: float) -> float:
    """Phones a second of speech, pauses left out; NaN where nothing is spoken. ``hop`` in seconds."""
    assert recording.durations is not None
    spoken = np.array([phone != PAUSE for phone in recording.sentence.phones])
    frames = int(recording.durations[spoken].sum())
    return float(spoken.sum() / (frames * hop)) if frames else float("nan")


def strange_lengths(recording: Recording, hop: float) -> list[str]:
    """Name the phones and pauses of an utterance that last too long; tell of phones that last a single frame."""
    assert recording.durations is not None
    sentence = recording.sentence
    reasons = []
    seconds = (recording.durations * hop).tolist()
    for label, token, length in zip(sentence.phones, sentence.phone_to_word, seconds, strict=True):
        if label == PAUSE and length > LONGEST_PAUSE:
            reasons.append(f"a pause of {length:.2f} s {_place(sentence, token)}")
        elif label != PAUSE and length > LONGEST_PHONE:
            reasons.append(f"phone {label} of '{sentence.words[token // 2].text}' lasts {length:.2f} s")
    frames = recording.durations[[phone != PAUSE for phone in sentence.phones]]
    single = float(np.mean(frames <= 1))
    if single > SINGLE_FRAMES:
        reasons.append(f"{100 * single:.0f} % of its phones last a single frame")
    return reasons


def _place(sentence: Sentence, slot: int) -> str:
    if slot == 0:
        return "at the start"
    if slot == sentence.tokens - 1:
        return "at the end"
    return f"after '{sentence.words[slot // 2 - 1].text}'"


def suspects(reasons: Mapping[str, Sequence[str]], rates: Mapping[str, float]) -> tuple[Suspect, ...]:
    """Utterances with reasons of their own or a speaking rate far from the others', in the order given.

    Args:
        reasons: utterance -> ``strange_lengths``.
        rates: utterance -> ``speaking_rate``.
    """
    median = _median(rates.values())
    found = []
    for name, own in reasons.items():
        why, rate = list(own), rates[name]
        if not np.isfinite(rate):
            why.append("no phone has a frame")
        elif not 1 / RATE_FACTOR <= rate / median <= RATE_FACTOR:
            why.append(f"{rate:.1f} phones/s, where the corpus's median is {median:.1f}")
        if why:
            found.append(Suspect(name, tuple(why)))
    return tuple(found)


def _median(values: Iterable[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if finite else float("nan")
