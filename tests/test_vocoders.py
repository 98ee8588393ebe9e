"""Every vocoder gives back the speech it was shown, alone or in a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_modules.audio import f0, mel_spectrogram
from prosody_tts.config import AudioConfig
from prosody_tts.nn.vocoders import VOCODERS

CONFIG = AudioConfig()


def build(name: str, iterations: int = 32):
    return VOCODERS[name](
        CONFIG.sample_rate,
        CONFIG.hop,
        CONFIG.window,
        CONFIG.fft,
        CONFIG.mels,
        CONFIG.mel_low,
        CONFIG.mel_high,
        iterations,
    )


def glide(seconds: float, start: float, end: float) -> np.ndarray:
    """A voice-like buzz whose pitch moves."""
    samples = round(seconds * CONFIG.sample_rate)
    phase = 2 * np.pi * np.cumsum(np.linspace(start, end, samples)) / CONFIG.sample_rate
    return (0.2 * np.sum([np.sin(k * phase) / k for k in range(1, 16)], axis=0)).astype(np.float32)


def batch(*waves: np.ndarray, padding: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    mels = [torch.from_numpy(mel_spectrogram(wave, CONFIG)) for wave in waves]
    lengths = torch.tensor([len(mel) for mel in mels])
    padded = torch.nn.utils.rnn.pad_sequence(mels, batch_first=True)
    return torch.nn.functional.pad(padded, (0, 0, 0, padding)), lengths


@pytest.mark.parametrize("name", sorted(VOCODERS))
def test_copy_synthesis_keeps_pitch_and_spectrum(name: str) -> None:
    wave = glide(1.2, 110, 220)
    mel, lengths = batch(wave)
    copy = build(name)(mel, lengths)[0].numpy()
    true, found = f0(wave, CONFIG), f0(copy, CONFIG, frames=int(lengths[0]))
    both = (true > 0) & (found > 0)
    assert both.mean() > 0.9
    assert np.sqrt(np.mean(np.log(found[both] / true[both]) ** 2)) < 0.02
    frames = mel_spectrogram(copy, CONFIG)
    loud = mel[0].numpy() > mel.max().item() - 4
    assert np.abs(frames - mel[0, : len(frames)].numpy())[loud[: len(frames)]].mean() < 0.2


@pytest.mark.parametrize("name", sorted(VOCODERS))
def test_neighbours_and_padding_change_nothing(name: str) -> None:
    vocoder = build(name, iterations=8)
    short, long = glide(0.3, 120, 140), glide(0.7, 200, 150)
    alone = vocoder(*batch(short))[0]
    mel, lengths = batch(short, long, padding=11)
    mel[0, lengths[0] :] = 7.0
    together = vocoder(mel, lengths)
    sizes = vocoder.samples(lengths)
    assert together.shape == (2, int(sizes.max()))
    torch.testing.assert_close(together[0, : sizes[0]], alone, rtol=0, atol=0)
    assert not together[0, sizes[0] :].any()


@pytest.mark.parametrize("name", sorted(VOCODERS))
def test_same_mel_same_samples_whatever_the_global_generator(name: str) -> None:
    inputs = batch(glide(0.3, 150, 150))
    torch.manual_seed(1)
    first = build(name, iterations=4)(*inputs)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(first, build(name, iterations=4)(*inputs))
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_the_shortest_clips_have_the_promised_samples(frames: int) -> None:
    vocoder = build("griffin_lim", iterations=2)
    waves = vocoder(torch.zeros(1, max(frames, 1), CONFIG.mels), torch.tensor([frames]))
    assert waves.shape == (1, max(frames - 1, 0) * CONFIG.hop)
    assert torch.isfinite(waves).all()


def test_more_iterations_come_closer_to_the_mel() -> None:
    mel, lengths = batch(glide(0.6, 110, 220))

    def error(iterations: int) -> float:
        copy = mel_spectrogram(build("griffin_lim", iterations)(mel, lengths)[0].numpy(), CONFIG)
        return float(np.abs(np.exp(copy) - np.exp(mel[0].numpy())[: len(copy)]).mean())

    assert error(32) < 0.7 * error(1)
