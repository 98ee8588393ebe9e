"""From utterances to items (tensors, prepared once) and from items to the padded batches of ``batches.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from data_modules.batches import NO_CLASS, AcousticBatch, DurationBatch, PieceBatch, SamplerBatch, TextBatch
from data_modules.store import UNKNOWN, AnySpecification, Recording, Specification, TextFeatures
from data_modules.text.bert import PieceReader
from data_modules.text.sentence import TAGS, Sentence


@dataclass(frozen=True)
class PieceItem:
    """What a trained BERT reads of one sentence: rows of piece ids, row and column of each own piece [S, 2], and the
    span [W, 2] of each token."""

    rows: list[Tensor]
    places: Tensor
    spans: Tensor


@dataclass(frozen=True)
class TextItem:
    """One sentence as tensors; names and shapes as in ``TextBatch``, less the batch axis."""

    id: str
    phones: Tensor
    phone_to_word: Tensor
    tags: dict[str, Tensor]
    bert: Tensor
    node_labels: Tensor
    edges: Tensor
    word_to_node: Tensor
    speaker: int = 0
    pieces: PieceItem | None = None


@dataclass(frozen=True)
class AcousticItem:
    """One recording as normalised tensors; names and shapes as in ``AcousticBatch``, less the batch axis."""

    text: TextItem
    durations: Tensor
    mel: Tensor
    log_f0: Tensor
    voiced: Tensor
    energy: Tensor
    word_f0: Tensor
    word_voiced: Tensor
    word_energy: Tensor


@dataclass(frozen=True)
class SamplerItem:
    """One sentence with its vectors, ``mean``, ``scale``, ``exists`` and ``classes`` [U, D]."""

    text: TextItem
    mean: Tensor
    scale: Tensor
    exists: Tensor | None = None
    classes: Tensor | None = None


@dataclass(frozen=True)
class DurationItem:
    """One sentence with its durations [P] in frames and, where they are read, its vectors, ``mean`` and ``scale``."""

    text: TextItem
    durations: Tensor
    mean: Tensor | None = None
    scale: Tensor | None = None


def text_item(
    name: str,
    sentence: Sentence,
    bert: NDArray[np.float32],
    spec: AnySpecification,
    speaker: str,
    reader: PieceReader | None = None,
) -> TextItem:
    """Number a sentence's phones and its speaker, and turn it into tensors, its pieces too where a reader is given."""
    unknown = spec.phone_ids[UNKNOWN]
    return TextItem(
        id=name,
        phones=torch.tensor([spec.phone_ids.get(phone, unknown) for phone in sentence.phones]),
        phone_to_word=torch.tensor(sentence.phone_to_word),
        tags={tag: torch.tensor(sentence.tags[tag]) for tag in TAGS},
        bert=torch.from_numpy(np.array(bert, np.float32)),
        node_labels=torch.tensor(sentence.graph.labels),
        edges=torch.tensor(sentence.graph.edges, dtype=torch.long).reshape(-1, 2),
        word_to_node=torch.tensor(sentence.graph.word_to_node),
        speaker=spec.speaker_ids.get(speaker, 0),
        pieces=None if reader is None else _pieces(sentence, reader),
    )


def no_states(sentence: Sentence) -> NDArray[np.float32]:
    """States [W, 0] of a sentence for models that read none."""
    return np.zeros((sentence.tokens, 0), np.float32)


def corpus_item(store: TextFeatures, name: str, spec: AnySpecification, reader: PieceReader | None = None) -> TextItem:
    """A corpus's utterance as stage two reads it: with BERT's states or, where a reader is given, with word pieces."""
    sentence = store.text.sentence(name)
    bert = store.text.bert(name) if reader is None else no_states(sentence)
    return text_item(name, sentence, bert, spec, store.speaker(name), reader)


def _pieces(sentence: Sentence, reader: PieceReader) -> PieceItem:
    reading = reader.read(sentence)
    rows = [torch.tensor(row) for row in reading.rows]
    return PieceItem(rows, torch.tensor(reading.places), torch.tensor(sentence.piece_spans))


