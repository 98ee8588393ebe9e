"""Recordings to log-mel spectrogram, F0 and energy, all on the same frames.

A clip of ``n`` samples has ``T = 1 + n // hop`` frames; frame ``t`` is centred on sample ``t * hop`` (the clip is
padded at both ends), so its centre lies ``t * hop / sample_rate`` seconds into the clip. Only with
``audio.padding=half_hop`` there are ``T = n // hop`` and every centre lies half a hop later.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np

from data_modules.members import Member, Source
from data_modules.pitch import F0_TRACKERS
from prosody_tts.config import AudioConfig
from prosody_tts.errors import UserError

if TYPE_CHECKING:
    import torch
    from soundfile import SoundFile

#: Peak amplitude below which a clip counts as silent: -60 dB of full scale.
SILENT_PEAK = 1e-3
#: Lowest sample rate accepted, in Hz: below it there is no speech band to speak of.
LOWEST_RATE = 8000
#: RMS below which log-energy is clipped.
ENERGY_FLOOR = 1e-5

#: Seconds that a part may go past its recording's end: manifests round their times (lhotse allows as much).
ROUNDING = 0.025

#: Seconds that no recording has: eleven days.
LONGEST = 1e6

_WAV = {"WAV", "WAVEX", "RF64"}
_INTEGERS = {"PCM_16", "PCM_24", "PCM_32"}
_EIGHT_BITS = {"PCM_S8", "PCM_U8"}
# Sizes that writers which cannot seek leave in a WAV header: they promise nothing.
_UNKNOWN_SIZES = {0, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFF000, 0xFFFFF000}


@dataclass(frozen=True)
class Analysis:
    """What is measured of a clip: ``mel`` [T, M] log-magnitudes, ``f0`` [T] Hz (0 unvoiced), ``energy`` [T] log RMS."""

    mel: np.ndarray
    f0: np.ndarray
    energy: np.ndarray


def read_audio(
    path: Source, sample_rate: int, start: float = 0.0, seconds: float | None = None, speed: float = 1.0
) -> np.ndarray:
    """Read a mono recording, or a part of it, and resample it to ``sample_rate``: float32 [samples], full scale at 1.

    At a ``speed`` of 1.1 it is a tenth shorter and a tenth higher, as a tape would be.

    Raises:
        UserError: as ``load_audio``.
    """
    wave, recorded = load_audio(path, start, seconds)
    rate = recorded * speed
    if rate == sample_rate:
        return wave
    import soxr

    return soxr.resample(wave, rate, sample_rate).astype(np.float32, copy=False)


def load_audio(path: Source, start: float = 0.0, seconds: float | None = None) -> tuple[np.ndarray, int]:
    """Read a mono recording as it is: float32 [samples], full scale at 1, and its sample rate in Hz.

    ``path`` is a file or a member of a tar. ``start`` and ``seconds`` choose a part of it, to the nearest sample;
    without ``seconds`` it goes to the end. Only the part is decoded and looked at.

    Raises:
        UserError: the file is missing, empty, not audio, truncated, silent (peak below -60 dB), has more than one
            channel, 8 bits a sample, samples that are no numbers, or a sample rate below 8 kHz; or the part does not
            lie in it.
    """
    with _opened(path) as stream:
        begin, count = _part(stream, path, start, seconds)
        stream.seek(begin)
        wave, rate = stream.read(count, dtype="float32"), stream.samplerate
    if len(wave) < count:
        raise UserError(f"{path} is truncated: its header promises {begin + count} samples, it holds {len(wave)}")
    return check_wave(wave, str(path)), rate


def check_audio(path: Source, start: float = 0.0, seconds: float | None = None) -> float:
    """Seconds of what ``load_audio`` would read, at a small part of its cost.

    Integer samples of a whole WAV file are finite and their number is in its header, so that it is decoded only as far
    as its first audible quarter of a second; all else is decoded.

    Raises:
        UserError: as ``load_audio``.
    """
    if start == 0 and seconds is None:
        with _opened(path) as stream:
            if stream.format in _WAV and stream.subtype in _INTEGERS and stream.frames > 0:
                blocks = stream.blocks(stream.samplerate // 4, dtype="float32")
                if not any(np.abs(block).max() >= SILENT_PEAK for block in blocks):
                    raise UserError(f"{path} is silent: its peak lies below -60 dB of full scale")
                return stream.frames / stream.samplerate
    wave, rate = load_audio(path, start, seconds)
    return len(wave) / rate


def audio_seconds(path: Source) -> float:
    """Seconds of a recording, by its header.

    Raises:
        UserError: as ``load_audio``, but for what only its samples tell.
    """
    with _opened(path) as stream:
        return float(stream.frames / stream.samplerate)


@contextmanager
def _opened(path: Source) -> Iterator[SoundFile]:
    """A recording whose file and header are in order; errors of the decoder inside the block become the user's."""
    import soundfile

    file = BytesIO(path.read()) if isinstance(path, Member) else Path(path)
    if isinstance(file, Path) and not file.is_file():
        raise UserError(f"there is no audio file {path}")
    _check_content(file, path)
    try:
        with soundfile.SoundFile(file) as stream:
            if stream.channels != 1:
                raise UserError(f"{path} has {stream.channels} channels; give mono")
            if stream.subtype in _EIGHT_BITS:
                raise UserError(f"{path} has 8 bits a sample, too coarse for quiet sounds; give at least 16")
            if stream.samplerate < LOWEST_RATE:
                raise UserError(f"{path} has a sample rate of {stream.samplerate} Hz; give at least {LOWEST_RATE} Hz")
            yield stream
    except (soundfile.SoundFileError, RuntimeError) as error:
        detail = str(getattr(error, "error_string", error)).rstrip(".")
        raise UserError(f"{path} cannot be read as audio: {detail}") from None


