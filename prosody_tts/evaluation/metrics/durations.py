"""How long words, phones and pauses last, and where pauses are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prosody_tts.evaluation.measure import Floats, TokenMeasures
from prosody_tts.evaluation.metrics.contract import Metric, OfUtterance, mean_of, rmse, root_mean_square
from prosody_tts.evaluation.results import UtteranceResult

#: Seconds from which a silence between two words is a pause: shorter ones belong to how stops are said.
PAUSE = 0.05


def _duration(result: UtteranceResult) -> float | None:
    return _apart(result.system, result.reference, result.words)


def _log_duration(result: UtteranceResult) -> float | None:
    system, reference = result.system.duration[result.words], result.reference.duration[result.words]
    sound = (system > 0) & (reference > 0)
    return rmse(np.log(system[sound]) - np.log(reference[sound]))


def between_words(result: UtteranceResult) -> list[int]:
    """Slots between two words."""
    words = result.words
    return [index for index in range(words[0], words[-1]) if not result.tokens[index]] if words else []


def _apart(system: TokenMeasures, reference: TokenMeasures, places: list[int]) -> float | None:
    """RMSE of durations, in ms."""
    seconds = rmse((system.duration - reference.duration)[places])
    return None if seconds is None else 1000.0 * seconds


def _pause(result: UtteranceResult) -> float | None:
    return _apart(result.system, result.reference, between_words(result))


def _end(result: UtteranceResult) -> float | None:
    return _apart(result.system, result.reference, [len(result.tokens) - 1] if result.words else [])


def _phone(result: UtteranceResult) -> float | None:
    if result.phones is None:
        return None
    spoken = np.flatnonzero(result.phones.spoken).tolist()
    return _apart(result.phones.system, result.phones.reference, spoken)


def pauses(result: UtteranceResult) -> tuple[Floats, Floats]:
    """Slots between two words in which the recording, and the system, pause: 0 or 1."""
    slots = between_words(result)
    return (
        (result.reference.duration[slots] >= PAUSE).astype(np.float64),
        (result.system.duration[slots] >= PAUSE).astype(np.float64),
    )


def _precision(result: UtteranceResult) -> float | None:
    recorded, said = pauses(result)
    return float((recorded * said).sum() / said.sum()) if said.any() else None


def _recall(result: UtteranceResult) -> float | None:
    recorded, said = pauses(result)
    return float((recorded * said).sum() / recorded.sum()) if recorded.any() else None


def _count(side: Callable[[UtteranceResult], Floats]) -> OfUtterance:
    return lambda result: float(side(result).sum())


def _rate(result: UtteranceResult) -> float | None:
    words = result.words
    system, reference = result.system.duration[words].sum(), result.reference.duration[words].sum()
    return float(abs(np.log(system / reference))) if system > 0 and reference > 0 else None


DURATIONS = (
    Metric(
        "duration_rmse",
        "Word duration error",
        "ms",
        "RMSE over words between the duration the system predicts and the recording's; root mean square over "
        "renditions.",
        "lower",
        0.0,
        "audio",
        root_mean_square(_duration),
    ),
    Metric(
        "log_duration_rmse",
        "Word duration error (relative)",
        "nats",
        "As duration_rmse, of natural-log durations, over words that last at least a frame in both.",
        "lower",
        0.0,
        "audio",
        root_mean_square(_log_duration),
    ),
    Metric(
        "phone_duration_rmse",
        "Phone duration error",
        "ms",
        "RMSE over phones, pauses left out, between the duration the system predicts and the recording's; root mean "
        "square over renditions.",
        "lower",
        0.0,
        "audio",
        root_mean_square(_phone),
    ),
    Metric(
        "pause_rmse",
        "Pause error",
        "ms",
        "RMSE over the pause slots between words, those of zero length included, of their duration; root mean square "
        "over renditions.",
        "lower",
        0.0,
        "audio",
        root_mean_square(_pause),
    ),
    Metric(
        "end_rmse",
        "Sentence end error",
        "ms",
        "Distance of the durations of the silence after the last word; root mean square over renditions.",
        "lower",
        0.0,
        "audio",
        root_mean_square(_end),
    ),
    Metric(
        "pause_precision",
        "Pause precision",
        "share",
        f"Share of the system's pauses between words, of {1000 * PAUSE:g} ms or more, where the recording pauses too, "
        "of all sentences together; averaged over renditions that have one.",
        "higher",
        1.0,
        "audio",
        mean_of(_precision),
        mean_of(_count(lambda result: pauses(result)[1])),
    ),
    Metric(
        "pause_recall",
        "Pause recall",
        "share",
        f"Share of the recording's pauses between words, of {1000 * PAUSE:g} ms or more, where the system pauses too, "
        "of all sentences together; averaged over renditions that have one.",
        "higher",
        1.0,
        "audio",
        mean_of(_recall),
        mean_of(_count(lambda result: pauses(result)[0])),
    ),
    Metric(
        "rate_error",
        "Speaking rate error",
        "nats",
        "Absolute natural-log ratio of how long all words of a sentence last, pauses left out, in the system and in "
        "the recording; averaged over renditions.",
        "lower",
        0.0,
        "audio",
        mean_of(_rate),
    ),
)
