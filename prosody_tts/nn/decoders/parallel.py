"""All frames at once, by convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders.contract import Decoded, Decoder
from prosody_tts.nn.layers import ConvStack
from prosody_tts.nn.units import frame_to_phone, length_mask, spread


class ParallelDecoder(Decoder):
    """Spread, convolve at ``frames_per_step`` frames a step, project (after CAMP, section 2.1)."""

    def __init__(
        self, inputs: int, width: int, mels: int, kernel: int, layers: int, frames_per_step: int, dropout: float
    ) -> None:
        super().__init__()
        self.width = width
        self.frames_per_step = frames_per_step
        self.position = nn.Linear(3, inputs)
        self.reduce = nn.Linear(inputs * frames_per_step, width)
        self.stack = ConvStack(width, kernel, layers, dropout)
        self.mel = nn.Linear(width, mels * frames_per_step)

    def forward(
        self, states: Tensor, lengths: Tensor, durations: Tensor | None, recording: AcousticBatch | None
    ) -> Decoded:
        assert durations is not None
        total = durations.sum(1)
        frames = int(total.max())
        steps = self.steps(states, durations, total, frames)
        mask = length_mask(total, frames)[:, :, None].to(steps.dtype)
        mel = self.by_frame(self.mel(steps), frames) * mask
        return Decoded(mel, steps.repeat_interleave(self.frames_per_step, dim=1)[:, :frames], durations, total, {})

    def steps(self, states: Tensor, durations: Tensor, total: Tensor, frames: int) -> Tensor:
        """States of the decoder's steps: [B, T / frames_per_step, width]."""
        step, batch = self.frames_per_step, states.shape[0]
        padded = frames + -frames % step
        index = frame_to_phone(durations, padded)
        mask = length_mask(total, padded)[:, :, None].to(states.dtype)
        placed = (spread(states, index) + self.position(self._positions(durations, index))) * mask
        joined = self.reduce(placed.reshape(batch, padded // step, -1))
        lengths = torch.div(total + step - 1, step, rounding_mode="floor")
        return self.stack(joined, length_mask(lengths, padded // step))

    def by_frame(self, values: Tensor, frames: int) -> Tensor:
        """Lay out what each step says of its frames, [B, T / frames_per_step, frames_per_step * D], as [B, T, D]."""
        return values.reshape(values.shape[0], values.shape[1] * self.frames_per_step, -1)[:, :frames]

    @staticmethod
    def _positions(durations: Tensor, index: Tensor) -> Tensor:
        """Where each frame lies in its phone: from the start, from the end, and the phone's log length, [B, T, 3]."""
        ends = durations.cumsum(1)
        frame = torch.arange(index.shape[1], device=index.device)
        length = durations.gather(1, index).clamp(min=1).float()
        start = (ends - durations).gather(1, index)
        elapsed = ((frame - start).float() / length).clamp(0, 1)
        return torch.stack([elapsed, 1 - elapsed, length.log() / 3], dim=2)
