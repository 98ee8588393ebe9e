"""What is played: clips of one loudness and, on one screen, of one length."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
import soxr

from prosody_tts.errors import UserError
from prosody_tts.evaluation.measure import Floats

#: Loudness that clips are brought to, in LUFS (EBU R 128), where no sample is clipped by it.
LOUDNESS = -23.0
#: Largest sample; the rest is left for what a player makes of it between samples.
PEAK = 0.98
#: Seconds that a clip is faded in and out (BS.1534-3, section 7.3), so that nothing clicks.
FADE = 0.005


def read(path: Path, sample_rate: int) -> Floats:
    """Samples [n] of a clip at a rate in Hz, its own or another.

    Raises:
        UserError: it cannot be read, or has several channels.
    """
    try:
        wave, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot read {path} ({error}); evaluate the system again") from None
    if wave.shape[1] != 1:
        raise UserError(f"{path} has {wave.shape[1]} channels, not one; give mono recordings")
    mono = wave[:, 0]
    return mono if rate == sample_rate else np.asarray(soxr.resample(mono, rate, sample_rate), np.float64)


def loudness(wave: Floats, sample_rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770, by pyloudnorm); of a clip below .4 s that of its loops.

    Minus infinity for silence.
    """
    import pyloudnorm

    least = int(np.ceil(0.4 * sample_rate)) + 1
    repeats = -(-least // max(len(wave), 1))
    return float(pyloudnorm.Meter(sample_rate).integrated_loudness(np.tile(wave, repeats)))


def matched(clips: Mapping[str, Floats], sample_rate: int, level: float = LOUDNESS) -> dict[str, Floats]:
    """Clips at one loudness, faded at both ends, and as long as the longest of them.

    Raises:
        UserError: a clip is silent, or one would be louder than full scale.
    """
    longest = max(map(len, clips.values()))
    found = {}
    for name, wave in clips.items():
        now = loudness(wave, sample_rate)
        if not np.isfinite(now):
            raise UserError(
                f"{name} is silent, and no loudness can be given to it; leave out the sentence or the system"
            )
        louder = wave * 10 ** ((level - now) / 20)
        if np.abs(louder).max() > PEAK:
            raise UserError(
                f"{name} would be louder than full scale at {level:g} LUFS; give a lower --loudness, such as "
                f"{level - np.ceil(20 * np.log10(np.abs(louder).max() / PEAK)):g}"
            )
        found[name] = np.pad(faded(louder, sample_rate), (0, longest - len(wave)))
    return found


def faded(wave: Floats, sample_rate: int) -> Floats:
    """Samples with a raised cosine at both ends."""
    count = min(int(FADE * sample_rate), len(wave) // 2)
    ramp = (1 - np.cos(np.pi * (np.arange(count) + 0.5) / max(count, 1))) / 2
    shaped = wave.copy()
    shaped[:count] *= ramp
    shaped[len(wave) - count :] *= ramp[::-1]
    return shaped
