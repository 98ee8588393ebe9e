"""How phone states meet prosody vectors: one contract, one registry; and what the vectors say by themselves."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batches import TextBatch
from prosody_tts.config import Units
from prosody_tts.nn.units import hats, length_mask, place_in_unit, pool_mean, spread


class Conditioning(nn.Module):
    """The contract: ``(text, states [B, P, D], vectors [B, U, V]) -> [B, P, width]``, zero outside the lengths.

    ``knots`` are the places in a unit at which a vector may have a meaning of its own.
    """

    #: Dimensions of what it returns.
    width: int

    def __init__(self, units: Units, states: int, latent: int, knots: int) -> None:
        super().__init__()
        self.units: Units = units
        self.knots = knots

    def forward(self, text: TextBatch, states: Tensor, vectors: Tensor) -> Tensor:
        raise NotImplementedError


class PlacedConditioning(Conditioning):
    """Shift and gain of phone states (ours).

    The same vector means other things to other phones, and other things early and late in its unit, so that one vector
    can hold a contour that holds for any text.
    """

    def __init__(self, units: Units, states: int, latent: int, knots: int) -> None:
        super().__init__(units, states, latent, knots)
        self.width = states
        self.project = nn.Linear(latent * knots, 2 * states)

    def forward(self, text: TextBatch, states: Tensor, vectors: Tensor) -> Tensor:
        mask = length_mask(text.phone_lengths, states.shape[1])
        shift, gain = self.project(placed(text, vectors, self.units, self.knots)).chunk(2, dim=2)
        return states + (shift + gain * states) * mask[:, :, None]


class ConcatenatedConditioning(Conditioning):
    """Each phone's state with its unit's vector beside it, as in both papers (Kathaka, section 3.4; CAMP, 2.2)."""

    def __init__(self, units: Units, states: int, latent: int, knots: int) -> None:
        super().__init__(units, states, latent, knots)
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

    def __init__(self, units: Units, latent: int, knots: int) -> None:
        super().__init__()
        self.units: Units = units
        self.knots = knots
        self.project = nn.Linear(latent * knots, 2)

    def forward(self, text: TextBatch, vectors: Tensor) -> Tensor:
        mask = length_mask(text.phone_lengths, text.phones.shape[1])
        by_phone = placed(text, vectors, self.units, self.knots)
        return self.project(pool_mean(by_phone, text.phone_to_word, mask, int(text.word_lengths.max())))


def placed(text: TextBatch, vectors: Tensor, units: Units, knots: int) -> Tensor:
    """Each phone's vector, laid out by where the phone stands in its unit: [B, P, knots * V]."""
    unit = text.phone_to_unit(units)
    mask = length_mask(text.phone_lengths, unit.shape[1])
    basis = hats(place_in_unit(unit, mask, vectors.shape[1]), knots)
    return (basis[:, :, :, None] * spread(vectors, unit)[:, :, None]).flatten(2)
