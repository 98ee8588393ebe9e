"""Writing what is said in codes, with a language model: one character after another, and never without end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data_modules.scripts import END, FIRST_CHARACTER, FIRST_PHONE, NONE, PAD, RECOGNISE, TEXT, read
from prosody_tts.nn.language.generate import Choice, generators_of
from prosody_tts.nn.language.model import SpeechLanguageModel
from prosody_tts.nn.language.reading import Reading, framed
from prosody_tts.nn.units import length_mask


@dataclass
class Written:
    """What was written.

    Attributes:
        symbols: [B, C] of characters; ``PAD`` past the lengths.
        lengths: [B] characters.
        cut: [B] whether the guard ended the sentence.
    """

    symbols: Tensor
    lengths: Tensor
    cut: Tensor

    def texts(self) -> list[str]:
        """The characters as text, words one blank apart."""
        return [" ".join(read(row).split()) for row in self.symbols.tolist()]


@torch.no_grad()
def write(
    model: SpeechLanguageModel,
    codes: Tensor,
    lengths: Tensor,
    choice: Choice,
    longest: int,
    seeds: Sequence[int] | None = None,
    cached: bool = True,
) -> Written:
    """Write what is said in recordings.

    Args:
        model: in evaluation mode.
        codes: [B, N, Q] of segments.
        lengths: [B] segments.
        choice: how characters are chosen.
        longest: characters that are written for a segment at most, on average over the sentence.
        seeds: of each sentence's draws; none is 0 for all.
        cached: keep keys and values; without, everything is read again at each step, for the same result.
    """
    segments = length_mask(lengths, codes.shape[1])
    symbols = framed(torch.where(segments, NONE, PAD), lengths, RECOGNISE, TEXT)
    nowhere = torch.full_like(symbols, NONE)
    padded = torch.nn.functional.pad(codes, (0, 0, 1, 1))
    reading = Reading(model, symbols, padded, nowhere, lengths + 2, None, cached)
    generators = generators_of(seeds, len(codes))
    allowed = torch.zeros(model.symbols, dtype=torch.bool, device=codes.device)
    allowed[FIRST_CHARACTER:FIRST_PHONE] = True
    allowed[END] = True
    count, done = torch.zeros_like(lengths), torch.zeros_like(lengths, dtype=torch.bool)
    cut, written = done, []
    while True:
        scores = model.head.first(reading.hidden)[:, : model.symbols].masked_fill(~allowed, -torch.inf)
        chosen = choice(scores, generators)
        guarded = (count >= longest * lengths) & (chosen != END) & ~done
        cut = cut | guarded
        done = done | guarded | (chosen == END)
        count = count + ~done
        written.append(torch.where(done, PAD, chosen))
        if bool(done.all()):
            break
        reading.read(torch.where(done, END, chosen), padded.new_zeros(len(codes), model.codebooks), nowhere[:, 0])
    return Written(torch.stack(written, dim=1)[:, : int(count.max())], count, cut)
