"""Pitch, pitch range and energy of stretches of a waveform, whatever system and vocoder made it.

F0 is changed by Praat's pitch-synchronous overlap-add (Moulines and Charpentier 1990), so that durations and formants
stay; energy by a gain. Both set in and out smoothly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prosody_tts.config import AudioConfig
from prosody_tts.speaking.controls import Control

Floats = NDArray[np.float64]

#: Seconds over which a control sets in, half of them inside its stretch (ours).
EASE = 0.03
#: Seconds over which sound fades at both ends of a pause that is asked for (ours).
FADE = 0.04
#: Seconds of the window in which loudness is kept under a change of pitch (ours).
LEVEL_WINDOW = 0.03
#: Bounds of what F0 may become, in Hz.
LOWEST_F0, HIGHEST_F0 = 40.0, 1000.0
#: Power below which a stretch is silence, whose level means nothing: -80 dB of full scale.
SILENCE = 1e-8
_NEPERS_A_SEMITONE = np.log(2) / 12


@dataclass(frozen=True)
class Layer:
    """A control from ``start`` to ``end``, in seconds; its pace is not the waveform's business."""

    start: float
    end: float
    control: Control

    def weight(self, times: Floats) -> Floats:
        """How much of the control holds at times in seconds: 0 to 1, by raised cosines."""
        rising = np.clip((times - self.start) / EASE + 0.5, 0, 1)
        falling = np.clip((self.end - times) / EASE + 0.5, 0, 1)
        return (0.5 - 0.5 * np.cos(np.pi * rising)) * (0.5 - 0.5 * np.cos(np.pi * falling))


def shape(wave: NDArray[np.float32], layers: Sequence[Layer], audio: AudioConfig) -> NDArray[np.float32]:
    """Apply controls to samples [n], the first layer first; without one that changes something they come back as is."""
    if any(layer.control.pitch != 0 or layer.control.pitch_range != 1 for layer in layers):
        wave = _pitched(wave, layers, audio)
    if any(layer.control.energy != 0 for layer in layers):
        times = np.arange(len(wave)) / audio.sample_rate
        decibels = sum(layer.control.energy * layer.weight(times) for layer in layers)
        wave = (wave * 10 ** (np.asarray(decibels) / 20)).astype(np.float32)
    return wave


def hush(wave: NDArray[np.float32], pauses: Sequence[tuple[float, float]], sample_rate: int) -> NDArray[np.float32]:
    """Silence stretches from start to end in seconds: a model that heard few pauses fills them with noise."""
    times = np.arange(len(wave)) / sample_rate
    for start, end in pauses:
        inside = np.clip((times - start) / FADE, 0, 1) * np.clip((end - times) / FADE, 0, 1)
        wave = (wave * (0.5 + 0.5 * np.cos(np.pi * inside))).astype(np.float32)
    return wave


def moved(times: Floats, f0: Floats, layers: Sequence[Layer]) -> Floats:
    """F0 in Hz [N] at times in seconds [N] as the layers move it.

    A layer's range scales log-F0 about its mean inside the layer, so that the mean stays.
    """
    log_f0 = np.log(f0)
    for layer in layers:
        inside = (times >= layer.start) & (times <= layer.end)
        centre = log_f0[inside].mean() if inside.any() else 0.0
        control = layer.control
        excursion = (control.pitch_range - 1) * (log_f0 - centre) if inside.any() else np.zeros_like(log_f0)
        log_f0 = log_f0 + layer.weight(times) * (excursion + control.pitch * _NEPERS_A_SEMITONE)
    return np.exp(log_f0).clip(LOWEST_F0, HIGHEST_F0)


def _pitched(wave: NDArray[np.float32], layers: Sequence[Layer], audio: AudioConfig) -> NDArray[np.float32]:
    import parselmouth
    from parselmouth.praat import call

    # Praat needs some periods around every frame; room is made at both ends and taken away again.
    margin = int(np.ceil(3 * audio.sample_rate / audio.f0_low))
    offset = margin / audio.sample_rate
    sound = parselmouth.Sound(np.pad(wave.astype(np.float64), margin), sampling_frequency=audio.sample_rate)
    manipulation = call(sound, "To Manipulation", audio.hop / audio.sample_rate, audio.f0_low, audio.f0_high)
    tier = call(manipulation, "Extract pitch tier")
    points = range(1, 1 + int(call(tier, "Get number of points")))
    if not points:  # nothing is voiced
        return wave
    times = np.array([call(tier, "Get time from index", point) for point in points])
    f0 = np.array([call(tier, "Get value at index", point) for point in points])
    changed = call("Create PitchTier", "changed", 0.0, sound.duration)
    # Between points Praat interpolates; points at the edges of layers keep what lies outside of them where it was.
    dense = _dense(times, layers, offset)
    between = np.interp(dense, times, f0)
    for time, value in zip(dense, moved(dense - offset, between, layers), strict=True):
        call(changed, "Add point", float(time), float(value))
    call([manipulation, changed], "Replace pitch tier")
    spoken = call(manipulation, "Get resynthesis (overlap-add)").values[0][margin : margin + len(wave)]
    return _levelled(np.pad(spoken, (0, len(wave) - len(spoken))), wave, audio.sample_rate)


def _dense(times: Floats, layers: Sequence[Layer], offset: float) -> Floats:
    """Times of pitch points with more of them where layers set in and out, inside the range of ``times``."""
    steps = np.linspace(-EASE / 2, EASE / 2, 7)
    edges = [np.array([layer.start, layer.end])[:, None] + offset + steps for layer in layers]
    added = np.concatenate([edge.ravel() for edge in edges])
    added = added[np.isfinite(added) & (added > times[0]) & (added < times[-1])]
    return np.unique(np.concatenate([times, added]))


def _levelled(wave: Floats, original: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Give a wave back its original's level: overlap-add is louder with more periods and quieter with fewer."""
    size = max(1, round(LEVEL_WINDOW * sample_rate))
    window = np.hanning(size + 2)[1:-1]
    window /= window.sum()
    now, before = (np.convolve(np.square(x, dtype=np.float64), window, mode="same") for x in (wave, original))
    gain = np.sqrt(np.where(now > SILENCE, before / np.maximum(now, SILENCE), 1.0)).clip(0.25, 4.0)
    return (wave * gain).astype(np.float32)
