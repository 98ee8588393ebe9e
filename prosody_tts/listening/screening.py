"""Which listeners are left out, and why: post-screening after BS.1534-3, section 4.1.2, and checks of attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prosody_tts.listening.ratings import Choice, Ratings

#: A hidden reference below this is missed, a mid anchor above it is praised (BS.1534-3, section 4.1.2).
LINE = 90.0
#: Share of items on which a listener may do either.
ALLOWED = 0.15
#: An item on which more listeners than this praise the mid anchor is not held against them.
EXCUSED = 0.25


@dataclass(frozen=True)
class Exclusion:
    """A listener who is left out, and the reason as a sentence."""

    listener: str
    reason: str


@dataclass(frozen=True)
class Check:
    """A screen that shows whether somebody listens: the score of ``system`` must lie from ``low`` to ``high``.

    Of two systems between which is chosen, ``system`` must be the one.
    """

    item: str
    system: str
    low: float
    high: float


def screen(
    ratings: Ratings,
    reference: str | None = None,
    mid_anchor: str | None = None,
    checks: Sequence[Check] = (),
) -> list[Exclusion]:
    """Listeners to leave out, in order, each once with everything that speaks against them.

    Args:
        ratings: of all listeners.
        reference: name of the hidden reference; without one its rule is not applied.
        mid_anchor: name of the 7 kHz anchor; likewise.
        checks: of attention; who fails one is left out.
    """
    found: dict[str, list[str]] = {}
    if reference is not None:
        for listener, missed, of in _shares(ratings, reference, below=True):
            if missed > ALLOWED * of:
                found.setdefault(listener, []).append(
                    f"rated the hidden reference below {LINE:g} on {missed} of {of} items (more than {ALLOWED:.0%})"
                )
    if mid_anchor is not None:
        for listener, praised, of in _shares(_excused(ratings, mid_anchor), mid_anchor, below=False):
            if praised > ALLOWED * of:
                found.setdefault(listener, []).append(
                    f"rated the mid anchor above {LINE:g} on {praised} of {of} items (more than {ALLOWED:.0%})"
                )
    for check in checks:
        column = ratings.column(check.system)
        for (listener, item), score in zip(ratings.screens, ratings.scores[:, column], strict=True):
            if item == check.item and not check.low <= score <= check.high:
                found.setdefault(listener, []).append(
                    f"gave {check.system} of {item} {score:g}, where {check.low:g} to {check.high:g} was asked for"
                )
    return [Exclusion(name, "; ".join(found[name])) for name in ratings.listeners if name in found]


def inattentive(choices: Sequence[Choice], checks: Sequence[Check]) -> list[Exclusion]:
    """Listeners who did not choose what a check asked for, in order, each once."""
    found: dict[str, list[str]] = {}
    for check in checks:
        for choice in choices:
            if choice.item == check.item and choice.chosen != check.system:
                said = choice.chosen or "neither"
                found.setdefault(choice.listener, []).append(
                    f"chose {said} of {choice.item}, where {check.system} was asked for"
                )
    order = dict.fromkeys(choice.listener for choice in choices)
    return [Exclusion(name, "; ".join(found[name])) for name in order if name in found]


def _shares(ratings: Ratings, system: str, below: bool) -> list[tuple[str, int, int]]:
    """Of each listener, on how many of how many items the system lies beyond the line."""
    listeners, _ = ratings.numbered()
    column = ratings.scores[:, ratings.column(system)]
    there = ~np.isnan(column)
    beyond = there & ((column < LINE) if below else (column > LINE))
    return [
        (name, int(beyond[listeners == number].sum()), int(there[listeners == number].sum()))
        for number, name in enumerate(ratings.listeners)
    ]


def _excused(ratings: Ratings, anchor: str) -> Ratings:
    """Without the items whose mid anchor more than a quarter of the listeners praise."""
    _, items = ratings.numbered()
    column = ratings.scores[:, ratings.column(anchor)]
    there, praised = ~np.isnan(column), column > LINE
    count, of = np.bincount(items, praised), np.bincount(items, there)
    return ratings.where((count <= EXCUSED * of)[items])
