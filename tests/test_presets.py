"""Presets are what the vocoders' own code computes; loudness and trimming do what they say; pitch trackers agree."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules import espeak
from data_modules.audio import analyse, f0, first_centre, frame_count, mel_spectrogram, sample_count
from data_modules.conditioning import active_level, condition
from data_modules.pitch import F0_TRACKERS
from prosody_tts.config import EXPERIMENTS, AudioConfig, AudioPreset, load, to_plain
from prosody_tts.errors import UserError
from prosody_tts.pipeline import plan
from prosody_tts.vocoders import build_vocoder

PRESETS = get_args(AudioPreset)


def preset(name: str, *more: str) -> AudioConfig:
    return load("baseline", [f"audio.preset={name}", *more]).audio


def speech(rate: int) -> np.ndarray:
    """A clip of eSpeak's with a little noise, so that no value of its mel lies at a floor."""
    import soxr

    spoken = espeak.speak("The gentle farmer painted the garden gate.")
    wave = soxr.resample(spoken.samples.astype(np.float32), spoken.rate, rate)
    return (wave + np.random.default_rng(0).normal(0, 1e-3, len(wave))).astype(np.float32)


def test_every_preset_is_a_file_and_the_default_is_the_papers() -> None:
    assert {path.stem for path in (EXPERIMENTS / "audio").glob("*.yaml")} == set(PRESETS)
    assert preset("papers") == load("baseline").audio == AudioConfig()
    assert all(preset(name).preset == name for name in PRESETS)


def test_the_command_line_and_the_file_win_over_the_preset(tmp_path) -> None:
    assert preset("hifigan", "audio.hop=300").hop == 300
    file = tmp_path / "own.yaml"
    file.write_text("audio: {preset: vocos, mels: 90}\n")
    assert (load(file).audio.mels, load(file).audio.sample_rate) == (90, 24000)


def test_the_identity_is_of_the_numbers_and_not_of_the_presets_name() -> None:
    def identity(*overrides: str) -> str:
        return next(stage.identity for stage in plan(load("baseline", overrides)) if stage.kind == "audio")

    numbers = {name: value for name, value in to_plain(preset("bigvgan")).items() if name != "preset"}
    by_hand = [f"audio.{name}={'null' if value is None else value}" for name, value in numbers.items()]
    assert identity("audio.preset=bigvgan") == identity(*by_hand) != identity()
    changes = ["f0_tracker=pyin", "mel_scale=htk", "padding=reflect", "level_db=-20", "trim_db=40", "power_floor=1e-9"]
    assert len({identity(f"audio.{change}") for change in changes} | {identity()}) == len(changes) + 1
    assert identity("audio.trim_margin=0.2") == identity() == identity("run.feature_workers=3")
    assert identity("audio.trim_margin=0.2", "audio.trim_db=40") != identity("audio.trim_db=40")


