"""Mels whose harmonics are drawn where F0 is said to be (source and filter, in the mel domain)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders.contract import Decoded, Decoder
from prosody_tts.nn.decoders.parallel import ParallelTrunk
from prosody_tts.nn.decoders.steps import by_frame, widened
from prosody_tts.nn.means import masked_mean, ratio
from prosody_tts.nn.units import length_mask

#: Cosines of the comb: how peaked its teeth can be drawn.
COSINES = 2


class HarmonicHead(nn.Module):
    """From states of steps to a mel: F0, voicing, an envelope, and how deep the harmonics of each channel are (ours).

    The mel is the envelope plus, where voiced, cosines over frequency with a period of F0, whose depths are the
    network's. A point-to-point loss over two registers blurs harmonics that convolutions draw, and with them the F0
    that is to be measured; these are as sharp at the mean of two registers as at either. In training the comb stands at
    the recording's F0, and the network's own is learned beside it.

    Shapes: steps [B, S, width], lengths [B] in frames -> mel [B, T, M], zero outside the lengths, and ``log_f0``
    (normalised) and ``voicing`` (a logit), [B, T] each.

    Args:
        width: dimensions of the states.
        mels: channels.
        frames_per_step: frames that a state speaks of.
        centres: [M] the channels' centre frequencies in Hz.
        widths: [M] the standard deviations of what each channel smears, filter and window together, in Hz.
        f0_mean: of the natural log of F0 in Hz.
        f0_scale: its standard deviation.
    """

    centres: Tensor
    widths: Tensor

    def __init__(
        self,
        width: int,
        mels: int,
        frames_per_step: int,
        centres: Tensor,
        widths: Tensor,
        f0_mean: float,
        f0_scale: float,
    ) -> None:
        super().__init__()
        self.frames_per_step = frames_per_step
        self.f0_mean, self.f0_scale = f0_mean, f0_scale
        self.mel = nn.Linear(width, mels * frames_per_step)
        self.source = nn.Linear(width, 2 * frames_per_step)
        self.depths = nn.Linear(width, COSINES * mels * frames_per_step)
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("widths", widths, persistent=False)

    def forward(
        self, steps: Tensor, lengths: Tensor, frames: int, recording: AcousticBatch | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        step = self.frames_per_step
        source = by_frame(self.source(steps), frames, step)
        log_f0, voicing = self.f0_mean + self.f0_scale * source[:, :, 0], source[:, :, 1]
        if recording is None:
            comb = self.comb(log_f0.detach(), voicing.detach().sigmoid())
        else:
            comb = self.comb(recording.log_f0, recording.voiced.to(source.dtype))
        depths = by_frame(self.depths(steps), frames, step).unflatten(2, (COSINES, -1))
        mask = length_mask(lengths, frames)[:, :, None].to(steps.dtype)
        mel = (by_frame(self.mel(steps), frames, step) + (depths * comb).sum(2)) * mask
        return mel, {"log_f0": source[:, :, 0], "voicing": voicing}

    def comb(self, log_f0: Tensor, voicing: Tensor) -> Tensor:
        """Cosines with a period of F0 over the channels, as far as these resolve them: [B, T, COSINES, M]."""
        f0 = log_f0.clamp(math.log(40.0), math.log(1000.0)).exp()[:, :, None, None]
        order = torch.arange(1, COSINES + 1, device=f0.device, dtype=f0.dtype)[:, None]
        angle = 2 * math.pi * order / f0
        # A cosine seen through a Gaussian window keeps this share of its depth.
        resolved = torch.exp(-0.5 * (angle * self.widths).square())
        return torch.cos(angle * self.centres) * resolved * voicing[:, :, None, None]

    def losses(self, decoded: Decoded, recording: AcousticBatch) -> dict[str, Tensor]:
        """L1 of F0 where voiced and cross-entropy of voicing, by frame, as ``source``."""
        mask = length_mask(recording.frame_lengths, recording.mel.shape[1])
        voiced = recording.voiced & mask
        wanted = (recording.log_f0 - self.f0_mean) / self.f0_scale
        f0 = ratio(((decoded.extra["log_f0"] - wanted).abs() * voiced).sum(), voiced.sum())
        voicing = nn.functional.binary_cross_entropy_with_logits(
            decoded.extra["voicing"], recording.voiced.to(f0.dtype), reduction="none"
        )
        return {"source": f0 + masked_mean(voicing, mask)}


class HarmonicDecoder(Decoder):
    """All frames at once, by convolutions whose mel has harmonics drawn into it."""

    def __init__(
        self,
        inputs: int,
        width: int,
        kernel: int,
        layers: int,
        frames_per_step: int,
        dropout: float,
        head: HarmonicHead,
    ) -> None:
        super().__init__()
        self.width, self.frames_per_step = width, frames_per_step
        self.trunk = ParallelTrunk(inputs, width, kernel, layers, frames_per_step, dropout)
        self.head = head

    def forward(
        self, states: Tensor, lengths: Tensor, durations: Tensor | None, recording: AcousticBatch | None
    ) -> Decoded:
        assert durations is not None
        total = durations.sum(1)
        frames = int(total.max())
        steps = self.trunk(states, durations)
        mel, extra = self.head(steps, total, frames, recording)
        return Decoded(mel, widened(steps, frames, self.frames_per_step), durations, total, extra)

    def losses(self, decoded: Decoded, recording: AcousticBatch) -> dict[str, Tensor]:
        return self.head.losses(decoded, recording)
