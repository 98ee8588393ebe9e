"""Whether prosody goes with its vector: renditions of a sentence spoken with one another's vectors.

The text stays; the vectors of one rendition are replaced by those of another. What the recordings' words differ by is
held against what the system's words change by: a slope of 1 moves all of it, 0 none. With every second word's vector
replaced, the words that keep theirs tell how far a vector reaches beyond its word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch

from data_modules.audio import analyse, with_frames
from data_modules.collate import text_batch, text_item
from data_modules.corpora.contract import Progress
from data_modules.store import Recording
from data_modules.tokens import token_durations
from data_modules.vectors import VectorStore
from prosody_tts.config import AudioConfig
from prosody_tts.evaluation import statistics
from prosody_tts.evaluation.measure import Floats, measure_speech
from prosody_tts.synthesis import Speech, Synthesizer

#: Which words are looked at: all, with all vectors swapped; or those with and without a swapped vector.
Which = Literal["all", "swapped", "kept"]
#: What is measured of a word, in the order of the last axis of changes; F0 on audio and by the read-out head.
MEASURED = ("log_f0", "log_f0_readout", "energy", "log_duration")


@dataclass(frozen=True, eq=False)
class Changes:
    """Words whose vectors, or whose neighbours' vectors, were swapped.

    Attributes:
        recorded: [N, 4] difference of the recordings, in the order of ``MEASURED``; NaN where not defined.
        spoken: [N, 4] change of the system.
        sentences: [N] number of each word's sentence.
    """

    recorded: Floats
    spoken: Floats
    sentences: np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Moved:
    """How much of the recordings' difference a swap moves.

    Attributes:
        measure: a name of ``MEASURED``.
        which: words looked at.
        slope: of the system's change over the recordings' difference, through zero: the share that moves.
        slope_low: lower end of its percentile bootstrap interval over sentences, or None.
        slope_high: upper end.
        correlation: of the two, about zero, since a swap and its reverse are one observation.
        correlation_low: lower end of its interval, or None.
        correlation_high: upper end.
        words: pairs of words.
        sentences: they are from.
    """

    measure: str
    which: Which
    slope: float
    slope_low: float | None
    slope_high: float | None
    correlation: float
    correlation_low: float | None
    correlation_high: float | None
    words: int
    sentences: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def swap(
    recordings: Sequence[Recording],
    vectors: VectorStore,
    synthesizer: Synthesizer,
    audio: AudioConfig,
    progress: Progress,
) -> dict[Which, Changes]:
    """Speak renditions of sentences with one another's word vectors; measure how words change.

    Neighbouring renditions are swapped, and of those with three or more the last with the first.

    Returns:
        Nothing where no sentence has two renditions by one speaker.
    """
    groups: dict[tuple[str, str], list[Recording]] = {}
    for recording in recordings:
        groups.setdefault((recording.utterance.sentence, recording.utterance.speaker), []).append(recording)
    groups = {key: group for key, group in groups.items() if len(group) > 1}
    rows: dict[Which, list[tuple[Floats, Floats, int]]] = {"all": [], "swapped": [], "kept": []}
    for number, group in enumerate(groups.values()):
        for which, recorded, spoken in _swap_sentence(group, vectors, synthesizer, audio):
            rows[which].append((recorded, spoken, number))
        progress(number + 1, len(groups), "swapping vectors")
    return {which: _joined(found) for which, found in rows.items() if found}


def _joined(found: Sequence[tuple[Floats, Floats, int]]) -> Changes:
    recorded, spoken, numbers = zip(*found, strict=True)
    return Changes(np.concatenate(recorded), np.concatenate(spoken), np.repeat(numbers, [len(one) for one in recorded]))


def _swap_sentence(
    group: Sequence[Recording], vectors: VectorStore, synthesizer: Synthesizer, audio: AudioConfig
) -> Iterator[tuple[Which, Floats, Floats]]:
    own = [torch.from_numpy(np.array(vectors.mean(recording.utterance.id))) for recording in group]
    pairs = list(pairwise(range(len(group)))) + ([(len(group) - 1, 0)] if len(group) > 2 else [])
    # Words stand at odd places; every second of them is 1, 5, 9 and so on.
    some = torch.arange(len(own[0])) % 4 == 1
    mixed = [torch.where(some[:, None], own[other], own[one]) for one, other in pairs]
    spoken = _speak(group[0], [*own, *mixed], synthesizer, audio)
    recorded = [_recorded(recording, audio) for recording in group]
    swapped = some[1::2].numpy()
    for place, (one, other) in enumerate(pairs):
        difference, change = recorded[other] - recorded[one], spoken[other] - spoken[one]
        part = spoken[len(own) + place] - spoken[one]
        yield "all", difference, change
        yield "swapped", difference[swapped], part[swapped]
        yield "kept", difference[~swapped], part[~swapped]


def _speak(
    recording: Recording, vectors: Sequence[torch.Tensor], synthesizer: Synthesizer, audio: AudioConfig
) -> list[Floats]:
    """A sentence's words [words, 4] with each of several vectors [W, D]."""
    spec, utterance = synthesizer.specification, recording.utterance
    item = text_item(utterance.id, recording.sentence, recording.bert, spec, utterance.speaker)
    speeches = synthesizer.speak(text_batch([item] * len(vectors)), torch.stack(list(vectors)))
    return [_spoken(recording, speech, audio) for speech in speeches]


