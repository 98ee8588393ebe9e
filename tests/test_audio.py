"""Recordings are measured as independent tools measure them, and unusable ones are refused by name."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.audio import (
    analyse,
    check_audio,
    check_wave,
    energy,
    f0,
    frame_count,
    load_audio,
    mel_spectrogram,
    read_audio,
)
from prosody_tts.config import AudioConfig
from prosody_tts.errors import UserError

RATE = 16000


def tone(hertz: float, seconds: float, rate: int = RATE, amplitude: float = 0.3) -> np.ndarray:
    """A buzz with falling harmonics, which pitch trackers take for a voice."""
    time = np.arange(round(seconds * rate)) / rate
    harmonics = range(1, int(min(3500, rate / 2.2) // hertz) + 1)
    wave = np.sum([np.sin(2 * np.pi * hertz * k * time) / k for k in harmonics], axis=0)
    return (amplitude * wave / np.abs(wave).max()).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.02, 0.5, 1.234])
@pytest.mark.parametrize("config", [AudioConfig(), AudioConfig(22050, 256, 1024, 1024, 128, 20.0, 11000.0)])
def test_mel_equals_librosa(seconds: float, config: AudioConfig) -> None:
    import librosa

    wave = np.random.default_rng(0).normal(0, 0.1, round(seconds * config.sample_rate)).astype(np.float32)
    golden = librosa.feature.melspectrogram(
        y=wave,
        sr=config.sample_rate,
        n_fft=config.fft,
        hop_length=config.hop,
        win_length=config.window,
        n_mels=config.mels,
        fmin=config.mel_low,
        fmax=config.mel_high,
        power=1.0,
    )
    mel = mel_spectrogram(wave, config)
    assert mel.dtype == np.float32
    np.testing.assert_allclose(mel, np.log(np.maximum(golden, config.floor)).T, atol=2e-4)


def test_mel_of_near_silence_is_the_floor() -> None:
    config = AudioConfig()
    np.testing.assert_allclose(mel_spectrogram(np.zeros(4000, np.float32), config), np.log(config.floor), rtol=1e-6)


def test_energy_is_the_log_rms_of_each_windowed_frame() -> None:
    from scipy.signal import get_window

    config = AudioConfig()
    wave = np.random.default_rng(1).normal(0, 0.1, 5000).astype(np.float32)
    padded = np.pad(wave.astype(float), config.window // 2)
    weight = np.square(np.asarray(get_window("hann", config.window), float))
    frames = [padded[t * config.hop : t * config.hop + config.window] for t in range(frame_count(len(wave), config))]
    golden = [0.5 * np.log((weight * frame**2).sum() / weight.sum()) for frame in frames]
    np.testing.assert_allclose(energy(wave, config), golden, atol=1e-4)


def test_a_steady_sine_has_its_rms_as_energy() -> None:
    wave = 0.5 * np.sin(2 * np.pi * 400 * np.arange(RATE) / RATE).astype(np.float32)
    np.testing.assert_allclose(energy(wave, AudioConfig())[10:-10], np.log(0.5 / np.sqrt(2)), atol=1e-3)


@pytest.mark.parametrize("hertz", [80.0, 143.0, 300.0])
def test_f0_of_a_buzz_is_its_pitch(hertz: float) -> None:
    track = f0(tone(hertz, 0.6), AudioConfig())
    assert np.mean(track > 0) > 0.9
    np.testing.assert_allclose(track[track > 0][3:-3], hertz, rtol=0.005)


def test_f0_of_noise_and_of_zeros_is_unvoiced() -> None:
    config = AudioConfig()
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert np.mean(f0(noise, config) > 0) < 0.1
    assert not f0(np.zeros(RATE, np.float32), config).any()


def test_f0_is_measured_at_the_centres_of_the_mel_frames() -> None:
    """A glide of known pitch is met at every frame's own time, within a tenth of a frame's change."""
    config = AudioConfig()
    time = np.arange(2 * RATE) / RATE
    hertz = 120 + 60 * time
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    wave = (0.2 * np.sum([np.sin(k * phase) / k for k in range(1, 15)], axis=0)).astype(np.float32)
    track = f0(wave, config)
    inside = slice(10, -10)
    golden = 120 + 60 * np.arange(len(track)) * config.hop / RATE
    assert np.abs(track - golden)[inside].max() < 0.3
    assert abs(float(np.mean((track - golden)[inside]))) < 0.075


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(1, 5000), hop=st.sampled_from([160, 200, 256]))
def test_all_measures_share_the_documented_frames(samples: int, hop: int) -> None:
    config = AudioConfig(hop=hop)
    wave = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
    found = analyse(wave, config)
    frames = 1 + samples // hop
    assert found.mel.shape == (frames, config.mels)
    assert found.f0.shape == found.energy.shape == (frames,)
    assert all(np.isfinite(values).all() for values in (found.mel, found.f0, found.energy))
    np.testing.assert_array_equal(found.mel, mel_spectrogram(wave, config))


def test_mel_edges_beyond_the_band_are_refused() -> None:
    with pytest.raises(UserError, match=r"audio\.mel_high"):
        mel_spectrogram(np.zeros(100, np.float32), AudioConfig(sample_rate=8000, mel_high=8000.0))


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_reading_resamples(tmp_path: Path, rate: int, suffix: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, tone(200, 0.5, rate), rate)
    wave = read_audio(path, RATE)
    assert wave.dtype == np.float32
    assert abs(len(wave) - RATE // 2) <= 1
    spectrum = np.abs(np.fft.rfft(wave))
    assert abs(np.argmax(spectrum) * RATE / len(wave) - 200) < 3


def test_reading_without_resampling_is_exact(tmp_path: Path) -> None:
    wave = tone(150, 0.2)
    soundfile.write(tmp_path / "clip.wav", wave, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "clip.wav", RATE), wave)


def _wav(path: Path, wave: np.ndarray, subtype: str = "PCM_16", rate: int = RATE) -> Path:
    soundfile.write(path, wave, rate, subtype=subtype)
    return path


def _spoiled(folder: Path) -> dict[str, Path]:
    good = tone(200, 0.3)
    broken = good.copy()
    broken[100] = np.nan
    whole = _wav(folder / "whole.wav", good).read_bytes()
    flac = folder / "whole.flac"
    soundfile.write(flac, good, RATE)
    files = {
        "there is no": folder / "missing.wav",
        "is empty": folder / "empty.wav",
        "cannot be read": folder / "text.wav",
        "header is incomplete": folder / "stub.wav",
        "ends before its audio": folder / "header.wav",
        "is truncated: its header promises": folder / "cut.wav",
        "not finite": _wav(folder / "nan.wav", broken, "FLOAT"),
        "has 2 channels; give mono": _wav(folder / "stereo.wav", np.stack([good, good], 1)),
        "is silent": _wav(folder / "silent.wav", good * 1e-3),
        "holds no samples": _wav(folder / "none.wav", good[:0]),
        "at least 8000 Hz": _wav(folder / "low.wav", good, rate=4000),
        "has 8 bits a sample": _wav(folder / "coarse.wav", good, "PCM_U8"),
    }
    files["is empty"].write_bytes(b"")
    files["cannot be read"].write_text("not audio at all, but long enough to look at" * 5)
    files["header is incomplete"].write_bytes(whole[:7])
    files["ends before its audio"].write_bytes(whole[:36])
    files["is truncated: its header promises"].write_bytes(whole[: len(whole) // 2])
    return files


KINDS = (
    "there is no",
    "is empty",
    "cannot be read",
    "header is incomplete",
    "ends before its audio",
    "is truncated: its header promises",
    "not finite",
    "has 2 channels; give mono",
    "is silent",
    "holds no samples",
    "at least 8000 Hz",
    "has 8 bits a sample",
)


@pytest.mark.parametrize("kind", KINDS)
def test_unusable_audio_is_refused_in_one_sentence_naming_the_file(tmp_path: Path, kind: str) -> None:
    path = _spoiled(tmp_path)[kind]
    with pytest.raises(UserError, match=kind) as refusal:
        read_audio(path, RATE)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    with pytest.raises(UserError) as check:
        check_audio(path)
    assert str(check.value) == str(refusal.value)


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16")]
)
@pytest.mark.parametrize("quiet", [0.0, 0.7, 1.3])
def test_checking_finds_what_reading_finds(tmp_path: Path, suffix: str, subtype: str, quiet: float) -> None:
    """Speech may begin after any silence; the check that decodes little tells the same length."""
    path = tmp_path / f"clip.{suffix}"
    wave = np.concatenate([np.zeros(round(quiet * RATE), np.float32), tone(200, 0.3)])
    soundfile.write(path, wave, RATE, subtype=subtype)
    assert check_audio(path) == len(load_audio(path)[0]) / RATE == len(wave) / RATE
    soundfile.write(path, 0 * wave, RATE, subtype=subtype)
    with pytest.raises(UserError, match="is silent"):
        check_audio(path)


@settings(max_examples=30, deadline=None)
@given(start=st.integers(0, 7000), count=st.integers(500, 8000), rate=st.sampled_from([16000, 22050]))
def test_a_part_is_those_samples(tmp_path_factory: pytest.TempPathFactory, start: int, count: int, rate: int) -> None:
    path = tmp_path_factory.mktemp("part") / "clip.wav"
    wave = np.random.default_rng(start).normal(0, 0.1, 8000).astype(np.float32)
    soundfile.write(path, wave, rate, subtype="FLOAT")
    if start + count > 8000 + 0.025 * rate:
        for read in (load_audio, check_audio):
            with pytest.raises(UserError, match="and has no part from"):
                read(path, start / rate, count / rate)
    else:
        np.testing.assert_array_equal(load_audio(path, start / rate, count / rate)[0], wave[start : start + count])
        assert check_audio(path, start / rate, count / rate) == (min(start + count, 8000) - start) / rate
    np.testing.assert_array_equal(load_audio(path, start / rate)[0], wave[start:])


@pytest.mark.parametrize(("start", "seconds"), [(-0.1, 0.2), (0.5, None), (0.7, 0.1), (0.1, 0.0), (0.1, -0.05)])
def test_a_part_that_is_none_is_refused(tmp_path: Path, start: float, seconds: float | None) -> None:
    path = _wav(tmp_path / "clip.wav", tone(200, 0.5))
    with pytest.raises(UserError, match=r"clip\.wav lasts 0\.5 s and has no part from"):
        read_audio(path, RATE, start, seconds)


def test_a_fault_outside_the_part_is_no_fault_of_it(tmp_path: Path) -> None:
    wave = np.concatenate([tone(200, 0.5), np.full(RATE // 2, np.nan, np.float32)])
    path = _wav(tmp_path / "clip.wav", wave, "FLOAT")
    assert len(read_audio(path, RATE, 0.1, 0.3)) == round(0.3 * RATE)
    with pytest.raises(UserError, match="not finite"):
        read_audio(path, RATE, 0.4, 0.3)


def test_a_truncated_flac_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.flac"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.2, 40000).astype(np.float32), RATE)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(UserError, match=r"cut\.flac"):
        read_audio(path, RATE)


def test_a_wav_of_unknown_length_is_read(tmp_path: Path) -> None:
    """Programs that write to a pipe leave the size 0xFFFFFFFF in the header: that promises nothing."""
    path = _wav(tmp_path / "piped.wav", tone(200, 0.3))
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(bytes(content))
    assert len(read_audio(path, RATE)) == round(0.3 * RATE)


@settings(max_examples=30, deadline=None)
@given(peak=st.floats(0, 0.1))
def test_silence_begins_60_db_below_full_scale(peak: float) -> None:
    wave = np.array([0, peak, -peak / 2], np.float32)
    if float(wave[1]) < 1e-3:
        with pytest.raises(UserError, match="silent"):
            check_wave(wave, "clip")
    else:
        assert check_wave(wave, "clip") is wave
