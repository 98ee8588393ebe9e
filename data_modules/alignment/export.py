"""Alignments written as TextGrids, tiers ``words`` and ``phones``, for Praat and for the setting ``textgrids``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from data_modules.alignment.frames import end_times
from data_modules.audio import first_centre
from data_modules.corpora.contract import PhoneTime
from data_modules.store import FeatureStore
from data_modules.text.sentence import PAUSE, Sentence
from prosody_tts.config import AudioConfig
from prosody_tts.files import write_text


def write_textgrids(store: FeatureStore, folder: Path, audio: AudioConfig) -> int:
    """Write ``folder/ID.TextGrid`` for every aligned utterance, and return how many.

    Exact times are written as they are; of learned ones, a boundary lies midway between two frames' centres, so that
    reading the grid gives the same frames.
    """
    names = store.ids("train", "dev", "test")
    hop, first = audio.hop / audio.sample_rate, first_centre(audio) / audio.sample_rate
    for name in names:
        recording = store.recording(name)
        times = recording.utterance.phones
        if times is None:
            assert recording.durations is not None
            times = phone_times(recording.sentence, recording.durations.tolist(), hop, store.start(name) + first)
        words = [word.text for word in recording.sentence.words]
        write_text(folder / f"{name}.TextGrid", textgrid(words, times))
    return len(names)


def phone_times(
    sentence: Sentence, durations: Sequence[int], hop_seconds: float, first_seconds: float = 0.0
) -> tuple[PhoneTime, ...]:
    """Times in the recording of phones that last ``durations`` [P] frames; those without a frame are left out.

    ``first_seconds`` is when the first frame is centred: later than 0 where the recording was trimmed.
    """
    before = max(first_seconds - hop_seconds / 2, 0.0)
    ends = np.maximum(end_times(durations, hop_seconds) + first_seconds, before)
    times, start = [], 0.0 if durations[0] else before
    for label, token, frames, end in zip(
        sentence.phones, sentence.phone_to_word, durations, ends.tolist(), strict=True
    ):
        if frames:
            times.append(PhoneTime(label, start, end, -1 if label == PAUSE else (token - 1) // 2))
            start = end
    return tuple(times)


def textgrid(words: Sequence[str], phones: Sequence[PhoneTime]) -> str:
    """A TextGrid in the long form; pauses are intervals without a label, as MFA 2 and 3 write them."""
    from praatio.utilities.textgrid_io import getTextgridAsStr

    end = phones[-1].end
    spoken: list[tuple[float, float, str]] = []
    for word, group in groupby(phones, key=lambda phone: phone.word):
        parts = list(group)
        if word >= 0:
            spoken.append((parts[0].start, parts[-1].end, words[word]))
    tiers = {"words": spoken, "phones": [(p.start, p.end, p.label) for p in phones if p.word >= 0]}
    plain = {
        "xmin": 0.0,
        "xmax": end,
        "tiers": [
            {"name": name, "class": "IntervalTier", "xmin": 0.0, "xmax": end, "entries": entries}
            for name, entries in tiers.items()
        ],
    }
    return getTextgridAsStr(plain, "long_textgrid", includeBlankSpaces=True)
