"""What may be asked of a stretch of speech, and how it is written: ``pace=0.8,pitch=+2st``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from prosody_tts.errors import UserError, nearest

_NUMBER = r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
#: A word's number; texts of more digits there are not.
_PLACE = r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?"
_SPAN = re.compile(rf"{_PLACE}:(.*)", re.DOTALL)
_WORDS = re.compile(_PLACE)
#: Longest pause that may be asked for, in seconds.
LONGEST_PAUSE = 10.0


@dataclass(frozen=True)
class Control:
    """How a stretch of speech departs from what the system makes of it; by default not at all.

    Attributes:
        pace: factor of its speed; at 0.5 its phones last twice as long.
        pitch: semitones its F0 is moved by.
        pitch_range: factor of the excursions of its log-F0 about its own mean; 0 is monotone.
        energy: dB its level is moved by.

    Raises:
        UserError: a value is out of bounds.
    """

    pace: float = 1.0
    pitch: float = 0.0
    pitch_range: float = 1.0
    energy: float = 0.0

    def __post_init__(self) -> None:
        for name, form in FORMS.items():
            if name != "pause":
                form.check(getattr(self, name.replace("-", "_")))

    def __str__(self) -> str:
        return _written(self, None)


@dataclass(frozen=True)
class Span:
    """A control of some words of a text, ``first`` to ``last``, counted from 1 over the whole text.

    ``pause`` is the seconds of the pause after the last of them; none leaves it to the system, 0 removes it.

    Raises:
        UserError: the numbers are not those of words, or the pause is out of bounds.
    """

    first: int
    last: int
    control: Control = field(default_factory=Control)
    pause: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last:
            raise UserError(f"words {self.first}-{self.last} are none; words count from 1, as in 3 or 3-5")
        if self.pause is not None:
            FORMS["pause"].check(self.pause)

    def __str__(self) -> str:
        words = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{words}:{_written(self.control, self.pause)}"


@dataclass(frozen=True)
class Form:
    """How one control is written, what it means, and its bounds, included."""

    name: str
    example: str
    lowest: float
    highest: float
    units: dict[str, Callable[[float], float]]
    unit: str = ""
    signed: bool = False

    def read(self, text: str | float) -> float:
        """The value of what is written; a number is taken as it is.

        Raises:
            UserError: it is no such value, or out of bounds.
        """
        if isinstance(text, int | float):
            self.check(text)
            return float(text)
        match = re.fullmatch(rf"\s*{_NUMBER}\s*([a-zA-Z%]*)\s*", text)
        unit = None if match is None else next((u for u in self.units if u.lower() == match[2].lower()), None)
        # A share of F0 is a change; of speed or range, the share itself.
        if match is None or unit is None or (unit == "%" and self.signed and match[1][0] not in "+-"):
            raise UserError(f"{self.name}={text.strip()} is not understood; write it as in {self.example}")
        try:
            value = self.units[unit](float(match[1]))
        except (ValueError, OverflowError):
            value = math.nan
        self.check(value, text)
        return value

    def check(self, value: float, written: str | None = None) -> None:
        """Raise ``UserError`` for a value out of bounds."""
        if not self.lowest <= value <= self.highest:
            raise UserError(
                f"{self.name}={self.write(value) if written is None else written.strip()} is out of bounds; "
                f"give {self.write(self.lowest)} to {self.write(self.highest)}"
            )

    def write(self, value: float) -> str:
        """The inverse of ``read``."""
        sign = "+" if self.signed and value >= 0 else ""
        number = repr(float(value) + 0.0)  # no -0
        return f"{sign}{number.removesuffix('.0')}{self.unit}"


def _same(value: float) -> float:
    return value


def semitones(ratio: float) -> float:
    """Semitones of a ratio of frequencies."""
    return 12 * math.log2(ratio)


_SHARE = {"": _same, "%": lambda value: value / 100}

#: Controls by name, as a user writes them.
FORMS = {
    "pace": Form("pace", "0.9 or 90%", 0.25, 4.0, _SHARE),
    "pitch": Form(
        "pitch",
        "+2st (semitones) or -10%",
        -24.0,
        24.0,
        {"st": _same, "%": lambda value: semitones(1 + value / 100)},
        "st",
        signed=True,
    ),
    "pitch-range": Form("pitch-range", "1.3 or 130%", 0.0, 4.0, _SHARE),
    "energy": Form("energy", "+3dB", -40.0, 40.0, {"dB": _same}, "dB", signed=True),
    "pause": Form(
        "pause", "0.3s or 300ms", 0.0, LONGEST_PAUSE, {"s": _same, "ms": lambda value: value / 1000}, unit="s"
    ),
}


def read_control(
    pace: str | float | None = None,
    pitch: str | float | None = None,
    pitch_range: str | float | None = None,
    energy: str | float | None = None,
) -> Control:
    """A control of values as written, or of numbers: a factor, semitones, a factor, dB.

    Raises:
        UserError: a value is not understood or out of bounds.
    """
    given = {"pace": pace, "pitch": pitch, "pitch-range": pitch_range, "energy": energy}
    found = {name: FORMS[name].read(value) for name, value in given.items() if value is not None}
    return Control(**{name.replace("-", "_"): value for name, value in found.items()})


def read_span(text: str) -> Span:
    """Read ``3:pace=0.8,pitch=+2st`` or ``3-5:energy=+3dB,pause=300ms``; the inverse of ``str``.

    Raises:
        UserError: it is malformed, a name is unknown or given twice, or a value is wrong.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise UserError(f"'{text}' is no control of words; write it as in 3:pace=0.8,pitch=+2st or 3-5:energy=+3dB")
    values: dict[str, float] = {}
    for item in filter(str.strip, match[3].split(",")):
        name, equals, value = (part.strip() for part in item.partition("="))
        if name not in FORMS:
            raise UserError(f"unknown control '{name}' in '{text}'; {nearest(name, FORMS)}")
        if not equals:
            raise UserError(f"'{item.strip()}' in '{text}' has no value; write {name}={FORMS[name].example}")
        if name in values:
            raise UserError(f"'{text}' gives {name} twice; give it once")
        values[name] = FORMS[name].read(value)
    if not values:
        raise UserError(f"'{text}' controls nothing; write it as in 3:pace=0.8,pitch=+2st")
    pause = values.pop("pause", None)
    control = Control(**{name.replace("-", "_"): value for name, value in values.items()})
    return Span(int(match[1]), int(match[2] or match[1]), control, pause)


def read_words(text: str) -> tuple[Span, ...]:
    """Read numbers of words, ``2,5-7``: spans that ask for nothing.

    Raises:
        UserError: it is malformed.
    """
    matches = [_WORDS.fullmatch(part) for part in text.split(",")]
    if any(match is None for match in matches):
        raise UserError(f"'{text}' is no list of words; write their numbers, as in 2 or 2,5-7")
    return tuple(Span(int(match[1]), int(match[2] or match[1])) for match in matches if match is not None)


def _written(control: Control, pause: float | None) -> str:
    values = {name: getattr(control, name.replace("-", "_")) for name in FORMS if name != "pause"}
    plain = Control()
    shown = [
        f"{name}={FORMS[name].write(value)}"
        for name, value in values.items()
        if value != getattr(plain, name.replace("-", "_"))
    ]
    if pause is not None:
        shown.append(f"pause={FORMS['pause'].write(pause)}")
    return ",".join(shown) or "pace=1"
