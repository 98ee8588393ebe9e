"""From ratings to what they show: standings, gaps, differences, who was left out, and how far scales matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prosody_tts.errors import UserError
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.names import RECORDING
from prosody_tts.evaluation.statistics import UNKNOWN, Gap, Interval
from prosody_tts.listening.clusters import Means, bootstrap_gap, resampled
from prosody_tts.listening.exchange import LOW_ANCHOR, MID_ANCHOR, REFERENCE, Heard
from prosody_tts.listening.pairwise import Difference, differences
from prosody_tts.listening.power import Components, components
from prosody_tts.listening.preference import Preference, preferences
from prosody_tts.listening.ratings import Choice, Ratings
from prosody_tts.listening.scales import SCALES, on_scale
from prosody_tts.listening.screening import Check, Exclusion, inattentive, screen


@dataclass(frozen=True)
class Question:
    """What is asked of the ratings.

    Attributes:
        lower: the system that gaps start from; none takes ``baseline`` where it was rated.
        upper: the one that they end at; none takes ``recording``, or else webMUSHRA's ``reference``.
        reference: name of the hidden reference, by which listeners are screened; none takes ``reference``.
        mid_anchor: of the 7 kHz anchor, likewise; none takes ``anchor70``.
        anchors: systems that are shown and take part in no test; the anchors by default.
        checks: of attention.
        keep_all: screen nobody out.
        confidence: coverage of intervals.
        resamples: of the bootstrap that stands beside them.
        seed: of these.
    """

    lower: str | None = None
    upper: str | None = None
    reference: str | None = None
    mid_anchor: str | None = None
    anchors: tuple[str, ...] = (LOW_ANCHOR, MID_ANCHOR)
    checks: tuple[Check, ...] = ()
    keep_all: bool = False
    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class Standing:
    """One system's scores.

    Attributes:
        system: its name.
        mean: of all ratings.
        interval: of the mean, listeners and items as clusters.
        median: of all ratings, and the quartiles beside it (BS.1534-3, section 9 asks for both).
        quartiles: 25th and 75th percentile.
        gap: share of the way from lower to upper bound, in per cent, with Fieller's interval.
        bootstrap: of the same share, by resampling listeners and items.
        n: ratings.
    """

    system: str
    mean: float
    interval: Interval
    median: float
    quartiles: tuple[float, float]
    gap: Gap
    bootstrap: Interval
    n: int


@dataclass(frozen=True, eq=False)
class Analysis:
    """Everything that ratings show.

    Attributes:
        ratings: those that count.
        standings: of every system.
        pairs: of every two systems that are not anchors.
        readings: scale -> the same pairs on it, for scales other than the one given.
        excluded: who was left out.
        listeners: how many there were before that.
        lower: the bounds of gaps, or none.
        upper: likewise.
        spread: how the difference of the bounds varies, or none.
        preferences: of pairs of systems.
        choices: behind them.
        confidence: coverage of intervals.
    """

    ratings: Ratings | None
    standings: tuple[Standing, ...]
    pairs: tuple[Difference, ...]
    readings: dict[str, tuple[Difference, ...]]
    excluded: tuple[Exclusion, ...]
    listeners: int
    lower: str | None
    upper: str | None
    spread: Components | None
    preferences: tuple[Preference, ...]
    choices: tuple[Choice, ...]
    confidence: float


def analyse(heard: Heard, question: Question) -> Analysis:
    """Answer a question by what was heard.

    Raises:
        UserError: there is nothing, everybody is screened out, or a system that the question names was not rated.
    """
    if not heard.scores and not heard.choices:
        raise UserError("there are no ratings; give files that have some")
    checked = {check.item for check in question.checks}
    idle = [] if question.keep_all else inattentive(heard.choices, question.checks)
    absent = {one.listener for one in idle}
    choices = [one for one in heard.choices if one.listener not in absent and one.item not in checked]
    if heard.choices and not choices:
        raise UserError("every listener is screened out; look at the reasons, or analyse with --keep-all")
    chosen = tuple(preferences(choices, question.confidence))
    if not heard.scores:
        nobody = len({choice.listener for choice in heard.choices})
        return Analysis(
            None, (), (), {}, tuple(idle), nobody, None, None, None, chosen, tuple(choices), question.confidence
        )
    ratings = Ratings.of(heard.scores)
    excluded = [] if question.keep_all else _screened(ratings, question)
    kept = ratings.without_listeners(one.listener for one in excluded)
    kept = kept.where([item not in checked for _, item in kept.screens])
    if not kept.screens:
        raise UserError("only screens that check attention are left; give ratings of others")
    # What nobody rated but on such a screen says nothing of a system.
    unrated = [name for place, name in enumerate(kept.systems) if np.isnan(kept.scores[:, place]).all()]
    kept = kept.without_systems(unrated)
    lower = _bound(kept, question.lower, ("baseline",))
    upper = _bound(kept, question.upper, (RECORDING, REFERENCE))
    tested = kept.without_systems(name for name in question.anchors if name in kept.systems)
    pairs = differences(tested, question.confidence)
    readings = {scale: tuple(differences(on_scale(tested, scale), question.confidence)) for scale in list(SCALES)[1:]}
    spread = None
    if lower is not None and upper is not None and lower != upper:
        try:
            spread = components(kept, lower, upper)
        except UserError:
            spread = None
    return Analysis(
        kept,
        tuple(_standings(kept, lower, upper, question)),
        tuple(pairs),
        readings,
        tuple(excluded),
        len(ratings.listeners),
        lower,
        upper,
        spread,
        chosen,
        tuple(choices),
        question.confidence,
    )


def _screened(ratings: Ratings, question: Question) -> list[Exclusion]:
    def named(given: str | None, default: str) -> str | None:
        if given is not None:
            ratings.column(given)
            return given
        return default if default in ratings.systems else None

    reference, anchor = named(question.reference, REFERENCE), named(question.mid_anchor, MID_ANCHOR)
    return screen(ratings, reference, anchor, question.checks)


def _bound(ratings: Ratings, given: str | None, defaults: Sequence[str]) -> str | None:
    if given is not None:
        return ratings.systems[ratings.column(given)]
    return next((name for name in defaults if name in ratings.systems), None)


def _standings(ratings: Ratings, lower: str | None, upper: str | None, question: Question) -> list[Standing]:
    """Every system's, in the order of the ratings."""
    means = Means.of(ratings)
    bounded = lower is not None and upper is not None and lower != upper
    replicates = resampled(ratings, question.resamples, question.seed) if bounded else None
    found = []
    for place, system in enumerate(ratings.systems):
        own = ratings.scores[:, place]
        own = own[~np.isnan(own)]
        gap, bootstrap = Gap(None), UNKNOWN
        if lower is not None and upper is not None and replicates is not None and system not in {lower, upper}:
            # Of screens that have all three: in incomplete designs, means of different screens mislead.
            gap, bootstrap = _gap(ratings, replicates, system, lower, upper, question)
        interval = means.interval(means.weights(**{system: 1.0}), question.confidence)
        low, median, high = (float(value) for value in np.percentile(own, [25, 50, 75]))
        found.append(Standing(system, float(own.mean()), interval, median, (low, high), gap, bootstrap, len(own)))
    return found


def _gap(
    ratings: Ratings, replicates: Floats, system: str, lower: str, upper: str, question: Question
) -> tuple[Gap, Interval]:
    places = [ratings.column(name) for name in (system, lower, upper)]
    both = ratings.where(~np.isnan(ratings.scores[:, places]).any(1))
    if not both.screens:
        return Gap(None), UNKNOWN
    if len(both.screens) < len(ratings.screens):
        replicates = resampled(both, question.resamples, question.seed)
    gap = Means.of(both).gap(system, lower, upper, question.confidence)
    if gap.value is None:
        return gap, UNKNOWN
    system_at, lower_at, upper_at = places
    return gap, bootstrap_gap(replicates, system_at, lower_at, upper_at, question.confidence)
