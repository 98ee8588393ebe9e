"""Prosody units as index maps: one ``pool`` and one ``spread`` serve utterances, words and phones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int | None = None) -> Tensor:
    """Return [B, size] booleans, true inside each length."""
    size = int(lengths.max()) if size is None else size
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def frame_to_phone(durations: Tensor, frames: int) -> Tensor:
    """Turn durations [B, P] in frames into the phone of each frame [B, T]; frames past the end get the last phone."""
    ends = durations.cumsum(1)
    index = torch.arange(frames, device=durations.device).expand(durations.shape[0], -1).contiguous()
    return torch.searchsorted(ends, index, right=True).clamp_(max=durations.shape[1] - 1)


def spread(states: Tensor, index: Tensor) -> Tensor:
    """Copy states [B, U, D] to positions by an index map [B, P] of units (or [B, T] of phones): [B, P, D]."""
    return states.gather(1, index[:, :, None].expand(-1, -1, states.shape[2]))


def place_in_unit(index: Tensor, mask: Tensor, count: int) -> Tensor:
    """Where each position [B, P] stands in its unit, by its middle: from 0 at the start to 1 at the end."""
    first, last = _bounds(index, mask, count)
    start, length = first.gather(1, index), (last - first + 1).gather(1, index).clamp(min=1)
    at = torch.arange(index.shape[1], device=index.device)
    return ((at - start + 0.5) / length).clamp(0, 1)


def hats(place: Tensor, count: int) -> Tensor:
    """Triangular functions over [0, 1] that sum to one: places [B, P] -> [B, P, count]."""
    knots = torch.linspace(0, 1, count, device=place.device, dtype=place.dtype)
    return (1 - (place[:, :, None] - knots).abs() * (count - 1)).clamp(min=0)


def pool_mean(states: Tensor, index: Tensor, mask: Tensor, count: int) -> Tensor:
    """Average the states [B, T, D] of each unit: [B, U, D]; units without a frame get zeros."""
    weight = mask.to(states.dtype)
    target = index[:, :, None].expand(-1, -1, states.shape[2])
    total = states.new_zeros(states.shape[0], count, states.shape[2]).scatter_add(
        1, target, states * weight[:, :, None]
    )
    frames = weight.new_zeros(states.shape[0], count).scatter_add(1, index, weight)
    return total / frames.clamp(min=1)[:, :, None]


def _bounds(index: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """First and last frame [B, U] of each unit; units without a frame have last < first."""
    frames = torch.arange(index.shape[1], device=index.device).expand_as(index)
    size = index.shape[1]
    first = torch.full((index.shape[0], count), size, device=index.device)
    first = first.scatter_reduce(1, index, torch.where(mask, frames, size), "amin")
    last = torch.full((index.shape[0], count), -1, device=index.device)
    last = last.scatter_reduce(1, index, torch.where(mask, frames, -1), "amax")
    return first, last


def _pick(states: Tensor, frame: Tensor, present: Tensor) -> Tensor:
    chosen = spread(states, frame.clamp(0, states.shape[1] - 1))
    return chosen * present[:, :, None]


def pool_last(states: Tensor, index: Tensor, mask: Tensor, count: int) -> Tensor:
    """Take the last frame of each unit, as CAMP does (section 2.2): [B, U, D]."""
    first, last = _bounds(index, mask, count)
    return _pick(states, last, last >= first)


def pool_middle(states: Tensor, index: Tensor, mask: Tensor, count: int) -> Tensor:
    """Take the middle frame of each unit, as arXiv 2301.11446 does: [B, U, D]."""
    first, last = _bounds(index, mask, count)
    return _pick(states, torch.div(first + last, 2, rounding_mode="floor"), last >= first)


def pool_ends(states: Tensor, index: Tensor, mask: Tensor, count: int) -> Tensor:
    """Take the first and the last frame of each unit, as arXiv 2301.11446 does of utterances: [B, U, 2 D]."""
    first, last = _bounds(index, mask, count)
    return torch.cat([_pick(states, frame, last >= first) for frame in (first, last)], dim=2)


def pool_ninths(states: Tensor, index: Tensor, mask: Tensor, count: int) -> Tensor:
    """Average the whole of each unit, and each ninth of it, to tell early from late: [B, U, 10 D]."""
    parts = 9
    first, last = _bounds(index, mask, count)
    frames = torch.arange(index.shape[1], device=index.device).expand_as(index)
    start, length = first.gather(1, index), (last - first + 1).gather(1, index).clamp(min=1)
    part = torch.div((frames - start) * parts, length, rounding_mode="floor").clamp(0, parts - 1)
    means = pool_mean(states, index * parts + part, mask, count * parts).reshape(states.shape[0], count, -1)
    return torch.cat([pool_mean(states, index, mask, count), means], dim=2)


Pool = Callable[[Tensor, Tensor, Tensor, int], Tensor]

#: ``pool(states [B, T, D], frame_to_unit [B, T], mask [B, T], U) -> [B, U, D * factor]``, with its factor.
POOLS: dict[str, tuple[Pool, int]] = {
    "mean": (pool_mean, 1),
    "last": (pool_last, 1),
    "middle": (pool_middle, 1),
    "ends": (pool_ends, 2),
    "ninths": (pool_ninths, 10),
}
