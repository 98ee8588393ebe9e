"""The metrics of a system's speech."""

from prosody_tts.evaluation.metrics.contract import Better, Metric, Source, nanmean, rmse
from prosody_tts.evaluation.metrics.registry import METRICS, by_sentence, overall, weights_by_sentence

__all__ = ["METRICS", "Better", "Metric", "Source", "by_sentence", "nanmean", "overall", "rmse", "weights_by_sentence"]
