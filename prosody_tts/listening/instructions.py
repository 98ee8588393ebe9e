"""What a screen that checks attention says aloud, and what it must then be given."""

from __future__ import annotations

import numpy as np
import soxr

from prosody_tts.evaluation.measure import Floats
from prosody_tts.listening.kinds import KINDS, Kind

#: Scores that are asked for, one after the other; with what still counts on either side.
POINTS, TOLERANCE = (20, 80, 40, 60), 5
GRADES = (2, 4)


def asked_of(kind: Kind, number: int) -> tuple[str, float, float]:
    """The sentence of check ``number``, and the lowest and the highest score that it may get.

    Of a preference the version that speaks must be chosen, which counts as 1.
    """
    design = KINDS[kind]
    if design.scale is None:
        return "This is a check. Please choose this version.", 1.0, 1.0
    if design.scale[1] == 100:
        points = POINTS[number % len(POINTS)]
        return f"This is a check. Please give this version the number {points}.", points - TOLERANCE, points + TOLERANCE
    grade = GRADES[number % len(GRADES)]
    word = design.grades[int(design.scale[1]) - grade]
    return f"This is a check. Please give this version the grade {word}.", grade, grade


def spoken(text: str, sample_rate: int) -> Floats:
    """Samples [n] of a sentence that eSpeak NG says, at a rate in Hz."""
    from data_modules.espeak import speak

    speech = speak(text)
    wave = np.asarray(speech.samples, np.float64)
    return np.asarray(soxr.resample(wave, speech.rate, sample_rate), np.float64)
