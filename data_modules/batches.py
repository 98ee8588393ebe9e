"""The dataclasses every model reads, and the axis alphabet.

B batch, P phones, W words (pause slots included), S word pieces, N graph nodes, E graph edges, U prosody units,
T mel frames, M mel channels, D features. Padded tensors come with their lengths; padding is zero.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from prosody_tts.config import Units

#: A unit without a discrete label.
NO_CLASS = -1


class Batch:
    """Moves every tensor of a dataclass, nested ones included."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Apply ``Tensor.to`` to every tensor."""
        moved: dict[str, Any] = {}
        for item in fields(self):  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if isinstance(value, Tensor | Batch):
                moved[item.name] = value.to(*args, **kwargs)
            elif isinstance(value, dict):
                moved[item.name] = {k: v.to(*args, **kwargs) if isinstance(v, Tensor) else v for k, v in value.items()}
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass
class PieceBatch(Batch):
    """Word pieces for a BERT that is trained along, as it reads them (``data_modules.text.bert.Reading``).

    Attributes:
        ids: [R, L] piece ids of R rows, one a text or more.
        lengths: [R].
        places: [B, S] where the state of each piece of the utterance stands among the R * L.
        spans: [B, W, 2] first and last (excluded) of the S pieces of each token; nothing in the padding.
    """

    ids: Tensor
    lengths: Tensor
    places: Tensor
    spans: Tensor


@dataclass
class TextBatch(Batch):
    """What is known of the text.

    Attributes:
        ids: utterance ids, B of them.
        phones: [B, P] phone indices, 0 for padding.
        phone_lengths: [B].
        phone_to_word: [B, P] token of the word axis.
        word_lengths: [B] tokens, words and pause slots.
        tags: name -> [B, W] value (``data_modules.text.sentence.TAGS``).
        bert: [B, W, D] states averaged over the word pieces of each token.
        node_labels: [B, N].
        node_lengths: [B].
        edges: [B, E, 2] pairs of neighbouring nodes, each pair once.
        edge_lengths: [B].
        word_to_node: [B, W].
        speakers: [B] number of the speaker (``Specification.speaker_ids``); 0 for one that was not trained on.
        pieces: word pieces, where BERT is trained along; none where ``bert`` holds its states.
    """

    ids: list[str]
    phones: Tensor
    phone_lengths: Tensor
    phone_to_word: Tensor
    word_lengths: Tensor
    tags: dict[str, Tensor]
    bert: Tensor
    node_labels: Tensor
    node_lengths: Tensor
    edges: Tensor
    edge_lengths: Tensor
    word_to_node: Tensor
    speakers: Tensor
    pieces: PieceBatch | None = None

    @property
    def pauses(self) -> Tensor:
        """[B, P] whether a phone is a pause slot; false in the padding."""
        index = torch.arange(self.phones.shape[1], device=self.phones.device)
        return (self.phone_to_word % 2 == 0) & (index < self.phone_lengths[:, None])

    def phone_to_unit(self, units: Units) -> Tensor:
        """[B, P] prosody unit of each phone: the one place where units differ."""
        match units:
            case "utterance":
                return torch.zeros_like(self.phone_to_word)
            case "word":
                return self.phone_to_word
            case "phone":
                index = torch.arange(self.phones.shape[1], device=self.phones.device)
                return torch.minimum(index, self.phone_lengths[:, None] - 1)

    def unit_lengths(self, units: Units) -> Tensor:
        """[B] number of prosody units."""
        match units:
            case "utterance":
                return torch.ones_like(self.word_lengths)
            case "word":
                return self.word_lengths
            case "phone":
                return self.phone_lengths


class WithText(Batch):
    """A batch whose utterances are those of its ``text``."""

    text: TextBatch

    @property
    def ids(self) -> list[str]:
        """Utterance ids, B of them."""
        return self.text.ids


