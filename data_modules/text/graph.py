"""Parse graphs: spaCy's dependency tree, phrases projected from it, or a corpus's gold phrase tree.

All are trees, taken as undirected graphs; several sentences in a text hang together at one root. Phrase trees have no
word leaves: part-of-speech nodes are their leaves (Kathaka, section 2.3), numbered depth first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from data_modules.text.parse import Token
from data_modules.text.sentence import NODE_LABELS, PHRASES, POS, ParseGraph, Word
from data_modules.text.spans import covering
from data_modules.text.words import excerpt, gaps, mark, slot_marks
from prosody_tts.errors import UserError

#: A pair of neighbouring nodes.
Edge = tuple[int, int]
Builder = Callable[[str, Sequence[Word], Sequence[Token], str | None], ParseGraph]

_SUBJECTS = frozenset(("nsubj", "nsubjpass", "csubj", "csubjpass", "expl"))
_NOMINAL = frozenset(("nsubj", "nsubjpass", "dobj", "iobj", "dative", "pobj", "attr", "appos"))
_PHRASE_OF_TAG = {
    **dict.fromkeys(("NN", "NNS", "NNP", "NNPS", "PRP", "EX", "WP"), "NP"),
    **dict.fromkeys(("VB", "VBD", "VBG", "VBN", "VBP", "VBZ", "MD"), "VP"),
    **dict.fromkeys(("IN", "TO"), "PP"),
    **dict.fromkeys(("JJ", "JJR", "JJS"), "ADJP"),
    **dict.fromkeys(("RB", "RBR", "RBS", "WRB"), "ADVP"),
    **dict.fromkeys(("CD", "$"), "QP"),
}
#: Penn Treebank's other phrase labels.
_PHRASE_ALIASES = {
    **dict.fromkeys(("ROOT", "TOP", "SINV", "SQ", "FRAG", "PRN"), "S"),
    "SBARQ": "SBAR",
    **dict.fromkeys(("WHNP", "NX", "NAC"), "NP"),
    "WHPP": "PP",
    "WHADJP": "ADJP",
    "WHADVP": "ADVP",
}
#: How Penn Treebank writes brackets and quotes in leaves.
_ESCAPES = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_QUOTES = {"``": '"', "''": '"'}


def dependency(text: str, words: Sequence[Word], tokens: Sequence[Token], tree: str | None = None) -> ParseGraph:
    """Nodes are spaCy's tokens in order, punctuation included, labelled with their tags; edges join head and dependent.

    Further roots hang on the first.
    """
    labels = [_pos(token.tag) for token in tokens]
    return _graph(text, words, labels, _links(tokens), _token_leaves(range(len(tokens)), tokens))


def constituency(text: str, words: Sequence[Word], tokens: Sequence[Token], tree: str | None = None) -> ParseGraph:
    """Phrases projected from the dependency tree: a head with its subtree is a phrase, labelled by the head's tag.

    A verb with a subject is S, with a VP of what follows the subject; a subordinate one with a conjunction, or a
    relative clause, is SBAR over it; a lone noun or pronoun is an NP; S stands above all.
    """
    dependents: list[list[int]] = [[] for _ in tokens]
    roots: list[int] = []
    for i, token in enumerate(tokens):
        (roots if token.head == i else dependents[token.head]).append(i)
    forest = _Forest()
    leaves = [forest.leaf(_pos(token.tag)) for token in tokens]
    built: dict[int, int] = {}
    # Dependents are built before their heads, so that no depth of nesting needs recursion.
    for i in sorted(range(len(tokens)), key=lambda i: -tokens[i].depth):
        built[i] = _phrase(forest, tokens, i, dependents[i], leaves, built)
    top = built[roots[0]]
    if len(roots) > 1 or forest.labels[top] != NODE_LABELS.index("S"):
        top = forest.phrase("S", [built[root] for root in roots])
    return _ordered(text, words, forest, top, _token_leaves(leaves, tokens))


def gold(text: str, words: Sequence[Word], tokens: Sequence[Token], tree: str | None = None) -> ParseGraph:
    """Build the graph of a tree in bracket notation, ``(S (NP (DT the) (NN dog)) (VP (VBD ran)) (. .))``.

    Raises:
        UserError: there is no tree, it is malformed, or its leaves are not the text.
    """
    if tree is None:
        raise UserError(
            f"text.tree=gold, but '{excerpt(text)}' comes without a gold tree; use text.tree=dependency or constituency"
        )
    forest, top, leaves, spoken = _read_brackets(tree)
    spans = _locate(text, spoken, tree)
    return _ordered(text, words, forest, top, [_Leaf(n, *span) for n, span in zip(leaves, spans, strict=True)])


#: Name of ``text.tree`` -> builder ``(text, words, tokens, tree or none) -> ParseGraph``.
GRAPHS: dict[str, Builder] = {"dependency": dependency, "constituency": constituency, "gold": gold}


def diameter(nodes: int, edges: Sequence[Edge]) -> int:
    """Longest shortest path of a tree, in edges: the farthest node from any, then the farthest from that.

    Raises:
        ValueError: the graph is not connected.
    """
    neighbours: list[list[int]] = [[] for _ in range(nodes)]
    for a, b in edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    far, _ = _farthest(neighbours, 0)
    return _farthest(neighbours, far)[1]


def _farthest(neighbours: Sequence[Sequence[int]], start: int) -> tuple[int, int]:
    distance = [-1] * len(neighbours)
    distance[start] = 0
    queue = [start]
    for node in queue:  # grows as it is read
        for other in neighbours[node]:
            if distance[other] < 0:
                distance[other] = distance[node] + 1
                queue.append(other)
    if len(queue) != len(neighbours):
        raise ValueError("the parse graph is not connected")
    return queue[-1], distance[queue[-1]]


_NODE = {tag: index for index, tag in enumerate(POS)}


class _Forest:
    """Nodes with labels and ordered children."""

    def __init__(self) -> None:
        self.labels: list[int] = []
        self.children: list[list[int]] = []

    def leaf(self, label: int) -> int:
        return self._add(label, [])

    def phrase(self, label: str, children: Sequence[int]) -> int:
        return self._add(NODE_LABELS.index(label), list(children))

    def _add(self, label: int, children: list[int]) -> int:
        self.labels.append(label)
        self.children.append(children)
        return len(self.labels) - 1


def _pos(tag: str) -> int:
    return _NODE.get(tag, _NODE["XX"])


def _token_leaves(nodes: Sequence[int], tokens: Sequence[Token]) -> list[_Leaf]:
    return [_Leaf(node, t.start, t.end, t.depth) for node, t in zip(nodes, tokens, strict=True)]


def _links(tokens: Sequence[Token]) -> list[Edge]:
    roots = [i for i, token in enumerate(tokens) if token.head == i]
    links = [(token.head, i) for i, token in enumerate(tokens) if token.head != i]
    return links + [(roots[0], root) for root in roots[1:]]


def _phrase(
    forest: _Forest,
    tokens: Sequence[Token],
    head: int,
    dependents: Sequence[int],
    leaves: Sequence[int],
    built: dict[int, int],
) -> int:
    """Node of the subtree of a token whose dependents are built."""
    token = tokens[head]
    label = _PHRASE_OF_TAG.get(token.tag, "X")
    if label in ("X", "QP") and token.dep in _NOMINAL:
        label = "NP"
    if not dependents:
        lone = label == "NP" and token.dep != "compound"
        return forest.phrase("NP", [leaves[head]]) if lone else leaves[head]
    members = sorted([*dependents, head])
    nodes = {member: leaves[head] if member == head else built[member] for member in members}
    subjects = [member for member in dependents if tokens[member].dep in _SUBJECTS]
    if label != "VP" or not subjects:
        return forest.phrase(label, [nodes[member] for member in members])
    before = [member for member in members if member <= subjects[0] and member != head]
    after = [member for member in members if member not in before]
    marks = [member for member in before if tokens[member].dep == "mark"]
    clause = [nodes[member] for member in before if member not in marks]
    clause.append(forest.phrase("VP", [nodes[member] for member in after]))
    node = forest.phrase("S", clause)
    if marks or token.dep == "relcl":
        return forest.phrase("SBAR", [*(nodes[member] for member in marks), node])
    return node


class _Leaf(NamedTuple):
    """A node of the graph that stands for characters of the text, end excluded; ``depth`` in the dependency tree."""

    node: int
    start: int
    end: int
    depth: int = 0


def _ordered(text: str, words: Sequence[Word], forest: _Forest, top: int, leaves: Sequence[_Leaf]) -> ParseGraph:
    """Number the nodes depth first from the root."""
    number: dict[int, int] = {}
    edges: list[Edge] = []
    stack: list[tuple[int, int | None]] = [(top, None)]
    while stack:
        node, parent = stack.pop()
        number[node] = len(number)
        if parent is not None:
            edges.append((number[parent], number[node]))
        stack.extend((child, node) for child in reversed(forest.children[node]))
    labels = [forest.labels[node] for node in number]
    return _graph(text, words, labels, edges, [leaf._replace(node=number[leaf.node]) for leaf in leaves])


def _graph(
    text: str, words: Sequence[Word], labels: Sequence[int], edges: Sequence[Edge], leaves: Sequence[_Leaf]
) -> ParseGraph:
    """Tie the word axis to the leaves."""
    starts, ends = [leaf.start for leaf in leaves], [leaf.end for leaf in leaves]
    nodes: list[int] = []
    for word, found in zip(words, covering([(w.start, w.end) for w in words], starts, ends), strict=True):
        if len(found) == 1:
            nodes.append(leaves[found[0]].node)
            continue
        spoken = [leaves[i] for i in found if any(c.isalnum() for c in text[starts[i] : ends[i]])]
        candidates = spoken or [leaves[i] for i in found]
        if not candidates:
            raise ValueError(f"no node of the parse covers '{word.text}' in '{excerpt(text)}'")
        nodes.append(min(candidates, key=lambda leaf: leaf.depth).node)
    slots = gaps(text, words)
    marks = slot_marks(text, words)
    tied: list[int] = []
    for slot, ((start, end), found) in enumerate(zip(slots, covering(slots, starts, ends), strict=True)):
        inside: list[int] = []
        if marks[slot]:
            shared = {i: text[max(start, starts[i]) : min(end, ends[i])].strip() for i in found}
            # The mark that gives the slot its class, or else the first.
            inside = sorted((i for i in found if shared[i]), key=lambda i: mark(shared[i]) != marks[slot])
        tied.append(leaves[inside[0]].node if inside else nodes[max(slot - 1, 0)])
        tied += nodes[slot : slot + 1]
    return ParseGraph(tuple(labels), tuple(edges), tuple(tied), diameter(len(labels), edges))


def _read_brackets(tree: str) -> tuple[_Forest, int, list[int], list[str]]:
    """Read a tree: the forest, its top, its leaves' nodes, and the leaves' words."""
    forest = _Forest()
    leaves: list[int] = []
    spoken: list[str] = []
    tops: list[int] = []
    # Open brackets: label (none until read), finished children, words directly below.
    stack: list[tuple[list[str], list[int], list[str]]] = []
    for item in re.findall(r"[()]|[^\s()]+", tree):
        if item == "(":
            stack.append(([], [], []))
        elif not stack:
            raise _malformed(tree, f"'{item}' stands outside of brackets")
        elif item != ")":
            label, children, direct = stack[-1]
            (direct if label or children else label).append(item)
        else:
            label, children, direct = stack.pop()
            name = label[0] if label else "S"
            if name == "-NONE-" or not (children or direct):
                continue
            if children and direct:
                raise _malformed(tree, f"'{direct[0]}' stands beside phrases, not below a part of speech")
            for word in direct:
                children.append(forest.leaf(_pos(name)))
                leaves.append(children[-1])
                spoken.append(_ESCAPES.get(word, _QUOTES.get(word, word)))
            preterminal = len(direct) == 1 and _phrase_label(name) == "X"
            node = children[0] if preterminal else forest.phrase(_phrase_label(name), children)
            (stack[-1][1] if stack else tops).append(node)
    if stack or not tops:
        raise _malformed(tree, "a bracket is not closed" if stack else "it has no leaves")
    return forest, tops[0] if len(tops) == 1 else forest.phrase("S", tops), leaves, spoken


def _phrase_label(name: str) -> str:
    """Label of ``PHRASES`` for one of the Penn Treebank: "NP-SBJ=1" is NP."""
    plain = re.split(r"[-=|]", name, maxsplit=1)[0]
    plain = _PHRASE_ALIASES.get(plain, plain)
    return plain if plain in PHRASES else "X"


def _malformed(tree: str, why: str) -> UserError:
    return UserError(f"the gold tree '{excerpt(tree)}' cannot be read: {why}; write (S (NP (DT the) (NN dog)) …)")


def _locate(text: str, spoken: Sequence[str], tree: str) -> list[tuple[int, int]]:
    """Character offsets of the leaves; marks may be missing among the leaves, words may not."""
    spans = []
    lower = text.lower()
    if len(lower) != len(text):  # a few capitals grow in lower case
        lower = text
    at = 0
    for word in spoken:
        found = lower.find(word.lower(), at)
        if found < 0 and not any(character.isalnum() for character in word):
            spans.append((at, at))
            continue
        if found < 0 or any(character.isalnum() for character in text[at:found]):
            raise UserError(
                f"the gold tree '{excerpt(tree)}' does not match '{excerpt(text)}' at '{word}'; its leaves must be "
                "the words of the text, in order"
            )
        at = found + len(word)
        spans.append((found, at))
    if any(character.isalnum() for character in text[at:]):
        raise UserError(f"the gold tree '{excerpt(tree)}' ends before '{excerpt(text[at:].strip())}' of the text")
    return spans
