"""A vocoder: one steady sine a mel channel, as loud as the channel says. A whisper of bells, and no weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from prosody_tts.config import Experiment
from prosody_tts.nn.vocoders import ClipVocoder, MelFormat
from prosody_tts.vocoders import VOCODERS, mel_format


class Sines(ClipVocoder):
    """Sines at the centres of the mel filters; ``ClipVocoder`` renders clips one by one and pads the batch."""

    def __init__(self, mel: MelFormat) -> None:
        super().__init__(mel)
        filters = torch.from_numpy(mel.filters)
        bins = torch.arange(filters.shape[1]) * mel.sample_rate / mel.fft
        self.register_buffer("hertz", (filters * bins).sum(1) / filters.sum(1), persistent=False)
        # A sine of amplitude one has this magnitude in its filter.
        self.register_buffer("loudness", filters.amax(1) * mel.window / 4, persistent=False)

    hertz: Tensor
    loudness: Tensor

    def clip(self, mel: Tensor, size: int) -> Tensor:
        """One clip: log-mel [T, M] -> samples [size]."""
        levels = (mel.exp() / self.loudness).T[None]
        levels = torch.nn.functional.interpolate(levels, size=size, mode="linear", align_corners=True)[0]
        seconds = torch.arange(size, device=mel.device) / self.mel.sample_rate
        return (levels * (2 * math.pi * self.hertz[:, None] * seconds).sin()).sum(0)


def sines(experiment: Experiment) -> Sines:
    """The vocoder for an experiment's mels."""
    return Sines(mel_format(experiment.audio))


VOCODERS["sines"] = sines
