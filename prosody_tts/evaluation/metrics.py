"""The metrics of a system's speech, each a figure per sentence; a table averages them over sentences.

Renditions of a sentence are one observation, since they share a text: a metric of single utterances is averaged over
a sentence's renditions first (RMSEs as root of the mean square), so that intervals and tests count sentences. What two
speakers say are no renditions of each other: each speaker's have a figure, and the sentence has their mean. A rate of
errors weighs a sentence by its words, so that the table's figure is the rate of all words, as it is everywhere else.
Definitions in the literature differ (Skerry-Ryan et al., arXiv 1803.09047, section 4.2); each metric states its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.results import UtteranceResult, by_speaker
from prosody_tts.evaluation.statistics import mean
from prosody_tts.evaluation.transcripts import NORMALISED, character_errors, word_errors

Better = Literal["lower", "higher"]
#: Where a figure comes from: the synthesised audio, the decoder's read-out head, or what trained the system.
Source = Literal["audio", "readout", "stages"]
OfUtterance = Callable[[UtteranceResult], "float | None"]
OfSentence = Callable[[Sequence[UtteranceResult]], "float | None"]


@dataclass(frozen=True)
class Metric:
    """One column of the table.

    Attributes:
        name: key in ``METRICS`` and in every table.
        label: for people.
        unit: of the value.
        definition: one sentence.
        better: which direction.
        perfect: the value of the recordings themselves.
        source: audio or read-out head.
        of_sentence: the value over the renditions of one sentence, or None where it is not defined.
        weight: how much a sentence counts in a mean over sentences, where ``of_sentence`` has a value; none counts all
            alike.
    """

    name: str
    label: str
    unit: str
    definition: str
    better: Better
    perfect: float
    source: Source
    of_sentence: OfSentence
    weight: OfSentence | None = None

    def of(self, result: UtteranceResult) -> float | None:
        """The value of a single utterance."""
        return self.of_sentence([result])


def by_sentence(results: Sequence[UtteranceResult]) -> dict[str, dict[str, float]]:
    """Value of every metric for every sentence where it is defined: metric -> sentence -> value.

    A sentence that several speakers say has the mean over speakers.
    """
    groups = by_speaker(results)
    return {metric.name: _over_speakers(metric.of_sentence, groups) for metric in METRICS.values()}


def weights_by_sentence(results: Sequence[UtteranceResult]) -> dict[str, dict[str, float]]:
    """How much every sentence counts, of the metrics that do not count all alike: metric -> sentence -> weight."""
    groups = by_speaker(results)
    return {
        metric.name: _over_speakers(metric.weight, groups) for metric in METRICS.values() if metric.weight is not None
    }


def _over_speakers(
    of_sentence: OfSentence, groups: Mapping[str, Sequence[Sequence[UtteranceResult]]]
) -> dict[str, float]:
    """The value of every sentence that has one, the mean over its speakers."""
    found = {}
    for sentence, speakers in groups.items():
        values = [value for value in map(of_sentence, speakers) if value is not None]
        if values:
            found[sentence] = float(np.mean(values)) if len(values) > 1 else values[0]
    return found


def overall(results: Sequence[UtteranceResult]) -> dict[str, float]:
    """Every metric that is defined somewhere, over all sentences, as a table has it."""
    weights = weights_by_sentence(results)
    return {
        name: mean(
            np.array(list(values.values())),
            np.array([weights[name][sentence] for sentence in values]) if name in weights else None,
        )
        for name, values in by_sentence(results).items()
        if values
    }


def rmse(difference: Floats) -> float | None:
    """Root of the mean square of the values that are not NaN; None if there are none."""
    sound = difference[~np.isnan(difference)]
    return float(np.sqrt(np.mean(sound**2))) if len(sound) else None


def nanmean(values: Floats) -> Floats:
    """Mean over axis 0 of the values that are not NaN; NaN where there are none, without a warning."""
    sound = ~np.isnan(values)
    count = sound.sum(axis=0)
    return np.where(count > 0, np.where(sound, values, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def _mean(of_utterance: OfUtterance) -> OfSentence:
    """Average over the renditions."""

    def of_sentence(renditions: Sequence[UtteranceResult]) -> float | None:
        values = [value for value in map(of_utterance, renditions) if value is not None]
        return float(np.mean(values)) if values else None

    return of_sentence


def _root_mean_square(of_utterance: OfUtterance) -> OfSentence:
    """Root of the mean square over the renditions."""

    def of_sentence(renditions: Sequence[UtteranceResult]) -> float | None:
        values = [value for value in map(of_utterance, renditions) if value is not None]
        return float(np.sqrt(np.mean(np.square(values)))) if values else None

    return of_sentence


def _measured(result: UtteranceResult, name: Literal["log_f0", "energy"], source: Source) -> Floats | None:
    if source == "audio":
        return getattr(result.system, name)[result.words]
    return None if result.readout is None else getattr(result.readout, name)[result.words]


def _word_rmse(name: Literal["log_f0", "energy"], source: Source) -> OfSentence:
    def of_utterance(result: UtteranceResult) -> float | None:
        system = _measured(result, name, source)
        return None if system is None else rmse(system - getattr(result.reference, name)[result.words])

    return _root_mean_square(of_utterance)


def _correlation(source: Source) -> OfSentence:
    def of_utterance(result: UtteranceResult) -> float | None:
        system = _measured(result, "log_f0", source)
        if system is None:
            return None
        reference = result.reference.log_f0[result.words]
        sound = ~np.isnan(system) & ~np.isnan(reference)
        if sound.sum() < 3:
            return None
        a, b = system[sound] - system[sound].mean(), reference[sound] - reference[sound].mean()
        if np.sqrt(np.mean(b**2)) < 1e-6:
            return None
        # A monotone follows nothing: 0, not undefined, or the flattest system would be left out of its own figure.
        return 0.0 if np.sqrt(np.mean(a**2)) < 1e-6 else float(a @ b / np.sqrt((a @ a) * (b @ b)))

    return _mean(of_utterance)


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


def _attention_failed(result: UtteranceResult) -> float | None:
    return None if result.attention is None else float(result.attention != "sound")


def _cut(result: UtteranceResult) -> float | None:
    return None if result.cut is None else float(result.cut)


def _error_rate(errors: Callable[[str, str], tuple[int, int]]) -> OfUtterance:
    def of_utterance(result: UtteranceResult) -> float | None:
        if result.heard is None:
            return None
        wrong, said = errors(result.text, result.heard)
        return wrong / said if said else None

    return of_utterance


def _said(errors: Callable[[str, str], tuple[int, int]]) -> OfUtterance:
    return lambda result: None if result.heard is None else float(errors(result.text, result.heard)[1])


def _duration(result: UtteranceResult) -> float | None:
    seconds = rmse((result.system.duration - result.reference.duration)[result.words])
    return None if seconds is None else 1000.0 * seconds


def _log_duration(result: UtteranceResult) -> float | None:
    system, reference = result.system.duration[result.words], result.reference.duration[result.words]
    sound = (system > 0) & (reference > 0)
    return rmse(np.log(system[sound]) - np.log(reference[sound]))


def _pause(result: UtteranceResult) -> float | None:
    words = result.words
    inner = [index for index in range(words[0], words[-1]) if not result.tokens[index]] if words else []
    seconds = rmse((result.system.duration - result.reference.duration)[inner])
    return None if seconds is None else 1000.0 * seconds


_METRICS = (
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
        _correlation("audio"),
    ),
    Metric(
        "log_f0_correlation_readout",
        "F0 correlation (read-out)",
        "",
        "As log_f0_correlation, with the word F0 that the decoder's read-out head gives instead of the audio's.",
        "higher",
        1.0,
        "readout",
        _correlation("readout"),
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
        _mean(_voiced),
    ),
    Metric(
        "attention_failures",
        "Attention failures",
        "share",
        "Share of sentences whose attention did not read every spoken phone once and stop by itself, of systems that "
        "attend; what went wrong stands in utterances.jsonl.",
        "lower",
        0.0,
        "audio",
        _mean(_attention_failed),
    ),
    Metric(
        "cut_sentences",
        "Sentences cut",
        "share",
        "Share of sentences that a guard ended because their last phone had lasted as long as language.longest allows, "
        "of language models, which say themselves when they have finished.",
        "lower",
        0.0,
        "audio",
        _mean(_cut),
    ),
    Metric(
        "wer",
        "Word error rate",
        "share",
        "Words that a recogniser (evaluation.recogniser) substituted, left out or put in when it heard the system's "
        f"audio, over the words said, of all sentences together; averaged over renditions. {NORMALISED}",
        "lower",
        0.0,
        "audio",
        _mean(_error_rate(word_errors)),
        _mean(_said(word_errors)),
    ),
    Metric(
        "cer",
        "Character error rate",
        "share",
        "As wer, of characters, blanks included.",
        "lower",
        0.0,
        "audio",
        _mean(_error_rate(character_errors)),
        _mean(_said(character_errors)),
    ),
    Metric(
        "duration_rmse",
        "Word duration error",
        "ms",
        "RMSE over words between the duration the system predicts and the recording's; root mean square over "
        "renditions.",
        "lower",
        0.0,
        "audio",
        _root_mean_square(_duration),
    ),
    Metric(
        "log_duration_rmse",
        "Word duration error (relative)",
        "nats",
        "As duration_rmse, of natural-log durations, over words that last at least a frame in both.",
        "lower",
        0.0,
        "audio",
        _root_mean_square(_log_duration),
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
        _root_mean_square(_pause),
    ),
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
        "mcd",
        "Mel-cepstral distortion",
        "dB",
        "10 sqrt(2) / ln 10 times the mean distance of cepstra 1 to 13 (orthonormal DCT-II of the natural-log mel "
        "spectrogram, c0 left out), frames aligned linearly inside each phone; averaged over renditions.",
        "lower",
        0.0,
        "audio",
        _mean(lambda result: result.mcd),
    ),
    Metric(
        "mel_l1",
        "Mel distance",
        "nats",
        "Mean absolute difference of natural-log mel values, frames aligned linearly inside each phone; averaged over "
        "renditions.",
        "lower",
        0.0,
        "audio",
        _mean(lambda result: result.mel_l1),
    ),
)

#: Every metric by name, in the order of tables.
METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
