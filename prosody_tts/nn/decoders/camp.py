"""CAMP's decoder: recurrent layers and convolutions over upsampled phones and prosody, all frames at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders.contract import Decoded, Decoder
from prosody_tts.nn.decoders.steps import by_frame, by_step, framing, step_lengths, widened
from prosody_tts.nn.layers import BiLSTM, NormedConvolutions
from prosody_tts.nn.units import length_mask


class CampDecoder(Decoder):
    """BiLSTM over phones, BiLSTM over prosody, convolutions, LSTMs (CAMP, section 2.2; Hodari's thesis, figure 6.2).

    The BiLSTMs smooth the steps that replication leaves. The last ``latent`` dimensions of the phone states are the
    prosody vectors, as ``ConcatenatedConditioning`` lays them; at 0 there are none, or none apart, and no branch for
    them. That the convolutions are Tacotron-2's and the LSTMs one-directional is ours, as their widths are.

    Args:
        inputs: dimensions of the phone states, vectors included.
        latent: of them, the vectors'.
        width: channels.
        mels: channels of the mel.
        kernel: width of the convolutions, in steps.
        layers: convolutions.
        recurrent_layers: LSTMs after them.
        frames_per_step: the papers have 1.
        dropout: between the LSTMs.
        conv_dropout: of the convolutions.
    """

    def __init__(
        self,
        inputs: int,
        latent: int,
        width: int,
        mels: int,
        kernel: int,
        layers: int,
        recurrent_layers: int,
        frames_per_step: int,
        dropout: float,
        conv_dropout: float,
    ) -> None:
        super().__init__()
        self.width, self.frames_per_step = width, frames_per_step
        self.split = [inputs - latent, latent]
        self.phones = BiLSTM((inputs - latent) * frames_per_step, width)
        self.prosody = BiLSTM(latent * frames_per_step, width) if latent else None
        entering = 2 * width if latent else width
        self.stack = NormedConvolutions([entering, *[width] * layers], kernel, conv_dropout, nn.functional.relu)
        between = dropout if recurrent_layers > 1 else 0.0
        self.recurrent = nn.LSTM(width, width, recurrent_layers, batch_first=True, dropout=between)
        self.mel = nn.Linear(width, mels * frames_per_step)

    def forward(
        self, states: Tensor, lengths: Tensor, durations: Tensor | None, recording: AcousticBatch | None
    ) -> Decoded:
        assert durations is not None
        total, step = durations.sum(1), self.frames_per_step
        frames, steps = int(total.max()), step_lengths(total, step)
        index, inside = framing(durations, step)
        phones, vectors = states.split(self.split, dim=2)
        smooth = self.phones(by_step(phones, index, inside, step), steps)
        if self.prosody is not None:
            smooth = torch.cat([smooth, self.prosody(by_step(vectors, index, inside, step), steps)], dim=2)
        hidden = self.recurrent(self.stack(smooth, length_mask(steps, smooth.shape[1])))[0]
        mel = by_frame(self.mel(hidden), frames, step) * length_mask(total, frames)[:, :, None]
        return Decoded(mel, widened(hidden, frames, step), durations, total, {})
