"""What a listener may answer on a screen, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prosody_tts.listening.exchange import Heard
from prosody_tts.listening.kinds import KINDS, Kind
from prosody_tts.listening.ordering import Screen
from prosody_tts.listening.ratings import UNDECIDED, Choice, Score

#: Longest that a screen can have taken, in seconds, for a listener who went away in between.
LONGEST = 7 * 24 * 3600.0


class Refused(ValueError):
    """An answer that cannot be one; its text is for whoever sent it."""


@dataclass(frozen=True)
class Answer:
    """One screen's.

    Attributes:
        scores: code -> score; of a choice, 1 for what was chosen, and nothing for neither.
        seconds: that it took.
    """

    scores: dict[str, float]
    seconds: float


def answer_of(kind: Kind, screen: Screen, body: Any) -> Answer:
    """Read an answer as the page sends it: ``{"scores": {code: number}, "heard": [code], "seconds": number}``, or
    ``"choice": code or null`` for scores.

    Raises:
        Refused: it is not of this screen, not on the scale, or not of everything; or not everything has been heard.
    """
    if not isinstance(body, dict):
        raise Refused("an answer is an object")
    design = KINDS[kind]
    expected = {"scores" if design.scale else "choice", "heard", "seconds"}
    if set(body) != expected:
        raise Refused(f"an answer has {', '.join(sorted(expected))}")
    seconds = body["seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST:
        raise Refused("seconds is a number from 0 on")
    heard = body["heard"]
    if not isinstance(heard, list) or not all(isinstance(code, str) for code in heard):
        raise Refused("heard is a list of versions")
    if set(heard) != set(screen.codes):
        raise Refused("every version must be heard")
    if design.scale is None:
        choice = body["choice"]
        if choice is not None and (not isinstance(choice, str) or choice not in screen.codes):
            raise Refused("choice is a version of this screen, or null")
        return Answer({} if choice is None else {choice: 1.0}, float(seconds))
    scores = body["scores"]
    if not isinstance(scores, dict) or set(scores) != set(screen.codes):
        raise Refused("every version of this screen has a score, and no other")
    low, high, step = design.scale
    for value in scores.values():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused("a score is a number")
        if not low <= value <= high or (value - low) % step:
            raise Refused(f"a score lies from {low:g} to {high:g} in steps of {step:g}")
    return Answer({code: float(value) for code, value in scores.items()}, float(seconds))


def add(heard: Heard, kind: Kind, listener: str, screen: Screen, scores: dict[str, float]) -> None:
    """Add a screen's ratings, of codes, to what was heard."""
    if KINDS[kind].scale is not None:
        heard.scores += [Score(listener, screen.item.id, code, score) for code, score in scores.items()]
        return
    # Named in the order of the key, so that the order of the screen splits no pair in two.
    one, other = screen.item.codes.values()
    heard.choices.append(Choice(listener, screen.item.id, one, other, next(iter(scores), UNDECIDED)))
