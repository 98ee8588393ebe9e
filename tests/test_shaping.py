"""Pitch, range and energy of stretches of speech, by measure: what is asked for happens there, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from corpus_trees import speech
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.audio import analyse
from prosody_tts.config import AudioConfig
from prosody_tts.speaking.controls import Control
from prosody_tts.speaking.shaping import EASE, Layer, moved, shape

AUDIO = AudioConfig()
START, END = 0.5, 0.95


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
    import soxr

    samples, rate = speech("The charming sailor found the garden gate in the morning.")
    return soxr.resample(samples, rate, AUDIO.sample_rate).astype(np.float32)


def semitones(wave: np.ndarray) -> np.ndarray:
    """F0 of every frame in semitones of 1 Hz; NaN where unvoiced."""
    f0 = analyse(wave, AUDIO).f0.astype(float)
    return 12 * np.log2(np.where(f0 > 0, f0, np.nan))


def level(wave: np.ndarray, start: float, end: float) -> float:
    """dB of full scale."""
    part = wave[round(start * AUDIO.sample_rate) : round(end * AUDIO.sample_rate)]
    return float(10 * np.log10(np.mean(np.square(part, dtype=float))))


def frames(wave: np.ndarray, start: float, end: float) -> np.ndarray:
    times = np.arange(1 + len(wave) // AUDIO.hop) * AUDIO.hop / AUDIO.sample_rate
    return (times >= start + EASE) & (times < end - EASE)


def change(before: np.ndarray, after: np.ndarray, where: np.ndarray) -> float:
    """Median change in semitones of frames that are voiced in both."""
    return float(np.nanmedian((semitones(after) - semitones(before))[where]))


@pytest.mark.parametrize("pitch", [-5.0, 2.0, 7.0])
def test_pitch_moves_by_the_semitones_asked_and_only_there(wave, pitch):
    shaped = shape(wave, [Layer(START, END, Control(pitch=pitch))], AUDIO)
    assert len(shaped) == len(wave)
    assert change(wave, shaped, frames(wave, START, END)) == pytest.approx(pitch, abs=0.15)
    for start, end in ((0, START), (END, len(wave) / AUDIO.sample_rate)):
        assert change(wave, shaped, frames(wave, start, end)) == pytest.approx(0, abs=0.1)
        assert level(shaped, start, end) == pytest.approx(level(wave, start, end), abs=0.2)
    assert level(shaped, START, END) == pytest.approx(level(wave, START, END), abs=0.3)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.8])
def test_the_range_scales_excursions_and_keeps_the_mean(wave, factor):
    shaped = shape(wave, [Layer(-np.inf, np.inf, Control(pitch_range=factor))], AUDIO)
    before, after = semitones(wave), semitones(shaped)
    assert np.nanmedian(after) == pytest.approx(np.nanmedian(before), abs=0.4)
    both = ~np.isnan(before) & ~np.isnan(after)
    assert np.std(after[both]) == pytest.approx(factor * np.std(before[both]), abs=0.25)


@pytest.mark.parametrize("energy", [-12.0, 6.0])
def test_energy_moves_by_the_decibels_asked_and_only_there(wave, energy):
    shaped = shape(wave, [Layer(START, END, Control(energy=energy))], AUDIO)
    inside = START + EASE, END - EASE
    assert level(shaped, *inside) == pytest.approx(level(wave, *inside) + energy, abs=0.01)
    edge = round((START - EASE) * AUDIO.sample_rate)
    np.testing.assert_array_equal(shaped[:edge], wave[:edge])
    assert np.abs(np.diff(shaped)).max() < 2 * 10 ** (max(energy, 0) / 20) * np.abs(np.diff(wave)).max()


def test_layers_add_up(wave):
    both = shape(wave, [Layer(-np.inf, np.inf, Control(pitch=3)), Layer(START, END, Control(pitch=-1))], AUDIO)
    assert change(wave, both, frames(wave, START, END)) == pytest.approx(2, abs=0.2)
    assert change(wave, both, frames(wave, 0, START)) == pytest.approx(3, abs=0.2)


def test_what_asks_for_nothing_changes_nothing(wave):
    assert shape(wave, [Layer(0.1, 0.5, Control(pace=0.5))], AUDIO) is wave


@pytest.mark.parametrize("samples", [np.zeros(8000), np.zeros(10), np.random.default_rng(0).normal(0, 0.1, 8000)])
def test_silence_scraps_and_noise_survive(samples):
    samples = samples.astype(np.float32)
    shaped = shape(samples, [Layer(-np.inf, np.inf, Control(pitch=5, pitch_range=2, energy=3))], AUDIO)
    assert len(shaped) == len(samples) and np.isfinite(shaped).all()


@settings(deadline=None)
@given(st.lists(st.floats(80, 400), min_size=1, max_size=30), st.floats(-6, 6), st.floats(0, 2))
def test_moving_the_whole_is_what_its_words_say(f0, pitch, pitch_range):
    times = np.arange(len(f0)) * 0.0125
    found = 12 * np.log2(moved(times, np.array(f0), [Layer(-np.inf, np.inf, Control(1, pitch, pitch_range, 0))]))
    given = 12 * np.log2(f0)
    expected = given.mean() + pitch + pitch_range * (given - given.mean())
    limits = 12 * np.log2([40, 1000])
    np.testing.assert_allclose(found, expected.clip(*limits), atol=1e-6)
