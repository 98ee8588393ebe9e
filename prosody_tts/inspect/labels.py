"""Where labels go, so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

#: What stands for a character that the font lacks.
MISSING = "\ufffd"


def rows(middles: Sequence[float], widths: Sequence[float]) -> list[int]:
    """Row of every label, the first that has room for it; labels come in the order of their middles.

    Args:
        middles: [n] of the labels, in any unit.
        widths: [n] in the same unit.
    """
    free: list[float] = []
    places = []
    for middle, width in zip(middles, widths, strict=True):
        left = middle - width / 2
        row = next((row for row, end in enumerate(free) if left >= end), len(free))
        free[row : row + 1] = [middle + width / 2]
        places.append(row)
    return places


def levels(spans: Sequence[tuple[float, float]], widths: Sequence[float]) -> list[int]:
    """Height of every arc from 1 on: above the arcs inside it, beside none that it or its label would touch.

    Args:
        spans: [n] left and right end of the arcs.
        widths: [n] of their labels, which stand in the middle.
    """
    order = sorted(range(len(spans)), key=lambda i: (spans[i][1] - spans[i][0], spans[i][0]))
    found = [0] * len(spans)
    placed: list[int] = []
    for i in order:
        left, right = spans[i]
        middle, half = (left + right) / 2, widths[i] / 2
        wide = (min(left, middle - half), max(right, middle + half))
        level = 1 + max((found[j] for j in placed if left <= spans[j][0] and spans[j][1] <= right), default=0)
        while any(found[j] == level and _touch(wide, _wide(spans[j], widths[j])) for j in placed):
            level += 1
        found[i] = level
        placed.append(i)
    return found


def _wide(span: tuple[float, float], width: float) -> tuple[float, float]:
    middle = (span[0] + span[1]) / 2
    return min(span[0], middle - width / 2), max(span[1], middle + width / 2)


def _touch(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def drawable(text: str) -> str:
    """A text in characters that the figures' font has; ``MISSING`` for the others."""
    return "".join(character if _has(ord(character)) else MISSING for character in text)


@cache
def _has(code: int) -> bool:
    return bool(_font().get_char_index(code))


@cache
def _font() -> Any:
    from matplotlib import font_manager

    return font_manager.get_font(font_manager.findfont("DejaVu Sans"))
