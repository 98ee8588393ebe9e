"""The metrics of a system's speech."""

from prosody_tts.evaluation.metrics.contract import Better, Metric, Source, log_or_nan, nanmean, rmse
from prosody_tts.evaluation.metrics.registry import METRICS, by_sentence, of_metric, overall, weights_by_sentence

__all__ = [
    "METRICS",
    "Better",
    "Metric",
    "Source",
    "by_sentence",
    "log_or_nan",
    "nanmean",
    "of_metric",
    "overall",
    "rmse",
    "weights_by_sentence",
]
