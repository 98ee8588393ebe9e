"""Draws of one text: what they sound like.

No draw of stage two is rendered as audio. What is compared is what stage one makes of its vectors before the vocoder:
word F0 by the read-out head, and the durations it predicts; that costs a decoder's pass a draw, where a vocoder and a
pitch tracker would take most of an evaluation's time and measure themselves too. A language model's codes have no such
head: its draws are rendered and tracked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_modules.audio import f0, with_frames
from data_modules.batches import TextBatch
from data_modules.collate import TextItem, text_batch
from data_modules.text.sentence import Sentence
from data_modules.tokens import token_durations, token_log_f0
from prosody_tts.config import AudioConfig
from prosody_tts.synthesis import Speech, Synthesizer, seed_of

#: At which stage two's distribution is drawn from as it stands.
TEMPERATURE = 1.0


class Samples(Protocol):
    """What can be drawn from (``nn.sampler.SamplerModel``)."""

    def sample(self, text: TextBatch, temperature: float, generator: torch.Generator | None) -> Tensor: ...


@torch.inference_mode()
def draw(model: Samples, item: TextItem, count: int, seed: int, device: torch.device | None = None) -> Tensor:
    """Draw ``count`` times the vectors of one sentence: [count, U, D].

    The draws of a sentence are a batch of their own, from a generator of its own: they are the same whatever other
    sentences there are.
    """
    where = torch.device("cpu") if device is None else device
    generator = torch.Generator(where).manual_seed(seed_of(item.id, seed))
    return model.sample(text_batch([item] * count).to(where), TEMPERATURE, generator)


@torch.inference_mode()
def heard(synthesizer: Synthesizer, item: TextItem, vectors: Tensor, hop_seconds: float) -> NDArray[np.float32]:
    """What stage one makes of drawn vectors [S, U, D] of one sentence: [W, S, 2] in the order of ``kept_draws.HEARD``.

    Log F0 in log Hz as the read-out head gives it, and seconds of every token.
    """
    text = text_batch([item] * len(vectors)).to(synthesizer.device)
    rendered = synthesizer.render(text, vectors.to(synthesizer.device), None)
    norm = synthesizer.specification.norm(item.speaker)
    log_f0 = rendered.readout[:, :, 0] * norm.f0_scale + norm.f0_mean
    frames = rendered.decoded.durations.to(log_f0.dtype)
    duration = torch.zeros_like(log_f0).scatter_add(1, text.phone_to_word, frames) * hop_seconds
    return torch.stack([log_f0, duration], dim=2).transpose(0, 1).cpu().numpy().astype(np.float32)


def sounded(sentence: Sentence, said: Sequence[Speech], audio: AudioConfig) -> NDArray[np.float32]:
    """What the F0 tracker hears in draws of one sentence: [W, S, 2] in the order of ``kept_draws.HEARD``.

    Log F0 is NaN where a token has too few voiced frames (``data_modules.tokens.token_log_f0``), and on pause slots.
    """
    found, pauses = [], np.arange(sentence.tokens) % 2 == 0
    for speech in said:
        frames = token_durations(sentence, speech.durations.tolist())
        track = f0(with_frames(speech.wave, len(speech.mel), audio), audio)
        log_f0 = np.where(pauses, np.nan, token_log_f0(track, frames))
        found.append(np.stack([log_f0, np.asarray(frames) * audio.hop / audio.sample_rate], axis=1))
    return np.stack(found, axis=1).astype(np.float32)
