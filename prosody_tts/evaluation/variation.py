"""How a system's speech is distributed beside the recordings', and the part of it that no text tells.

On a controlled corpus that part is known: renditions of a sentence lie high or low, and one of two words carries the
accent. A regression says the mean of them all, which no rendition is; draws of a good prior fall where renditions lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prosody_tts.evaluation import distributions
from prosody_tts.evaluation.distributions import GRIDS, Grid, Pair, Statistic
from prosody_tts.evaluation.effects import Share
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.metrics import Better, log_or_nan, nanmean
from prosody_tts.evaluation.metrics.durations import between_words
from prosody_tts.evaluation.results import UtteranceResult, by_speaker

#: Seconds in which pauses are counted, as in ``data_modules.labels``.
FRAME = 0.0125
#: Whose values are held against the recordings': draws, or the one answer a system gives each rendition.
Whose = Literal["drawn", "point"]
#: Renditions of a sentence by one speaker.
Renditions = Sequence[UtteranceResult]


def log_f0(group: Renditions, whose: Whose) -> Pair | None:
    """Mean log F0 of every word: by the read-out head, or of what has none, on the audio.

    Recordings through a vocoder are no system's speech: without a read-out head only what draws is compared.
    """
    words = group[0].words
    recorded = np.stack([result.reference.log_f0[words] for result in group])
    if whose == "drawn":
        return None if group[0].draws is None else Pair(recorded, group[0].draws.log_f0[:, words])
    said = [(result.readout or (result.system if result.draws is not None else None)) for result in group]
    if any(one is None for one in said):
        return None
    return Pair(recorded, np.stack([one.log_f0[words] for one in said if one is not None]))


def _durations(group: Renditions, whose: Whose, tokens: Sequence[int]) -> Pair | None:
    recorded = np.stack([result.reference.duration[list(tokens)] for result in group])
    if whose == "drawn":
        return None if group[0].draws is None else Pair(recorded, group[0].draws.duration[:, list(tokens)])
    if any(result.readout is None and result.draws is None for result in group):
        return None  # recordings through a vocoder have the recordings' own
    return Pair(recorded, np.stack([result.system.duration[list(tokens)] for result in group]))


def log_duration(group: Renditions, whose: Whose) -> Pair | None:
    """Natural log of every word's seconds."""
    found = _durations(group, whose, group[0].words)
    return None if found is None else Pair(*map(log_or_nan, found))


def pause(group: Renditions, whose: Whose) -> Pair | None:
    """``log(1 + seconds / FRAME)`` of every slot between two words."""
    found = _durations(group, whose, [word + 1 for word in group[0].words[:-1]])
    return None if found is None else Pair(*(np.log1p(values / FRAME) for values in found))


def _phones(group: Renditions, whose: Whose, name: Literal["log_f0", "energy", "duration"]) -> Pair | None:
    """A measure of every phone that is said, of the recordings and on the system's audio."""
    if whose == "drawn" or any(result.phones is None or result.readout is None for result in group):
        return None  # nobody draws phones, and recordings through a vocoder are no system's speech
    sides = [
        [getattr(side, name)[np.array(kept.spoken)] for side in (kept.reference, kept.system)]
        for kept in (result.phones for result in group)
        if kept is not None
    ]
    return Pair(np.stack([recorded for recorded, _ in sides]), np.stack([said for _, said in sides]))


def phone_log_f0(group: Renditions, whose: Whose) -> Pair | None:
    """Mean log F0 of every phone, on the audio."""
    return _phones(group, whose, "log_f0")


def phone_energy(group: Renditions, whose: Whose) -> Pair | None:
    """Mean log energy of every phone, on the audio."""
    return _phones(group, whose, "energy")


def phone_log_duration(group: Renditions, whose: Whose) -> Pair | None:
    """Natural log of every phone's seconds."""
    found = _phones(group, whose, "duration")
    return None if found is None else Pair(*map(log_or_nan, found))


def _residuals(group: Renditions, whose: Whose) -> Pair | None:
    """Word log F0 less its mean over the renditions, or over the draws in which the word is voiced.

    Of words voiced in all renditions and in one draw or more; NaN where a word of a draw has no F0.
    """
    found = log_f0(group, whose)
    if found is None:
        return None
    sound = np.isfinite(found.recorded).all(axis=0) & np.isfinite(found.said).any(axis=0)
    return Pair(*(np.where(sound, values - nanmean(values), np.nan) for values in found))


def register(group: Renditions, whose: Whose) -> Pair | None:
    """How high each rendition or draw lies, [R, 1]: mean log F0 of its words less the sentence's own expectation.

    The expectation is the mean over renditions, which are balanced by design, or over draws: so a system that has the
    sentence's mean wrong is not blamed for it here, and one that says the same every time is a spike at 0.
    """
    if not any("register" in result.factors.get("utterance", {}) for result in group):
        return None
    found = _residuals(group, whose)
    if found is None or np.isnan(found.recorded).all():
        return None
    return Pair(*(nanmean(values.T)[:, None] for values in found))


