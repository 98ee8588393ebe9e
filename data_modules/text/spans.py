"""The one rule that ties words to tokens, word pieces and leaves: they share a character."""

from __future__ import annotations

from collections.abc import Sequence


def covering(spans: Sequence[tuple[int, int]], starts: Sequence[int], ends: Sequence[int]) -> list[range]:
    """Indices of the ordered pieces ``[starts, ends)`` that share a character with each ordered span; may be empty."""
    found = []
    first = 0
    for start, end in spans:
        if start >= end:
            found.append(range(0))
            continue
        while first < len(starts) and ends[first] <= start:
            first += 1
        last = first
        while last < len(starts) and starts[last] < end:
            last += 1
        found.append(range(first, last))
    return found