def acoustic_item(recording: Recording, spec: Specification) -> AcousticItem:
    """Normalise a recording by the specification, F0 and energy by its speaker's statistics.

    Durations and word measures are zero before alignment.
    """
    sentence = recording.sentence
    mel = (recording.mel - np.array(spec.mel_mean, np.float32)) / np.array(spec.mel_scale, np.float32)
    if recording.durations is None:
        durations = np.zeros(len(sentence.phones), np.int64)
        log_f0 = energy = np.full(sentence.tokens, np.nan)
    else:
        durations = recording.durations
        log_f0, energy, _ = recording.word_measures()
    text = text_item(recording.utterance.id, sentence, recording.bert, spec, recording.utterance.speaker)
    norm, voiced = spec.norm(text.speaker), np.array(recording.f0 > 0)
    return AcousticItem(
        text=text,
        durations=torch.from_numpy(durations),
        mel=torch.from_numpy(mel),
        log_f0=torch.from_numpy(np.log(np.where(voiced, recording.f0, 1.0))).float(),
        voiced=torch.from_numpy(voiced),
        energy=torch.from_numpy((recording.energy - norm.energy_mean) / norm.energy_scale).float(),
        word_f0=torch.from_numpy(np.nan_to_num((log_f0 - norm.f0_mean) / norm.f0_scale)).float(),
        word_voiced=torch.from_numpy(~np.isnan(log_f0)),
        word_energy=torch.from_numpy(np.nan_to_num((energy - norm.energy_mean) / norm.energy_scale)).float(),
    )


def padded(rows: Sequence[Tensor], value: int = 0) -> Tensor:
    """Tensors of different lengths as one, ``value`` past their ends."""
    return pad_sequence(list(rows), batch_first=True, padding_value=value)


def _lengths(rows: Sequence[Tensor]) -> Tensor:
    return torch.tensor([len(row) for row in rows])


def _piece_batch(items: Sequence[PieceItem]) -> PieceBatch:
    rows = [row for item in items for row in item.rows]
    longest = max(map(len, rows))
    places, first = [], 0
    for item in items:
        places.append((first + item.places[:, 0]) * longest + item.places[:, 1])
        first += len(item.rows)
    return PieceBatch(padded(rows), _lengths(rows), padded(places), padded([item.spans for item in items]))


def text_batch(items: Sequence[TextItem]) -> TextBatch:
    """Pad sentences."""
    pieces = [item.pieces for item in items if item.pieces is not None]
    return TextBatch(
        ids=[item.id for item in items],
        phones=padded([item.phones for item in items]),
        phone_lengths=_lengths([item.phones for item in items]),
        phone_to_word=padded([item.phone_to_word for item in items]),
        word_lengths=_lengths([item.word_to_node for item in items]),
        tags={tag: padded([item.tags[tag] for item in items]) for tag in TAGS},
        bert=padded([item.bert for item in items]),
        node_labels=padded([item.node_labels for item in items]),
        node_lengths=_lengths([item.node_labels for item in items]),
        edges=padded([item.edges for item in items]),
        edge_lengths=_lengths([item.edges for item in items]),
        word_to_node=padded([item.word_to_node for item in items]),
        speakers=torch.tensor([item.speaker for item in items]),
        pieces=_piece_batch(pieces) if pieces else None,
    )


def acoustic_batch(items: Sequence[AcousticItem]) -> AcousticBatch:
    """Pad recordings."""
    return AcousticBatch(
        text=text_batch([item.text for item in items]),
        durations=padded([item.durations for item in items]),
        mel=padded([item.mel for item in items]),
        frame_lengths=_lengths([item.mel for item in items]),
        log_f0=padded([item.log_f0 for item in items]),
        voiced=padded([item.voiced for item in items]),
        energy=padded([item.energy for item in items]),
        word_f0=padded([item.word_f0 for item in items]),
        word_voiced=padded([item.word_voiced for item in items]),
        word_energy=padded([item.word_energy for item in items]),
    )


def sampler_batch(items: Sequence[SamplerItem]) -> SamplerBatch:
    """Pad sentences and their vectors."""
    masks = [item.exists for item in items if item.exists is not None]
    classes = [item.classes for item in items if item.classes is not None]
    return SamplerBatch(
        text=text_batch([item.text for item in items]),
        mean=padded([item.mean for item in items]),
        scale=padded([item.scale for item in items]),
        unit_lengths=_lengths([item.mean for item in items]),
        exists=padded(masks) if masks else None,
        classes=padded(classes, NO_CLASS) if classes else None,
    )


def duration_batch(items: Sequence[DurationItem]) -> DurationBatch:
    """Pad sentences, their durations and their vectors."""
    means = [item.mean for item in items if item.mean is not None]
    scales = [item.scale for item in items if item.scale is not None]
    return DurationBatch(
        text=text_batch([item.text for item in items]),
        durations=padded([item.durations for item in items]),
        mean=padded(means) if means else None,
        scale=padded(scales) if scales else None,
    )
