"""How much of each effect a controlled corpus planted is heard in a system's speech.

A share of 1 is the recordings' own effect, 0 none of it, below 0 the opposite. The recordings' words are averaged
over the renditions of a sentence, so that what no text reveals cancels and what the text decides remains. All fits are
sums over sentences, so a bootstrap resample only reweighs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from prosody_tts.evaluation.measure import Floats, TokenMeasures
from prosody_tts.evaluation.metrics import Source, nanmean
from prosody_tts.evaluation.results import Readout, UtteranceResult, by_renditions

MeasureName = Literal["log_f0", "energy", "log_duration"]
#: Order of the last axis of word measures [words, 3].
MEASURES: tuple[MeasureName, ...] = ("log_f0", "energy", "log_duration")
#: Values of categorical factors as numbers.
_NUMBERS = {"early": 0.0, "late": 1.0}
_Measures = TypeVar("_Measures", TokenMeasures, Readout)


@dataclass(frozen=True)
class Effect:
    """A planted effect and how its share is measured.

    Attributes:
        name: the factor.
        label: for people.
        kind: ``contrast``: positive against negative utterances; ``word``: coefficient in a regression over words;
            ``rendition``: as ``word``, on what is left within a sentence when the mean over its renditions is taken
            off, for random factors that differ between renditions.
        measures: which measures carry it; several are standardised and projected on the recordings'.
        definition: one sentence.
    """

    name: str
    label: str
    kind: Literal["contrast", "word", "rendition"]
    measures: tuple[MeasureName, ...]
    definition: str

    def column(self, source: Source) -> str:
        """Name of its metric in tables."""
        return f"effect_{self.name}" + ("_readout" if source == "readout" else "")

    @property
    def sources(self) -> tuple[Source, ...]:
        """Durations are the system's own either way, so an effect on them alone is measured once."""
        return ("audio",) if self.measures == ("log_duration",) else ("audio", "readout")


_WORD = (
    "Coefficient of the factor in a least-squares regression of the words' mean {what} on all word factors, position "
    "and sentiment: the system's divided by the recordings'{extra}."
)

_PROJECTED = ", each in the recordings' standard deviations and projected on theirs"

_RENDITION = (
    "As the word effects, on the differences between a sentence's renditions: {what}. No text reveals it, so only "
    "systems that hear the recording can follow it."
)

_EFFECTS = (
    Effect(
        "sentiment",
        "Sentiment",
        "contrast",
        MEASURES,
        "Mean word log F0, energy and log duration of positive minus negative sentences, each in the recordings' "
        "standard deviations over sentences: the system's contrast projected on the recordings'.",
    ),
    Effect("compound", "Compound stress", "word", ("log_f0",), _WORD.format(what="log F0", extra="")),
    Effect("subordinate", "Lowered clause", "word", ("log_f0",), _WORD.format(what="log F0", extra="")),
    Effect("final", "Final lengthening", "word", ("log_duration",), _WORD.format(what="log duration", extra="")),
    Effect(
        "function",
        "Reduced function words",
        "word",
        ("log_f0", "energy"),
        _WORD.format(what="log F0 and energy", extra=_PROJECTED),
    ),
    Effect(
        "attachment",
        "Attachment",
        "word",
        ("log_f0", "log_duration"),
        _WORD.format(what="log F0 and log duration", extra=_PROJECTED),
    ),
    Effect(
        "accent", "Accent (random)", "rendition", ("log_f0",), _RENDITION.format(what="which word carries the accent")
    ),
    Effect(
        "register", "Register (random)", "rendition", ("log_f0",), _RENDITION.format(what="how high the voice lies")
    ),
)

#: Every planted effect by name, in the order of tables.
EFFECTS: dict[str, Effect] = {effect.name: effect for effect in _EFFECTS}


@dataclass(frozen=True, eq=False)
class Share:
    """The share of an effect recovered: its value and bootstrap replicates [resamples], over ``n`` sentences."""

    value: float
    replicates: Floats
    n: int


def shares(results: Sequence[UtteranceResult], counts: Floats, confidence: float = 0.95) -> dict[str, Share]:
    """Share of each planted effect a system recovers, on its audio and by its read-out head.

    Args:
        results: all utterances of one system.
        counts: [resamples, sentences] from ``statistics.resample_counts``, sentences in the order of their names.
        confidence: an effect that the recordings themselves do not show at this confidence is left out.

    Returns:
        Metric name (``effect_sentiment``, ``effect_sentiment_readout``, ...) -> share. Empty for corpora that plant
        nothing.
    """
    groups = list(by_renditions(_of_one_voice(results)).values())
    if not any(result.factors for result in results):
        return {}
    weights = np.vstack([np.ones((1, len(groups))), counts])
    found: dict[str, Share] = {}
    for effect in EFFECTS.values():
        for source in effect.sources:
            share = _share(effect, source, groups, weights, confidence)
            if share is not None:
                found[effect.column(source)] = share
    return found


