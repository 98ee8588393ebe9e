"""The list of all settings: names, defaults, choices and help, read from ``config/settings.py`` itself."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from prosody_tts.config import settings as config
from prosody_tts.config.registries import choices


@dataclass(frozen=True)
class Setting:
    """One setting: its dotted name, its default as one writes it, its choices if it has them, and its help."""

    name: str
    default: str
    choices: tuple[str, ...]
    help: str


def settings() -> list[Setting]:
    """Every setting of an experiment, in the order of the file; defaults are those of no size and no corpus."""
    return list(_walk(config.Experiment, config.Experiment(), _docstrings(), ""))


def _walk(schema: type, values: Any, help_of: dict[tuple[str, str], str], prefix: str) -> Iterator[Setting]:
    hints = get_type_hints(schema, include_extras=True)
    for item in dataclasses.fields(schema):
        value, hint = getattr(values, item.name), hints[item.name]
        if dataclasses.is_dataclass(hint):
            assert isinstance(hint, type)
            yield from _walk(hint, value, help_of, f"{prefix}{item.name}.")
        else:
            text = help_of[schema.__name__, item.name].replace("``", "")
            yield Setting(f"{prefix}{item.name}", written(value), choices(hint) or (), text)


def written(value: Any) -> str:
    """A setting's value as one writes it."""
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _docstrings() -> dict[tuple[str, str], str]:
    """Class and field -> the string that follows the field."""
    tree = ast.parse(Path(config.__file__).read_text(encoding="utf-8"))
    found: dict[tuple[str, str], str] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for field, after in zip(node.body, node.body[1:], strict=False):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                found[node.name, field.target.id] = " ".join(str(after.value.value).split())
    return found
