"""The kinds of listening tests: what a screen asks, on which scale, and what is beside the systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["mushra", "mushra_like", "bs2132", "mos", "preference"]


@dataclass(frozen=True)
class Design:
    """What all screens of a kind have in common.

    Attributes:
        help: in a line, with its source.
        question: what is asked of a screen.
        instructions: what a listener reads before the first.
        scale: lowest and highest score, and the step between; none where one version is chosen.
        grades: words of the scale, the best first, evenly spread over it.
        reference: whether the recording is shown as what the others are compared with, and hidden among them.
        anchors: whether low-passed recordings are among the versions.
        systems: fewest and most systems.
    """

    help: str
    question: str
    instructions: str
    scale: tuple[float, float, float] | None
    grades: tuple[str, ...] = ()
    reference: bool = False
    anchors: bool = False
    systems: tuple[int, int] = (2, 12)


#: BS.1534-3, section 7: five intervals of a continuous scale.
GRADES = ("excellent", "good", "fair", "poor", "bad")
POINTS = (0.0, 100.0, 1.0)
KINDS: dict[Kind, Design] = {
    "mushra": Design(
        help="0 to 100 beside an open and a hidden reference, and anchors (BS.1534-3)",
        question="How natural does each version sound, beside the reference?",
        instructions=(
            "You hear one sentence spoken in several ways. Listen to the reference, then to every other version, and "
            "say how natural each sounds beside it: 100 for what you cannot tell from the reference, less for what "
            "sounds less natural. One of the versions is the reference itself and must get 100."
        ),
        scale=POINTS,
        grades=GRADES,
        reference=True,
        anchors=True,
        systems=(2, 9),  # twelve signals, the open reference and two anchors among them (BS.1534-3, section 5)
    ),
    "mushra_like": Design(
        help="0 to 100, no reference and no anchors, by preference (CAMP 2011.01175, section 4)",
        question="Rate the versions by your preference.",
        instructions=(
            "You hear one sentence spoken in several ways. Listen to every version and say how well you like each: the "
            "best need not get 100, nor the worst 0, and versions that you like equally get the same."
        ),
        scale=POINTS,
        grades=GRADES,
    ),
    "bs2132": Design(
        help="0 to 100 of one named attribute, no reference is given (after BS.2132)",
        question="How natural does each version sound?",
        instructions=(
            "You hear one sentence spoken in several ways, and no version is given as the right one. Listen to every "
            "version, as often as you like, and compare them with each other on what is asked for."
        ),
        scale=POINTS,
        grades=GRADES,
    ),
    "mos": Design(
        help="1 to 5, the versions of a sentence beside each other (after P.800)",
        question="How natural does each version sound?",
        instructions="You hear one sentence spoken in several ways. Say of each version how natural it sounds.",
        scale=(1.0, 5.0, 1.0),
        grades=GRADES,
        systems=(1, 12),
    ),
    "preference": Design(
        help="one of two systems, or neither",
        question="Which version sounds more natural?",
        instructions=(
            "You hear one sentence spoken in two ways. Choose the one that sounds more natural, or neither if you "
            "cannot say."
        ),
        scale=None,
        systems=(2, 2),
    ),
}
