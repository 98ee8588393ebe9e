"""A text as it is to be said: sentences, and what is asked of their words, tied by words counted from 1.

Plain text and SSML are both a ``Markup``: runs of raw text, each spoken as written, between which sentences may be
forced, spans may begin and end, and pauses stand. ``script_of`` normalises the runs, splits sentences and ties all of
it to words.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, groupby
from operator import attrgetter

from data_modules.text.analysis import TextAnalyser
from data_modules.text.normalise import NORMALISERS, Normaliser
from data_modules.text.parse import load_pipeline, split_sentences
from data_modules.text.sentence import PAUSE, Sentence, Word
from data_modules.text.words import clean, excerpt, find_words
from prosody_tts.errors import UserError
from prosody_tts.speaking.controls import Control, Span
from prosody_tts.speaking.phones import phones_of, read_phones, write_phones


@dataclass(frozen=True)
class Run:
    """Raw text without a mark inside it.

    Runs of one ``block`` follow each other in one stretch of sentences; a block that is ``whole`` is one sentence.
    ``phones`` are those of its words as a line (``speaking.phones``), ``alphabet`` the pronouncer whose they are.
    """

    text: str
    block: int = 0
    whole: bool = False
    phones: str | None = None
    alphabet: str = ""


@dataclass(frozen=True)
class Stretch:
    """A control of the runs from ``first`` up to ``last``, excluded."""

    first: int
    last: int
    control: Control


@dataclass
class Markup:
    """Runs of text with what is asked of them; ``breaks`` are pairs of the run that follows a pause, and seconds."""

    runs: list[Run] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)
    breaks: list[tuple[int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Script:
    """A text as it is to be said.

    Attributes:
        sentences: analysed, in order; words count from 1 over all of them.
        whole: control of everything, pauses included.
        spans: controls of words and of the pauses between them; where they overlap, paces multiply and the rest adds
            up, the first being applied first.
        pauses: seconds of the pause after a word; 0 is the one before the first.
    """

    sentences: tuple[Sentence, ...]
    whole: Control = field(default_factory=Control)
    spans: tuple[Span, ...] = ()
    pauses: dict[int, float] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """All words."""
        return [word.text for sentence in self.sentences for word in sentence.words]

    @cached_property
    def firsts(self) -> list[int]:
        """Number of each sentence's first word."""
        return list(accumulate((len(sentence.words) for sentence in self.sentences), initial=1))[:-1]

    def slots(self, place: int) -> dict[int, float]:
        """Seconds of the pauses that are asked for in a sentence, by token of its word axis."""
        first, count = self.firsts[place], len(self.sentences[place].words)
        # The pause before the first word is the first sentence's; every other one follows its word.
        own = range(0 if place == 0 else first, first + count)
        return {2 * (word - first + 1): self.pauses[word] for word in own if word in self.pauses}

    @property
    def phones(self) -> str:
        """The phones of all words as a line (``speaking.phones``)."""
        return write_phones(self.words, [spoken for sentence in self.sentences for spoken in phones_of(sentence)])

    def asking(self, whole: Control, spans: Sequence[Span]) -> Script:
        """The same with controls of the whole, and of words after those that are there.

        Raises:
            UserError: there is no such word.
        """
        words = self.words
        for span in spans:
            if span.last > len(words):
                numbered = " ".join(f"{number}:{word}" for number, word in enumerate(words, start=1))
                raise UserError(
                    f"there is no word {span.last} in '{excerpt(' '.join(words))}', which has {len(words)}: "
                    f"{excerpt(numbered, 200)}"
                )
        pauses = {span.last: span.pause for span in spans if span.pause is not None}
        return replace(self, whole=whole, spans=(*self.spans, *spans), pauses={**self.pauses, **pauses})


def plain(text: str) -> Markup:
    """Text without markup."""
    return Markup([Run(text)])


def script_of(markup: Markup, analyser: TextAnalyser, phones: str | None = None, whole: bool = False) -> Script:
    """Normalise, split and analyse marked-up text.

    Args:
        markup: the text.
        analyser: of the system's settings.
        phones: phones of all words, as a line; none pronounces the text.
        whole: take each text as one sentence, as a corpus does.

    Raises:
        UserError: there is nothing to say, a mark cuts a word in two, or the phones do not fit.
    """
    texts, starts = _sentences(markup, analyser, whole)
    words = [find_words(text) for text in texts]
    flat = [word.text for sentence in words for word in sentence]
    given = _given(markup, starts, flat, analyser)
    if phones is not None:
        given = dict(enumerate(read_phones(phones, flat), start=1))
    spans = [
        Span(starts[stretch.first] + 1, starts[stretch.last], stretch.control)
        for stretch in markup.stretches
        if starts[stretch.last] > starts[stretch.first]
    ]
    # Pauses that meet in one slot make one, the longer.
    pauses: dict[int, float] = {}
    for run, seconds in markup.breaks:
        pauses[starts[run]] = max(seconds, pauses.get(starts[run], 0.0))
    return Script(tuple(_analysed(texts, words, given, analyser)), spans=tuple(spans), pauses=pauses)


