"""Shows how a plan's stages go: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from prosody_tts.board import Outcome
    from prosody_tts.pipeline import Stage

#: Seconds between two plain lines about a running stage.
PLAIN_EVERY = 20.0
#: Seconds of work before a rate is worth showing.
SETTLED = 0.5
#: Seconds between two looks at how long the whole will take.
LEFT_EVERY = 2.0
#: Lines of a terminal that the table of points leaves to the bars and what is written above them.
SPARED = 12


class Row(NamedTuple):
    """How a point stands: its name, its stages that are over, running, failed, waiting or done, and what of it."""

    name: str
    stages: str
    state: str
    about: str


class Points(Protocol):
    """Points that share stages; told of every stage, they say how they stand."""

    def start(self, stage: Stage) -> None:
        """A stage starts."""

    def end(self, outcome: Outcome) -> None:
        """A stage is over."""

    def rows(self) -> list[Row]:
        """How the points stand, those that matter most first."""

    def left(self) -> tuple[float | None, bool]:
        """Seconds to go, and whether that is all of it."""


@dataclass
class Pace:
    """The rate of one piece of work, and what is left of it.

    Work that was resumed counts from where it was taken up; a new piece of work (another total, or fewer done than
    before) starts anew.
    """

    what: str = ""
    done: int = 0
    total: int = 0
    _base: int = 0
    _began: float = 0.0
    _now: float = 0.0

    def update(self, done: int, total: int, what: str, now: float) -> None:
        """Take in progress at ``now`` seconds of a steady clock."""
        if not self.what or total != self.total or done < self.done:
            self._base, self._began = done, now
        self.what, self.done, self.total, self._now = what, done, total, now

    @property
    def rate(self) -> float | None:
        """Items a second, once enough is known."""
        elapsed = self._now - self._began
        made = self.done - self._base
        return made / elapsed if made > 0 and elapsed >= SETTLED else None

    @property
    def left(self) -> float | None:
        """Seconds to go, once enough is known."""
        rate = self.rate
        return None if rate is None else max(0, self.total - self.done) / rate

    def __str__(self) -> str:
        """Say what is done, how fast, and the time left, such as ``epoch 3 of 25, 60 of 500, 4/s, 1:50 left``."""
        parts = [f"{self.what}, {self.done} of {self.total}" if self.total else self.what]
        if self.rate is not None and self.left is not None and self.done < self.total:
            parts += [f"{self.rate:.3g}/s", f"{clock(self.left)} left"]
        return ", ".join(part for part in parts if part)


def clock(seconds: float) -> str:
    """Write seconds as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Display:
    """What a scheduler tells, all of it from one thread; this one shows nothing."""

    def __enter__(self) -> Self:
        """Nothing to open."""
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to close."""

    def begin(self, total: int, reused: int) -> None:
        """Of ``total`` stages, ``reused`` are done already."""

    def start(self, stage: Stage) -> None:
        """A stage starts."""

    def update(self, stage: Stage, done: int, total: int, what: str) -> None:
        """A stage goes on."""

    def end(self, outcome: Outcome) -> None:
        """A stage is over."""

    def refresh(self) -> None:
        """Time has passed."""


@dataclass
class Plain(Display):
    """Lines for logs: each stage's start and end, and now and then its pace."""

    console: Console
    points: Points | None = None
    total: int = 0
    over: int = 0
    paces: dict[str, Pace] = field(default_factory=dict)
    said: dict[str, float] = field(default_factory=dict)

    def begin(self, total: int, reused: int) -> None:
        """Say how much there is to do."""
        self.total, self.over = total, reused
        if reused:
            self._say(f"{reused} of {total} stages are there already")

    def start(self, stage: Stage) -> None:
        """Say that a stage starts."""
        if self.points is not None:
            self.points.start(stage)
        self.paces[stage.key], self.said[stage.key] = Pace(), time.monotonic()
        self._say(f"start   {stage.label}  ({stage.key})")

    def update(self, stage: Stage, done: int, total: int, what: str) -> None:
        """Say how a stage goes, unless something was said of it a moment ago."""
        now = time.monotonic()
        pace = self.paces[stage.key]
        pace.update(done, total, what, now)
        if now - self.said[stage.key] >= PLAIN_EVERY:
            self.said[stage.key] = now
            self._say(f"        {stage.label}: {pace}")

    def end(self, outcome: Outcome) -> None:
        """Say how a stage ended."""
        self.over += 1
        told = f"stage {self.over} of {self.total}"
        if self.points is not None:
            self.points.end(outcome)
            told += remaining(self.points)
        self._say(describe(outcome, told))

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)


