"""YAML as text: what it says in a bounded time and a bounded memory, whatever the file holds.

Aliases let a file of a few lines stand for more values than there is memory ("a billion laughs"), and brackets in
brackets for a depth at which parsers fail; both are counted before anything is made of them.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from prosody_tts.errors import UserError

#: The longest file in characters, the most values of it with every alias written out, and how deep they may lie.
MOST_CHARACTERS, MOST_VALUES, DEEPEST = 200_000, 100_000, 50


def read_yaml_text(path: Path) -> str:
    """The text of a YAML file that holds one document of plain values, all of them of a size that can be meant.

    Raises:
        UserError: it cannot be read, is no YAML, or is too large, too deep, or refers to itself.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"{path} has {len(text)} characters; settings have at most {MOST_CHARACTERS}")
    try:
        # Refuses unknown tags and values that are none later; here only the shape is looked at.
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise UserError(f"{path} is nested too deeply; settings lie at most {DEEPEST} deep") from None
    except yaml.YAMLError as error:
        raise not_yaml(path, error) from None
    if root is not None and _values(root, path, {}, set()) > MOST_VALUES:
        raise UserError(f"{path} has more than {MOST_VALUES} values, with its aliases written out; settings have fewer")
    return text


def not_yaml(path: Path, error: Exception) -> UserError:
    """What to tell of a file that a YAML parser refuses."""
    return UserError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300] or type(error).__name__}")


def _values(node: yaml.Node, path: Path, known: dict[int, int], above: set[int]) -> int:
    """How many values a node stands for; a node that several aliases name is counted once and added as often."""
    if id(node) in above:
        raise UserError(
            f"{path} has an alias within what it stands for (line {node.start_mark.line + 1}); write it out"
        )
    if len(above) > DEEPEST:
        raise UserError(f"{path} is nested too deeply; settings lie at most {DEEPEST} deep")
    if id(node) not in known:
        inside: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            inside = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            inside = node.value
        above.add(id(node))
        known[id(node)] = 1 + sum(_values(part, path, known, above) for part in inside)
        above.discard(id(node))
    return known[id(node)]
