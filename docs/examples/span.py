"""A metric: how far the system's melodic range is from the recording's, in semitones."""

from __future__ import annotations

import math

import numpy as np

from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.metrics import METRICS, Metric
from prosody_tts.evaluation.metrics.contract import mean_of
from prosody_tts.evaluation.results import UtteranceResult


def span(log_f0: Floats) -> float | None:
    """Semitones between the lowest and the highest word; None with fewer than two voiced words."""
    voiced = log_f0[~np.isnan(log_f0)]
    return float(np.ptp(voiced)) * 12 / math.log(2) if len(voiced) > 1 else None


def span_error(result: UtteranceResult) -> float | None:
    """Absolute difference of the spans; None, and so left out of the mean, where either has none."""
    spoken, recorded = (span(measures.log_f0[result.words]) for measures in (result.system, result.reference))
    return None if spoken is None or recorded is None else abs(spoken - recorded)


METRICS["span_error"] = Metric(
    name="span_error",
    label="Span error",
    unit="semitones",
    definition="Absolute difference between the range of word F0 of the system's audio and of the recording's.",
    better="lower",
    perfect=0.0,
    source="audio",
    of_sentence=mean_of(span_error),
)
