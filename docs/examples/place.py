"""A context: how far every word is from the beginning and the end of its sentence, and nothing else of the text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batches import TextBatch
from prosody_tts.nn.context import CONTEXTS
from prosody_tts.nn.units import length_mask


class PlaceContext(nn.Module):
    """Two numbers a token through a small network: text batch -> [B, W, width]."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width))

    def forward(self, text: TextBatch) -> Tensor:
        mask = length_mask(text.word_lengths)
        since = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
        left = text.word_lengths[:, None] - 1 - since
        places = torch.stack([since, left], dim=2).clamp(min=0).float().log1p()
        return self.layers(places) * mask[:, :, None]


CONTEXTS["place"] = PlaceContext
