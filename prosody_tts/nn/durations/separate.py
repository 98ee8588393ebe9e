"""A duration model that stands by itself: from text and vectors to durations, sharing nothing with stage one."""

from __future__ import annotations

from torch import Tensor, nn

from data_modules.batches import TextBatch
from prosody_tts.nn.conditioning import Conditioning
from prosody_tts.nn.durations.contract import DurationModel
from prosody_tts.nn.phones import PhoneEncoder
from prosody_tts.nn.speakers import SpeakerEmbedding


class SeparateDurations(nn.Module):
    """A phone encoder of its own, prosody vectors where the system has them, and a duration model (Kathaka, 2 and 3.4).

    ``vectors`` are [B, U, D], or none without a ``conditioning``.
    """

    def __init__(
        self,
        phones: PhoneEncoder,
        conditioning: Conditioning | None,
        durations: DurationModel,
        speakers: SpeakerEmbedding | None = None,
    ) -> None:
        super().__init__()
        self.phones = phones
        self.conditioning = conditioning
        self.durations = durations
        self.speakers = speakers

    def conditioned(self, text: TextBatch, vectors: Tensor | None) -> Tensor:
        """Phone states that know who speaks and carry their unit's vector: [B, P, C]."""
        states = self.phones(text.phones, text.phone_lengths)
        if self.speakers is not None:
            states = self.speakers(states, text.phone_lengths, text.speakers)
        if self.conditioning is None:
            return states
        assert vectors is not None
        return self.conditioning(text, states, vectors)

    def loss(self, text: TextBatch, vectors: Tensor | None, durations: Tensor) -> Tensor:
        """The duration model's loss against ``durations`` [B, P] in frames."""
        return self.durations.loss(self.conditioned(text, vectors), text.phone_lengths, text.pauses, durations)

    def frames(self, text: TextBatch, vectors: Tensor | None) -> Tensor:
        """Predicted whole frames of each phone: [B, P]."""
        return self.durations.frames(self.conditioned(text, vectors), text.phone_lengths, text.pauses)
