"""Stage one's model: phones, prosody vectors and durations to mel spectrograms, wired from its parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch, TextBatch
from prosody_tts.config import Units
from prosody_tts.nn.decoders import Decoded, ParallelDecoder
from prosody_tts.nn.durations import DurationModel
from prosody_tts.nn.phones import PhoneEncoder
from prosody_tts.nn.reference import Posterior, ReferenceEncoder
from prosody_tts.nn.speakers import SpeakerEmbedding
from prosody_tts.nn.units import frame_to_phone, hats, length_mask, place_in_unit, pool_mean, spread

#: Places in a unit at which a vector has a meaning of its own; between them it is interpolated.
KNOTS = 5


@dataclass
class Rendered:
    """What stage one makes of text and vectors.

    Attributes:
        mel: [B, T, M] normalised log-mel.
        readout: [B, W, 2] normalised log-F0 and log-energy of each token, read from the decoder's states.
        durations: [B, P] frames the mel was rendered with.
        frame_lengths: [B].
    """

    mel: Tensor
    readout: Tensor
    durations: Tensor
    frame_lengths: Tensor


@dataclass
class Reconstruction:
    """A recording rebuilt with its own durations.

    Attributes:
        rendered: the rendering.
        log_durations: [B, P] predicted log(1 + frames).
        posterior: the vectors; none where there is no reference encoder.
        contour: [B, W, 2] normalised log-F0 and log-energy of each token by its vector alone; none without vectors.
    """

    rendered: Rendered
    log_durations: Tensor
    posterior: Posterior | None
    contour: Tensor | None


class AcousticModel(nn.Module):
    """Phone encoder, reference encoder (or none), duration model, decoder and read-out head; speakers, if several.

    ``units`` is data to the index map alone: Kathaka's utterance, CAMP's word and the phone run the same lines.
    """

    def __init__(
        self,
        units: Units,
        phones: PhoneEncoder,
        reference: ReferenceEncoder | None,
        hears_f0: bool,
        latent: int,
        durations: DurationModel,
        decoder: ParallelDecoder,
        width: int,
        speakers: SpeakerEmbedding | None = None,
    ) -> None:
        super().__init__()
        self.units: Units = units
        self.phones = phones
        self.reference = reference
        self.hears_f0 = hears_f0
        # Shift and gain of phone states: the same vector means other things to other phones, and other things early
        # and late in its unit, so that one vector can hold a contour that holds for any text (ours).
        self.vectors = nn.Linear(latent * KNOTS, 2 * width) if reference is not None else None
        # Told to speak of F0 and energy without the text, a vector says what holds for other texts too; otherwise a
        # small corpus is learned by heart and its vectors say little (ours).
        self.contour = nn.Linear(latent * KNOTS, 2) if reference is not None else None
        self.durations = durations
        self.decoder = decoder
        self.readout = nn.Linear(width, 2)
        self.speakers = speakers

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
        frame_unit = text.phone_to_unit(self.units).gather(1, frame_phone)
        units = int(text.unit_lengths(self.units).max())
        heard = torch.cat([batch.mel, batch.f0], dim=2) if self.hears_f0 else batch.mel
        return self.reference(heard, spread(states, frame_phone), frame_unit, batch.frame_lengths, units)

    def condition(self, text: TextBatch, states: Tensor, vectors: Tensor | None) -> Tensor:
        """Shift and scale each phone's state by its prosody vector: [B, P, D]."""
        if self.vectors is None or vectors is None:
            return states
        mask = length_mask(text.phone_lengths, states.shape[1])
        shift, gain = self.vectors(self._placed(text, vectors)).chunk(2, dim=2)
        return states + (shift + gain * states) * mask[:, :, None]

    def _placed(self, text: TextBatch, vectors: Tensor) -> Tensor:
        """Each phone's vector, laid out by where the phone stands in its unit: [B, P, KNOTS * D]."""
        unit = text.phone_to_unit(self.units)
        mask = length_mask(text.phone_lengths, unit.shape[1])
        basis = hats(place_in_unit(unit, mask, vectors.shape[1]), KNOTS)
        return (basis[:, :, :, None] * spread(vectors, unit)[:, :, None]).flatten(2)

    def _contour(self, text: TextBatch, vectors: Tensor | None) -> Tensor | None:
        if self.contour is None or vectors is None:
            return None
        mask = length_mask(text.phone_lengths, text.phones.shape[1])
        placed = pool_mean(self._placed(text, vectors), text.phone_to_word, mask, int(text.word_lengths.max()))
        return self.contour(placed)

    def decode(self, conditioned: Tensor, text: TextBatch, durations: Tensor, frames: int) -> Rendered:
        """Render with given durations [B, P]."""
        lengths = durations.sum(1)
        decoded: Decoded = self.decoder(conditioned, durations, lengths, frames)
        index = frame_to_phone(durations, frames)
        token = text.phone_to_word.gather(1, index)
        pooled = pool_mean(decoded.states, token, length_mask(lengths, frames), int(text.word_lengths.max()))
        return Rendered(decoded.mel, self.readout(pooled), durations, lengths)

    def forward(self, batch: AcousticBatch) -> Reconstruction:
        """Rebuild a recording with its own durations."""
        text = batch.text
        states = self.states(text)
        posterior = self.encode(batch, states)
        vectors = None
        if posterior is not None:
            vectors = posterior.sample() if self.training else posterior.mean
        conditioned = self.condition(text, states, vectors)
        rendered = self.decode(conditioned, text, batch.durations, batch.mel.shape[1])
        log_durations = self.durations(conditioned, text.phone_lengths)
        return Reconstruction(rendered, log_durations, posterior, self._contour(text, vectors))