@dataclass
class Live(Display):
    """A bar for the whole and one for every running stage below the points they serve; failures stay above them."""

    console: Console
    points: Points | None = None
    bars: Progress = field(init=False)
    whole: TaskID = field(init=False)
    screen: Screen = field(init=False)
    total: int = 0
    over: int = 0
    left: str = ""
    asked: float = -LEFT_EVERY
    tasks: dict[str, TaskID] = field(default_factory=dict)
    paces: dict[str, Pace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lay out the bars."""
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[state]}"))
        self.bars = Progress(*columns, console=self.console)
        self.whole = self.bars.add_task("stages", total=None, state="")
        self.screen = Screen(get_renderable=self._layout, console=self.console, transient=True, refresh_per_second=5)

    def __enter__(self) -> Self:
        """Take the terminal."""
        self.screen.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Give the terminal back."""
        self.screen.stop()

    def begin(self, total: int, reused: int) -> None:
        """Fill the bar of the whole up to what is there already."""
        self.total, self.over = total, reused
        self._whole()

    def start(self, stage: Stage) -> None:
        """Add a stage's bar."""
        if self.points is not None:
            self.points.start(stage)
        self.paces[stage.key] = Pace()
        self.tasks[stage.key] = self.bars.add_task(stage.label, total=None, state="starting")

    def update(self, stage: Stage, done: int, total: int, what: str) -> None:
        """Move a stage's bar."""
        pace = self.paces[stage.key]
        pace.update(done, total, what, time.monotonic())
        self.bars.update(self.tasks[stage.key], completed=done, total=total or None, state=str(pace))

    def end(self, outcome: Outcome) -> None:
        """Replace a stage's bar by a line."""
        self.over += 1
        if self.points is not None:
            self.points.end(outcome)
        if (task := self.tasks.pop(outcome.stage.key, None)) is not None:
            self.bars.remove_task(task)
        self.console.print(describe(outcome, ""), markup=False, highlight=False)
        self._whole()

    def refresh(self) -> None:
        """Look again how long it will take, now and then."""
        if self.points is not None and time.monotonic() - self.asked >= LEFT_EVERY:
            self.asked, self.left = time.monotonic(), remaining(self.points)
            self._whole()

    def _whole(self) -> None:
        state = f"{self.over} of {self.total}{self.left}"
        self.bars.update(self.whole, completed=self.over, total=self.total, state=state)

    def _layout(self) -> RenderableType:
        bars = self.bars.get_renderable()
        if self.points is None:
            return bars
        return Group(points_table(self.points.rows(), self.console.height - SPARED - len(self.tasks)), bars)


def points_table(rows: Sequence[Row], height: int) -> Table:
    """The points as a table of at most so many lines, and how many more there are."""
    shown = Table("point", "stages", "", "", box=None, pad_edge=False)
    for row in rows[: max(1, height)]:
        shown.add_row(*(Text(cell, overflow="ellipsis", no_wrap=True) for cell in row))
    if rest := rows[max(1, height) :]:
        states = Counter(row.state for row in rest)
        shown.add_row(f"and {len(rest)} more", "", ", ".join(f"{count} {state}" for state, count in states.items()), "")
    return shown


def remaining(points: Points) -> str:
    """The time left in words; nothing where nothing is known."""
    seconds, whole = points.left()
    if seconds is None:
        return ""
    return f", {'about' if whole else 'more than'} {clock(seconds)} left"


def describe(outcome: Outcome, prefix: str) -> str:
    """One line about a stage that is over."""
    line = f"{outcome.status:<7} {outcome.stage.label}"
    if outcome.status == "done":
        line += f"  {clock(outcome.seconds)}"
    if outcome.error:
        line += f": {outcome.error}"
    return f"{line}  [{prefix}]" if prefix else line


def make_display(progress: bool, console: Console | None = None, points: Points | None = None) -> Display:
    """Choose how to show: not at all, bars on a terminal, lines elsewhere; of a sweep, how its points stand."""
    console = console or Console(stderr=True)
    if not progress:
        return Display()
    return Live(console, points) if console.is_terminal else Plain(console, points)
