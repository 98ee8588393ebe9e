"""How phone states meet prosody vectors: one contract, one registry; and what the vectors say by themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batches import TextBatch
from prosody_tts.config import Units
from prosody_tts.nn.units import hats, length_mask, place_in_unit, pool_mean, spread

#: Places in a unit at which a vector has a meaning of its own; between them it is interpolated.
KNOTS = 5


class Conditioning(nn.Module):
    """The contract: ``(text, states [B, P, D], vectors [B, U, V]) -> [B, P, width]``, zero outside the lengths."""

    #: Dimensions of what it returns.
    width: int

    def __init__(self, units: Units, states: int, latent: int) -> None:
        super().__init__()
        self.units: Units = units

    def forward(self, text: TextBatch, states: Tensor, vectors: Tensor) -> Tensor:
        raise NotImplementedError


class PlacedConditioning(Conditioning):
    """Shift and gain of phone states (ours).

    The same vector means other things to other phones, and other things early and late in its unit, so that one vector
    can hold a contour that holds for any text.
    """

    def __init__(self, units: Units, states: int, latent: int) -> None:
        super().__init__(units, states, latent)
        self.width = states
        self.project = nn.Linear(latent * KNOTS, 2 * states)

    def forward(self, text: TextBatch, states: Tensor, vectors: Tensor) -> Tensor:
        mask = length_mask(text.phone_lengths, states.shape[1])
        shift, gain = self.project(placed(text, vectors, self.units)).chunk(2, dim=2)
        return states + (shift + gain * states) * mask[:, :, None]


class ConcatenatedConditioning(Conditioning):
    """Each phone's state with its unit's vector beside it, as in both papers (Kathaka, section 3.4; CAMP, 2.2)."""

    def __init__(self, units: Units, states: int, latent: int) -> None:
        super().__init__(units, states, latent)
        self.width = states + latent

    def forward(self, text: TextBatch, states: Tensor, vectors: Tensor) -> Tensor:
        mask = length_mask(text.phone_lengths, states.shape[1])
        own = spread(vectors, text.phone_to_unit(self.units))
        return torch.cat([states, own], dim=2) * mask[:, :, None]


CONDITIONINGS: dict[str, type[Conditioning]] = {
    "placed": PlacedConditioning,
    "concatenated": ConcatenatedConditioning,
}


class Contour(nn.Module):
    """Word F0 and energy read from the vectors alone: [B, W, 2], normalised (ours).

    Told to speak of F0 and energy without the text, a vector says what holds for other texts too; otherwise a small
    corpus is learned by heart and its vectors say little.
    """

    def __init__(self, units: Units, latent: int) -> None:
        super().__init__()
        self.units: Units = units
        self.project = nn.Linear(latent * KNOTS, 2)

    def forward(self, text: TextBatch, vectors: Tensor) -> Tensor:
        mask = length_mask(text.phone_lengths, text.phones.shape[1])
        by_phone = placed(text, vectors, self.units)
        return self.project(pool_mean(by_phone, text.phone_to_word, mask, int(text.word_lengths.max())))


def placed(text: TextBatch, vectors: Tensor, units: Units) -> Tensor:
    """Each phone's vector, laid out by where the phone stands in its unit: [B, P, KNOTS * V]."""
    unit = text.phone_to_unit(units)
    mask = length_mask(text.phone_lengths, unit.shape[1])
    basis = hats(place_in_unit(unit, mask, vectors.shape[1]), KNOTS)
    return (basis[:, :, :, None] * spread(vectors, unit)[:, :, None]).flatten(2)
