"""Who speaks: one learned vector a speaker, added to states."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.units import length_mask


class SpeakerEmbedding(nn.Module):
    """Adds a speaker's vector to every state of a sentence; the unknown speaker, 0, has the mean of the known ones.

    Built for two speakers or more; a model of a single speaker has none (``systems``).

    Shapes: states [B, T, D], lengths [B], speakers [B] -> [B, T, D]; states past the lengths stay as they are.
    """

    def __init__(self, speakers: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(speakers, width)

    def vectors(self, speakers: Tensor) -> Tensor:
        """Vector of each speaker of a batch: [B, D]."""
        known = self.embedding.weight
        return torch.cat([known.mean(0, keepdim=True), known])[speakers]

    def forward(self, states: Tensor, lengths: Tensor, speakers: Tensor) -> Tensor:
        mask = length_mask(lengths, states.shape[1])
        return states + self.vectors(speakers)[:, None] * mask[:, :, None]
