"""What an alignment says of a corpus: how long phones and pauses last, and which utterances look misaligned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_modules.text.sentence import PAUSE, Sentence

#: Seconds from which a phone is suspicious (ours).
LONG_PHONE = 1.0
#: Standard deviations from the corpus's mean from which a speaking rate or a likelihood is suspicious (ours).
DEVIATIONS = 4.0
#: Share of an utterance's phones that last a single frame, from which it is suspicious (ours).
LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Suspicion:
    """An utterance that looks misaligned, why, and the number that says so."""

    id: str
    reason: str
    value: float


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
    spoken: dict[str, NDArray[np.int64]] = {}
    pauses: list[NDArray[np.int64]] = []
    for name, row in durations.items():
        frames, pause = np.array(row, np.int64), np.array([label == PAUSE for label in sentence(name).phones])
        spoken[name] = frames[~pause]
        pauses.append(frames[pause & (frames > 0)])
    metrics = {
        "phone_seconds": _mean(list(spoken.values())) * hop_seconds,
        "pause_seconds": _mean(pauses) * hop_seconds,
    }
    rates = {name: len(row) / max(row.sum() * hop_seconds, hop_seconds) for name, row in spoken.items()}
    odd_rates = _outliers(rates)
    unlikely = {name: value for name, value in _outliers(likelihoods or {}).items() if value < 0}
    found: list[Suspicion] = []
    for name, spans in spoken.items():
        longest, shortest = float(spans.max()) * hop_seconds, float(np.mean(spans <= 1))
        if longest > LONG_PHONE:
            found.append(Suspicion(name, f"a phone lasts more than {LONG_PHONE:g} s", round(longest, 4)))
        if shortest > LEAST_SHARE:
            found.append(Suspicion(name, "more than half of the phones last one frame at most", round(shortest, 4)))
        if name in odd_rates:
            side = "above" if odd_rates[name] > 0 else "below"
            reason = f"the phones per second of speech lie more than {DEVIATIONS:g} standard deviations {side} the mean"
            found.append(Suspicion(name, reason, round(rates[name], 4)))
        if name in unlikely and likelihoods is not None:
            reason = f"the likelihood per frame lies more than {DEVIATIONS:g} standard deviations below the mean"
            found.append(Suspicion(name, reason, round(likelihoods[name], 4)))
    return metrics, found


def summary(metrics: Mapping[str, Any], suspicious: list[dict[str, Any]]) -> str:
    """One line for a person."""
    odd = len({item["id"] for item in suspicious})
    looks = "no utterance looks" if odd == 0 else "1 utterance looks" if odd == 1 else f"{odd} utterances look"
    text = (
        f"alignment: {metrics['share']:.1%} aligned, a phone lasts {1000 * metrics['phone_seconds']:.0f} ms, a pause "
        f"{1000 * metrics['pause_seconds']:.0f} ms; {looks} misaligned"
    )
    if odd == 0:
        return text
    first = suspicious[0]
    return f"{text}, such as {first['id']}: {first['reason']} ({first['value']:.4g})"


def _mean(rows: list[NDArray[np.int64]]) -> float:
    joined = np.concatenate(rows) if rows else np.zeros(0)
    return float(joined.mean()) if len(joined) else 0.0


def _outliers(values: Mapping[str, float]) -> dict[str, float]:
    """Standard deviations from the mean, of values beyond ``DEVIATIONS``."""
    numbers = np.array(list(values.values()), np.float64)
    spread = numbers.std() if len(numbers) else 0.0
    if spread == 0:
        return {}
    scores = zip(values, ((numbers - numbers.mean()) / spread).tolist(), strict=True)
    return {name: score for name, score in scores if abs(score) > DEVIATIONS}
