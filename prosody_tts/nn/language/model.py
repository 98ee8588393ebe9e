"""A causal transformer over symbols and segments of speech (spectrum quantization; arXiv 2402.08093, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel
from transformers.cache_utils import DynamicCache

from data_modules.batches import LanguageBatch, TextBatch
from data_modules.scripts import NONE
from prosody_tts.nn.context import Contexts
from prosody_tts.nn.language.heads import Head
from prosody_tts.nn.means import ratio
from prosody_tts.nn.speakers import SpeakerEmbedding
from prosody_tts.nn.units import length_mask, spread


class SpeechLanguageModel(nn.Module):
    """Embeds elements, runs transformers' Llama over them, and says what comes next.

    A segment's embedding is the sum of its codes'. What is known of a phone's word by ``contexts`` is added wherever
    the phone stands, so the context axis reaches this family as it does stage two.
    """

    def __init__(
        self,
        symbols: int,
        codebooks: int,
        size: int,
        width: int,
        layers: int,
        heads: int,
        dropout: float,
        forgotten: float,
        head: Head,
        contexts: Contexts | None = None,
        speakers: SpeakerEmbedding | None = None,
    ) -> None:
        super().__init__()
        self.codebooks, self.size, self.symbols = codebooks, size, symbols
        self.forgotten = forgotten
        self.symbol = nn.Embedding(symbols, width)
        self.code = nn.Embedding(codebooks * size, width)
        self.dropout = nn.Dropout(dropout)
        self.transformer = LlamaModel(
            LlamaConfig(
                vocab_size=1,
                hidden_size=width,
                intermediate_size=8 * width // 3 // 8 * 8,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                attention_dropout=dropout,
                bos_token_id=None,
                eos_token_id=None,
                pad_token_id=None,
            )
        )
        self.head = head
        self.contexts = contexts
        self.placed = None if contexts is None else nn.Linear(contexts.width, width)
        self.speakers = speakers
        nn.init.normal_(self.symbol.weight, std=0.3)
        nn.init.normal_(self.code.weight, std=0.3 / codebooks**0.5)

    def knowledge(self, text: TextBatch) -> Tensor | None:
        """What is known of each phone beside itself: [B, P, D]; none where the phones are all."""
        known = None
        if self.contexts is not None and self.placed is not None:
            known = spread(self.placed(self.contexts(text)), text.phone_to_word)
        if self.speakers is not None:
            blank = (
                self.symbol.weight.new_zeros(*text.phones.shape, self.symbol.embedding_dim) if known is None else known
            )
            known = self.speakers(blank, text.phone_lengths, text.speakers)
        return known

    def embed(self, symbols: Tensor, codes: Tensor, phones: Tensor, known: Tensor | None) -> Tensor:
        """Elements as vectors: symbols [B, L], codes [B, L, Q], phones [B, L], knowledge [B, P, D] -> [B, L, D]."""
        speech = symbols == NONE
        books = torch.arange(self.codebooks, device=codes.device) * self.size
        spoken = self.code(codes + books).sum(2)
        if self.training and self.forgotten > 0:
            # What it said before is not always right at synthesis; and who leans on it hears no text.
            kept = torch.rand(speech.shape, device=speech.device) >= self.forgotten
            spoken = spoken * kept[:, :, None]
        states = torch.where(speech[:, :, None], spoken, self.symbol(symbols.clamp(min=0)))
        if known is not None:
            there = phones != NONE
            states = states + spread(known, phones.clamp(min=0)) * there[:, :, None]
        return states

    def forward(self, batch: LanguageBatch) -> Tensor:
        """Hidden states [B, L, D] after each element."""
        states = self.embed(batch.symbols, batch.codes, batch.phones, self.knowledge(batch.text))
        mask = length_mask(batch.lengths, batch.symbols.shape[1])
        hidden: Tensor = self.transformer(
            inputs_embeds=self.dropout(states), attention_mask=mask.long(), use_cache=False
        ).last_hidden_state
        return self.dropout(hidden)

    def losses(self, batch: LanguageBatch) -> dict[str, Tensor]:
        """Negative log-likelihood in nats an element, of symbols and of segments apart, and of both together."""
        hidden = self(batch)[:, :-1]
        said = batch.said[:, 1:]
        chosen, codes, targets = hidden[said], batch.codes[:, 1:][said], batch.targets[:, 1:][said]
        speech = targets == NONE
        front = torch.where(speech, self.symbols + codes[:, 0], targets)
        surprise = -self.head.first(chosen).gather(1, front[:, None])[:, 0]
        if self.codebooks > 1:
            others = self.head.rest(chosen[speech], codes[speech]).gather(2, codes[speech][:, 1:, None]).sum((1, 2))
            surprise = surprise.masked_scatter(speech, surprise[speech] - others)
        count = said.sum()
        return {
            "nats": ratio(surprise.sum(), count),
            "segment_nats": ratio(surprise[speech].sum(), speech.sum()),
            "symbol_nats": ratio(surprise[~speech].sum(), (~speech).sum()),
        }

    def begin(self) -> DynamicCache:
        """An empty cache of keys and values."""
        return DynamicCache(config=self.transformer.config)

    def read(self, states: Tensor, mask: Tensor, cache: DynamicCache | None) -> Tensor:
        """Hidden state after the last of the elements ``states`` [B, L, D]: [B, D].

        ``mask`` [B, L'] tells all elements so far, those in the cache included, from the padding before them.
        """
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -states.shape[1] :]
        hidden: Tensor = self.transformer(
            inputs_embeds=states,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        return hidden[:, -1]
