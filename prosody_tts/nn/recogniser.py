"""A small recogniser: convolutions and a transformer over the mel, connectionist temporal classification of characters.

CTC: Graves et al. 2006; the transformer is torch's, with relative places told by convolutions alone (as wav2vec 2.0's,
arXiv 2006.11477), so that a sentence longer than those of training is no new case.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data_modules.scripts import CHARACTERS
from prosody_tts.nn.layers import ConvStack
from prosody_tts.nn.means import ratio
from prosody_tts.nn.units import length_mask

#: CTC's symbol for nothing; characters follow it.
BLANK = 0
#: Frames that a step has: steps must be no fewer than the characters of a sentence.
STRIDE = 2


class Recogniser(nn.Module):
    """Mel [B, T, M] with ``lengths`` [B] frames to log-probabilities of blank and characters.

    In training, bands of channels and of time are masked (SpecAugment, arXiv 1904.08779): ``masked`` is the share of
    channels, and of time, that a band takes at most.
    """

    def __init__(
        self, mels: int, width: int, kernel: int, layers: int, heads: int, dropout: float, masked: float
    ) -> None:
        super().__init__()
        self.masked = masked
        self.enter = nn.Linear(mels * STRIDE, width)
        self.stack = ConvStack(width, kernel, 2, dropout)
        self.place = nn.Conv1d(width, width, 15, padding=7, groups=max(1, width // 16))
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.leave = nn.Linear(width, 1 + len(CHARACTERS))

    def forward(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Natural-log probabilities [B, S, K] and steps [B]."""
        steps = torch.div(lengths + STRIDE - 1, STRIDE, rounding_mode="floor")
        mel = mel * length_mask(lengths, mel.shape[1])[:, :, None]
        if self.training and self.masked > 0:
            mel = self._mask(mel, lengths)
        mel = nn.functional.pad(mel, (0, 0, 0, -mel.shape[1] % STRIDE))
        inside = length_mask(steps, mel.shape[1] // STRIDE)
        states = self.stack(self.enter(mel.reshape(len(mel), -1, mel.shape[2] * STRIDE)), inside)
        states = states + nn.functional.gelu(self.place(states.transpose(1, 2)).transpose(1, 2)) * inside[:, :, None]
        states = self.transformer(states, src_key_padding_mask=~inside)
        return self.leave(states).log_softmax(2), steps

    def _mask(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Silence two bands of channels and two of time."""
        for _ in range(2):
            channel = torch.arange(mel.shape[2], device=mel.device)
            mel = mel * ~_band(channel, torch.full_like(lengths, mel.shape[2]), self.masked)[:, None]
            frame = torch.arange(mel.shape[1], device=mel.device)
            mel = mel * ~_band(frame, lengths, self.masked)[:, :, None]
        return mel

    def loss(self, mel: Tensor, lengths: Tensor, characters: Tensor, counts: Tensor) -> Tensor:
        """Negative log-likelihood in nats a character, of ``characters`` [B, C], the first 1; a sentence too short for
        its characters does not count."""
        scores, steps = self(mel, lengths)
        each = nn.functional.ctc_loss(
            scores.transpose(0, 1), characters, steps, counts, BLANK, reduction="none", zero_infinity=True
        )
        return ratio(each.sum(), counts.sum())


def _band(places: Tensor, sizes: Tensor, share: float) -> Tensor:
    """A band at random of places [N] below ``sizes`` [B], at most ``share`` of them wide: [B, N]."""
    width = torch.rand(len(sizes), device=sizes.device) * share * sizes
    start = torch.rand(len(sizes), device=sizes.device) * (sizes - width)
    return (places >= start[:, None]) & (places < (start + width)[:, None])


def encoded(text: str) -> list[int]:
    """A text in ``CHARACTERS`` as classes, the first 1."""
    return [1 + CHARACTERS.index(character) for character in text]


def greedy(scores: Tensor, steps: Tensor) -> list[str]:
    """The likeliest class of each step, repetitions joined, blanks left out."""
    found = []
    for row, size in zip(scores.argmax(2), steps.tolist(), strict=True):
        classes = torch.unique_consecutive(row[:size]).tolist()
        found.append(_tidy(classes))
    return found


class BeamSearch:
    """CTC beam search over characters without a lexicon, by flashlight-text (Kahn et al. 2022, arXiv 2201.12465)."""

    def __init__(self, beams: int) -> None:
        from flashlight.lib.text.decoder import CriterionType, LexiconFreeDecoder, LexiconFreeDecoderOptions, ZeroLM

        options = LexiconFreeDecoderOptions(
            beam_size=beams,
            beam_size_token=1 + len(CHARACTERS),
            beam_threshold=50.0,
            lm_weight=0.0,
            sil_score=0.0,
            log_add=True,
            criterion_type=CriterionType.CTC,
        )
        self._decoder = LexiconFreeDecoder(options, ZeroLM(), 1, BLANK, [])

    def __call__(self, scores: Tensor, steps: Tensor) -> list[str]:
        """Texts of log-probabilities [B, S, K]."""
        found = []
        for row, size in zip(scores, steps.tolist(), strict=True):
            emissions: NDArray[np.float32] = np.ascontiguousarray(row[:size].float().cpu().numpy())
            best = self._decoder.decode(emissions.ctypes.data, size, emissions.shape[1])[0]
            classes = [token for token in best.tokens if token >= 0]
            joined = [token for place, token in enumerate(classes) if place == 0 or token != classes[place - 1]]
            found.append(_tidy(joined))
        return found


def _tidy(classes: Sequence[int]) -> str:
    text = "".join(CHARACTERS[number - 1] for number in classes if number != BLANK)
    return " ".join(text.split())
