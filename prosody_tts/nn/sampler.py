"""Stage two's model: contexts, brought to prosody units, and a prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batches import SamplerBatch, TextBatch
from prosody_tts.config import Units
from prosody_tts.nn.classes import ClassHead
from prosody_tts.nn.context import Contexts
from prosody_tts.nn.layers import BiLSTM, first_and_last
from prosody_tts.nn.priors import Known, Prior
from prosody_tts.nn.reference import Posterior
from prosody_tts.nn.speakers import SpeakerEmbedding
from prosody_tts.nn.units import length_mask, spread


class UtteranceContext(nn.Module):
    """First and last state of a BiLSTM over the tokens: one vector an utterance (Kathaka, section 3.2): [B, 1, C]."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.recurrent = BiLSTM(context, width)
        self.width = 2 * width

    def forward(self, states: Tensor, text: TextBatch) -> Tensor:
        return first_and_last(self.recurrent(states, text.word_lengths), text.word_lengths)[:, None]


class WordContext(nn.Module):
    """A token's own state: [B, W, C]."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.width = context

    def forward(self, states: Tensor, text: TextBatch) -> Tensor:
        return states


class PhoneUnitContext(nn.Module):
    """The state of a phone's token, with where the phone stands in it: [B, P, C + 2]."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.width = context + 2

    def forward(self, states: Tensor, text: TextBatch) -> Tensor:
        token = text.phone_to_word
        mask = length_mask(text.phone_lengths, token.shape[1]).to(states.dtype)
        count = states.new_zeros(states.shape[:2]).scatter_add(1, token, mask)
        first = torch.cat([count.new_zeros(count.shape[0], 1), count.cumsum(1)[:, :-1]], dim=1)
        place = torch.arange(token.shape[1], device=token.device) - first.gather(1, token)
        share = place / count.gather(1, token).clamp(min=1)
        return torch.cat([spread(states, token), torch.stack([share, 1 - share], dim=2)], dim=2)


UNIT_CONTEXTS: dict[Units, type[UtteranceContext] | type[WordContext] | type[PhoneUnitContext]] = {
    "utterance": UtteranceContext,
    "word": WordContext,
    "phone": PhoneUnitContext,
}


class SamplerModel(nn.Module):
    """Text to prosody vectors.

    Vectors are modelled at zero mean and unit variance; ``mean`` and ``scale`` [D] hold the training set's own.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        units: Units,
        contexts: Contexts,
        to_units: UtteranceContext | WordContext | PhoneUnitContext,
        prior: Prior,
        latent: int,
        speakers: SpeakerEmbedding | None = None,
        classes: ClassHead | None = None,
    ) -> None:
        super().__init__()
        self.units: Units = units
        self.contexts = contexts
        self.to_units = to_units
        self.prior = prior
        self.speakers = speakers
        self.classes = classes
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("scale", torch.ones(latent))

    def context(self, text: TextBatch) -> tuple[Tensor, Tensor]:
        """Context of each unit [B, U, C] and the mask [B, U]."""
        tokens = self.contexts(text)
        if self.speakers is not None:
            tokens = self.speakers(tokens, text.word_lengths, text.speakers)
        states = self.to_units(tokens, text)
        return states, length_mask(text.unit_lengths(self.units), states.shape[1])

    def normalise(self, vectors: Tensor) -> Tensor:
        """Vectors [..., D] of stage one's own scale at zero mean and unit variance."""
        return (vectors - self.mean) / self.scale

    def class_shares(self, text: TextBatch) -> list[Tensor] | None:
        """Probabilities [B, U, K] of the classes of each dimension, K of them; none without a head for classes."""
        if self.classes is None:
            return None
        return [logits.softmax(2) for logits in self.classes(self.context(text)[0])]

    def loss(self, batch: SamplerBatch, generator: torch.Generator | None = None) -> Tensor:
        """The prior's loss against the vectors, stage one's or explicit, and that of their classes.

        ``generator`` is of what the prior draws.
        """
        context, mask = self.context(batch.text)
        there = mask[:, :, None] if batch.exists is None else mask[:, :, None] & batch.exists
        target = Posterior(self.normalise(batch.mean) * there, batch.scale / self.scale, batch.exists)
        loss = self.prior.loss(context, target, mask, generator)
        if self.classes is None or batch.classes is None:
            return loss
        return loss + self.classes.loss(context, batch.classes)

    def sample(
        self,
        text: TextBatch,
        temperature: float = 0.0,
        generator: torch.Generator | None = None,
        known: Known | None = None,
    ) -> Tensor:
        """Draw prosody vectors [B, U, D] in stage one's own scale, given those of some units that are ``known`` in it.

        The units that are known come back as they are given.
        """
        context, mask = self.context(text)
        given = None if known is None else Known(self.normalise(known.values), known.where)
        drawn = self.prior.sample(context, mask, temperature, generator, given)
        vectors = drawn * self.scale + self.mean
        return (vectors if known is None else known.put(vectors)) * mask[:, :, None]

    def log_likelihood(self, text: TextBatch, vectors: Tensor, exists: Tensor | None = None) -> Tensor:
        """Nats [B] of each sentence's vectors [B, U, D], given in stage one's own scale, as the prior counts them."""
        context, mask = self.context(text)
        return self.prior.log_likelihood(context, self.normalise(vectors) * mask[:, :, None], mask, exists)