def _part(stream: SoundFile, path: Source, start: float, seconds: float | None) -> tuple[int, int]:
    """First sample and number of samples of a part; an end that rounding put past the recording's is its end."""
    if start == 0 and seconds is None:
        return 0, stream.frames
    lasts, end = stream.frames / stream.samplerate, "its end" if seconds is None else f"{start + seconds:g} s"
    if not (0 <= start < LONGEST and 0 <= (seconds or 0) < LONGEST):
        raise UserError(f"{path} lasts {lasts:g} s and has no part from {start:g} s to {end}")
    begin = round(start * stream.samplerate)
    count = stream.frames - begin if seconds is None else round(seconds * stream.samplerate)
    beyond = begin + count - stream.frames
    if begin < 0 or count - max(beyond, 0) <= 0 or beyond > ROUNDING * stream.samplerate:
        raise UserError(f"{path} lasts {lasts:g} s and has no part from {start:g} s to {end}")
    return begin, count - max(beyond, 0)


def check_wave(wave: np.ndarray, name: str) -> np.ndarray:
    """Return samples [n] unchanged if they are finite and audible.

    Raises:
        UserError: there are none, some are no numbers, or the peak is below -60 dB of full scale.
    """
    if len(wave) == 0:
        raise UserError(f"{name} holds no samples")
    if not np.isfinite(wave).all():
        raise UserError(f"{name} holds {int((~np.isfinite(wave)).sum())} samples that are not finite numbers")
    peak = float(np.abs(wave).max())
    if peak < SILENT_PEAK:
        raise UserError(f"{name} is silent: its peak lies below -60 dB of full scale")
    return wave


def frame_count(samples: int, config: AudioConfig) -> int:
    """T, the number of frames of a clip of ``samples`` samples."""
    return samples // config.hop + (config.padding != "half_hop")


def sample_count(frames: int, config: AudioConfig) -> int:
    """The fewest samples that have ``frames`` frames."""
    return max(0, frames - (config.padding != "half_hop")) * config.hop


def with_frames(wave: np.ndarray, frames: int, config: AudioConfig) -> np.ndarray:
    """Samples [n] cut or padded with zeros so that their analysis has exactly ``frames`` frames."""
    size = sample_count(frames, config)
    wave = np.pad(wave[:size], (0, max(0, size - len(wave))))
    assert frame_count(len(wave), config) == frames
    return wave


def first_centre(config: AudioConfig) -> int:
    """The sample on which the first frame is centred."""
    return config.hop // 2 if config.padding == "half_hop" else 0


def mel_filters(config: AudioConfig) -> np.ndarray:
    """Mel filters [M, fft // 2 + 1] (as librosa builds them); by default Slaney's, each of unit area in Hz."""
    scale = config.mel_scale == "htk", config.mel_norm == "slaney"
    return _filters(config.sample_rate, config.fft, config.mels, config.mel_low, config.mel_high, *scale)


def mel_channels(config: AudioConfig) -> tuple[np.ndarray, np.ndarray]:
    """Centre frequency of each mel channel, and the standard deviation of what it smears: [M] and [M], in Hz.

    The smear is the filter's and the Hann window's, whose main lobe is half as high 2 / duration apart.
    """
    filters = mel_filters(config).astype(np.float64)
    frequencies = np.linspace(0, config.sample_rate / 2, filters.shape[1])
    weights = filters / np.maximum(filters.sum(1, keepdims=True), 1e-12)
    centres = weights @ frequencies
    spread = (weights * (frequencies - centres[:, None]) ** 2).sum(1)
    lobe = 2 * config.sample_rate / config.window / (2 * np.sqrt(2 * np.log(2)))
    return centres, np.sqrt(spread + lobe**2)


