"""Everything known of an utterance, on one time axis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_modules.alignment.frames import end_times
from data_modules.store import Recording
from data_modules.text.sentence import Sentence
from data_modules.text.words import gaps
from data_modules.tokens import token_durations
from prosody_tts.config import AudioConfig
from prosody_tts.evaluation.measure import Floats
from prosody_tts.inspect.parse import Arc
from prosody_tts.inspect.words import Entry, entries


@dataclass(frozen=True, eq=False)
class Scene:
    """An aligned utterance, its parse, and how it was analysed.

    Attributes:
        recording: features and sentence, with durations.
        arcs: the dependency parse, one arc a word.
        audio: settings of the analysis.
    """

    recording: Recording
    arcs: tuple[Arc, ...]
    audio: AudioConfig

    @property
    def sentence(self) -> Sentence:
        """Words, phones, tags."""
        return self.recording.sentence

    @property
    def hop(self) -> float:
        """Seconds between frames."""
        return self.audio.hop / self.audio.sample_rate

    @cached_property
    def times(self) -> Floats:
        """[T] seconds of the frames' centres."""
        return np.arange(len(self.recording.f0), dtype=np.float64) * self.hop

    @cached_property
    def phone_bounds(self) -> Floats:
        """[P + 1] seconds: phone ``p`` lasts from ``p`` to ``p + 1``; a boundary lies midway between two frames."""
        assert self.recording.durations is not None
        return np.concatenate([[0.0], end_times(self.recording.durations, self.hop)])

    @cached_property
    def token_bounds(self) -> Floats:
        """[W + 1] seconds: token ``w`` lasts from ``w`` to ``w + 1``."""
        return np.concatenate([[0.0], end_times(self.token_frames, self.hop)])

    @cached_property
    def token_frames(self) -> NDArray[np.int64]:
        """[W] frames of every token."""
        assert self.recording.durations is not None
        return token_durations(self.sentence, self.recording.durations.tolist())

    @property
    def seconds(self) -> float:
        """End of the last phone."""
        return float(self.phone_bounds[-1])

    @property
    def word_spans(self) -> list[tuple[float, float]]:
        """Start and end of every word in seconds."""
        starts, ends = self.token_bounds[1:-1:2], self.token_bounds[2::2]
        return list(zip(starts.tolist(), ends.tolist(), strict=True))

    @property
    def pauses(self) -> list[tuple[float, float]]:
        """Start and end of every pause that lasts a frame or more, in seconds."""
        starts, ends = self.token_bounds[:-1:2], self.token_bounds[1::2]
        return [(a, b) for a, b in zip(starts.tolist(), ends.tolist(), strict=True) if b > a]

    @cached_property
    def word_f0(self) -> Floats:
        """Mean F0 in Hz of every word (geometric, over its voiced frames); NaN where too few are voiced."""
        return np.exp(self.recording.word_measures()[0][1::2])

    @cached_property
    def entries(self) -> list[Entry]:
        """Phones, tags and relation of every word."""
        return entries(self.sentence, self.arcs)

    @property
    def marks(self) -> list[str]:
        """What is written before the first word and after every word, spaces left out: 1 + words."""
        text = self.sentence.text
        return ["".join(text[start:end].split()) for start, end in gaps(text, self.sentence.words)]

    @property
    def planted(self) -> dict[str, Any]:
        """What a controlled corpus planted in the utterance: factor -> value."""
        return dict(self.recording.utterance.factors.get("utterance", {}))

    @property
    def planted_words(self) -> dict[str, list[Any]]:
        """What it planted in words: factor -> one value a word; factors that hold for no word left out."""
        factors = self.recording.utterance.factors.get("words", {})
        return {name: list(values) for name, values in factors.items() if any(values)}
