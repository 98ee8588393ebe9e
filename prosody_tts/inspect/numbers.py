"""The figures of a corpus: what it holds, how it is aligned, how it is spoken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from data_modules.alignment.report import Suspicion, speaking_rate
from data_modules.corpora.contract import Fault, Split
from data_modules.store import FeatureStore, Recording
from data_modules.text.sentence import COMPOUND, PAUSE, POS, PUNCTUATION, WORD_CLASSES
from prosody_tts.inspect.lexicon import in_cmudict
from prosody_tts.inspect.spread import Distribution

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
#: Words out of the dictionary that a summary names.
COMMONEST = 20
#: Values of each tag whose shares are told; of words, but ``punctuation`` of the slots between them.
_TAGS = {"pos": POS, "word_class": WORD_CLASSES, "compound": COMPOUND, "punctuation": PUNCTUATION}


@dataclass(frozen=True)
class Part:
    """A split: hours of recordings, utterances, and sentences, each once however often it is spoken."""

    hours: float
    utterances: int
    sentences: int


@dataclass(frozen=True)
class LeftOut:
    """A fault and the stage that found it."""

    stage: str
    fault: Fault


@dataclass(frozen=True)
class Summary:
    """The figures of a corpus. Words, phones, tags and prosody are of aligned utterances, each rendition counted.

    Attributes:
        corpus: name.
        parts: split -> what it holds, alignment or none.
        speakers: name -> utterances; the empty name where the corpus has none.
        words: spoken.
        distinct_words: of them, whatever their case.
        phones: spoken, pauses left out.
        distinct_phones: of them.
        unknown: words not in CMUdict (``lexicon.in_cmudict``), lower case -> times spoken, the commonest first.
        aligned: utterances with an alignment.
        utterances: of the corpus.
        suspects: utterances whose alignment looks wrong.
        left_out: faults, by stage.
        tags: name of a tag -> value -> share of words (``punctuation``: of slots after words).
        diameters: diameter of the parse graph, in edges -> distinct texts that have it.
        distributions: name -> values.
    """

    corpus: str
    parts: dict[str, Part]
    speakers: dict[str, int]
    words: int
    distinct_words: int
    phones: int
    distinct_phones: int
    unknown: dict[str, int]
    aligned: int
    utterances: int
    suspects: tuple[Suspicion, ...]
    left_out: tuple[LeftOut, ...]
    tags: dict[str, dict[str, float]]
    diameters: dict[int, int]
    distributions: dict[str, Distribution]

    @property
    def unknown_share(self) -> float:
        """Share of words spoken that are not in CMUdict."""
        return sum(self.unknown.values()) / self.words if self.words else 0.0

    @property
    def aligned_share(self) -> float:
        """Share of utterances that have an alignment."""
        return self.aligned / self.utterances if self.utterances else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "corpus": self.corpus,
            "splits": {name: asdict(part) for name, part in self.parts.items()},
            "speakers": self.speakers,
            "words": {"spoken": self.words, "distinct": self.distinct_words},
            "phones": {"spoken": self.phones, "distinct": self.distinct_phones},
            "out_of_vocabulary": {
                "spoken": sum(self.unknown.values()),
                "distinct": len(self.unknown),
                "share": self.unknown_share,
                "commonest": dict(list(self.unknown.items())[:COMMONEST]),
            },
            "alignment": {
                "aligned": self.aligned,
                "utterances": self.utterances,
                "share": self.aligned_share,
                "suspects": [{"utterance": s.id, "reasons": list(s.reasons)} for s in self.suspects],
            },
            "faults": [{"stage": item.stage, **asdict(item.fault)} for item in self.left_out],
            "tags": self.tags,
            "graph_diameters": {str(diameter): count for diameter, count in self.diameters.items()},
            "distributions": {name: item.to_dict() for name, item in self.distributions.items()},
        }


def summarise(
    corpus: str, store: FeatureStore, hop: float, left_out: Sequence[LeftOut], suspicious: Sequence[Suspicion] = ()
) -> Summary:
    """Measure a corpus whose utterances are aligned.

    Args:
        corpus: name.
        store: its features.
        hop: seconds between frames.
        left_out: faults of all stages.
        suspicious: utterances whose alignment looks wrong.
    """
    tally = _Tally(hop)
    for name in store.ids(*SPLITS):
        tally.add(store.recording(name))
    return Summary(
        corpus=corpus,
        parts=_parts(store, hop),
        speakers=dict(Counter(u.speaker for u in store.corpus.recorded).most_common()),
        words=sum(tally.words.values()),
        distinct_words=len(tally.words),
        phones=sum(tally.phones.values()),
        distinct_phones=len(tally.phones),
        unknown=dict(sorted(tally.unknown.items(), key=lambda item: (-item[1], item[0]))),
        aligned=len(tally.rates),
        utterances=len(store.corpus.recorded),
        suspects=tuple(suspicious),
        left_out=tuple(left_out),
        tags={name: _shares(tally.tags[name], values) for name, values in _TAGS.items()},
        diameters=dict(sorted(Counter(s.graph.diameter for s in store.text.sentences).items())),
        distributions=tally.distributions(),
    )


def _parts(store: FeatureStore, hop: float) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for split in SPLITS:
        own = [u for u in store.corpus.utterances if u.split == split]
        frames = sum(len(store.audio.f0[store.audio.rows[u.id]]) for u in own)
        parts[split] = Part(frames * hop / 3600, len(own), len({u.sentence for u in own}))
    return parts


def _shares(counts: Mapping[int, int], values: Sequence[str]) -> dict[str, float]:
    """Share of every value seen, the commonest first."""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {values[value]: count / total for value, count in ordered}


@dataclass
class _Tally:
    """What has been counted so far, utterance by utterance; ``hop`` in seconds."""

    hop: float
    words: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    phones: Counter[str] = field(default_factory=Counter)
    tags: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in _TAGS})
    rates: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    phone_seconds: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    word_f0: list[float] = field(default_factory=list)
    ranges: list[float] = field(default_factory=list)

    def add(self, recording: Recording) -> None:
        """Count an utterance."""
        name = recording.utterance.id
        assert recording.durations is not None
        self.rates[name] = speaking_rate(recording.sentence, recording.durations, self.hop)
        self._text(recording)
        self._speech(recording)

    def _text(self, recording: Recording) -> None:
        sentence = recording.sentence
        for word in sentence.words:
            self.words[word.text.casefold()] += 1
            if not in_cmudict(sentence.text, word):
                self.unknown[word.text.casefold()] += 1
        self.phones.update(phone for phone in sentence.phones if phone != PAUSE)
        for tag, counts in self.tags.items():
            # Words are the odd tokens, the slots after them the even ones; nothing stands before the first word.
            counts.update(sentence.tags[tag][2::2] if tag == "punctuation" else sentence.tags[tag][1::2])

    def _speech(self, recording: Recording) -> None:
        assert recording.durations is not None
        sentence, f0 = recording.sentence, recording.f0
        self.seconds.append(len(f0) * self.hop)
        spoken = np.array([phone != PAUSE for phone in sentence.phones])
        self.phone_seconds += (recording.durations[spoken] * self.hop).tolist()
        log_f0, _, tokens = recording.word_measures()
        inner = tokens[2:-1:2]  # silence before the first word and after the last is no pause of the speaker's
        self.pauses += (inner[inner > 0] * self.hop).tolist()
        self.word_f0 += np.exp(log_f0[1::2]).tolist()
        self.ranges.append(f0_range(f0[f0 > 0]))

    def distributions(self) -> dict[str, Distribution]:
        """Everything measured, by name."""
        return {
            "utterance_seconds": Distribution.of("duration of utterances", "s", self.seconds, self.hop),
            "phone_seconds": Distribution.of("duration of phones", "s", self.phone_seconds, self.hop),
            "pause_seconds": Distribution.of("pauses between words", "s", self.pauses, self.hop),
            "word_f0": Distribution.of("mean F0 of words", "Hz", self.word_f0),
            "f0_range": Distribution.of("F0 range of utterances", "semitones", self.ranges),
            "speaking_rate": Distribution.of("speaking rate", "phones/s", list(self.rates.values())),
        }


def f0_range(voiced: np.ndarray) -> float:
    """Semitones from the 5th to the 95th percentile of voiced frames [n] in Hz; NaN below ten of them."""
    if len(voiced) < 10:
        return float("nan")
    low, high = np.percentile(voiced, [5, 95])
    return float(12 * np.log2(high / low))
