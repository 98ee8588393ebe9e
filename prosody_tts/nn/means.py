"""Means over a batch whose utterances may be spread over several processes.

Data-parallel training averages the gradients of the processes. Their shares of a batch hold different numbers of
frames, so the average of their means is not the mean of the batch; these are scaled so that it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def processes() -> int:
    """How many processes share every batch."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def over_processes(count: Tensor) -> Tensor:
    """The sum over all processes of a count or a sum that carries no gradient."""
    if processes() == 1:
        return count
    summed = count.detach().clone()
    distributed.all_reduce(summed)
    return summed


class _Sum(torch.autograd.Function):
    """A sum over all processes, through which every one's loss reaches every one's share."""

    @staticmethod
    def forward(context: Any, share: Tensor) -> Tensor:
        return over_processes(share)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return over_processes(gradient)


def summed(share: Tensor) -> Tensor:
    """The sum over all processes of something that carries a gradient."""
    return share if processes() == 1 else _Sum.apply(share)  # type: ignore[no-any-return, no-untyped-call]


def ratio(amount: Tensor, count: Tensor) -> Tensor:
    """``amount / count``, of a batch's sum and what it counts (at least 1); shapes alike.

    Over N processes each returns N times its own share of the whole batch's ratio: their average is that ratio.
    """
    return amount * processes() / over_processes(count).clamp(min=1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values where the mask, of the first axes of values, holds: a scalar; see ``ratio``."""
    inside = values[mask]
    if processes() == 1:
        return inside.mean()
    return ratio(inside.sum(), torch.tensor(inside.numel(), device=values.device))


def total(count: int) -> int:
    """The sum over all processes of a number."""
    if processes() == 1:
        return count
    device = torch.device("cuda", torch.cuda.current_device()) if distributed.get_backend() == "nccl" else "cpu"
    return int(over_processes(torch.tensor(count, device=device)))


def gathered(rows: Tensor) -> Tensor:
    """The rows of all processes, [N, ...] of each, one after another."""
    if processes() == 1:
        return rows
    parts: list[Tensor] = [rows] * processes()
    distributed.all_gather_object(parts, rows.cpu())
    return torch.cat([part.to(rows.device) for part in parts])
