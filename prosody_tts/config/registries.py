"""Settings whose choices are the keys of a registry: a new key there is a new choice here, and nothing else need know.

Most registries hold classes of networks, and a command that trains nothing must not load those; so the keys of a
registry that nobody has loaded are read from its source.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin


@dataclass(frozen=True)
class Keys:
    """The keys of the registry ``name``, a dict at the top of ``module``."""

    module: str
    name: str

    def names(self) -> tuple[str, ...]:
        """The keys as they are now, or as they are written where the module is not loaded."""
        registry = getattr(sys.modules.get(self.module), self.name, None)  # none while the module is being loaded
        return _written(self.module, self.name) if registry is None else tuple(registry)


def choices(hint: Any) -> tuple[str, ...] | None:
    """What a setting of this type may be, or each item of a list; None where it is no choice among names."""
    if get_origin(hint) is list:
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) is Annotated:
        return next((note.names() for note in get_args(hint)[1:] if isinstance(note, Keys)), None)
    return None


@cache
def _written(module: str, name: str) -> tuple[str, ...]:
    found = importlib.util.find_spec(module)
    assert found is not None and found.origin is not None, f"{module} has no source"
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    return next(keys for target, keys in _dicts(tree) if target == name)


def _dicts(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and keys of every annotated dict at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Dict):
            yield node.target.id, tuple(str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))
