"""Stage one's model: phones, prosody vectors and durations to mel spectrograms, wired from its parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch, TextBatch
from prosody_tts.config import Units
from prosody_tts.nn.conditioning import Conditioning, Contour
from prosody_tts.nn.decoders import Decoded, Decoder
from prosody_tts.nn.durations import DurationModel
from prosody_tts.nn.phones import PhoneEncoder
from prosody_tts.nn.reference import Heard, Posterior, ReferenceEncoder
from prosody_tts.nn.speakers import SpeakerEmbedding
from prosody_tts.nn.units import frame_to_phone, length_mask, pool_mean, spread


@dataclass
class Rendered:
    """What stage one makes of text and vectors.

    Attributes:
        decoded: mel [B, T, M], frames of each phone and frames in all.
        readout: [B, W, 2] normalised log-F0 and log-energy of each token, read from the decoder's states.
    """

    decoded: Decoded
    readout: Tensor


@dataclass
class Reconstruction:
    """A recording rebuilt with its own durations.

    Attributes:
        rendered: the rendering.
        conditioned: [B, P, C] phone states that carry their unit's vector.
        posterior: the vectors; none where there is no reference encoder.
        contour: [B, W, 2] normalised log-F0 and log-energy of each token by its vector alone; none where not asked.
    """

    rendered: Rendered
    conditioned: Tensor
    posterior: Posterior | None
    contour: Tensor | None


class AcousticModel(nn.Module):
    """Phone encoder, reference encoder or none, duration model or none, decoder, read-out head, speakers if several.

    ``units`` is data to the index map alone: Kathaka's utterance, CAMP's word and the phone run the same lines. With
    ``listening`` the read-out head's loss shapes nothing but the head.
    """

    def __init__(
        self,
        units: Units,
        phones: PhoneEncoder,
        reference: ReferenceEncoder | None,
        conditioning: Conditioning | None,
        contour: Contour | None,
        durations: DurationModel | None,
        decoder: Decoder,
        speakers: SpeakerEmbedding | None = None,
        listening: bool = False,
    ) -> None:
        super().__init__()
        self.units: Units = units
        self.phones = phones
        self.reference = reference
        self.conditioning = conditioning
        self.contour = contour
        self.durations = durations
        self.decoder = decoder
        self.readout = nn.Linear(decoder.width, 2)
        self.speakers = speakers
        self.listening = listening

    def states(self, text: TextBatch) -> Tensor:
        """Phone states that know who speaks: [B, P, D]."""
        states = self.phones(text.phones, text.phone_lengths)
        return states if self.speakers is None else self.speakers(states, text.phone_lengths, text.speakers)

    def encode(self, batch: AcousticBatch, states: Tensor | None = None) -> Posterior | None:
        """Read the recording's prosody vectors [B, U, D]; none where there is no reference encoder."""
        if self.reference is None:
            return None
        text = batch.text
        states = self.states(text) if states is None else states
        frame_phone = frame_to_phone(batch.durations, batch.mel.shape[1])
        phone_unit, spoken = text.phone_to_unit(self.units), length_mask(text.phone_lengths, text.phones.shape[1])
        phones = spoken.new_zeros((len(spoken), int(text.unit_lengths(self.units).max())), dtype=torch.long)
        return self.reference(
            Heard(
                mel=batch.mel,
                states=spread(states, frame_phone),
                frame_to_unit=phone_unit.gather(1, frame_phone),
                lengths=batch.frame_lengths,
                phones=phones.scatter_add(1, phone_unit, spoken.long()),
                log_f0=batch.log_f0,
                voiced=batch.voiced,
                energy=batch.energy,
            )
        )

    def condition(self, text: TextBatch, states: Tensor, vectors: Tensor | None) -> Tensor:
        """Phone states that carry their unit's vector: [B, P, C]."""
        if self.conditioning is None or vectors is None:
            return states
        return self.conditioning(text, states, vectors)

    def decode(
        self, text: TextBatch, conditioned: Tensor, durations: Tensor | None, recording: AcousticBatch | None = None
    ) -> Rendered:
        """Render with given durations [B, P], or with those the decoder finds; ``recording`` is what it rebuilds."""
        decoded: Decoded = self.decoder(conditioned, text.phone_lengths, durations, recording)
        frames = decoded.mel.shape[1]
        token = text.phone_to_word.gather(1, frame_to_phone(decoded.durations, frames))
        states = decoded.states.detach() if self.listening else decoded.states
        pooled = pool_mean(states, token, length_mask(decoded.lengths, frames), int(text.word_lengths.max()))
        return Rendered(decoded, self.readout(pooled))

    def forward(self, batch: AcousticBatch) -> Reconstruction:
        """Rebuild a recording with its own durations."""
        text = batch.text
        states = self.states(text)
        posterior = self.encode(batch, states)
        vectors = None
        if posterior is not None:
            vectors = posterior.sample() if self.training else posterior.mean
        conditioned = self.condition(text, states, vectors)
        rendered = self.decode(text, conditioned, batch.durations if self.decoder.timed else None, batch)
        contour = None if self.contour is None or vectors is None else self.contour(text, vectors)
        return Reconstruction(rendered, conditioned, posterior, contour)
