"""What is done to a recording before it is measured: silence cut at its ends, its loudness made equal."""

from __future__ import annotations

import numpy as np

from prosody_tts.config import AudioConfig

#: Seconds of the frames whose loudness is judged.
FRAME = 0.02
#: Frames more than this many dB below the loudest are pauses and do not count towards a recording's loudness.
ACTIVE_DB = 40.0


def condition(wave: np.ndarray, config: AudioConfig) -> tuple[np.ndarray, float]:
    """Trim and level samples [n] as the settings say; return them and the seconds cut at the start."""
    start = 0
    if config.trim_db is not None:
        start, end = speech_bounds(wave, config.sample_rate, config.trim_db, config.trim_margin)
        wave = wave[start:end]
    if config.level_db is not None:
        gain = 10 ** ((config.level_db - active_level(wave, config.sample_rate)) / 20)
        wave = (wave * np.float32(gain)).astype(np.float32, copy=False)  # float has headroom: nothing is clipped
    return wave, start / config.sample_rate


def speech_bounds(wave: np.ndarray, sample_rate: int, below_db: float, margin: float) -> tuple[int, int]:
    """First sample of the speech and the one after its last.

    Speech reaches from the first to the last frame of 20 ms within ``below_db`` of the loudest, and ``margin`` seconds
    beyond. Pauses inside it stay.
    """
    power, size = _powers(wave, sample_rate)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-below_db / 10))
    extra = round(margin * sample_rate)
    return max(0, int(loud[0]) * size - extra), min(len(wave), (int(loud[-1]) + 1) * size + extra)


def active_level(wave: np.ndarray, sample_rate: int) -> float:
    """RMS in dB of full scale over the frames of 20 ms that lie within 40 dB of the loudest."""
    power, _ = _powers(wave, sample_rate)
    return float(10 * np.log10(power[power >= power.max() * 10 ** (-ACTIVE_DB / 10)].mean()))


def _powers(wave: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
    """Mean square of each frame, the last one padded with zeros, and the samples of a frame."""
    size = round(FRAME * sample_rate)
    frames = np.pad(wave, (0, -len(wave) % size)).reshape(-1, size)
    return np.einsum("fs,fs->f", frames, frames, dtype=np.float64) / size, size
