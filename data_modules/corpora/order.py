"""Where an utterance stands in its book, as far as its name tells, and what is read before and after it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from data_modules.corpora.contract import Corpus, Utterance
from prosody_tts.config import CorpusName


class Place(NamedTuple):
    """The chapter, and a position in it that rises as it is read."""

    chapter: str
    position: tuple[int, ...]


def libritts_place(name: str) -> Place | None:
    """Of LibriTTS's ``SPEAKER_CHAPTER_PARAGRAPH_SENTENCE``; none of other names."""
    found = re.fullmatch(r"(\d+_\d+)_(\d{1,18})_(\d{1,18})", name)
    return None if found is None else Place(found[1], (int(found[2]), int(found[3])))


def ljspeech_place(name: str) -> Place | None:
    """Of LJSpeech's ``CHAPTER-NUMBER``, as in ``LJ001-0001``; none of other names."""
    found = re.fullmatch(r"(LJ\d+)-(\d{1,18})", name)
    return None if found is None else Place(found[1], (int(found[2]),))


#: Corpus of ``config.ORDERED`` -> the place that a name tells.
PLACES: dict[CorpusName, Callable[[str], Place | None]] = {
    "ljspeech": ljspeech_place,
    "ljspeech_timing": ljspeech_place,
    "libritts": libritts_place,
    "libritts_r": libritts_place,
    "helsinki": libritts_place,
}


def with_neighbours(corpus: Corpus, place: Callable[[str], Place | None], count: int) -> Corpus:
    """Give every utterance the texts of the ``count`` sentences before and after it in its chapter.

    They are the nearest that the corpus knows, so also those of other splits and those left out; only their texts are
    read. An utterance whose name tells no place has none.
    """
    chapters: defaultdict[str, list[tuple[tuple[int, ...], str]]] = defaultdict(list)
    places = {name: found for name in corpus.texts if (found := place(name)) is not None}
    for name, (chapter, position) in places.items():
        chapters[chapter].append((position, name))
    around: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for members in chapters.values():
        names = [name for _, name in sorted(members)]
        texts = [corpus.texts[name] for name in names]
        for row, name in enumerate(names):
            around[name] = tuple(texts[max(row - count, 0) : row]), tuple(texts[row + 1 : row + 1 + count])

    def placed(item: Utterance) -> Utterance:
        before, after = around.get(item.id, ((), ()))
        return replace(item, before=before, after=after)

    return replace(corpus, utterances=tuple(map(placed, corpus.utterances)))