def mel_spectrogram(wave: np.ndarray, config: AudioConfig) -> np.ndarray:
    """Natural logarithm of mel-filtered magnitudes, clipped below ``config.floor``: [samples] -> float32 [T, M]."""
    return _log_mel(_spectrum(wave, config), config)


def energy(wave: np.ndarray, config: AudioConfig) -> np.ndarray:
    """Natural logarithm of each frame's RMS under the squared analysis window: [samples] -> float32 [T]."""
    return _log_rms(_spectrum(wave, config), config)


def f0(wave: np.ndarray, config: AudioConfig, frames: int | None = None) -> np.ndarray:
    """Fundamental frequency in Hz at the centres of the mel frames, 0 where unvoiced: [samples] -> float32 [T]."""
    frames = frame_count(len(wave), config) if frames is None else frames
    return F0_TRACKERS[config.f0_tracker](wave, config, frames, first_centre(config))


def analyse(wave: np.ndarray, config: AudioConfig) -> Analysis:
    """Measure log-mel spectrogram, F0 and energy of samples [n] on the same T frames."""
    spectrum = _spectrum(wave, config)
    return Analysis(_log_mel(spectrum, config), f0(wave, config), _log_rms(spectrum, config))


@lru_cache(maxsize=8)
def _filters(sample_rate: int, fft: int, mels: int, low: float, high: float, htk: bool, unit_area: bool) -> np.ndarray:
    from librosa.filters import mel

    if not 0 <= low < high <= sample_rate / 2:
        raise UserError(
            f"audio.mel_low={low:g} and audio.mel_high={high:g} must rise and stay within half of "
            f"audio.sample_rate={sample_rate}"
        )
    norm: Literal["slaney"] | None = "slaney" if unit_area else None
    return mel(sr=sample_rate, n_fft=fft, n_mels=mels, fmin=low, fmax=high, htk=htk, norm=norm).astype(np.float32)


def _spectrum(wave: np.ndarray, config: AudioConfig) -> torch.Tensor:
    """Magnitudes [fft // 2 + 1, T]."""
    import torch  # which reading a recording must not load

    samples = np.ascontiguousarray(wave, dtype=np.float32)
    if config.padding != "zeros":
        # Not torch's own reflection: it refuses a clip shorter than the padding.
        before = config.fft // 2 - first_centre(config)
        after = config.fft - before - config.hop * (config.padding == "half_hop")
        samples = np.pad(samples, (before, after), "reflect")
    spectrum = torch.stft(
        torch.from_numpy(samples),
        config.fft,
        config.hop,
        config.window,
        torch.hann_window(config.window),
        center=config.padding == "zeros",
        pad_mode="constant",
        return_complex=True,
    )
    if config.power_floor == 0:
        return spectrum.abs()
    return torch.view_as_real(spectrum).square().sum(-1).add_(config.power_floor).sqrt_()


def _log_mel(spectrum: torch.Tensor, config: AudioConfig) -> np.ndarray:
    import torch

    mel = torch.from_numpy(mel_filters(config)) @ spectrum
    return mel.clamp_(min=config.floor).log_().T.contiguous().numpy()


def _log_rms(spectrum: torch.Tensor, config: AudioConfig) -> np.ndarray:
    import torch

    # Parseval: the windowed frame's energy is its spectrum's, where all but the ends of the half spectrum count twice.
    power = spectrum.square()
    total = (2 * power.sum(0) - power[0] - power[-1] * (config.fft % 2 == 0)) / config.fft
    weight = torch.hann_window(config.window).square().sum()
    return (total / weight).clamp_(min=ENERGY_FLOOR**2).log_().mul_(0.5).numpy()


def _check_content(file: Path | BytesIO, path: Source) -> None:
    """Refuse a file that is empty, and a WAV file whose data chunk is cut short; libsndfile reads what is left of it
    without a word."""
    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as stream:
        size = stream.seek(0, 2)
        if size == 0:
            raise UserError(f"{path} is empty (0 bytes); give a recording")
        stream.seek(0)
        _check_riff(stream, size, path)
        stream.seek(0)


def _check_riff(stream: BinaryIO, size: int, path: Source) -> None:
    head = stream.read(12)
    if head[:4] != b"RIFF":
        return
    if len(head) < 12:
        raise UserError(f"{path} is truncated: its header is incomplete")
    while len(chunk := stream.read(8)) == 8:
        name, length = struct.unpack("<4sI", chunk)
        if name == b"data":
            held = size - stream.tell()
            if length > held and length not in _UNKNOWN_SIZES:
                raise UserError(f"{path} is truncated: its header promises {length} bytes, it holds {held}")
            return
        stream.seek(length + length % 2, 1)
    raise UserError(f"{path} is truncated: it ends before its audio")
