"""What one listener hears, in which order: balanced over listeners, and the same whenever it is asked for."""

from __future__ import annotations

import random
from dataclasses import dataclass

from prosody_tts.listening.test import Item, ListeningTest


@dataclass(frozen=True)
class Screen:
    """One screen of one listener: an item, and its clips from the first version to the last."""

    item: Item
    codes: tuple[str, ...]


def williams(count: int) -> list[list[int]]:
    """Rows of numbers below ``count``: each stands at every place equally often, and after every other equally often.

    A balanced Latin square (Williams 1949): ``count`` rows where it is even, twice as many where it is odd.
    """
    first = [0]
    for step in range(1, count):
        first.append((step + 1) // 2 if step % 2 else count - step // 2)
    rows = [[(number + shift) % count for number in first] for shift in range(count)]
    if count % 2:
        rows += [row[::-1] for row in rows]
    return rows


def screens_of(test: ListeningTest, group: int, ordinal: int) -> list[Screen]:
    """The screens of a listener, the ``ordinal``-th of a group (from 0): training first, checks among the rest.

    Within a group every item shows its versions in the orders of a balanced Latin square, one listener after another;
    the order of items is drawn, by the test's seed.
    """
    items = {item.id: item for item in test.items}
    rows = {size: williams(size) for size in {len(item.codes) for item in test.items}}
    # Neither hash() nor the order of a set: the same for everybody who asks.
    draw = random.Random(f"{test.seed}/{group}/{ordinal}")

    def screen(item: Item, place: int) -> Screen:
        systems = sorted(item.codes)
        # Which system a number of the square stands for is the item's own affair, so that no two go together always.
        random.Random(f"{test.seed}/{item.id}").shuffle(systems)
        square = rows[len(systems)]
        return Screen(item, tuple(item.codes[systems[number]] for number in square[(ordinal + place) % len(square)]))

    rated = [screen(items[name], place) for place, name in enumerate(test.groups[group])]
    draw.shuffle(rated)
    checks = [screen(item, place) for place, item in enumerate(test.items) if item.role == "check"]
    for number, check in enumerate(checks):
        # Spread over the test, never its first or last screen where there is a choice.
        share = (number + draw.uniform(0.25, 0.75)) / len(checks)
        rated.insert(min(max(1, round(share * len(rated))), len(rated)), check)
    training = [screen(item, place) for place, item in enumerate(test.items) if item.role == "training"]
    return training + rated
