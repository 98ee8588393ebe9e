"""Inputs made from others, as an attacker or a broken disk makes them: changed, cut, repeated, values swapped."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import yaml

#: Longest input in bytes.
LARGEST = 64 * 1024
#: What parsers trip over: extreme numbers, marks of many formats, characters that are none.
WORDS: tuple[bytes, ...] = (
    *(
        b"1e999",
        b"-1e999",
        b"nan",
        b"NaN",
        b"-Infinity",
        b"-0",
        b"0x10",
        b"1_000",
        b"99999999999999999999",
        b"1" * 5000,
    ),
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\r", b"\r\n", b"\t", b"\x1b[31m"),
    *(
        "\u0663".encode(),
        "\u00b2".encode(),
        "\u2028".encode(),
        "\u202e".encode(),
        "e\u0301".encode(),
        "\u0130".encode(),
    ),
    *(
        b"../",
        b"/etc/passwd",
        b"\\",
        b"%00",
        b"${oc.env:HOME}",
        b"${a}",
        b"$",
        b"'",
        b'"',
        b"|",
        b";",
        b",",
        b":",
        b"-",
    ),
    *(
        b"&a [",
        b"*a",
        b"!!python/object/apply:os.system [x]",
        b"<<: *a",
        b"? ",
        b"[",
        b"{",
        b"]",
        b"}",
        b"null",
        b"true",
    ),
    *(b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"&#0;", b"<![CDATA[", b"]]>", b"<?xml?>", b"</", b"<s>", b" ", b"\n"),
)
_NUMBER = re.compile(rb"\d+(?:\.\d+)?")
_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**63, 10**400, 1e308, float("inf"), float("nan"), "", "x", "\ud800", "../../x", "\0", [], {}),
    *([[]], {"": None}, {"x": {"x": 1}}, [None], ["a", 1], 1.5, "1", "nan", "9" * 5000, -0.0, [[[[[[1]]]]]]),
)


def mutated(seeds: Sequence[bytes], draw: random.Random) -> bytes:
    """One of the seeds after one to six changes."""
    data = draw.choice(seeds)
    for _ in range(draw.randint(1, 6)):
        data = draw.choice(_CHANGES)(data, draw, seeds)[:LARGEST]
    return data


def _span(data: bytes, draw: random.Random) -> tuple[int, int]:
    start = draw.randint(0, len(data))
    return start, min(len(data), start + draw.choice((1, 1, 2, 4, 16, 64, 1024)))


def _flip(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, draw)
    return data[:start] + draw.randbytes(min(end - start, 8)) + data[start + min(end - start, 8) :]


def _drop(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, draw)
    return data[:start] + data[end:]


def _cut(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    return data[: draw.randint(0, len(data))]


def _insert(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, end = _span(data, draw)
    return data[:start] + draw.choice(WORDS) + data[draw.choice((start, end)) :]


def _splice(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    other = draw.choice(seeds)
    return data[: draw.randint(0, len(data))] + other[draw.randint(0, len(other)) :]


def _repeat(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A piece again and again: what costs more than its length, and what nests."""
    start, end = _span(data, draw)
    piece = draw.choice((data[start:end], draw.choice(WORDS), draw.choice(WORDS) + data[start:end]))
    times = draw.choice((2, 10, 100, 10_000))
    return data[:start] + (piece * times)[:LARGEST] + data[start:]


def _number(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    places = list(_NUMBER.finditer(data))
    if not places:
        return data
    match = draw.choice(places)
    return data[: match.start()] + draw.choice(WORDS[:10]) + data[match.end() :]


def _lines(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    lines = data.split(b"\n")
    first, second = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[draw.choice((first, second))]
    return b"\n".join(lines)


def _value(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A value of JSON, of a line of it or of YAML, in another's place; what is none of these stays."""
    lines = data.split(b"\n")
    place = draw.randrange(len(lines))
    for text, put in (
        (data, lambda new: new),
        (lines[place], lambda new: b"\n".join([*lines[:place], new, *lines[place + 1 :]])),
    ):
        for read in (json.loads, yaml.safe_load):
            try:
                found = read(text)
            except Exception:  # whatever it is, it is not of this form
                continue
            if isinstance(found, dict | list) and found:
                return put(json.dumps(_swapped(found, draw), default=str).encode("utf-8", "surrogatepass"))
            if len(text) > 1000:
                break
    return data


def _swapped(data: Any, draw: random.Random) -> Any:
    """The same with one value, at any depth, swapped, dropped or under another key."""
    if isinstance(data, dict) and data and draw.random() < 0.8:
        key = draw.choice(list(data))
        changed = dict(data)
        what = draw.random()
        if what < 0.1:
            del changed[key]
        elif what < 0.2:
            changed[draw.choice(("", "x", "\ud800", str(key) * 2, "type", "id"))] = changed.pop(key)
        else:
            changed[key] = _swapped(data[key], draw)
        return changed
    if isinstance(data, list) and data and draw.random() < 0.8:
        place = draw.randrange(len(data))
        return [*data[:place], _swapped(data[place], draw), *data[place + 1 - (draw.random() < 0.1) :]]
    return draw.choice(_VALUES)


_CHANGES: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    *(_flip, _drop, _cut, _insert, _insert, _splice, _repeat, _number, _lines, _value, _value, _value),
)
