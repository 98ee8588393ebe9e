"""What was spoken: the waveform, what is measured of it word by word, and files of both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data_modules.alignment.frames import end_times
from data_modules.audio import Analysis, analyse, first_centre, with_frames
from data_modules.corpora.contract import Utterance
from data_modules.store import Recording
from data_modules.text.sentence import Sentence
from data_modules.text.words import excerpt
from data_modules.tokens import token_durations
from prosody_tts.config import AudioConfig, Experiment
from prosody_tts.files import write_json
from prosody_tts.synthesis import Speech, write_wave

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prosody_tts.inspect.parse import Arc

#: Decibels of a neper.
DECIBELS = 20 / np.log(10)


@dataclass(frozen=True, eq=False)
class SpokenSentence:
    """One sentence as it was spoken; ``first`` is the number of its first word in its text.

    ``speech.wave`` has its controls applied; ``speech.mel`` is what the system made, before any.
    """

    sentence: Sentence
    speech: Speech
    audio: AudioConfig
    first: int = 1

    @cached_property
    def measured(self) -> Analysis:
        """Mel, F0 and energy of the waveform, as those of recordings are measured."""
        return analyse(with_frames(self.speech.wave, len(self.speech.mel), self.audio), self.audio)

    @cached_property
    def recording(self) -> Recording:
        """The waveform as if it were a recording, for what measures and draws those."""
        text = self.sentence.text
        utterance = Utterance(excerpt(text, 80), text, text, None, "test")
        found = self.measured
        bert = np.zeros((self.sentence.tokens, 0), np.float32)
        return Recording(utterance, self.sentence, found.mel, found.f0, found.energy, self.speech.durations, bert)

    def token_bounds(self) -> NDArray[np.float64]:
        """[W + 1] seconds into the sentence: token ``w`` lasts from ``w`` to ``w + 1``."""
        return self._bounds(token_durations(self.sentence, self.speech.durations.tolist()))

    def to_dict(self, start: float = 0.0) -> dict[str, Any]:
        """Plain data; ``start`` is when the sentence begins in its file, in seconds.

        Of each word: number, start and end in seconds, F0 in Hz (geometric mean of its voiced frames; null below three
        of them), energy in dB of full scale, its phones with theirs, and the seconds of the pause after it.
        """
        bounds, phones = self.token_bounds() + start, self._bounds(self.speech.durations) + start
        log_f0, energy, _ = self.recording.word_measures()
        owners = np.array(self.sentence.phone_to_word)
        words = []
        for place, word in enumerate(self.sentence.words):
            token = 2 * place + 1
            words.append(
                {
                    "number": self.first + place,
                    "word": word.text,
                    "start": _rounded(bounds[token]),
                    "end": _rounded(bounds[token + 1]),
                    "f0_hz": _rounded(np.exp(log_f0[token]), 2),
                    "energy_db": _rounded(energy[token] * DECIBELS, 2),
                    "pause_after": _rounded(bounds[token + 2] - bounds[token + 1]),
                    "phones": [
                        {
                            "phone": self.sentence.phones[index],
                            "start": _rounded(phones[index]),
                            "end": _rounded(phones[index + 1]),
                            "frames": int(self.speech.durations[index]),
                        }
                        for index in np.flatnonzero(owners == token).tolist()
                    ],
                }
            )
        seconds = len(self.speech.wave) / self.audio.sample_rate
        return {
            "text": self.sentence.text,
            "start": _rounded(start),
            "end": _rounded(start + seconds),
            "pause_before": _rounded(bounds[1] - bounds[0]),
            "words": words,
        }

    def picture(self, arcs: tuple[Arc, ...]) -> Figure:
        """Mel, F0, energy, phones, words and parse of the waveform, as ``inspect`` draws a recording."""
        from prosody_tts.inspect.picture import picture
        from prosody_tts.inspect.scene import Scene

        return picture(Scene(self.recording, arcs, self.audio))

    def _bounds(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Seconds at which stretches of frames begin, and the last one ends; within the waveform."""
        hop, first = self.audio.hop / self.audio.sample_rate, first_centre(self.audio) / self.audio.sample_rate
        ends = np.minimum(end_times(frames, hop) + first, len(self.speech.wave) / self.audio.sample_rate)
        return np.concatenate([[0.0], ends])


@dataclass(frozen=True, eq=False)
class Spoken:
    """One text as it was spoken, sentence after sentence.

    Attributes:
        text: as it was given.
        sentences: its sentences.
        experiment: the system that spoke it.
    """

    text: str
    sentences: tuple[SpokenSentence, ...]
    experiment: Experiment

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.experiment.audio.sample_rate

    @cached_property
    def wave(self) -> NDArray[np.float32]:
        """[samples], full scale at 1; controls of energy may lead beyond it."""
        return np.concatenate([sentence.speech.wave for sentence in self.sentences])

    def save(self, path: Path | str, json: bool = False, picture: bool = False) -> Path:
        """Write a WAV file, and beside it what ``to_dict`` says and a picture of each sentence, where asked for.

        Louder than full scale is scaled down. Pictures are ``NAME.png``, ``NAME-s2.png`` for a second sentence.
        """
        path = Path(path)
        write_wave(path, self.wave, self.sample_rate)
        if json:
            write_json(path.with_suffix(".json"), self.to_dict())
        if picture:
            self._draw(path)
        return path

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the sentences and their words, with times in seconds of the file (``SpokenSentence.to_dict``)."""
        sentences, start = [], 0.0
        for sentence in self.sentences:
            sentences.append(sentence.to_dict(start))
            start += len(sentence.speech.wave) / self.sample_rate
        return {"text": self.text, "system": self.experiment.system, "seconds": _rounded(start), "sentences": sentences}

    def _draw(self, path: Path) -> None:
        from prosody_tts.inspect.parse import relations
        from prosody_tts.report.drawing import write_png

        arcs = relations(self.experiment.text.parser, [sentence.sentence for sentence in self.sentences])
        for number, (sentence, own) in enumerate(zip(self.sentences, arcs, strict=True), start=1):
            name = path.stem if number == 1 else f"{path.stem}-s{number}"
            write_png(sentence.picture(own), path.with_name(f"{name}.png"))


def _rounded(value: float, digits: int = 4) -> float | None:
    """A number for JSON; none for what is no number."""
    return round(float(value), digits) if np.isfinite(value) else None