def _sentences(markup: Markup, analyser: TextAnalyser, whole: bool) -> tuple[list[str], list[int]]:
    """Texts of the sentences, and how many words stand before each run (and, last, in all)."""
    normalise = NORMALISERS[analyser.settings.normaliser]()
    parser = load_pipeline(analyser.settings.parser)
    texts: list[str] = []
    starts: list[int] = []
    words = 0
    for _, block in groupby(markup.runs, key=attrgetter("block")):
        runs = list(block)
        joined, bounds = _joined([_normalised(run.text, normalise) for run in runs])
        one = whole or runs[0].whole
        split = [joined.strip()] if one else next(iter(split_sentences(parser, [joined.strip()])))
        found = _located(joined, [text for text in split if any(map(str.isalnum, text))])
        texts += [text for text, _ in found]
        places = [(at + word.start, at + word.end, word.text) for text, at in found for word in find_words(text)]
        begun = [start for start, _, _ in places]
        for bound in bounds:
            before = bisect_left(begun, bound)
            _check_cut(places[before - 1 : before], bound)
            starts.append(words + before)
        words += len(places)
    if not texts:
        find_words("".join(run.text for run in markup.runs))  # says that there is no word
        raise UserError("there is no word to speak; give at least one letter or digit")
    return texts, [*starts, words]


def _normalised(text: str, normalise: Normaliser) -> str:
    """A run as it is said; whether a space stands at its ends is kept."""
    if not text.strip():
        return text
    before, after = (end if end.isspace() else "" for end in (text[0], text[-1]))
    return f"{before}{normalise(text.strip())}{after}"


def _joined(runs: Iterable[str]) -> tuple[str, list[int]]:
    """The clean text of runs, one space between chunks, and where each run begins in it."""
    text, bounds = "", []
    for run in runs:
        cleaned = clean(run)
        before, after = (" " if run[:1].isspace() else ""), (" " if run[-1:].isspace() else "")
        piece = f"{before}{cleaned}{after}" if cleaned else before
        piece = piece.lstrip() if not text or text.endswith(" ") else piece
        bounds.append(len(text))
        text += piece
    return text, bounds


def _located(text: str, sentences: Iterable[str]) -> list[tuple[str, int]]:
    """Sentences with their offset in the text."""
    found, at = [], 0
    for sentence in sentences:
        at = text.index(sentence, at)
        found.append((sentence, at))
        at += len(sentence)
    return found


def _check_cut(places: Sequence[tuple[int, int, str]], bound: int) -> None:
    for start, end, word in places:
        if start < bound < end:
            raise UserError(
                f"an element begins or ends inside the word '{excerpt(word)}'; put whole words into elements"
            )


def _given(
    markup: Markup, starts: Sequence[int], words: Sequence[str], analyser: TextAnalyser
) -> dict[int, tuple[str, ...]]:
    """Phones of the words in runs that have them."""
    given: dict[int, tuple[str, ...]] = {}
    own = str(analyser.pronouncer.identity()["name"])
    for number, run in enumerate(markup.runs):
        if run.phones is None:
            continue
        if run.alphabet != own:
            raise UserError(
                f"<phoneme> gives phones of {run.alphabet}, and this system's are those of {own}; "
                "see --print-phones for how it writes them"
            )
        first, last = starts[number], starts[number + 1]
        given |= enumerate(read_phones(run.phones, words[first:last]), start=first + 1)
    return given


def _analysed(
    texts: Sequence[str], words: Sequence[Sequence[Word]], given: dict[int, tuple[str, ...]], analyser: TextAnalyser
) -> list[Sentence]:
    """Analyse sentences; words without given phones are pronounced."""
    own: list[list[tuple[str, ...] | None]] = []
    count = 0
    for sentence in words:
        own.append([given.get(count + place) for place in range(1, 1 + len(sentence))])
        count += len(sentence)
    complete = [[p for p in phones if p is not None] if all(phones) else None for phones in own]
    analysed = analyser.analyse(texts, complete)
    return [with_phones(sentence, phones) for sentence, phones in zip(analysed, own, strict=True)]


def with_phones(sentence: Sentence, phones: Sequence[Sequence[str] | None]) -> Sentence:
    """A sentence whose words have other phones, where they are given; all else stays."""
    labels, owners = [PAUSE], [0]
    for place, (own, new) in enumerate(zip(phones_of(sentence), phones, strict=True)):
        spoken = own if new is None else new
        labels += [*spoken, PAUSE]
        owners += [2 * place + 1] * len(spoken) + [2 * place + 2]
    changed = replace(sentence, phones=tuple(labels), phone_to_word=tuple(owners))
    changed.check()
    return changed
