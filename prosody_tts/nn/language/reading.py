"""Sequences that a language model reads while it goes on with them."""

from __future__ import annotations

import torch
from torch import Tensor

from prosody_tts.nn.language.model import SpeechLanguageModel


def framed(symbols: Tensor, lengths: Tensor, first: int, last: int) -> Tensor:
    """Symbols [B, N] between one before them and one after each row's ``lengths`` [B]: [B, N + 2]."""
    framed = torch.nn.functional.pad(symbols, (1, 1))
    framed[:, 0] = first
    framed[torch.arange(len(symbols), device=symbols.device), lengths + 1] = last
    return framed


class Reading:
    """What has been read of B sequences; the next element of all of them is chosen by ``hidden`` [B, D].

    Padding stands before what is read first, so that all go on at the same place.

    Args:
        model: in evaluation mode.
        symbols: [B, L] elements as in ``LanguageBatch``, as are the next two.
        codes: [B, L, Q].
        phones: [B, L].
        lengths: [B] elements.
        known: [B, P, D] what is known of the phones (``SpeechLanguageModel.knowledge``).
        cached: keep keys and values; without, everything is read again for each element, for the same result.
    """

    def __init__(
        self,
        model: SpeechLanguageModel,
        symbols: Tensor,
        codes: Tensor,
        phones: Tensor,
        lengths: Tensor,
        known: Tensor | None,
        cached: bool,
    ) -> None:
        self._model, self._known = model, known
        self._cache = model.begin() if cached else None
        size = symbols.shape[1]
        index = torch.arange(size, device=symbols.device) - (size - lengths)[:, None]
        # What pads is read by nobody, whatever it is.
        source = index.clamp(min=0)
        moved = codes.gather(1, source[:, :, None].expand(-1, -1, codes.shape[2]))
        self._states = model.embed(symbols.gather(1, source), moved, phones.gather(1, source), known)
        self._mask = (index >= 0).long()
        self.hidden = model.read(self._states, self._mask, self._cache)

    def read(self, symbols: Tensor, codes: Tensor, phones: Tensor) -> None:
        """Read one more element of every sequence: symbols [B], codes [B, Q], phones [B]."""
        state = self._model.embed(symbols[:, None], codes[:, None], phones[:, None], self._known)
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        if self._cache is None:
            state = self._states = torch.cat([self._states, state], dim=1)
        self.hidden = self._model.read(state, self._mask, self._cache)
