"""spaCy's dependency parse on words: who governs whom, by which relation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data_modules.text.parse import Token, head_token, word_tokens
from data_modules.text.sentence import Sentence, Word


@dataclass(frozen=True)
class Arc:
    """A relation between words: ``head`` (None for a root) and ``dependent`` are places in the list of words."""

    head: int | None
    dependent: int
    label: str


def arcs(words: Sequence[Word], tokens: Sequence[Token]) -> tuple[Arc, ...]:
    """One arc a word: from the word that holds its head token's governor, by that token's relation.

    Governors that are no words (punctuation) and tokens of the same word are passed over towards the root.
    """
    overlapping = word_tokens(words, tokens)
    owner = {token: word for word, found in enumerate(overlapping) for token in found}
    places = {(token.start, token.end): place for place, token in enumerate(tokens)}
    found = []
    for word, own in enumerate(overlapping):
        top = head_token(tokens, own)
        at = places[top.start, top.end]
        head = None
        while head is None and tokens[at].head != at:
            at = tokens[at].head
            head = owner.get(at) if owner.get(at) != word else None
        found.append(Arc(head, word, top.dep))
    return tuple(found)


def relations(parser: str, sentences: Sequence[Sentence]) -> list[tuple[Arc, ...]]:
    """The dependency parse of every sentence, whatever graph ``text.tree`` builds of it.

    Args:
        parser: a spaCy pipeline, as ``text.parser`` names it.
        sentences: analysed ones.
    """
    from data_modules.text.parse import load_pipeline, parse

    parses = parse(load_pipeline(parser), [sentence.text for sentence in sentences])
    return [arcs(sentence.words, tokens) for sentence, tokens in zip(sentences, parses, strict=True)]
