"""Frames and decoder steps: a step makes ``frames_per_step`` frames, and the last may reach past the end."""

from __future__ import annotations

import torch
from torch import Tensor

from prosody_tts.nn.units import frame_to_phone, length_mask, spread


def step_lengths(frames: Tensor, per_step: int) -> Tensor:
    """Steps that so many frames take, [B] -> [B]."""
    return torch.div(frames + per_step - 1, per_step, rounding_mode="floor")


def by_step(states: Tensor, index: Tensor, mask: Tensor, per_step: int) -> Tensor:
    """Spread phone states [B, P, D] to frames by ``index`` [B, T] inside ``mask``, a step's frames side by side.

    T is a multiple of ``per_step``; returns [B, T / per_step, per_step * D].
    """
    placed = spread(states, index) * mask[:, :, None]
    return placed.reshape(placed.shape[0], placed.shape[1] // per_step, -1)


def by_frame(values: Tensor, frames: int, per_step: int) -> Tensor:
    """Lay out what each step says of its frames, [B, T / per_step, per_step * D], as [B, frames, D]."""
    return values.reshape(values.shape[0], values.shape[1] * per_step, -1)[:, :frames]


def widened(values: Tensor, frames: int, per_step: int) -> Tensor:
    """Give each frame its step's values: [B, T / per_step, D] -> [B, frames, D]."""
    return values.repeat_interleave(per_step, dim=1)[:, :frames]


def framing(durations: Tensor, per_step: int) -> tuple[Tensor, Tensor]:
    """The phone of each frame, and which frames there are: both [B, T], T the longest rounded up to whole steps."""
    total = durations.sum(1)
    frames = int(total.max())
    padded = frames + -frames % per_step
    return frame_to_phone(durations, padded), length_mask(total, padded)


def positions(durations: Tensor, index: Tensor) -> Tensor:
    """Where each frame lies in its phone: from the start, from the end, and the phone's log length, [B, T, 3]."""
    ends = durations.cumsum(1)
    frame = torch.arange(index.shape[1], device=index.device)
    length = durations.gather(1, index).clamp(min=1).float()
    start = (ends - durations).gather(1, index)
    elapsed = ((frame - start).float() / length).clamp(0, 1)
    return torch.stack([elapsed, 1 - elapsed, length.log() / 3], dim=2)
