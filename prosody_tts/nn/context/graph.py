"""Context encoder over the parse graph (Kathaka, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GatedGraphConv, GATv2Conv

from data_modules.batches import TextBatch
from prosody_tts.nn.layers import BiLSTM
from prosody_tts.nn.units import length_mask, spread

#: One pass of messages for states of a width: states [nodes, D] and edges [2, E], each named both ways -> [nodes, D].
#: Graph attention with one head (Velickovic et al., arXiv 1710.10903), attention that may rank neighbours otherwise for
#: every node (Brody et al., arXiv 2105.14491), and gated recurrent units (Li et al., arXiv 1511.05493).
MESSAGES: dict[str, Callable[[int], nn.Module]] = {
    "gat": lambda width: GATConv(width, width, heads=1),
    "gatv2": lambda width: GATv2Conv(width, width, heads=1),
    "gated": lambda width: GatedGraphConv(width, num_layers=1),
}


class GraphContext(nn.Module):
    """Kathaka's graph sampler up to its sentence vector: text batch -> [B, W, D].

    As the paper has it: an undirected tree without word leaves, attention with one head, as many passes as the 75th
    percentile of the diameters (``Sizes.passes``), then the nodes of the words, leaves of the phrase tree depth-first,
    into a BiLSTM. Where it is silent: nodes start as embeddings of their labels, and every pass has weights and a
    normalised residual connection of its own. Ours, so that prosody can differ from token to token: pauses are read
    with the words, as their punctuation's node or that of the word before, the states before the BiLSTM are added to
    its own, and first and last state are taken only for utterance vectors, of a BiLSTM over all contexts together
    (``nn.sampler.UtteranceContext``). With dependency trees the words' nodes are in the order of the text.
    """

    def __init__(self, labels: int, width: int, passes: int, dropout: float, messages: str = "gat") -> None:
        super().__init__()
        self.embedding = nn.Embedding(labels, width)
        self.passes = nn.ModuleList(MESSAGES[messages](width) for _ in range(passes))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(passes))
        self.dropout = nn.Dropout(dropout)
        self.recurrent = BiLSTM(width, width)

    def forward(self, text: TextBatch) -> Tensor:
        batch, nodes = text.node_labels.shape
        states = self.embedding(text.node_labels).reshape(batch * nodes, -1)
        edges = self._flatten(text, nodes)
        for send, norm in zip(self.passes, self.norms, strict=True):
            states = states + self.dropout(nn.functional.gelu(send(norm(states), edges)))
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
