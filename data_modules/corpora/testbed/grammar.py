"""Sentences with their gold trees.

Every template has an adjective near its start, in every polarity equally often. The ambiguous templates have two
trees over the same words and parts of speech; which one is meant is drawn evenly and independently of the words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_modules.corpora.contract import Split
from data_modules.corpora.testbed.lexicon import ADJECTIVES, WORDS
from data_modules.corpora.testbed.tree import Tree

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
SENTIMENTS = (1, 0, -1)
DETERMINERS = ("the", "the", "the", "the", "my", "our")


@dataclass(frozen=True)
class Parsed:
    """A sentence of the grammar: its tree and the sentiment of its adjectives."""

    tree: Tree
    sentiment: int

    @property
    def text(self) -> str:
        """The sentence as it is written."""
        return self.tree.text()


class Draw:
    """Draws words by role from shuffled decks, so that all are used equally often; a sentence repeats none."""

    def __init__(self, split: Split, seed: int) -> None:
        """Shuffle for a split and a seed."""
        self.split: Split = split
        self.random = np.random.default_rng([seed, SPLITS.index(split)])
        self.sentiment = 0
        self.high = False
        self._decks: dict[tuple[str, int], list[str]] = {}
        self._used: set[str] = set()

    def begin(self, sentiment: int, high: bool) -> None:
        """Start a sentence of a ``sentiment``, whose ambiguous phrase attaches ``high`` or low."""
        self.sentiment, self.high = sentiment, high
        self._used = set()

    def word(self, role: str) -> str:
        """A word of a role of the lexicon."""
        return self._next(role, 0, WORDS[role])

    def adjective(self, kind: str) -> str:
        """An adjective of the sentence's sentiment for a kind of noun."""
        return self._next(kind, 1 + self.sentiment % 3, ADJECTIVES[self.split][self.sentiment][kind])

    def _next(self, role: str, deck: int, words: str) -> str:
        choices = words.split()
        cards = self._decks.setdefault((role, deck), [])
        for _ in range(2):
            for place, card in enumerate(cards):
                if not {card, _singular(card)} & self._used:
                    del cards[place]
                    self._used |= {card, _singular(card)}
                    return card
            cards.extend(choices[i] for i in self.random.permutation(len(choices)))
        raise ValueError(f"the lexicon has too few words for '{role}'")


def _singular(word: str) -> str:
    return word.removesuffix("s")


def _tag(label: str, word: str) -> Tree:
    return Tree(label, word=word)


def _phrase(label: str, *children: Tree) -> Tree:
    return Tree(label, children)


def _the(draw: Draw) -> Tree:
    word = DETERMINERS[int(draw.random.integers(len(DETERMINERS)))]
    return _tag("DT" if word == "the" else "PRP$", word)


def _noun_phrase(draw: Draw, role: str, adjective: str = "", number: str = "NN") -> Tree:
    """``the [adjective] noun``."""
    described = (_tag("JJ", draw.adjective(adjective)),) if adjective else ()
    return _phrase("NP", _the(draw), *described, _tag(number, draw.word(role)))


def _compound(draw: Draw, adjective: str = "") -> Tree:
    """``the [adjective] kitchen table``."""
    described = (_tag("JJ", draw.adjective(adjective)),) if adjective else ()
    return _phrase("NP", _the(draw), *described, _tag("NN", draw.word("room")), _tag("NN", draw.word("part")))


def _sentence(*children: Tree) -> Tree:
    return _phrase("S", *children, _tag(".", "."))


def _clause(draw: Draw) -> Tree:
    """``because the music stopped``."""
    verb = _phrase("VP", _tag("VBD", draw.word("rang")))
    return _phrase("SBAR", _tag("IN", draw.word("because")), _phrase("S", _noun_phrase(draw, "bell"), verb))


def compound_object(draw: Draw) -> Tree:
    """The kind baker painted the garden gate."""
    subject = _noun_phrase(draw, "person", "person")
    return _sentence(subject, _phrase("VP", _tag("VBD", draw.word("did")), _compound(draw)))


def compound_subject(draw: Draw) -> Tree:
    """The lovely kitchen table stood near the river."""
    subject = _compound(draw, "thing")
    verb = _tag("VBD", draw.word("stood"))
    place = _phrase("PP", _tag("IN", draw.word("near")), _noun_phrase(draw, "place"))
    return _sentence(subject, _phrase("VP", verb, place))


def compound_pair(draw: Draw) -> Tree:
    """The lovely kitchen table matched the superb piano."""
    subject = _compound(draw, "thing")
    return _sentence(subject, _phrase("VP", _tag("VBD", draw.word("matched")), _noun_phrase(draw, "thing", "thing")))


def two_adjectives(draw: Draw) -> Tree:
    """The kind baker repaired the lovely piano."""
    subject = _noun_phrase(draw, "person", "person")
    return _sentence(subject, _phrase("VP", _tag("VBD", draw.word("did")), _noun_phrase(draw, "thing", "thing")))


def clause_last(draw: Draw) -> Tree:
    """The kind baker waited because the music stopped."""
    subject = _noun_phrase(draw, "person", "person")
    return _sentence(subject, _phrase("VP", _tag("VBD", draw.word("waited")), _clause(draw)))


