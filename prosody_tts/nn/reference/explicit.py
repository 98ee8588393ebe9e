"""Explicit prosody vectors: measured F0, energy and duration, with nothing learned."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from prosody_tts.config import Units
from prosody_tts.nn.reference.contract import Heard, Posterior, ReferenceEncoder
from prosody_tts.nn.units import length_mask, pool_mean

#: Share of an utterance's voiced frames left out below and above the range of its F0 (arXiv 2106.05762).
TAIL = 0.05


def fill(values: Tensor, known: Tensor) -> Tensor:
    """Interpolate values [B, U] linearly over the units where they are not ``known`` [B, U].

    Before the first known unit and after the last, the nearest known value; zero where none is known.
    """
    count = values.shape[1]
    index = torch.arange(count, device=values.device).expand_as(values)
    before = torch.where(known, index, -1).cummax(1).values
    after = torch.where(known, index, count).flip(1).cummin(1).values.flip(1)
    left, right = torch.where(before < 0, after, before), torch.where(after >= count, before, after)
    left, right = left.clamp(0, count - 1), right.clamp(0, count - 1)
    low, high = values.gather(1, left), values.gather(1, right)
    share = (index - left) / (right - left).clamp(min=1)
    return torch.where(known.any(1, keepdim=True), low + share * (high - low), 0.0)


def _frames(heard: Heard, mask: Tensor) -> Tensor:
    """Frames of each unit: [B, U]."""
    counted = heard.mel.new_zeros(heard.phones.shape)
    return counted.scatter_add(1, heard.frame_to_unit, mask.to(counted.dtype))


def _mean(values: Tensor, heard: Heard, mask: Tensor) -> Tensor:
    """Mean of frame values [B, T] over each unit's frames in ``mask`` [B, T]: [B, U], zero where there are none."""
    return pool_mean(values[:, :, None], heard.frame_to_unit, mask, heard.units)[:, :, 0]


def _pace(heard: Heard, mask: Tensor) -> Tensor:
    """log(1 + frames per phone) of each unit: [B, U]; zero for a pause that is absent."""
    return (_frames(heard, mask) / heard.phones.clamp(min=1)).log1p()


def measure_units(heard: Heard, f0: Tensor) -> Tensor:
    """F0, voicing, energy and duration of words or phones (ours): [B, U, 4].

    Mean F0 of the voiced frames, interpolated over units that have none as is usual for contours (FastSpeech 2, arXiv
    2006.04558, section 2.3); share of frames that are voiced; mean energy, interpolated over units without a frame;
    log(1 + frames per phone).
    """
    mask = length_mask(heard.lengths, heard.mel.shape[1])
    voiced, there = mask & heard.voiced, heard.phones > 0
    frames = _frames(heard, mask)
    voicing = _mean(heard.voiced.to(f0.dtype), heard, mask)
    columns = [
        fill(_mean(f0, heard, voiced), (voicing > 0) & there),
        voicing,
        fill(_mean(heard.energy, heard, mask), (frames > 0) & there),
        _pace(heard, mask),
    ]
    return torch.stack(columns, dim=2) * there[:, :, None]


def _range(values: Tensor, mask: Tensor) -> Tensor:
    """From the 5th to the 95th percentile of the values [B, T] in ``mask`` [B, T]: [B, 1]."""
    inside = values.masked_fill(~mask, torch.nan)
    low, high = (inside.nanquantile(share, dim=1, keepdim=True) for share in (TAIL, 1 - TAIL))
    return (high - low).nan_to_num()


def _rise(values: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
    """Least-squares rise of values [B, T] from a recording's start to its end, over frames in ``mask``: [B, 1]."""
    place = torch.arange(values.shape[1], device=values.device) / lengths[:, None]
    weight = mask.to(values.dtype)
    count = weight.sum(1, keepdim=True).clamp(min=1)
    place = (place - (place * weight).sum(1, keepdim=True) / count) * weight
    centred = (values - (values * weight).sum(1, keepdim=True) / count) * weight
    spread = place.square().sum(1, keepdim=True)
    return torch.where(spread > 0, (place * centred).sum(1, keepdim=True) / spread.clamp(min=1e-12), 0.0)


def measure_utterance(heard: Heard, f0: Tensor) -> Tensor:
    """Mean, range and rise of an utterance's F0 and of its energy, and its pace: [B, 1, 7].

    The measures of prosody of arXiv 2106.05762 (range from the 5th to the 95th percentile; slope), less signal-to-noise
    ratio; the slope is the rise over the whole utterance, the pace log(1 + frames per phone) (ours).
    """
    mask = length_mask(heard.lengths, heard.mel.shape[1])
    columns = []
    for values, inside in ((f0, mask & heard.voiced), (heard.energy, mask)):
        columns += [_mean(values, heard, inside), _range(values, inside), _rise(values, inside, heard.lengths)]
    return torch.stack([*columns, _pace(heard, mask)], dim=2)


#: ``measure(heard, normalised log-F0 [B, T], zero where unvoiced) -> [B, U, D]``; the names of D are
#: ``config.EXPLICIT``.
MEASURES: dict[Units, Callable[[Heard, Tensor], Tensor]] = {
    "utterance": measure_utterance,
    "word": measure_units,
    "phone": measure_units,
}


class ExplicitReference(ReferenceEncoder):
    """Measured vectors; F0 is normalised by ``f0_mean`` and ``f0_scale``, of the natural log of Hz."""

    def __init__(self, units: Units, f0_mean: float, f0_scale: float) -> None:
        super().__init__()
        self.measure = MEASURES[units]
        self.f0_mean, self.f0_scale = f0_mean, f0_scale

    def forward(self, heard: Heard) -> Posterior:
        f0 = (heard.log_f0 - self.f0_mean) / self.f0_scale * heard.voiced
        return Posterior(self.measure(heard, f0), None)
