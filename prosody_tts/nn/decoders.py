"""Decoders: phone states with prosody vectors, and durations, to mel spectrograms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from prosody_tts.nn.layers import ConvStack
from prosody_tts.nn.units import frame_to_phone, length_mask, spread


@dataclass
class Decoded:
    """``mel`` [B, T, M] and the ``states`` [B, T, D] it was read from."""

    mel: Tensor
    states: Tensor


class ParallelDecoder(nn.Module):
    """All frames at once: spread, convolve at ``frames_per_step`` frames a step, project (after CAMP, section 2.1).

    Contract: ``(states [B, P, D], durations [B, P], frame_lengths [B], T) -> Decoded``.
    """

    def __init__(self, width: int, mels: int, kernel: int, layers: int, frames_per_step: int, dropout: float) -> None:
        super().__init__()
        self.frames_per_step = frames_per_step
        self.position = nn.Linear(3, width)
        self.reduce = nn.Linear(width * frames_per_step, width)
        self.stack = ConvStack(width, kernel, layers, dropout)
        self.mel = nn.Linear(width, mels * frames_per_step)

    def forward(self, states: Tensor, durations: Tensor, lengths: Tensor, frames: int) -> Decoded:
        step, batch = self.frames_per_step, states.shape[0]
        padded = frames + -frames % step
        index = frame_to_phone(durations, padded)
        mask = length_mask(lengths, padded)[:, :, None].to(states.dtype)
        spread_states = (spread(states, index) + self.position(self._positions(durations, index))) * mask
        steps = self.reduce(spread_states.reshape(batch, padded // step, -1))
        step_lengths = torch.div(lengths + step - 1, step, rounding_mode="floor")
        steps = self.stack(steps, length_mask(step_lengths, padded // step))
        mel = self.mel(steps).reshape(batch, padded, -1) * mask
        return Decoded(mel[:, :frames], steps.repeat_interleave(step, dim=1)[:, :frames])

    @staticmethod
    def _positions(durations: Tensor, index: Tensor) -> Tensor:
        """Where each frame lies in its phone: from the start, from the end, and the phone's log length, [B, T, 3]."""
        ends = durations.cumsum(1)
        frame = torch.arange(index.shape[1], device=index.device)
        length = durations.gather(1, index).clamp(min=1).float()
        start = (ends - durations).gather(1, index)
        elapsed = ((frame - start).float() / length).clamp(0, 1)
        return torch.stack([elapsed, 1 - elapsed, length.log() / 3], dim=2)


DECODERS: dict[str, type[ParallelDecoder]] = {"parallel": ParallelDecoder}
