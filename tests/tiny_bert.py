"""A tiny BERT with random weights in a folder, as transformers saves one, and sentences in its pieces."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

import torch
from random_batches import BERT
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from data_modules.batches import TextBatch
from data_modules.collate import PieceItem, TextItem, text_batch

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
CHARACTERS = [*string.ascii_lowercase, *string.punctuation]
VOCABULARY = {piece: i for i, piece in enumerate([*SPECIAL, *CHARACTERS, *(f"##{c}" for c in CHARACTERS)])}
LAYERS, LONGEST = 3, 48


def tiny_model(seed: int = 0) -> BertModel:
    """The model, without a pooler."""
    torch.manual_seed(seed)
    shape = {"hidden_size": BERT, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": LAYERS}
    # Weights that are not next to nothing: layers and pieces are to be told apart.
    config = BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=LONGEST, initializer_range=0.3, **shape)
    return BertModel(config, add_pooling_layer=False).eval()


def save_tiny(folder: Path) -> Path:
    """Write model and tokenizer, whose pieces are single characters."""
    backend = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=LONGEST, **named).save_pretrained(folder)
    tiny_model().save_pretrained(folder)
    return folder


def with_pieces(item: TextItem, generator: torch.Generator) -> TextItem:
    """The item with random pieces: some two a token, the special ones at the ends, each token's own in order."""
    tokens = len(item.word_to_node)
    counts = torch.randint(1, 4, (tokens,), generator=generator)
    ends = 1 + counts.cumsum(0)
    size = int(ends[-1]) + 1
    row = torch.randint(len(SPECIAL), len(VOCABULARY), (size,), generator=generator)
    row[0], row[-1] = 2, 3
    places = torch.stack([torch.zeros(size, dtype=torch.long), torch.arange(size)], dim=1)
    return replace(item, pieces=PieceItem([row], places, torch.stack([ends - counts, ends], dim=1)))


def batch_of(items: list[TextItem], seed: int = 0) -> TextBatch:
    """A batch whose items have random pieces, the same ones for the same id."""
    made = [with_pieces(item, torch.Generator().manual_seed(seed + int(item.id))) for item in items]
    return text_batch(made)