def _spoken(recording: Recording, speech: Speech, audio: AudioConfig) -> Floats:
    found = analyse(with_frames(speech.wave, len(speech.mel), audio), audio)
    return _words(recording, found.mel, found.f0, found.energy, speech.durations, audio, speech.log_f0)


def _recorded(recording: Recording, audio: AudioConfig) -> Floats:
    assert recording.durations is not None
    return _words(recording, recording.mel, recording.f0, recording.energy, recording.durations, audio, None)


def _words(
    recording: Recording,
    mel: Any,
    f0: Any,
    energy: Any,
    durations: Any,
    audio: AudioConfig,
    readout: Floats | None,
) -> Floats:
    """[words, 4] in the order of ``MEASURED``; the recording's read-out F0 is its F0."""
    tokens = token_durations(recording.sentence, durations.tolist())
    measured = measure_speech(mel, f0, energy, tokens, audio.hop / audio.sample_rate)
    with np.errstate(divide="ignore"):
        pace = np.where(measured.duration > 0, np.log(measured.duration), np.nan)
    columns = [measured.log_f0, measured.log_f0 if readout is None else readout, measured.energy, pace]
    return np.stack(columns, axis=1)[1::2]


def moved(
    changes: Mapping[Which, Changes], resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> list[Moved]:
    """Slope and correlation of every measure, with intervals over sentences."""
    rows = []
    for which, found in changes.items():
        size = int(found.sentences.max()) + 1
        counts = statistics.resample_counts(size, resamples, seed)
        for place, measure in enumerate(MEASURED):
            x, y = found.recorded[:, place], found.spoken[:, place]
            sound = np.isfinite(x) & np.isfinite(y)
            products = [np.where(sound, one, 0.0) for one in (x * y, x * x, y * y)]
            sums = np.stack([np.bincount(found.sentences, product, size) for product in products], axis=1)
            whole, drawn = sums.sum(0, keepdims=True), counts @ sums
            if not whole[0, 1] > 0:
                continue
            slope, correlation = (
                (float(figure(whole)[0]), *_ends(figure(drawn), size, confidence)) for figure in (_slope, _correlation)
            )
            heard = len(np.unique(found.sentences[sound]))
            rows.append(Moved(measure, which, *slope, *correlation, int(sound.sum()), heard))
    return rows


def _ends(drawn: Floats, size: int, confidence: float) -> tuple[float | None, float | None]:
    return (statistics.percentile_interval(drawn, confidence) if size > 1 else statistics.UNKNOWN).ends


def _slope(sums: Floats) -> Floats:
    """From sums of x y, x x and y y, [R, 3]: [R]."""
    return np.where(sums[:, 1] > 0, sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], 1.0), np.nan)


def _correlation(sums: Floats) -> Floats:
    """Likewise; 0 where the system does not change at all."""
    both = np.sqrt(sums[:, 1] * sums[:, 2])
    return np.where(both > 0, sums[:, 0] / np.where(both > 0, both, 1.0), 0.0)
