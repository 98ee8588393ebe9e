"""Context encoder over BERT's states: from the feature cache, or from a BERT that is trained along."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from data_modules.batches import TextBatch
from prosody_tts.nn.layers import BiLSTM, SentenceDropout
from prosody_tts.nn.units import length_mask


class CachedStates(nn.Module):
    """A frozen BERT's states as the feature cache holds them: text batch -> [B, W, D]."""

    def forward(self, text: TextBatch) -> Tensor:
        return text.bert


class TunedStates(nn.Module):
    """A BERT that learns with the rest (Kathaka, section 3.2; CAMP, section 2.3): text batch -> [B, W, D].

    The states of its last layer are averaged over the pieces of every token, as those in the cache are: before the
    first step both are the same. Of its layers the upper ``tuned`` are trained, or all and the embeddings with them;
    those below stay as they are, without dropout.
    """

    def __init__(self, model: nn.Module, tuned: int | None = None) -> None:
        super().__init__()
        self.model = model
        layers: nn.ModuleList = model.encoder.layer  # type: ignore[union-attr, assignment]
        fixed = 0 if tuned is None else max(len(layers) - tuned, 0)
        self._fixed = [] if tuned is None else [model.embeddings, *layers[:fixed]]
        for part in self._fixed:
            part.requires_grad_(False)  # type: ignore[union-attr, operator]
        self.train()  # transformers gives models in evaluation mode

    @property
    def config(self) -> dict[str, Any]:
        """Plain data from which a model of this shape is built again."""
        return self.model.config.to_dict()  # type: ignore[union-attr, operator, no-any-return]

    def train(self, mode: bool = True) -> TunedStates:
        super().train(mode)
        for part in self._fixed:
            part.eval()  # type: ignore[union-attr, operator]
        return self

    def forward(self, text: TextBatch) -> Tensor:
        pieces = text.pieces
        assert pieces is not None, "a trained BERT needs word pieces"
        inside = length_mask(pieces.lengths, pieces.ids.shape[1])
        read = self.model(input_ids=pieces.ids, attention_mask=inside.long()).last_hidden_state
        own = read.flatten(0, 1)[pieces.places]
        index = torch.arange(own.shape[1], device=own.device)
        first, last = pieces.spans[:, :, :1], pieces.spans[:, :, 1:]
        share = ((index >= first) & (index < last)).to(own.dtype) / (last - first).clamp(min=1)
        return share @ own


class BertContext(nn.Module):
    """BERT states averaged over the word pieces of each token (CAMP, section 2.3), projected, then a BiLSTM.

    ``states`` says where they come from. The largest value of each projected channel over the sentence is given to
    every token besides (ours): what one word says of the whole, such as a mood, need not be carried along.
    """

    def __init__(self, states: CachedStates | TunedStates, bert: int, width: int, dropout: float) -> None:
        super().__init__()
        self.states = states
        self.project = nn.Sequential(nn.LayerNorm(bert), SentenceDropout(dropout), nn.Linear(bert, width), nn.GELU())
        self.recurrent = BiLSTM(width, width)
        self.whole = nn.Sequential(SentenceDropout(dropout), nn.Linear(width, width))

    def forward(self, text: TextBatch) -> Tensor:
        states = self.project(self.states(text))
        outside = ~length_mask(text.word_lengths, states.shape[1])[:, :, None]
        whole = self.whole(states.masked_fill(outside, -torch.inf).amax(1, keepdim=True))
        return states + self.recurrent(states, text.word_lengths) + whole
