"""Whether values from a file have the types that a dataclass declares: JSON promises nothing."""

from __future__ import annotations

import dataclasses
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from prosody_tts.files import is_text


def conforms(value: Any, hint: Any) -> bool:
    """Whether a value is of a type: a dataclass, tuple, dict, ``Literal``, union, or plain type, to any depth.

    An int is a float too, a bool is no number, a float is finite, and text holds nothing but characters that UTF-8 has.
    """
    origin, inside = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        names = [item.name for item in dataclasses.fields(hint)]
        return isinstance(value, hint) and all(conforms(getattr(value, name), hints[name]) for name in names)  # type: ignore[arg-type]
    if origin in {Union, UnionType}:
        return any(conforms(value, one) for one in inside)
    if origin is Literal:
        return isinstance(value, str) and value in inside
    if origin is tuple:
        return isinstance(value, tuple) and _all_conform(value, inside)
    if origin is dict:
        return isinstance(value, dict) and all(_all_conform(pair, inside) for pair in value.items())
    return _is_plain(value, hint)


def _all_conform(values: tuple[Any, ...], hints: tuple[Any, ...]) -> bool:
    if len(hints) == 2 and hints[1] is Ellipsis:
        return all(conforms(value, hints[0]) for value in values)
    return len(values) == len(hints) and all(map(conforms, values, hints))


def _is_plain(value: Any, hint: Any) -> bool:
    if hint is str:
        return isinstance(value, str) and is_text(value)
    if hint is float:
        # An int may be larger than any float.
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None if hint is NoneType else isinstance(value, hint)
