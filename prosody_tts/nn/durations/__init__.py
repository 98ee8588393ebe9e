"""Duration models, one contract (``contract.DurationModel``) and one registry; targets and errors have theirs."""

from __future__ import annotations

from prosody_tts.nn.durations.contract import DurationModel, at_pace, to_frames
from prosody_tts.nn.durations.networks import CampDurations, ConvolutionalDurations, RecurrentDurations
from prosody_tts.nn.durations.separate import SeparateDurations
from prosody_tts.nn.durations.targets import ERRORS, TARGETS, DurationTarget, GroupedFrames, LogFrames

DURATIONS: dict[str, type[ConvolutionalDurations] | type[RecurrentDurations] | type[CampDurations]] = {
    "convolutional": ConvolutionalDurations,
    "recurrent": RecurrentDurations,
    "camp": CampDurations,
}
__all__ = [
    "DURATIONS",
    "ERRORS",
    "TARGETS",
    "CampDurations",
    "ConvolutionalDurations",
    "DurationModel",
    "DurationTarget",
    "GroupedFrames",
    "LogFrames",
    "RecurrentDurations",
    "SeparateDurations",
    "at_pace",
    "to_frames",
]