def accent(group: Renditions, whose: Whose) -> Pair | None:
    """Where the accent lies, [R, 1]: log F0 of the late candidate less that of the early one, expectations taken off.

    Candidates are the two words that carry the accent in some rendition. Their difference is free of the register and
    has two clusters only if draws choose one of both: words drawn one by one fall between them too.
    """
    planted = [result.factors.get("words", {}).get("accent") for result in group]
    if any(flags is None for flags in planted):
        return None
    candidates = np.flatnonzero(np.array(planted).any(axis=0))
    found = _residuals(group, whose)
    if len(candidates) != 2 or found is None or np.isnan(found.recorded[:, candidates]).any():
        return None
    early, late = candidates
    return Pair(*((values[:, late] - values[:, early])[:, None] for values in found))


Measure = Callable[[Renditions, Whose], Pair | None]


@dataclass(frozen=True)
class Variation:
    """A figure of a distribution of speech.

    Attributes:
        name: key in ``VARIATIONS`` and in tables.
        label: for people.
        unit: of the value.
        definition: one sentence.
        better: which direction.
        perfect: the recordings' own value, or none for spreads.
        sums: what of one speaker's renditions of a sentence enters [K], or none.
        value: from sums [..., K] to values [...].
    """

    name: str
    label: str
    unit: str
    definition: str
    better: Better
    perfect: float | None
    sums: Callable[[Renditions], Floats | None]
    value: Callable[[Floats], Floats]


@dataclass(frozen=True)
class _Measured:
    """A measure: its function, what it is in words, and which statistics are made of it."""

    of: Measure
    label: str
    what: str
    unit: str
    statistics: tuple[str, ...]
    recorded: tuple[str, ...]
    diversity: bool
    drawn: bool = True


_PHONES = (("jsd", "wasserstein", "sd", "delta_sd"), ("sd", "delta_sd"), False, False)
_WORDS = (("jsd", "wasserstein", "sd", "delta_sd"), ("sd", "delta_sd"), True)
_SENTENCES = (("jsd", "sd"), ("sd",), False)
MEASURES: dict[str, _Measured] = {
    "log_f0": _Measured(
        log_f0, "F0", "words' mean log F0, by the read-out head or, without one, on the audio", "log Hz", *_WORDS
    ),
    "log_duration": _Measured(log_duration, "word duration", "words' log duration", "nats", *_WORDS),
    "pause": _Measured(pause, "pause", "log(1 + frames of 12.5 ms) of pauses between words", "nats", *_WORDS),
    "phone_log_f0": _Measured(phone_log_f0, "phone F0", "phones' mean log F0, on the audio", "log Hz", *_PHONES),
    "phone_energy": _Measured(phone_energy, "phone energy", "phones' mean log energy, on the audio", "nats", *_PHONES),
    "phone_log_duration": _Measured(phone_log_duration, "phone duration", "phones' log duration", "nats", *_PHONES),
    "register": _Measured(
        register, "register (random)", "mean log F0 of a rendition less its sentence's own mean", "log Hz", *_SENTENCES
    ),
    "accent": _Measured(
        accent,
        "accent (random)",
        "log F0 of the late less the early word of those that may carry the accent, less its sentence's own mean",
        "log Hz",
        *_SENTENCES,
    ),
}
_OF: dict[Whose, str] = {"drawn": "draws", "point": "the system's speech"}


def _one(name: str, key: str, whose: Whose, statistic: Statistic, end: str) -> Variation:
    measured, grid = MEASURES[name], GRIDS[name]

    def sums(group: Renditions) -> Floats | None:
        found = measured.of(group, whose)
        return None if found is None else statistic.sums(found, grid)

    return Variation(
        f"{name}_{key}{end}",
        f"{measured.label} {statistic.label}{' of draws' if whose == 'drawn' else ''}",
        "bits" if key == "jsd" else measured.unit,
        statistic.definition.format(what=measured.what, of=_OF[whose]),
        statistic.better,
        statistic.perfect,
        sums,
        lambda total: statistic.value(total, grid),
    )


def _share(name: str) -> Variation:
    measured, grid = MEASURES[name], GRIDS[name]

    def sums(group: Renditions) -> Floats | None:
        drawn, point = measured.of(group, "drawn"), measured.of(group, "point")
        return None if drawn is None or point is None else distributions.both_pairs(drawn, point, grid)

    return Variation(
        f"{name}_jsd_share",
        f"{measured.label} JSD, share",
        "share",
        distributions.SHARE.format(what=measured.what),
        "lower",
        0.0,
        sums,
        lambda total: distributions.share(total, grid),
    )


