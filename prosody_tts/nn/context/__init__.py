"""Context encoders: what is known of the text, one state a token, and one registry of them.

Contract: ``text batch -> states [B, W, width]``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batches import TextBatch
from prosody_tts.nn.context.bert import BertContext, CachedStates, TunedStates
from prosody_tts.nn.context.encoders import PhoneContext, PunctuationContext, TagContext
from prosody_tts.nn.context.graph import GraphContext

CONTEXTS: dict[str, type[nn.Module]] = {
    "phones": PhoneContext,
    "bert": BertContext,
    "tags": TagContext,
    "punctuation": PunctuationContext,
    "graph": GraphContext,
}


class Contexts(nn.Module):
    """Any set of context encoders, their outputs concatenated: text batch -> [B, W, sum of widths]."""

    def __init__(self, encoders: dict[str, nn.Module], width: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.width = width * len(encoders)

    @property
    def tuned(self) -> TunedStates | None:
        """The BERT that is trained along, if one is."""
        return next((module for module in self.modules() if isinstance(module, TunedStates)), None)

    def forward(self, text: TextBatch) -> Tensor:
        return torch.cat([encoder(text) for encoder in self.encoders.values()], dim=2)


__all__ = [
    "CONTEXTS",
    "BertContext",
    "CachedStates",
    "Contexts",
    "GraphContext",
    "PhoneContext",
    "PunctuationContext",
    "TagContext",
    "TunedStates",
]
