"""Phrase trees in Penn notation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

PUNCTUATION = {",", "."}


@dataclass(frozen=True)
class Tree:
    """A phrase with ``children``, or a part of speech over its ``word``."""

    label: str
    children: tuple[Tree, ...] = ()
    word: str = ""

    def leaves(self) -> Iterator[Tree]:
        """The parts of speech, punctuation included, in order."""
        if self.word:
            yield self
        for child in self.children:
            yield from child.leaves()

    def words(self) -> list[Tree]:
        """The parts of speech without punctuation."""
        return [leaf for leaf in self.leaves() if leaf.label not in PUNCTUATION]

    def text(self) -> str:
        """The sentence as it is written."""
        return re.sub(r" (?=[,.])", "", " ".join(leaf.word for leaf in self.leaves()))

    def __str__(self) -> str:
        """Bracket notation: ``(NP (DT the) (NN baker))``."""
        inside = self.word or " ".join(str(child) for child in self.children)
        return f"({self.label} {inside})"


def parse(text: str) -> Tree:
    """Read bracket notation; the inverse of ``str``.

    Raises:
        ValueError: the brackets do not match.
    """
    tokens = re.findall(r"[()]|[^\s()]+", text)
    tree, rest = _parse(tokens, 0)
    if rest != len(tokens):
        raise ValueError(f"'{text}' is more than one tree")
    return tree


def _parse(tokens: list[str], at: int) -> tuple[Tree, int]:
    if len(tokens) < at + 4 or tokens[at] != "(":
        raise ValueError(f"'{' '.join(tokens)}' is not a tree in brackets")
    label, at = tokens[at + 1], at + 2
    if tokens[at] != "(":
        if tokens[at + 1] != ")":
            raise ValueError(f"'{tokens[at]}' is not closed in '{' '.join(tokens)}'")
        return Tree(label, word=tokens[at]), at + 2
    children = []
    while at < len(tokens) and tokens[at] == "(":
        child, at = _parse(tokens, at)
        children.append(child)
    if at >= len(tokens) or tokens[at] != ")":
        raise ValueError(f"'{label}' is not closed in '{' '.join(tokens)}'")
    return Tree(label, tuple(children)), at + 1
