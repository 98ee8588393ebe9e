"""F0 and voicing frame by frame (Skerry-Ryan et al., arXiv 1803.09047, section 4.2).

Frames of the system are aligned with the recording's linearly inside each word and pause, so that what is measured is
not how long they last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from prosody_tts.evaluation.measure import Floats, warp
from prosody_tts.evaluation.metrics.contract import Metric, correlation, mean_of, rmse, root_mean_square
from prosody_tts.evaluation.results import UtteranceResult

#: Relative difference of F0 from which an error is gross.
GROSS = 0.2


class Frames(NamedTuple):
    """F0 in Hz of the recording's frames [T], and of the system's that are aligned with them; 0 where unvoiced."""

    recorded: Floats
    said: Floats

    @property
    def both(self) -> np.ndarray:
        """Frames that are voiced in both."""
        return (self.recorded > 0) & (self.said > 0)

    @property
    def gross(self) -> np.ndarray:
        """Frames voiced in both whose F0 is more than a fifth off the recording's."""
        far = np.abs(self.said - self.recorded) > GROSS * self.recorded
        return self.both & far

    @property
    def voicing(self) -> np.ndarray:
        """Frames voiced in one alone."""
        return (self.recorded > 0) != (self.said > 0)


def frames_of(result: UtteranceResult) -> Frames | None:
    """Aligned F0, where its course was kept and something was said."""
    contour = result.contour
    if contour is None or not len(contour.reference_f0) or not len(contour.system_f0):
        return None
    durations = [
        np.rint(np.diff(starts) / contour.hop_seconds).astype(np.int64)
        for starts in (contour.system_starts, contour.reference_starts)
    ]
    if durations[0].sum() != len(contour.system_f0) or durations[1].sum() != len(contour.reference_f0):
        return None
    return Frames(contour.reference_f0, contour.system_f0[warp(*durations)])


def _of(value: Callable[[Frames], float | None]) -> Callable[[UtteranceResult], float | None]:
    def of_utterance(result: UtteranceResult) -> float | None:
        frames = frames_of(result)
        return None if frames is None else value(frames)

    return of_utterance


def _logs(frames: Frames) -> tuple[Floats, Floats]:
    both = frames.both
    return np.log(frames.said[both]), np.log(frames.recorded[both])


def _rmse(frames: Frames) -> float | None:
    said, recorded = _logs(frames)
    return rmse(said - recorded)


def _gross(frames: Frames) -> float | None:
    both = frames.both.sum()
    return float(frames.gross.sum() / both) if both else None


FRAMES = (
    Metric(
        "frame_log_f0_rmse",
        "F0 error, by frames",
        "log Hz",
        "RMSE of log F0 over the frames that are voiced in the system's audio and in the recording, aligned linearly "
        "inside each word and pause; root mean square over renditions.",
        "lower",
        0.0,
        "audio",
        root_mean_square(_of(_rmse)),
    ),
    Metric(
        "frame_log_f0_correlation",
        "F0 correlation, by frames",
        "",
        "Pearson correlation of log F0 over the same frames; averaged over renditions.",
        "higher",
        1.0,
        "audio",
        mean_of(_of(lambda frames: correlation(*_logs(frames)))),
    ),
    Metric(
        "gpe",
        "Gross pitch error",
        "share",
        "Share of the frames voiced in both whose F0 is more than 20 % off the recording's, of all sentences together "
        "(arXiv 1803.09047, section 4.2; frames are aligned inside each word and pause); averaged over renditions.",
        "lower",
        0.0,
        "audio",
        mean_of(_of(_gross)),
        mean_of(_of(lambda frames: float(frames.both.sum()))),
    ),
    Metric(
        "vde",
        "Voicing decision error",
        "share",
        "Share of the recording's frames that are voiced in one of both alone, of all sentences together (arXiv "
        "1803.09047, section 4.2); averaged over renditions.",
        "lower",
        0.0,
        "audio",
        mean_of(_of(lambda frames: float(frames.voicing.mean()))),
        mean_of(_of(lambda frames: float(len(frames.recorded)))),
    ),
    Metric(
        "ffe",
        "F0 frame error",
        "share",
        "Share of the recording's frames with a gross pitch error or a voicing decision error, of all sentences "
        "together (arXiv 1803.09047, section 4.2); averaged over renditions.",
        "lower",
        0.0,
        "audio",
        mean_of(_of(lambda frames: float((frames.gross | frames.voicing).mean()))),
        mean_of(_of(lambda frames: float(len(frames.recorded)))),
    ),
)
