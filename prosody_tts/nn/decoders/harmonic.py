"""A parallel decoder that draws harmonics where it says F0 is (source and filter, in the mel domain)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders.contract import Decoded
from prosody_tts.nn.decoders.parallel import ParallelDecoder
from prosody_tts.nn.decoders.steps import by_frame, widened
from prosody_tts.nn.means import masked_mean, ratio
from prosody_tts.nn.units import length_mask

#: Cosines of the comb: how peaked its teeth can be drawn.
COSINES = 2


class HarmonicDecoder(ParallelDecoder):
    """Convolutions say F0, voicing, an envelope, and how deep the harmonics of each channel are (ours).

    The mel is the envelope plus, where voiced, cosines over frequency with a period of F0, whose depths are the
    network's. A point-to-point loss over two registers blurs harmonics that convolutions draw, and with them the F0
    that is to be measured; these are as sharp at the mean of two registers as at either. In training the comb stands at
    the recording's F0, and the decoder's own is learned beside it.

    ``centres`` [M] are the channels' centre frequencies and ``widths`` [M] the standard deviations of what each channel
    smears, filter and window together, both in Hz. ``f0_mean`` and ``f0_scale`` are of the natural log of F0 in Hz.
    """

    centres: Tensor
    widths: Tensor

    def __init__(
        self,
        inputs: int,
        width: int,
        mels: int,
        kernel: int,
        layers: int,
        frames_per_step: int,
        dropout: float,
        centres: Tensor,
        widths: Tensor,
        f0_mean: float,
        f0_scale: float,
    ) -> None:
        super().__init__(inputs, width, mels, kernel, layers, frames_per_step, dropout)
        self.f0_mean, self.f0_scale = f0_mean, f0_scale
        self.source = nn.Linear(width, 2 * frames_per_step)
        self.depths = nn.Linear(width, COSINES * mels * frames_per_step)
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("widths", widths, persistent=False)

    def forward(
        self, states: Tensor, lengths: Tensor, durations: Tensor | None, recording: AcousticBatch | None
    ) -> Decoded:
        assert durations is not None
        total = durations.sum(1)
        frames = int(total.max())
        steps, step = self.steps(states, durations), self.frames_per_step
        source = by_frame(self.source(steps), frames, step)
        log_f0, voicing = self.f0_mean + self.f0_scale * source[:, :, 0], source[:, :, 1]
        if recording is None:
            comb = self.comb(log_f0.detach(), voicing.detach().sigmoid())
        else:
            comb = self.comb(recording.log_f0, recording.voiced.to(source.dtype))
        depths = by_frame(self.depths(steps), frames, step).unflatten(2, (COSINES, -1))
        mask = length_mask(total, frames)[:, :, None].to(steps.dtype)
        mel = (by_frame(self.mel(steps), frames, step) + (depths * comb).sum(2)) * mask
        extra = {"log_f0": source[:, :, 0], "voicing": voicing}
        return Decoded(mel, widened(steps, frames, step), durations, total, extra)

    def comb(self, log_f0: Tensor, voicing: Tensor) -> Tensor:
        """Cosines with a period of F0 over the channels, as far as these resolve them: [B, T, COSINES, M]."""
        f0 = log_f0.clamp(math.log(40.0), math.log(1000.0)).exp()[:, :, None, None]
        order = torch.arange(1, COSINES + 1, device=f0.device, dtype=f0.dtype)[:, None]
        angle = 2 * math.pi * order / f0
        # A cosine seen through a Gaussian window keeps this share of its depth.
        resolved = torch.exp(-0.5 * (angle * self.widths).square())
        return torch.cos(angle * self.centres) * resolved * voicing[:, :, None, None]

    def losses(self, decoded: Decoded, recording: AcousticBatch) -> dict[str, Tensor]:
        mask = length_mask(recording.frame_lengths, recording.mel.shape[1])
        voiced = recording.voiced & mask
        wanted = (recording.log_f0 - self.f0_mean) / self.f0_scale
        f0 = ratio(((decoded.extra["log_f0"] - wanted).abs() * voiced).sum(), voiced.sum())
        voicing = nn.functional.binary_cross_entropy_with_logits(
            decoded.extra["voicing"], recording.voiced.to(f0.dtype), reduction="none"
        )
        return {"source": f0 + masked_mean(voicing, mask)}