@dataclass
class AcousticBatch(WithText):
    """Text with its recording.

    Attributes:
        text: the text.
        durations: [B, P] frames of each phone; sums to ``frame_lengths``.
        mel: [B, T, M] normalised log-mel spectrogram.
        frame_lengths: [B].
        log_f0: [B, T] natural log of F0 in Hz, zero where unvoiced.
        voiced: [B, T] whether a frame has F0.
        energy: [B, T] normalised log-energy.
        word_f0: [B, W] mean normalised log-F0 of a token's voiced frames.
        word_voiced: [B, W] whether the token has enough voiced frames for ``word_f0``.
        word_energy: [B, W] mean normalised log-energy of the token's frames.
    """

    text: TextBatch
    durations: Tensor
    mel: Tensor
    frame_lengths: Tensor
    log_f0: Tensor
    voiced: Tensor
    energy: Tensor
    word_f0: Tensor
    word_voiced: Tensor
    word_energy: Tensor


@dataclass
class SamplerBatch(WithText):
    """Text with its vectors, stage one's or explicit.

    Attributes:
        text: the text.
        mean: [B, U, D] posterior mean, or the vector itself.
        scale: [B, U, D] posterior standard deviation; zeros where stage one is deterministic.
        unit_lengths: [B].
        exists: [B, U, D] which dimensions exist on which units; none where all do.
        classes: [B, U, D] discrete labels beside the vectors, ``NO_CLASS`` where there is none; none where none are.
    """

    text: TextBatch
    mean: Tensor
    scale: Tensor
    unit_lengths: Tensor
    exists: Tensor | None = None
    classes: Tensor | None = None


@dataclass
class DurationBatch(WithText):
    """Text with its durations, and with its recordings' vectors where they are read.

    Attributes:
        text: the text.
        durations: [B, P] frames of each phone.
        mean: [B, U, D] posterior mean; none where no vectors are read.
        scale: [B, U, D] posterior standard deviation, zeros where stage one is deterministic; none as ``mean``.
    """

    text: TextBatch
    durations: Tensor
    mean: Tensor | None = None
    scale: Tensor | None = None


@dataclass
class VocoderBatch(Batch):
    """Stretches of recordings, all of one length.

    Attributes:
        ids: utterance ids, B of them.
        mel: [B, T, M] natural-log mel, un-normalised.
        f0: [B, T] Hz, 0 where unvoiced.
        wave: [B, L] the samples between the first frame and the last, as many as a vocoder renders of T frames.
    """

    ids: list[str]
    mel: Tensor
    f0: Tensor
    wave: Tensor


@dataclass
class LanguageBatch(WithText):
    """Sequences of symbols and segments of speech (``data_modules.scripts``), L elements of each.

    Attributes:
        text: the sentences.
        symbols: [B, L] what is read: a symbol, or ``NONE`` where a segment stands.
        codes: [B, L, Q] of the segment; zeros where a symbol stands.
        phones: [B, L] the phone that a symbol stands for, or ``NONE``.
        targets: [B, L] what the element before is to predict, or ``NONE`` where it is this segment's codes.
        said: [B, L] whether the element is to be predicted.
        lengths: [B].
    """

    text: TextBatch
    symbols: Tensor
    codes: Tensor
    phones: Tensor
    targets: Tensor
    said: Tensor
    lengths: Tensor


@dataclass
class HeardBatch(Batch):
    """Speech with what is said in it, for a recogniser.

    Attributes:
        ids: utterance ids, B of them.
        texts: what is said, in ``scripts.CHARACTERS``.
        mel: [B, T, M] normalised log-mel spectrogram.
        frame_lengths: [B].
        characters: [B, C] classes, the first 1; zeros past the lengths.
        character_lengths: [B].
    """

    ids: list[str]
    texts: list[str]
    mel: Tensor
    frame_lengths: Tensor
    characters: Tensor
    character_lengths: Tensor