def test_speecht5_is_its_own_feature_extractors_mel() -> None:
    from transformers import SpeechT5FeatureExtractor

    wave = speech(16000)
    golden = SpeechT5FeatureExtractor()(audio_target=wave, sampling_rate=16000)["input_values"][0]
    mel = mel_spectrogram(wave, preset("speecht5"))
    np.testing.assert_allclose(mel / np.log(10), golden, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "rate", "mels", "high"), [("hifigan", 22050, 80, 8000), ("bigvgan", 24000, 100, 12000)]
)
def test_hifigan_and_bigvgan_are_their_recipe(name: str, rate: int, mels: int, high: int) -> None:
    """Reflected by (fft - hop) / 2, frames not centred, power floor 1e-9, Slaney's filters, ln of 1e-5 at least."""
    from librosa.filters import mel as filters

    wave = speech(rate)
    padded = np.pad(wave.astype(float), 384, "reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 1024)[::256] * window
    magnitude = np.sqrt(np.abs(np.fft.rfft(frames)) ** 2 + 1e-9)
    golden = np.log(np.maximum(magnitude @ filters(sr=rate, n_fft=1024, n_mels=mels, fmin=0, fmax=high).T, 1e-5))
    mel = mel_spectrogram(wave, preset(name))
    assert len(mel) == len(wave) // 256
    np.testing.assert_allclose(mel, golden, atol=1e-3)


def test_vocos_is_its_recipe() -> None:
    """Centred, reflected, magnitudes, HTK filters of unit height, ln of 1e-7 at least; filters not librosa's."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    wave = speech(24000)
    bank = mel_filter_bank(513, 100, 0.0, 12000.0, 24000, norm=None, mel_scale="htk")
    golden = spectrogram(
        wave, window_function(1024, "hann", periodic=True), 1024, 256, power=1.0, mel_filters=bank, mel_floor=1e-7
    )
    np.testing.assert_allclose(mel_spectrogram(wave, preset("vocos")), np.log(golden).T, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    samples=st.integers(256, 6000),
    hop=st.sampled_from([200, 255, 256]),
    padding=st.sampled_from(["reflect", "half_hop"]),
)
def test_all_measures_share_the_frames_of_every_padding(samples: int, hop: int, padding) -> None:
    config = AudioConfig(hop=hop, padding=padding)
    found = analyse(np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32), config)
    frames = samples // hop + (padding == "reflect")
    assert len(found.mel) == len(found.f0) == len(found.energy) == frames == frame_count(samples, config)
    least = sample_count(frames, config)
    assert frame_count(least, config) == frames and (least == 0 or frame_count(least - 1, config) == frames - 1)


@pytest.mark.parametrize("name", PRESETS)
def test_griffin_lim_gives_back_the_pitch_of_every_preset(name: str) -> None:
    experiment = load("baseline", [f"audio.preset={name}"])
    config = experiment.audio
    wave = speech(config.sample_rate)
    mel = torch.from_numpy(mel_spectrogram(wave, config))
    copy = build_vocoder(experiment)(mel[None], torch.tensor([len(mel)]))[0].numpy()
    assert len(copy) == sample_count(len(mel), config)
    true, found = f0(wave, config), f0(copy, config, frames=len(mel))
    both = (true > 0) & (found > 0)
    assert both.sum() > 0.8 * (true > 0).sum()
    assert np.median(np.abs(np.log(found[both] / true[both]))) < 0.01
    again = mel_spectrogram(copy, config)
    loud = mel.numpy() > mel.max().item() - 4
    assert np.abs(again - mel.numpy())[loud].mean() < 0.25


@pytest.mark.parametrize("tracker", sorted(F0_TRACKERS))
@pytest.mark.parametrize("padding", ["zeros", "half_hop"])
def test_every_tracker_measures_at_the_frames_centres(tracker: str, padding) -> None:
    """A glide of known pitch: 60 Hz a second, so that half a hop of error would be 0.38 Hz."""
    config = AudioConfig(padding=padding, f0_tracker=tracker)
    hertz = 120 + 60 * np.arange(16000) / 16000
    phase = 2 * np.pi * np.cumsum(hertz) / 16000
    wave = (0.2 * np.sum([np.sin(k * phase) / k for k in range(1, 15)], axis=0)).astype(np.float32)
    track = f0(wave, config)
    golden = 120 + 60 * (np.arange(len(track)) * config.hop + first_centre(config)) / 16000
    error = (track - golden)[12:-12]
    assert (track[12:-12] > 0).all()
    assert abs(error.mean()) < 0.15 and np.abs(error).max() < 1.5
    assert not f0(np.zeros(8000, np.float32), config).any()


def test_trackers_agree_on_speech() -> None:
    wave = speech(16000)
    one, other = (f0(wave, AudioConfig(f0_tracker=name)) for name in ("praat", "pyin"))
    both = (one > 0) & (other > 0)
    assert both.sum() > 0.6 * (one > 0).sum()
    # A third of a semitone: pYIN sees 128 ms at once, in steps of a tenth of a semitone, and speech glides.
    assert np.median(np.abs(np.log(one[both] / other[both]))) < 0.02


def test_nothing_is_done_to_a_recording_by_default() -> None:
    wave = speech(16000)
    assert condition(wave, AudioConfig())[0] is wave and condition(wave, AudioConfig())[1] == 0


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(0.01, 3), level=st.floats(-40, -10), before=st.floats(0, 0.5), after=st.floats(0, 0.5))
def test_levelled_speech_has_the_level_whatever_its_gain_and_pauses(gain, level, before, after) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
    parts = [np.zeros(320 * int(before * 50)), gain * tone, np.zeros(320 * int(after * 50))]
    wave = np.concatenate(parts).astype(np.float32)
    levelled, start = condition(wave, AudioConfig(level_db=level))
    assert levelled.dtype == np.float32 and start == 0 and len(levelled) == len(wave)
    assert abs(active_level(levelled, 16000) - level) < 1e-3
    assert abs(20 * np.log10(np.sqrt(np.mean(levelled[len(parts[0]) : len(parts[0]) + 16000] ** 2.0))) - level) < 1e-3


@settings(max_examples=30, deadline=None)
@given(before=st.integers(0, 8000), after=st.integers(0, 8000), margin=st.floats(0.02, 0.1))
def test_trimming_leaves_the_margin_and_inner_pauses(before: int, after: int, margin: float) -> None:
    """With a margin of a frame or more no sample of speech is lost, though a frame may hold too few to be loud."""
    word = 0.3 * np.sin(2 * np.pi * 200 * np.arange(4800) / 16000)
    inner = np.concatenate([word, np.zeros(6400), word])
    noise = 1e-4 * np.random.default_rng(before).normal(size=before + len(inner) + after)
    wave = (noise + np.pad(inner, (before, after))).astype(np.float32)
    kept, start = condition(wave, AudioConfig(trim_db=40, trim_margin=margin))
    first = round(start * 16000)
    np.testing.assert_array_equal(kept, wave[first : first + len(kept)])
    frame, extra = 320, round(margin * 16000)
    assert max(0, before - extra - frame) <= first <= before
    end, last = first + len(kept), before + len(inner)
    assert last <= end <= min(len(wave), last + extra + frame)


@pytest.mark.parametrize(
    "setting",
    [
        "level_db=3",
        "trim_db=0",
        "trim_margin=-1",
        "hop=0",
        "window=2048",
        "f0_low=600",
        "sample_rate=800",
        "preset=hifi",
    ],
)
def test_impossible_audio_settings_are_told(setting: str) -> None:
    with pytest.raises(UserError, match=rf"audio\.{setting.partition('=')[0]}"):
        load("baseline", [f"audio.{setting}"])