def _variations() -> dict[str, Variation]:
    found = []
    for name, measured in MEASURES.items():
        found += [_one(name, key, "point", distributions.STATISTICS[key], "") for key in measured.statistics]
        found += [_one(name, key, "point", distributions.RECORDED[key], "_human") for key in measured.recorded]
        if measured.drawn:
            found += [_one(name, key, "drawn", distributions.STATISTICS[key], "_drawn") for key in measured.statistics]
            found.append(_share(name))
        if measured.diversity:
            found.append(_one(name, "diversity", "drawn", distributions.DIVERSITY, ""))
    return {one.name: one for one in (*found, *FITS)}


def _r_squared(
    name: str, label: str, what: str, of: Callable[[UtteranceResult], tuple[Floats, Floats] | None]
) -> Variation:
    """Share of the recordings' variance of durations that a system's explain, of all sentences together."""

    def sums(group: Renditions) -> Floats | None:
        pairs = [pair for pair in map(of, group) if pair is not None]
        if not pairs:
            return None
        y, p = (np.concatenate(side) for side in zip(*pairs, strict=True))
        return np.array([len(y), y.sum(), (y * y).sum(), ((y - p) ** 2).sum()])

    def value(total: Floats) -> Floats:
        n, y, yy, missed = np.moveaxis(total, -1, 0)
        spread = yy - y * y / np.maximum(n, 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(spread > 0, 1 - missed / spread, np.nan)

    definition = (
        f"Share of the variance of {what}, over all sentences together, that the durations the system predicts "
        "explain: 1 less the mean squared error over the variance; below 0 for worse than their mean."
    )
    return Variation(name, label, "", definition, "higher", 1.0, sums, value)


def _phone_seconds(result: UtteranceResult) -> tuple[Floats, Floats] | None:
    if result.phones is None or result.readout is None:
        return None
    spoken = np.array(result.phones.spoken)
    return result.phones.reference.duration[spoken], result.phones.system.duration[spoken]


def _slot_seconds(
    slots: Callable[[UtteranceResult], list[int]],
) -> Callable[[UtteranceResult], tuple[Floats, Floats] | None]:
    def of(result: UtteranceResult) -> tuple[Floats, Floats] | None:
        if result.readout is None:
            return None
        return result.reference.duration[slots(result)], result.system.duration[slots(result)]

    return of


#: How well durations are explained, of phones, of pauses within sentences, and of the silence at their ends.
FITS = (
    _r_squared("phone_duration_r2", "phone duration R²", "phones' seconds", _phone_seconds),
    _r_squared("pause_r2", "pause R²", "seconds of pauses between words", _slot_seconds(between_words)),
    _r_squared(
        "end_r2", "sentence end R²", "seconds after the last word", _slot_seconds(lambda one: [len(one.tokens) - 1])
    ),
)
#: Every figure by name, in the order of tables.
VARIATIONS: dict[str, Variation] = _variations()


def variations(results: Sequence[UtteranceResult], counts: Floats) -> dict[str, Share]:
    """Every figure a system has: metric -> value and replicates.

    Args:
        results: all utterances of one system.
        counts: [resamples, sentences] from ``statistics.resample_counts``, sentences in the order of their names.
    """
    groups = list(by_speaker(results).values())
    found: dict[str, Share] = {}
    for name, variation in VARIATIONS.items():
        rows = [[sums for sums in map(variation.sums, speakers) if sums is not None] for speakers in groups]
        n = sum(bool(row) for row in rows)
        if not n:
            continue
        size = len(next(row[0] for row in rows if row))
        table = np.stack([np.sum(row, axis=0) if row else np.zeros(size) for row in rows])
        value = float(variation.value(table.sum(axis=0)))
        if np.isfinite(value):
            found[name] = Share(value, variation.value(counts @ table), n)
    return found


def pooled(results: Sequence[UtteranceResult], name: str) -> Mapping[str, Floats]:
    """Values of a measure over all sentences, for figures: ``recorded``, ``point``, and ``drawn`` where there are."""
    found: dict[str, list[Floats]] = {}
    for speakers in by_speaker(results).values():
        for group in speakers:
            for whose in ("point", "drawn"):
                pair = MEASURES[name].of(group, whose)  # type: ignore[arg-type]
                if pair is not None:
                    found.setdefault(whose, []).append(pair.said[np.isfinite(pair.said)])
                    if whose == "point":
                        found.setdefault("recorded", []).append(pair.recorded[np.isfinite(pair.recorded)])
    return {key: np.concatenate(values) for key, values in found.items()}


__all__ = ["MEASURES", "VARIATIONS", "Grid", "Variation", "pooled", "variations"]
