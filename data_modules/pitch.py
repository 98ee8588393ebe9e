"""Trackers of fundamental frequency: one contract, one registry."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from prosody_tts.config import AudioConfig


class F0Tracker(Protocol):
    """A role: samples [n] to F0 in Hz [T], 0 where unvoiced, at samples ``first + t * config.hop``."""

    def __call__(self, wave: np.ndarray, config: AudioConfig, frames: int, first: int) -> np.ndarray: ...


def praat(wave: np.ndarray, config: AudioConfig, frames: int, first: int) -> np.ndarray:
    """Praat's autocorrelation method (Boersma 1993) with its default thresholds: [n] -> float32 [T].

    Between two voiced frames of Praat's the value is interpolated; elsewhere the nearest one decides.
    """
    import parselmouth

    # Praat has no frame closer to an end than half its window of three periods, and refuses shorter clips.
    margin = int(np.ceil(2 * config.sample_rate / config.f0_low))
    padded = np.pad(wave.astype(np.float64), margin)
    sound = parselmouth.Sound(padded, sampling_frequency=config.sample_rate)
    step = config.hop / config.sample_rate
    pitch = sound.to_pitch_ac(time_step=step, pitch_floor=config.f0_low, pitch_ceiling=config.f0_high)
    values = pitch.selected_array["frequency"]
    # Praat's samples are points in the middle of their period, half a sample after ours.
    times = np.arange(frames) * step + (margin + first + 0.5) / config.sample_rate
    place = np.clip((times - pitch.xs()[0]) / step, 0, len(values) - 1)
    left = np.minimum(place.astype(int), max(len(values) - 2, 0))
    right = np.minimum(left + 1, len(values) - 1)
    share = place - left
    nearest = np.where(share < 0.5, values[left], values[right])
    between = (1 - share) * values[left] + share * values[right]
    return np.where((values[left] > 0) & (values[right] > 0), between, nearest).astype(np.float32)


def pyin(wave: np.ndarray, config: AudioConfig, frames: int, first: int) -> np.ndarray:
    """librosa's probabilistic YIN (Mauch and Dixon 2014) with its default thresholds: [n] -> float32 [T]."""
    import librosa

    # At least four periods of the lowest pitch; librosa's own default is 2048 points at 22.05 kHz.
    window = 1 << int(np.ceil(np.log2(4 * config.sample_rate / config.f0_low)))
    before = window // 2 - first
    after = max(0, (frames - 1) * config.hop + window - before - len(wave))
    values, voiced, _ = librosa.pyin(
        np.pad(wave, (before, after)),
        fmin=config.f0_low,
        fmax=config.f0_high,
        sr=config.sample_rate,
        frame_length=window,
        hop_length=config.hop,
        center=False,
    )
    return np.where(voiced, values, 0.0)[:frames].astype(np.float32)


#: Trackers by the names of ``audio.f0_tracker``.
F0_TRACKERS: dict[str, F0Tracker] = {"praat": praat, "pyin": pyin}
