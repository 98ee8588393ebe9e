"""What an alignment says of a corpus: how long phones and pauses last, and which utterances look misaligned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_modules.text.sentence import PAUSE, Sentence
from prosody_tts.files import read_json, write_json

#: Seconds above which a phone, and a pause, is suspicious (ours).
LONGEST_PHONE, LONGEST_PAUSE = 1.0, 2.0
#: Times the corpus's median speaking rate, or its inverse, beyond which a long utterance is suspicious (ours).
RATE_FACTOR = 1.6
#: Standard errors of a mean over an utterance's phones that widen this for short ones (ours).
STANDARD_ERRORS = 3.0
#: Scaled median absolute deviations below the median from which an aligner's score is suspicious (ours).
DEVIATIONS = 6.0
#: Share of phones of a single frame above which an utterance is suspicious: an aligner that has not learned (ours).
SINGLE_FRAMES = 0.5
#: File of an alignment's folder.
FILE = "suspicious.json"


@dataclass(frozen=True)
class Suspicion:
    """An utterance that looks misaligned, the first to listen to, and why, in a phrase or more."""

    id: str
    reasons: tuple[str, ...]


def report(
    durations: Mapping[str, list[int]],
    sentence: Callable[[str], Sentence],
    hop_seconds: float,
    likelihoods: Mapping[str, float] | None = None,
) -> tuple[dict[str, float], list[Suspicion]]:
    """Mean seconds of phones and of the pauses that last, and the suspicious utterances in the corpus's order.

    Args:
        durations: frames of each phone [P], by utterance.
        sentence: gives an utterance's sentence.
        hop_seconds: time between frames.
        likelihoods: the aligner's score of an utterance, nats per frame, where it has one.
    """
    scores = dict(likelihoods or {})
    rates: dict[str, float] = {}
    spoken: dict[str, NDArray[np.int64]] = {}
    reasons: dict[str, list[str]] = {}
    phones = pauses = phone_frames = pause_frames = 0
    for name, row in durations.items():
        text = sentence(name)
        frames, pause = np.array(row, np.int64), np.array([label == PAUSE for label in text.phones])
        phones, phone_frames = phones + int((~pause).sum()), phone_frames + int(frames[~pause].sum())
        pauses, pause_frames = pauses + int((frames[pause] > 0).sum()), pause_frames + int(frames[pause].sum())
        rates[name], spoken[name] = speaking_rate(text, frames, hop_seconds), frames[~pause]
        reasons[name] = strange_lengths(text, frames, hop_seconds)
    usual = float(np.median(list(rates.values()))) if rates else 0.0
    phone, variation = _robust(np.concatenate(list(spoken.values())) if spoken else [])
    middle, spread = _robust(list(scores.values()))
    for name, rate in rates.items():
        factor = rate_factor(len(spoken[name]), variation / max(phone, 1.0))
        if not usual / factor <= rate <= usual * factor:
            reasons[name].append(f"{rate:.1f} phones/s, where the corpus's median is {usual:.1f}")
        if name in scores and scores[name] < middle - DEVIATIONS * spread:
            reasons[name].append(
                f"the aligner's score is {scores[name]:.2f} nats a frame, where the corpus's median is {middle:.2f}"
            )
    metrics = {
        "phone_seconds": phone_frames * hop_seconds / max(phones, 1),
        "pause_seconds": pause_frames * hop_seconds / max(pauses, 1),
    }
    return metrics, [Suspicion(name, tuple(why)) for name, why in reasons.items() if why]


def speaking_rate(sentence: Sentence, durations: NDArray[np.int64], hop_seconds: float) -> float:
    """Phones a second of speech, pauses left out; one frame's worth at least. ``durations`` [P] in frames."""
    spoken = np.array([phone != PAUSE for phone in sentence.phones])
    return float(spoken.sum() / (max(int(durations[spoken].sum()), 1) * hop_seconds))


def rate_factor(phones: int, variation: float) -> float:
    """Times the median rate, or its inverse, within which so many phones may be spoken (ours).

    A rate is one over the mean length of the phones. That mean differs between utterances by the manner of speaking,
    for which ``RATE_FACTOR`` stands, and by which few phones it is taken over, with a standard error of
    ``variation / sqrt(phones)`` in natural-log units; independent deviations add as squares. So a word said by itself,
    long and clear, is as usual as a quick sentence, and many phones are left ``RATE_FACTOR`` alone.

    Args:
        phones: of the utterance, pauses left out.
        variation: standard deviation of phones' lengths over their typical length.
    """
    manner, chance = np.log(RATE_FACTOR), STANDARD_ERRORS * variation
    return float(np.exp(np.sqrt(manner**2 + chance**2 / max(phones, 1))))


def strange_lengths(sentence: Sentence, durations: NDArray[np.int64], hop_seconds: float) -> list[str]:
    """Name the phones and pauses of an utterance that last too long; tell of phones that last a single frame."""
    reasons = []
    seconds = (durations * hop_seconds).tolist()
    for label, token, length in zip(sentence.phones, sentence.phone_to_word, seconds, strict=True):
        if label == PAUSE and length > LONGEST_PAUSE:
            reasons.append(f"a pause of {length:.2f} s {_place(sentence, token)}")
        elif label != PAUSE and length > LONGEST_PHONE:
            reasons.append(f"phone {label} of '{sentence.words[token // 2].text}' lasts {length:.2f} s")
    frames = durations[[phone != PAUSE for phone in sentence.phones]]
    single = float(np.mean(frames <= 1))
    if single > SINGLE_FRAMES:
        reasons.append(f"{100 * single:.0f} % of its phones last a single frame")
    return reasons


def write_suspicious(folder: Path, found: Sequence[Suspicion]) -> None:
    """Keep what looks misaligned in an alignment's folder."""
    write_json(folder / FILE, [asdict(item) for item in found])


def read_suspicious(folder: Path) -> list[Suspicion]:
    """The inverse of ``write_suspicious``."""
    return [Suspicion(item["id"], tuple(item["reasons"])) for item in read_json(folder / FILE)]


def summary(metrics: Mapping[str, Any], suspicious: Sequence[Suspicion]) -> str:
    """One line for a person."""
    odd = len(suspicious)
    looks = "no utterance looks" if odd == 0 else "1 utterance looks" if odd == 1 else f"{odd} utterances look"
    text = (
        f"alignment: {metrics['share']:.1%} aligned, a phone lasts {1000 * metrics['phone_seconds']:.0f} ms, a pause "
        f"{1000 * metrics['pause_seconds']:.0f} ms; {looks} misaligned"
    )
    return text if odd == 0 else f"{text}, such as {suspicious[0].id}: {suspicious[0].reasons[0]}"


def _place(sentence: Sentence, slot: int) -> str:
    if slot == 0:
        return "at the start"
    if slot == sentence.tokens - 1:
        return "at the end"
    return f"after '{sentence.words[slot // 2 - 1].text}'"


def _robust(values: Sequence[float] | NDArray[np.int64]) -> tuple[float, float]:
    """Median, and the median absolute deviation in standard deviations of a normal distribution."""
    if len(values) == 0:
        return 0.0, 0.0
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(np.array(values) - middle)))
