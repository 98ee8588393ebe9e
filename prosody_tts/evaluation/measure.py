"""What is measured on speech: word-level prosody, and frame distances after alignment by phone durations.

Nothing is warped by similarity (no DTW): both sides know their phones, and a warp that minimises the distance would
hide the very timing errors the figures are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_modules.tokens import token_log_f0, token_means

#: Cepstral coefficients 1 to 13 enter the mel-cepstral distortion; c0, the overall level, does not.
CEPSTRA = 13
#: Decibels per neper of spectral magnitude, times the square root of 2 of the usual definition of MCD.
MCD_FACTOR = 10.0 * np.sqrt(2.0) / np.log(10.0)

Floats = NDArray[np.float64]


def to_json_floats(values: ArrayLike) -> list[float | None]:
    """Numbers as JSON has them: NaN becomes null."""
    return [None if np.isnan(value) else float(value) for value in np.asarray(values, dtype=np.float64)]


def from_json_floats(values: Sequence[float | None]) -> Floats:
    """The inverse of ``to_json_floats``."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class TokenMeasures:
    """Prosody of every token of the word axis W, pause slots included (``data_modules.text.sentence``).

    Attributes:
        log_f0: [W] mean natural log of F0 in Hz over the token's voiced frames; NaN below three of them.
        energy: [W] mean natural-log energy of the token's frames; NaN for a token without frames.
        duration: [W] seconds.
    """

    log_f0: Floats
    energy: Floats
    duration: Floats

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless the three axes agree."""
        if not len(self.log_f0) == len(self.energy) == len(self.duration):
            raise ValueError("log_f0, energy and duration must have one value a token each")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; NaN becomes null."""
        return {
            "log_f0": to_json_floats(self.log_f0),
            "energy": to_json_floats(self.energy),
            "duration": to_json_floats(self.duration),
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> TokenMeasures:
        """The inverse of ``to_dict``."""
        return TokenMeasures(
            log_f0=from_json_floats(data["log_f0"]),
            energy=from_json_floats(data["energy"]),
            duration=from_json_floats(data["duration"]),
        )


def token_starts(token_durations: ArrayLike, hop_seconds: float) -> Floats:
    """[W + 1] seconds at which every token starts, and the end of the last, from durations [W] in frames."""
    return np.concatenate([[0.0], np.cumsum(np.asarray(token_durations, dtype=np.float64))]) * hop_seconds


def measure_speech(
    mel: ArrayLike, f0: ArrayLike, energy: ArrayLike, token_durations: ArrayLike, hop_seconds: float
) -> TokenMeasures:
    """Measure every token of an utterance.

    Args:
        mel: [T, M] natural-log mel spectrogram, not normalised; only its length is used, as the measure of T.
        f0: [T] Hz, 0 where unvoiced.
        energy: [T] natural-log energy.
        token_durations: [W] whole frames; they sum to T.
        hop_seconds: seconds between frames.

    Raises:
        ValueError: the lengths do not agree.
    """
    f0 = np.asarray(f0, dtype=np.float64)
    energy = np.asarray(energy, dtype=np.float64)
    durations = np.asarray(token_durations, dtype=np.int64)
    frames = len(np.asarray(mel))
    if not len(f0) == len(energy) == frames == int(durations.sum()):
        raise ValueError(
            f"mel, f0, energy and the sum of token durations differ in frames: "
            f"{frames}, {len(f0)}, {len(energy)}, {int(durations.sum())}"
        )
    return TokenMeasures(
        log_f0=token_log_f0(f0, durations),
        energy=token_means(energy, durations),
        duration=durations.astype(np.float64) * hop_seconds,
    )


def warp(system_durations: ArrayLike, reference_durations: ArrayLike) -> NDArray[np.int_]:
    """Map every frame of the reference to a frame of the system, linearly inside each phone.

    A phone that lasts zero frames in the system lends the nearest frame there is: the first of what follows, or else
    the last of all.

    Args:
        system_durations: [P] frames.
        reference_durations: [P] frames.

    Returns:
        [T_ref] indices below T_sys, never decreasing.

    Raises:
        ValueError: the two differ in phones, or the system has no frames.
    """
    system = np.asarray(system_durations, dtype=np.int64)
    reference = np.asarray(reference_durations, dtype=np.int64)
    if system.shape != reference.shape:
        raise ValueError(f"{len(system)} phones cannot be aligned with {len(reference)}")
    total = int(system.sum())
    if total == 0:
        raise ValueError("the system has no frames")
    phone = np.repeat(np.arange(len(reference)), reference)
    first = np.cumsum(reference) - reference
    # The middle of a frame falls into a whole frame of the other side: floor((2 i + 1) m / 2 n), in integers.
    within = 2 * (np.arange(len(phone)) - first[phone]) + 1
    inside = within * system[phone] // (2 * reference[phone])
    start = np.cumsum(system) - system
    return np.minimum(start[phone] + inside, total - 1)


def cepstra(mel: ArrayLike) -> Floats:
    """[T, CEPSTRA] coefficients 1 to 13 of the orthonormal DCT-II of a natural-log mel spectrogram [T, M]."""
    from scipy.fft import dct

    coefficients = np.asarray(dct(np.asarray(mel, dtype=np.float64), type=2, norm="ortho", axis=1))
    return coefficients[:, 1 : CEPSTRA + 1]


def mel_l1(reference_mel: ArrayLike, system_mel: ArrayLike, index: NDArray[np.int_]) -> float:
    """Mean absolute difference of natural-log mel values, in nats, over the reference's frames and all channels.

    Args:
        reference_mel: [T_ref, M].
        system_mel: [T_sys, M].
        index: [T_ref], from ``warp``.
    """
    aligned = np.asarray(system_mel, dtype=np.float64)[index]
    return float(np.mean(np.abs(np.asarray(reference_mel, dtype=np.float64) - aligned)))


def mcd(reference_mel: ArrayLike, system_mel: ArrayLike, index: NDArray[np.int_]) -> float:
    """Mel-cepstral distortion in dB: ``10 sqrt(2) / ln 10`` times the mean Euclidean distance of c1 to c13.

    The cepstra are the orthonormal DCT-II of the natural-log mel spectrogram, c0 left out; frames are aligned by
    phone durations. Toolkits differ in cepstra, alignment and c0, so compare figures of this definition only with
    each other.

    Args:
        reference_mel: [T_ref, M].
        system_mel: [T_sys, M].
        index: [T_ref], from ``warp``.
    """
    difference = cepstra(reference_mel) - cepstra(system_mel)[index]
    return float(MCD_FACTOR * np.mean(np.linalg.norm(difference, axis=1)))
