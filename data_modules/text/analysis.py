"""From texts to sentences: every axis made in one place, tied by character offsets, checked on building."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_modules.text.bert import Bert, WordPieces
from data_modules.text.graph import GRAPHS
from data_modules.text.normalise import NORMALISERS
from data_modules.text.parse import Token, load_pipeline, parse, parser_identity, split_sentences, token_tags, word_tags
from data_modules.text.pronounce import PRONOUNCERS, Pronouncer
from data_modules.text.sentence import PAUSE, Sentence, Word
from data_modules.text.words import clean, excerpt, find_words
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError

#: Raise it when a rule of this package changes what a text becomes.
RULES = 1

#: Texts parsed and tokenised at once.
BATCH = 256


@dataclass(frozen=True)
class _Draft:
    """A text whose words are known."""

    text: str
    words: tuple[Word, ...]
    phones: Sequence[Sequence[str]] | None
    tree: str | None


class TextAnalyser:
    """Analyses texts as an experiment's ``text`` settings say; models load when first used.

    Raises:
        UserError: a pipeline or model is missing.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.settings = experiment.text
        self.pronouncer: Pronouncer = PRONOUNCERS[experiment.pronouncer]()
        self._graph = GRAPHS[experiment.text.tree]

    @cached_property
    def bert(self) -> Bert:
        """The model of word pieces and states."""
        return Bert.of(self.settings)

    def identity(self) -> dict[str, Any]:
        """Plain data that changes whenever a sentence or state could."""
        return {
            "rules": RULES,
            "tree": self.settings.tree,
            "pronouncer": self.pronouncer.identity(),
            "parser": parser_identity(self.settings.parser),
            "bert": self.bert.identity(),
        }

    def inventory(self) -> tuple[str, ...] | None:
        """The pronouncer's closed list of phones without ``PAUSE``, or none where only the corpus tells."""
        return self.pronouncer.inventory()

    def analyse(
        self,
        texts: Sequence[str],
        phones: Sequence[Sequence[Sequence[str]] | None] | None = None,
        trees: Sequence[str | None] | None = None,
    ) -> list[Sentence]:
        """Analyse texts, in order.

        Args:
            texts: normalised texts, numbers spelled out.
            phones: for each text the phones of each word, or none to pronounce it.
            trees: for each text a gold tree in brackets, or none; needed by ``text.tree=gold`` only.

        Raises:
            UserError: a text cannot be analysed; names it. The first one found.
        """
        sentences = []
        for result in self.analyse_each(texts, phones, trees):
            if isinstance(result, UserError):
                raise result
            sentences.append(result)
        return sentences

    def analyse_each(
        self,
        texts: Sequence[str],
        phones: Sequence[Sequence[Sequence[str]] | None] | None = None,
        trees: Sequence[str | None] | None = None,
        around: Sequence[tuple[Sequence[str], Sequence[str]]] | None = None,
    ) -> list[Sentence | UserError]:
        """Like ``analyse``, but a text that cannot be analysed gives its error in its place, for a corpus's faults.

        ``around`` are, for each text, the texts before and after it that BERT reads besides.
        """
        given = phones if phones is not None else [None] * len(texts)
        golden = trees if trees is not None else [None] * len(texts)
        results: list[Sentence | UserError] = []
        rows = list(zip(texts, given, golden, strict=True))
        for start in range(0, len(rows), BATCH):
            results += self._batch(rows[start : start + BATCH])
        if around is None or not any(before or after for before, after in around):
            return results
        return [
            found if isinstance(found, UserError) else self._between(found, *texts)
            for found, texts in zip(results, around, strict=True)
        ]

    def in_context(self, sentences: Sequence[Sentence]) -> list[Sentence]:
        """Sentences of one text, each with the word pieces of its ``text.neighbours`` on both sides."""
        count = self.settings.neighbours
        if count == 0:
            return list(sentences)
        pieces = [self.bert.reader.content(sentence) for sentence in sentences]
        return [
            replace(
                sentence,
                before=tuple(chain.from_iterable(pieces[max(row - count, 0) : row])),
                after=tuple(chain.from_iterable(pieces[row + 1 : row + 1 + count])),
            )
            for row, sentence in enumerate(sentences)
        ]

    def _between(self, sentence: Sentence, before: Sequence[str], after: Sequence[str]) -> Sentence:
        texts = [[clean(text) for text in side] for side in (before, after)]
        ahead, behind = (tuple(chain.from_iterable(self.bert.content(side))) for side in texts)
        return replace(sentence, before=ahead, after=behind)

    def prepare(self, texts: Sequence[str]) -> list[list[str]]:
        """Raw texts as people write them to the sentences that are said: normalised, then split (``parse``).

        Raises:
            UserError: the normaliser is not installed, or a text is too long.
        """
        normalise = NORMALISERS[self.settings.normaliser]()
        normalised = [clean(normalise(text)) for text in texts]
        return list(split_sentences(load_pipeline(self.settings.parser), normalised))

    def states(self, sentences: Sequence[Sentence]) -> list[NDArray[np.float32]]:
        """BERT states [W, D] of sentences (``Bert.states``)."""
        return self.bert.states(sentences)

    def _batch(
        self, rows: Iterable[tuple[str, Sequence[Sequence[str]] | None, str | None]]
    ) -> list[Sentence | UserError]:
        drafts: list[_Draft | UserError] = []
        for text, phones, tree in rows:
            try:
                drafts.append(_draft(text, phones, tree))
            except UserError as error:
                drafts.append(error)
        sound = [draft for draft in drafts if isinstance(draft, _Draft)]
        texts = [draft.text for draft in sound]
        parses = parse(load_pipeline(self.settings.parser), texts) if sound else iter(())
        pieces = iter(self.bert.pieces(texts, [draft.words for draft in sound]) if sound else ())
        results: list[Sentence | UserError] = []
        for draft in drafts:
            if isinstance(draft, UserError):
                results.append(draft)
                continue
            tokens, word_pieces = next(parses), next(pieces)
            try:
                results.append(self._sentence(draft, tokens, word_pieces))
            except UserError as error:
                results.append(error)
        return results

    def _sentence(self, draft: _Draft, tokens: Sequence[Token], pieces: WordPieces) -> Sentence:
        text, words = draft.text, draft.words
        spoken = draft.phones
        if spoken is None:
            spoken = self.pronouncer.pronounce(text, words, word_tags(words, tokens))
        phones, phone_to_word = [PAUSE], [0]
        for i, word_phones in enumerate(spoken):
            phones += [*word_phones, PAUSE]
            phone_to_word += [2 * i + 1] * len(word_phones) + [2 * i + 2]
        sentence = Sentence(
            text=text,
            words=words,
            phones=tuple(phones),
            phone_to_word=tuple(phone_to_word),
            tags=token_tags(text, words, tokens),
            pieces=pieces.ids,
            piece_spans=pieces.spans,
            graph=self._graph(text, words, tokens, draft.tree),
        )
        sentence.check()
        return sentence


def _draft(text: str, phones: Sequence[Sequence[str]] | None, tree: str | None) -> _Draft:
    text = clean(text)
    words = find_words(text)
    if phones is not None:
        if len(phones) != len(words):
            raise UserError(
                f"{len(phones)} words are aligned, but '{excerpt(text)}' has {len(words)}; "
                "the alignment must give one list of phones a word"
            )
        for word, word_phones in zip(words, phones, strict=True):
            if not word_phones or PAUSE in word_phones:
                raise UserError(
                    f"the alignment gives '{excerpt(word.text)}' in '{excerpt(text)}' "
                    f"{'a pause' if word_phones else 'no phones'}; every word needs phones of its own"
                )
    return _Draft(text, words, phones, tree)
