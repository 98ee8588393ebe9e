"""What listens to speech: a waveform in, what was said out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from prosody_tts.config import EvaluationConfig


class Listener(Protocol):
    """A recogniser, ready to listen.

    ``sample_rate`` is that of the waveforms it hears, in Hz. The same waveform is heard as the same text.
    """

    sample_rate: int

    def hear(self, wave: NDArray[np.float32]) -> str:
        """What is said in samples [n], full scale at 1; any case and punctuation."""
        ...


@dataclass(frozen=True)
class Kind:
    """A kind of recogniser.

    Attributes:
        identity: what tells one from another, for the identity of what it hears; loads no library. Raises ``UserError``
            where something it needs is missing.
        load: the recogniser, on so many threads. Raises ``UserError`` where it cannot be had.
    """

    identity: Callable[[EvaluationConfig], dict[str, Any]]
    load: Callable[[EvaluationConfig, int], Listener]


def heard(listener: Listener, wave: NDArray[np.float32], sample_rate: int) -> str:
    """What a recogniser hears in samples [n] of any rate in Hz."""
    if sample_rate != listener.sample_rate:
        import soxr

        wave = soxr.resample(wave, sample_rate, listener.sample_rate)
    return listener.hear(np.ascontiguousarray(wave, dtype=np.float32))
