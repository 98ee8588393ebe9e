"""What listeners said: scores of systems heard side by side, and choices between two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prosody_tts.errors import UserError, nearest
from prosody_tts.evaluation.measure import Floats

#: Ends of the scale of MUSHRA and what is like it (BS.1534-3, section 4.1); a mean opinion score has 1 to 5.
SCALE = (0.0, 100.0)
#: What stands in a file for "no preference".
UNDECIDED = ""


@dataclass(frozen=True)
class Score:
    """One rating.

    Attributes:
        listener: who.
        item: the sentence, or whatever the systems of a screen have in common.
        system: what was rated.
        score: on the test's scale.
    """

    listener: str
    item: str
    system: str
    score: float


@dataclass(frozen=True)
class Choice:
    """One preference of two systems; ``chosen`` is one of them, or ``UNDECIDED``."""

    listener: str
    item: str
    one: str
    other: str
    chosen: str


@dataclass(frozen=True, eq=False)
class Ratings:
    """Scores by screen: what one listener gave the systems of one item, side by side.

    Attributes:
        screens: [C] (listener, item) of each screen, in order.
        systems: names.
        scores: [C, S]; NaN where a screen did not have the system.
    """

    screens: tuple[tuple[str, str], ...]
    systems: tuple[str, ...]
    scores: Floats

    @staticmethod
    def of(scores: Iterable[Score]) -> Ratings:
        """Arrange ratings; screens, and systems, in the order in which they first come.

        Raises:
            UserError: there are none, or a listener rated a system of an item twice.
        """
        cells: dict[tuple[str, str], dict[str, float]] = {}
        systems: dict[str, None] = {}
        for score in scores:
            screen = cells.setdefault((score.listener, score.item), {})
            if score.system in screen:
                raise UserError(
                    f"listener {score.listener} rated {score.system} of {score.item} twice; leave one of the two, or "
                    "name another column for listeners or items"
                )
            screen[score.system] = score.score
            systems[score.system] = None
        if not cells:
            raise UserError("there are no ratings; give files that have some")
        table = np.array([[screen.get(name, np.nan) for name in systems] for screen in cells.values()], np.float64)
        return Ratings(tuple(cells), tuple(systems), table)

    @property
    def listeners(self) -> tuple[str, ...]:
        """Names, in the order of the screens."""
        return tuple(dict.fromkeys(listener for listener, _ in self.screens))

    @property
    def items(self) -> tuple[str, ...]:
        """Names, in the order of the screens."""
        return tuple(dict.fromkeys(item for _, item in self.screens))

    def column(self, system: str) -> int:
        """Where a system's scores stand.

        Raises:
            UserError: nobody rated it.
        """
        if system not in self.systems:
            raise UserError(f"nobody rated '{system}'; {nearest(system, self.systems)}")
        return self.systems.index(system)

    def numbered(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The listener and the item of each screen as numbers: [C] and [C]."""
        listeners = {name: number for number, name in enumerate(self.listeners)}
        items = {name: number for number, name in enumerate(self.items)}
        return (
            np.array([listeners[listener] for listener, _ in self.screens]),
            np.array([items[item] for _, item in self.screens]),
        )

    def where(self, kept: ArrayLike) -> Ratings:
        """The screens that are kept."""
        chosen = np.flatnonzero(np.asarray(kept, bool))
        return Ratings(tuple(self.screens[place] for place in chosen), self.systems, self.scores[chosen])

    def without_listeners(self, names: Iterable[str]) -> Ratings:
        """The screens of all others.

        Raises:
            UserError: nobody is left.
        """
        out = set(names)
        kept = self.where([listener not in out for listener, _ in self.screens])
        if not kept.screens:
            raise UserError("every listener is screened out; look at the reasons, or analyse with --keep-all")
        return kept

    def without_systems(self, names: Iterable[str]) -> Ratings:
        """The scores of all other systems."""
        out = set(names)
        kept = [place for place, name in enumerate(self.systems) if name not in out]
        return Ratings(self.screens, tuple(self.systems[place] for place in kept), self.scores[:, kept])
