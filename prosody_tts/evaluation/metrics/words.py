"""F0 and energy of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.metrics.contract import (
    Metric,
    OfSentence,
    Source,
    correlation,
    mean_of,
    nanmean,
    rmse,
    root_mean_square,
)
from prosody_tts.evaluation.results import UtteranceResult


def _measured(result: UtteranceResult, name: Literal["log_f0", "energy"], source: Source) -> Floats | None:
    if source == "audio":
        return getattr(result.system, name)[result.words]
    return None if result.readout is None else getattr(result.readout, name)[result.words]


def _word_rmse(name: Literal["log_f0", "energy"], source: Source) -> OfSentence:
    def of_utterance(result: UtteranceResult) -> float | None:
        system = _measured(result, name, source)
        return None if system is None else rmse(system - getattr(result.reference, name)[result.words])

    return root_mean_square(of_utterance)


def _correlation(name: Literal["log_f0", "energy"], source: Source) -> OfSentence:
    def of_utterance(result: UtteranceResult) -> float | None:
        system = _measured(result, name, source)
        return None if system is None else correlation(system, getattr(result.reference, name)[result.words])

    return mean_of(of_utterance)


def _rendition_mean_rmse(source: Source) -> OfSentence:
    def of_sentence(renditions: Sequence[UtteranceResult]) -> float | None:
        systems = [_measured(result, "log_f0", source) for result in renditions]
        if len(renditions) < 2 or any(system is None for system in systems):
            return None
        spoken = np.array(systems)
        recorded = np.array([result.reference.log_f0[result.words] for result in renditions])
        # A word that an oracle leaves unvoiced in one rendition is left out of that rendition on both sides, or the
        # two means would be of different renditions.
        both = ~np.isnan(spoken) & ~np.isnan(recorded)
        return rmse(nanmean(np.where(both, spoken, np.nan)) - nanmean(np.where(both, recorded, np.nan)))

    return of_sentence


def _voiced(result: UtteranceResult) -> float | None:
    words = result.words
    recorded = ~np.isnan(result.reference.log_f0[words])
    return float(np.mean(~np.isnan(result.system.log_f0[words][recorded]))) if recorded.any() else None


F0 = (
    Metric(
        "log_f0_rmse_mean",
        "F0 error to the mean rendition",
        "log Hz",
        "RMSE over a sentence's words between the system's mean log F0, measured on its audio, and the mean of the "
        "recordings' over all renditions of the sentence, where both are voiced: what of F0 the text decides. Only "
        "where a sentence has two renditions or more.",
        "lower",
        0.0,
        "audio",
        _rendition_mean_rmse("audio"),
    ),
    Metric(
        "log_f0_rmse_mean_readout",
        "F0 error to the mean rendition (read-out)",
        "log Hz",
        "As log_f0_rmse_mean, with the word F0 that the decoder's read-out head gives instead of the audio's.",
        "lower",
        0.0,
        "readout",
        _rendition_mean_rmse("readout"),
    ),
    Metric(
        "log_f0_rmse",
        "F0 error",
        "log Hz",
        "RMSE over words between mean log F0 of the system's audio and of the recording, both voiced; root mean "
        "square over the renditions of a sentence.",
        "lower",
        0.0,
        "audio",
        _word_rmse("log_f0", "audio"),
    ),
    Metric(
        "log_f0_rmse_readout",
        "F0 error (read-out)",
        "log Hz",
        "As log_f0_rmse, with the word F0 that the decoder's read-out head gives instead of the audio's.",
        "lower",
        0.0,
        "readout",
        _word_rmse("log_f0", "readout"),
    ),
    Metric(
        "log_f0_correlation",
        "F0 correlation",
        "",
        "Pearson correlation over the words of an utterance between mean log F0 of the system's audio and of the "
        "recording, three words or more voiced in both; 0 for a monotone; averaged over renditions.",
        "higher",
        1.0,
        "audio",
        _correlation("log_f0", "audio"),
    ),
    Metric(
        "log_f0_correlation_readout",
        "F0 correlation (read-out)",
        "",
        "As log_f0_correlation, with the word F0 that the decoder's read-out head gives instead of the audio's.",
        "higher",
        1.0,
        "readout",
        _correlation("log_f0", "readout"),
    ),
    Metric(
        "voiced_words",
        "Voiced words",
        "share",
        "Share of the words with F0 in the recording that have F0 in the system's audio too: the words that its F0 "
        "figures rest on; averaged over renditions.",
        "higher",
        1.0,
        "audio",
        mean_of(_voiced),
    ),
)
ENERGY = (
    Metric(
        "energy_rmse",
        "Energy error",
        "nats",
        "RMSE over words between mean log energy of the system's audio and of the recording; root mean square over "
        "renditions.",
        "lower",
        0.0,
        "audio",
        _word_rmse("energy", "audio"),
    ),
    Metric(
        "energy_rmse_readout",
        "Energy error (read-out)",
        "nats",
        "As energy_rmse, with the word energy that the decoder's read-out head gives instead of the audio's.",
        "lower",
        0.0,
        "readout",
        _word_rmse("energy", "readout"),
    ),
    Metric(
        "energy_correlation",
        "Energy correlation",
        "",
        "Pearson correlation over the words of an utterance between mean log energy of the system's audio and of the "
        "recording, of three words or more; 0 for one that does not move; averaged over renditions.",
        "higher",
        1.0,
        "audio",
        _correlation("energy", "audio"),
    ),
)
