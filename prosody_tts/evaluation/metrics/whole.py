"""Whether a sentence was said at all, what a recogniser makes of it, and how far its spectrum lies off."""

from __future__ import annotations

from collections.abc import Callable

from prosody_tts.evaluation.metrics.contract import Metric, OfUtterance, mean_of
from prosody_tts.evaluation.results import UtteranceResult
from prosody_tts.evaluation.transcripts import NORMALISED, character_errors, word_errors


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


def _quality(name: str, label: str, of: str) -> Metric:
    """A score of a model that guesses listeners'; nobody knows what recordings have, so gaps end at copy synthesis."""
    definition = (
        f"{of} of the system's audio as DNSMOS guesses it without a reference (arXiv 2110.01763, 2010.15258), 1 to 5; "
        "averaged over renditions. A check that audio is clean, no measure of naturalness or prosody."
    )

    def of_utterance(result: UtteranceResult) -> float | None:
        return None if result.quality is None else result.quality.get(name)

    return Metric(name, label, "", definition, "higher", 5.0, "audio", mean_of(of_utterance))


QUALITY = (
    _quality("dnsmos_overall", "DNSMOS overall", "P.835's overall quality"),
    _quality("dnsmos_signal", "DNSMOS signal", "P.835's quality of the voice"),
    _quality("dnsmos_background", "DNSMOS background", "P.835's quality of the background"),
    _quality("dnsmos_p808", "DNSMOS P.808", "P.808's quality"),
)
SAID = (
    Metric(
        "attention_failures",
        "Attention failures",
        "share",
        "Share of sentences whose attention did not read every spoken phone once and stop by itself, of systems that "
        "attend; what went wrong stands in utterances.jsonl.",
        "lower",
        0.0,
        "audio",
        mean_of(_attention_failed),
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
        mean_of(_cut),
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
        mean_of(_error_rate(word_errors)),
        mean_of(_said(word_errors)),
    ),
    Metric(
        "cer",
        "Character error rate",
        "share",
        "As wer, of characters, blanks included.",
        "lower",
        0.0,
        "audio",
        mean_of(_error_rate(character_errors)),
        mean_of(_said(character_errors)),
    ),
)
SPECTRUM = (
    Metric(
        "mcd",
        "Mel-cepstral distortion",
        "dB",
        "10 sqrt(2) / ln 10 times the mean distance of cepstra 1 to 13 (orthonormal DCT-II of the natural-log mel "
        "spectrogram, c0 left out), frames aligned linearly inside each phone; averaged over renditions.",
        "lower",
        0.0,
        "audio",
        mean_of(lambda result: result.mcd),
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
        mean_of(lambda result: result.mel_l1),
    ),
)