def _of_one_voice(results: Sequence[UtteranceResult]) -> Sequence[UtteranceResult]:
    """Take each speaker's recorded mean F0 and energy off all measures: voices are no effect of what is said."""
    speakers = {result.speaker for result in results}
    if len(speakers) < 2:
        return results
    shifted = []
    for speaker in sorted(speakers):
        own = [result for result in results if result.speaker == speaker]
        spoken = np.concatenate([word_measures(result, "recording") for result in own])
        log_f0, energy = nanmean(spoken)[:2].tolist()
        for item in own:
            readout = None if item.readout is None else _lowered(item.readout, log_f0, energy)
            reference, system = (_lowered(measures, log_f0, energy) for measures in (item.reference, item.system))
            shifted.append(replace(item, reference=reference, system=system, readout=readout))
    return shifted


def _lowered(measures: _Measures, log_f0: float, energy: float) -> _Measures:
    return replace(measures, log_f0=measures.log_f0 - log_f0, energy=measures.energy - energy)


def _share(
    effect: Effect, source: Source, groups: Sequence[Sequence[UtteranceResult]], weights: Floats, confidence: float
) -> Share | None:
    if source == "readout" and any(result.readout is None for group in groups for result in group):
        return None
    fit = {"contrast": _contrast, "word": _word_effect, "rendition": _rendition_effect}[effect.kind]
    fitted = fit(effect, source, groups, weights)
    if fitted is None:
        return None
    system, recording, n = fitted
    # Rows: the sample itself, then its resamples; the last axis holds the measures.
    truth = (recording**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(truth > 1e-12, (system * recording).sum(axis=1) / truth, np.nan)
    agrees = (recording[1:] * recording[0]).sum(axis=1) > 0
    if not np.isfinite(share[0]) or (len(agrees) and np.mean(agrees) < 1.0 - (1.0 - confidence) / 2.0):
        return None
    return Share(float(share[0]), share[1:], n)


Fitted = tuple[Floats, Floats, int]


def word_measures(result: UtteranceResult, source: Source | Literal["recording"]) -> Floats:
    """[words, 3] log F0, energy and log duration of an utterance's words, NaN where one is not defined."""
    measures = result.reference if source == "recording" else result.system
    log_f0, energy, duration = measures.log_f0, measures.energy, measures.duration
    if source == "readout" and result.readout is not None:
        log_f0, energy = result.readout.log_f0, result.readout.energy
    with np.errstate(divide="ignore"):
        log_duration = np.where(duration > 0, np.log(duration), np.nan)
    return np.stack([log_f0, energy, log_duration], axis=1)[result.words]


def _rendition_mean(group: Sequence[UtteranceResult], source: Source | Literal["recording"]) -> Floats:
    return nanmean(np.stack([word_measures(result, source) for result in group]))


def _picked(effect: Effect) -> list[int]:
    return [MEASURES.index(name) for name in effect.measures]


def _utterance_factor(result: UtteranceResult, name: str) -> float | None:
    value = result.factors.get("utterance", {}).get(name)
    return _number(value)


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return _NUMBERS.get(value)
    return float(value) if isinstance(value, int | float) else None


def _word_factors(result: UtteranceResult) -> Mapping[str, Floats]:
    """Numeric word-level factors [words] of an utterance."""
    found = {}
    for name, values in result.factors.get("words", {}).items():
        numbers = [_number(value) for value in values]
        if len(numbers) == len(result.words) and None not in numbers:
            found[name] = np.array(numbers, dtype=np.float64)
    return found


def _contrast(
    effect: Effect, source: Source, groups: Sequence[Sequence[UtteranceResult]], weights: Floats
) -> Fitted | None:
    signs = np.array([np.sign(_utterance_factor(group[0], effect.name) or 0.0) for group in groups])
    if not ((signs > 0).sum() >= 2 and (signs < 0).sum() >= 2):
        return None
    picked = _picked(effect)
    which: tuple[Source | Literal["recording"], ...] = (source, "recording")
    both = [np.stack([nanmean(_rendition_mean(group, one)[:, picked]) for group in groups]) for one in which]
    sound = np.asarray(~np.isnan(np.concatenate(both, axis=1)).any(axis=1))
    scale = np.std(both[1][sound], axis=0)
    differences = []
    for values in both:
        standard = np.where(sound[:, None], values, 0.0) / np.where(scale > 0, scale, 1.0)
        sides = []
        for side in ((signs > 0) & sound, (signs < 0) & sound):
            share = weights * side
            total = share.sum(axis=1, keepdims=True)
            sides.append(np.where(total > 0, share @ standard / np.maximum(total, 1.0), np.nan))
        differences.append(sides[0] - sides[1])
    return differences[0], differences[1], int((sound & (signs != 0)).sum())


def _word_effect(
    effect: Effect, source: Source, groups: Sequence[Sequence[UtteranceResult]], weights: Floats
) -> Fitted | None:
    planted = [[_word_factors(result) for result in group] for group in groups]
    names = sorted({name for group in planted for factors in group for name in factors})
    if effect.name not in names:
        return None
    design, targets, truths = [], [], []
    for group, known in zip(groups, planted, strict=True):
        size = len(group[0].words)
        columns = [np.mean([factors.get(name, np.zeros(size)) for factors in known], axis=0) for name in names]
        sentiment = np.full(size, np.mean([_utterance_factor(result, "sentiment") or 0.0 for result in group]))
        position = np.linspace(0.0, 1.0, size)
        design.append(np.stack([*columns, position, sentiment, np.ones(size)], axis=1))
        targets.append(_rendition_mean(group, source)[:, _picked(effect)])
        truths.append(_rendition_mean(group, "recording")[:, _picked(effect)])
    return _coefficients(design, targets, truths, names.index(effect.name), weights)


def _rendition_effect(
    effect: Effect, source: Source, groups: Sequence[Sequence[UtteranceResult]], weights: Floats
) -> Fitted | None:
    design, targets, truths = [], [], []
    for group in groups:
        size = len(group[0].words)
        columns = []
        for result in group:
            register = _utterance_factor(result, "register")
            accent = _word_factors(result).get("accent", np.zeros(size))
            columns.append(np.stack([np.full(size, register or 0.0), accent], axis=1))
        factors = np.stack(columns)
        measured = np.stack([word_measures(result, source)[:, _picked(effect)] for result in group])
        recorded = np.stack([word_measures(result, "recording")[:, _picked(effect)] for result in group])
        # Words that are unvoiced in one rendition would shift the mean of the others.
        broken = np.isnan(measured).any(axis=0) | np.isnan(recorded).any(axis=0)
        for values in (measured, recorded):
            values[:, broken] = np.nan
            values -= nanmean(values)
        design.append((factors - factors.mean(axis=0)).reshape(-1, 2))
        targets.append(measured.reshape(-1, measured.shape[-1]))
        truths.append(recorded.reshape(-1, recorded.shape[-1]))
    return _coefficients(design, targets, truths, ("register", "accent").index(effect.name), weights)


def _coefficients(
    design: Sequence[Floats], targets: Sequence[Floats], truths: Sequence[Floats], column: int, weights: Floats
) -> Fitted | None:
    """Regress system and recordings on the same words of every weighting of sentences; return one coefficient each.

    Args:
        design: per sentence [rows, K].
        targets: per sentence [rows, measures], the system's.
        truths: per sentence [rows, measures], the recordings'.
        column: which of the K coefficients.
        weights: [weightings, sentences].
    """
    used = np.concatenate(design)[:, column]
    if np.ptp(used) == 0:
        return None
    varying = np.ptp(np.concatenate(design), axis=0) > 0
    varying[-1] |= bool(np.any(np.concatenate(design)[:, -1]))  # the constant
    kept = np.flatnonzero(varying)
    place = int(np.searchsorted(kept, column))
    results: tuple[list[Floats], list[Floats]] = ([], [])
    sentences = np.zeros(len(design), dtype=bool)
    scale = np.nanstd(np.concatenate(truths), axis=0)
    for measure in range(targets[0].shape[1]):
        grams, sides = [], []
        for index, (x, y, truth) in enumerate(zip(design, targets, truths, strict=True)):
            both = np.stack([y[:, measure], truth[:, measure]], axis=1)
            sound = ~np.isnan(both).any(axis=1)
            sentences[index] |= bool(np.any(x[sound, column]))
            grams.append(x[sound][:, kept].T @ x[sound][:, kept])
            sides.append(x[sound][:, kept].T @ both[sound])
        gram = np.tensordot(weights, np.stack(grams), axes=1)
        side = np.tensordot(weights, np.stack(sides), axes=1)
        # A resample without the factor has a singular Gram matrix; the smallest ridge turns its coefficient to 0.
        ridge = 1e-9 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(len(kept)) + 1e-12 * np.eye(len(kept))
        solved = np.linalg.solve(gram + ridge, side)[:, place]
        for which in (0, 1):
            results[which].append(solved[:, which] / (scale[measure] if scale[measure] > 0 else 1.0))
    if sentences.sum() < 2:
        return None
    return np.stack(results[0], axis=1), np.stack(results[1], axis=1), int(sentences.sum())
