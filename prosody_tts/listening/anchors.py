"""Low-pass anchors: what every listener should hear to be worse, at 3.5 and at 7 kHz (BS.1534-3, section 5.1)."""

from __future__ import annotations

import numpy as np

from prosody_tts.errors import UserError
from prosody_tts.evaluation.measure import Floats
from prosody_tts.listening.exchange import LOW_ANCHOR, MID_ANCHOR

#: Name of an anchor, as webMUSHRA calls it -> its cut-off in Hz.
ANCHORS: dict[str, float] = {LOW_ANCHOR: 3500.0, MID_ANCHOR: 7000.0}
#: Width of the transition in Hz per Hz of the cut-off, and decibels below it: at 3.5 kHz the standard wants 25 dB at
#: 4 kHz and 50 dB at 4.5 kHz with a ripple of 0.1 dB below 3.5 kHz; here it is 60 dB from 4 kHz on.
TRANSITION, STOP = 1 / 7, 60.0


def taps(cut_off: float, sample_rate: int) -> Floats:
    """A linear-phase filter, odd in length, that passes all below ``cut_off`` Hz (Kaiser's window)."""
    from scipy.signal import firwin, kaiserord

    width = TRANSITION * cut_off
    count, beta = kaiserord(STOP, width / (sample_rate / 2))
    middle = min(cut_off + width / 2, sample_rate / 2 * 0.999)
    return np.asarray(firwin(count | 1, middle, window=("kaiser", beta), fs=sample_rate), np.float64)


def anchor(wave: Floats, cut_off: float, sample_rate: int) -> Floats:
    """Samples [n] without what lies above ``cut_off`` Hz, neither earlier nor later than before.

    Raises:
        UserError: the recording holds nothing above it, so that it would be no anchor.
    """
    from scipy.signal import oaconvolve

    if sample_rate / 2 <= cut_off:
        raise UserError(
            f"an anchor at {cut_off / 1000:g} kHz takes nothing from audio of {sample_rate} Hz; give systems with a "
            "higher audio.sample_rate, or another --kind"
        )
    return np.asarray(oaconvolve(wave, taps(cut_off, sample_rate), mode="same"), np.float64)
