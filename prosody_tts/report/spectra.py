"""Spectrograms of one sentence by everybody who says it, below each other, with its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from prosody_tts.errors import UserError
from prosody_tts.evaluation.measure import Floats
from prosody_tts.report.drawing import FONT, INK, MUTED, PAPER, blank, settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Seconds of a window, dB that are shown, and channels of mel.
WINDOW, RANGE, CHANNELS = 0.05, 70.0, 80


@dataclass(frozen=True, eq=False)
class Voice:
    """Who says a sentence: a recording, the words, and seconds [W + 1] at which they start and the last ends."""

    name: str
    audio: Path
    words: tuple[str, ...]
    starts: Floats


def spectra(voices: Mapping[str, Voice]) -> Figure:
    """A panel a voice, all on one scale of time.

    Raises:
        UserError: a file of audio is missing or no audio.
    """
    import librosa

    loaded = {name: _load(voice.audio) for name, voice in voices.items()}
    longest = max(len(wave) / rate for wave, rate in loaded.values())
    count, width = len(voices), max(6.4, min(12.0, 2.6 * longest))
    height = 0.25 + 1.12 * count
    with settings():
        figure = blank(width, height)
        for place, (name, voice) in enumerate(voices.items()):
            wave, rate = loaded[name]
            size = 1 << round(float(np.log2(WINDOW * rate)))
            mel = librosa.feature.melspectrogram(
                y=wave, sr=rate, n_fft=size, hop_length=size // 4, n_mels=CHANNELS, fmax=8000
            )
            bottom = 1 - (0.05 + 1.12 * (place + 1)) / height
            axes = figure.add_axes((0.42 / width, bottom + 0.3 / height, 1 - 0.5 / width, 0.8 / height))
            axes.imshow(
                librosa.power_to_db(mel, ref=np.max, top_db=RANGE),
                origin="lower",
                aspect="auto",
                cmap="magma_r",
                extent=(0, len(wave) / rate, 0, CHANNELS),
                interpolation="nearest",
            )
            axes.set_xlim(0, longest)
            axes.set_yticks([])
            axes.set_xticks([])
            axes.set_ylabel("mel", color=MUTED, fontsize=FONT - 2)
            axes.set_title(name, loc="left", fontsize=FONT - 0.5, color=INK, pad=2.5).set_parse_math(False)
            for start, end, word in zip(voice.starts[:-1], voice.starts[1:], voice.words, strict=True):
                axes.axvline(start, color=PAPER, linewidth=0.5, alpha=0.7)
                if word:
                    text = axes.text((start + end) / 2, -4, word, ha="center", va="top", fontsize=FONT - 2, color=INK)
                    text.set_parse_math(False)
    return figure


def _load(path: Path) -> tuple[Floats, int]:
    try:
        wave, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot read {path} ({error}); evaluate the system again") from None
    return wave.mean(axis=1), int(rate)
