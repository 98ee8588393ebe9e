"""What is known of a sentence, on one set of axes: words and pauses, phones, word pieces, graph nodes.

Tokens of the word axis W: a leading pause slot, then every word followed by a pause slot, so ``W = 1 + 2 * words``;
word ``i`` is token ``2 i + 1``. A pause slot is one phone, ``PAUSE``, whose duration may be zero, so that text at
inference has the same tokens as speech in training (CAMP makes a pause a unit of its own).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PAUSE = "sil"

#: Values of the ``punctuation`` tag of a pause slot: what stands between two words. 0 on words.
PUNCTUATION = ("none", "comma", "full_stop", "question", "exclamation", "semicolon", "colon", "dash", "quote", "other")
#: Values of the ``word_class`` tag.
WORD_CLASSES = ("pause", "open", "closed")
#: Values of the ``compound`` tag: inside a compound noun, its modifier or its head (spaCy's ``compound`` relation).
COMPOUND = ("none", "modifier", "head")
#: Fine part-of-speech tags (Penn Treebank as spaCy writes them); ``PAUSE`` marks pause slots, ``XX`` the unknown.
POS = (
    *("PAUSE", "XX", "$", "''", ",", "-LRB-", "-RRB-", ".", ":", "ADD", "AFX", "CC", "CD", "DT", "EX", "FW", "HYPH"),
    *("IN", "JJ", "JJR", "JJS", "LS", "MD", "NFP", "NN", "NNP", "NNPS", "NNS", "PDT", "POS", "PRP", "PRP$", "RB"),
    *("RBR", "RBS", "RP", "SYM", "TO", "UH", "VB", "VBD", "VBG", "VBN", "VBP", "VBZ", "WDT", "WP", "WP$", "WRB"),
    *("``", "_SP"),
)
#: Phrase labels of constituency graphs; nodes are labelled with ``POS + PHRASES``.
PHRASES = ("S", "SBAR", "NP", "VP", "PP", "ADJP", "ADVP", "QP", "X")
NODE_LABELS = POS + PHRASES

#: Tags of a token, with the number of values of each: the four of CAMP, section 2.2.
TAGS = {"pos": len(POS), "word_class": len(WORD_CLASSES), "compound": len(COMPOUND), "punctuation": len(PUNCTUATION)}


@dataclass(frozen=True)
class Word:
    """An orthographic word and its character offsets in the text, end excluded."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class ParseGraph:
    """An undirected parse graph.

    ``labels`` [N] index ``NODE_LABELS``; ``edges`` [E] name each pair of neighbours once; ``word_to_node`` [W] is the
    node of every token: a pause slot has its punctuation's node, or else that of the word before it (the first slot:
    of the word after it). ``diameter`` is the longest shortest path.
    """

    labels: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]
    word_to_node: tuple[int, ...]
    diameter: int


@dataclass(frozen=True)
class Sentence:
    """One analysed sentence; built by ``data_modules.text``, checked on building, never recomputed.

    Attributes:
        text: what is spoken.
        words: orthographic words, without pauses.
        phones: [P] labels, ``PAUSE`` for pause slots.
        phone_to_word: [P] token of the word axis W each phone belongs to.
        tags: name of ``TAGS`` -> [W] value.
        pieces: [S] word-piece ids, special pieces included.
        piece_spans: [W] first and last (excluded) piece of every token. A pause slot has its punctuation's pieces, or
            else those of the word before it (the first slot: the leading special piece).
        graph: the parse.
        before: word pieces of the sentences before it that BERT reads besides, without special ones.
        after: the same of those after it.
    """

    text: str
    words: tuple[Word, ...]
    phones: tuple[str, ...]
    phone_to_word: tuple[int, ...]
    tags: dict[str, tuple[int, ...]]
    pieces: tuple[int, ...]
    piece_spans: tuple[tuple[int, int], ...]
    graph: ParseGraph
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        """W, words and pause slots."""
        return 1 + 2 * len(self.words)

    def check(self) -> None:
        """Raise ``ValueError`` naming the broken tie: every phone has a token, every token a phone, pieces, a node."""
        width = self.tokens
        if len(self.phones) != len(self.phone_to_word):
            raise ValueError("phones and phone_to_word differ in length")
        if sorted(set(self.phone_to_word)) != list(range(width)) or list(self.phone_to_word) != sorted(
            self.phone_to_word
        ):
            raise ValueError("phone_to_word must name every token once or more, in order")
        for phone, word in zip(self.phones, self.phone_to_word, strict=True):
            if (phone == PAUSE) != (word % 2 == 0):
                raise ValueError(f"phone '{phone}' stands on token {word}")
        for name, count in TAGS.items():
            values = self.tags[name]
            if len(values) != width or not all(0 <= value < count for value in values):
                raise ValueError(f"tag '{name}' does not give every token a known value")
        if len(self.piece_spans) != width:
            raise ValueError("piece_spans must cover every token")
        if not all(0 <= first < last <= len(self.pieces) for first, last in self.piece_spans):
            raise ValueError("every token needs at least one word piece")
        nodes = len(self.graph.labels)
        if len(self.graph.word_to_node) != width or not all(0 <= node < nodes for node in self.graph.word_to_node):
            raise ValueError("word_to_node must give every token a node")
        if not all(0 <= a < nodes and 0 <= b < nodes for a, b in self.graph.edges):
            raise ValueError("an edge leaves the graph")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Sentence:
        """The inverse of ``to_dict``."""
        graph = data["graph"]
        return Sentence(
            text=data["text"],
            words=tuple(Word(**word) for word in data["words"]),
            phones=tuple(data["phones"]),
            phone_to_word=tuple(data["phone_to_word"]),
            tags={name: tuple(values) for name, values in data["tags"].items()},
            pieces=tuple(data["pieces"]),
            piece_spans=tuple((first, last) for first, last in data["piece_spans"]),
            graph=ParseGraph(
                labels=tuple(graph["labels"]),
                edges=tuple((a, b) for a, b in graph["edges"]),
                word_to_node=tuple(graph["word_to_node"]),
                diameter=graph["diameter"],
            ),
            before=tuple(data.get("before", ())),
            after=tuple(data.get("after", ())),
        )