def clause_first(draw: Draw) -> Tree:
    """When the kind baker arrived, the music stopped."""
    conjunction = _tag("IN", draw.word("because"))
    subject = _noun_phrase(draw, "person", "person")
    clause = _phrase("S", subject, _phrase("VP", _tag("VBD", draw.word("waited"))))
    main = (_noun_phrase(draw, "bell"), _phrase("VP", _tag("VBD", draw.word("rang"))))
    return _sentence(_phrase("SBAR", conjunction, clause), _tag(",", ","), *main)


def clause_long(draw: Draw) -> Tree:
    """The kind baker opened the garden gate because the music stopped."""
    subject = _noun_phrase(draw, "person", "person")
    return _sentence(subject, _phrase("VP", _tag("VBD", draw.word("did")), _compound(draw), _clause(draw)))


def relative(draw: Draw) -> Tree:
    """The kind baker who lived upstairs opened the piano."""
    noun = _noun_phrase(draw, "person", "person")
    verb = _phrase("VP", _tag("VBD", draw.word("lived")), _phrase("ADVP", _tag("RB", draw.word("nearby"))))
    clause = _phrase("SBAR", _tag("WP", "who"), _phrase("S", verb))
    verb = _phrase("VP", _tag("VBD", draw.word("did")), _noun_phrase(draw, "thing"))
    return _sentence(_phrase("NP", noun, clause), verb)


def _attached(draw: Draw, seen: Tree, phrase: Tree, verb: Tree) -> Tree:
    """The ambiguous phrase belongs to the verb (high) or to the noun before it (low)."""
    if draw.high:
        return _phrase("VP", verb, seen, phrase)
    return _phrase("VP", verb, _phrase("NP", seen, phrase))


def with_tool(draw: Draw) -> Tree:
    """The kind baker saw the student with the telescope."""
    subject = _noun_phrase(draw, "person", "person")
    verb, seen = _tag("VBD", draw.word("saw")), _noun_phrase(draw, "person")
    phrase = _phrase("PP", _tag("IN", "with"), _noun_phrase(draw, "tool"))
    return _sentence(subject, _attached(draw, seen, phrase, verb))


def in_place(draw: Draw) -> Tree:
    """The kind baker painted the piano near the river."""
    subject = _noun_phrase(draw, "person", "person")
    verb, seen = _tag("VBD", draw.word("did")), _noun_phrase(draw, "thing")
    phrase = _phrase("PP", _tag("IN", draw.word("near")), _noun_phrase(draw, "place"))
    return _sentence(subject, _attached(draw, seen, phrase, verb))


def _coordination(draw: Draw) -> Tree:
    """``the kind bakers and singers``: the adjective describes the first (high) or both (low)."""
    the, adjective = _the(draw), _tag("JJ", draw.adjective("person"))
    one, other = (_tag("NNS", draw.word("people")) for _ in range(2))
    if draw.high:
        return _phrase("NP", _phrase("NP", the, adjective, one), _tag("CC", "and"), _phrase("NP", other))
    return _phrase("NP", the, adjective, _phrase("NP", one, _tag("CC", "and"), other))


def both_subjects(draw: Draw) -> Tree:
    """The kind bakers and singers opened the piano."""
    subject = _coordination(draw)
    return _sentence(subject, _phrase("VP", _tag("VBD", draw.word("did")), _noun_phrase(draw, "thing")))


def both_objects(draw: Draw) -> Tree:
    """The kind student met the gentle bakers and singers."""
    subject = _noun_phrase(draw, "person", "person")
    return _sentence(subject, _phrase("VP", _tag("VBD", draw.word("met")), _coordination(draw)))


TEMPLATES: dict[str, Callable[[Draw], Tree]] = {
    template.__name__: template
    for template in (
        *(compound_object, with_tool, clause_last, both_subjects, compound_subject, in_place),
        *(clause_first, two_adjectives, both_objects, relative, compound_pair, clause_long),
    )
}
#: Templates whose text has two readings.
AMBIGUOUS = ("with_tool", "in_place", "both_subjects", "both_objects")


def sentences(split: Split, count: int, seed: int) -> list[Parsed]:
    """Write ``count`` different sentences; a smaller count gives the first of a larger one's.

    Polarities take turns within a template, templates within a round, and readings alternate from round to round.
    """
    draw = Draw(split, seed)
    templates = list(TEMPLATES.values())
    order = [int(i) for i in draw.random.permutation(len(templates))]
    found: dict[str, Parsed] = {}
    while len(found) < count:
        number, polarity = divmod(len(found), len(SENTIMENTS))
        turn, place = divmod(number, len(templates))
        draw.begin(SENTIMENTS[polarity], high=(turn + polarity + order[place]) % 2 == 0)
        tree = _capitalise(templates[order[place]](draw))
        parsed = Parsed(tree, draw.sentiment)
        found.setdefault(parsed.text, parsed)
    return list(found.values())


def _capitalise(tree: Tree) -> Tree:
    if tree.word:
        return Tree(tree.label, word=re.sub(r"^\w", lambda match: match.group().upper(), tree.word))
    return Tree(tree.label, (_capitalise(tree.children[0]), *tree.children[1:]))
