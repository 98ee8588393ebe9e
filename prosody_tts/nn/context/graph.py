"""Context encoder over the parse graph (Kathaka, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv

from data_modules.batches import TextBatch
from prosody_tts.nn.layers import BiLSTM
from prosody_tts.nn.units import length_mask, spread


class GraphContext(nn.Module):
    """Message-passing graph attention with one head; the nodes of the tokens are then read in order by a BiLSTM.

    Every pass has its own weights and a residual connection (ours; the paper does not say). Nodes start as label
    embeddings.
    """

    def __init__(self, labels: int, width: int, passes: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(labels, width)
        self.passes = nn.ModuleList(GATConv(width, width, heads=1) for _ in range(passes))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(passes))
        self.dropout = nn.Dropout(dropout)
        self.recurrent = BiLSTM(width, width)

    def forward(self, text: TextBatch) -> Tensor:
        batch, nodes = text.node_labels.shape
        states = self.embedding(text.node_labels).reshape(batch * nodes, -1)
        edges = self._flatten(text, nodes)
        for attend, norm in zip(self.passes, self.norms, strict=True):
            states = states + self.dropout(nn.functional.gelu(attend(norm(states), edges)))
        tokens = spread(states.reshape(batch, nodes, -1), text.word_to_node)
        tokens = tokens * length_mask(text.word_lengths, tokens.shape[1])[:, :, None]
        return tokens + self.recurrent(tokens, text.word_lengths)

    @staticmethod
    def _flatten(text: TextBatch, nodes: int) -> Tensor:
        """Number the nodes of the batch in one graph and name every edge both ways: [2, 2 E]."""
        offset = torch.arange(text.edges.shape[0], device=text.edges.device)[:, None, None] * nodes
        real = length_mask(text.edge_lengths, text.edges.shape[1])
        edges = (text.edges + offset)[real].T
        return torch.cat([edges, edges.flip(0)], dim=1)
