"""Frame after frame, each heard by the next; durations are given."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders.contract import Decoded
from prosody_tts.nn.decoders.feedback import FeedbackDecoder
from prosody_tts.nn.decoders.postnets import PostNet
from prosody_tts.nn.decoders.steps import by_frame, by_step, framing, positions, widened
from prosody_tts.nn.layers import SteppedLSTM
from prosody_tts.nn.units import length_mask


class AutoregressiveDecoder(FeedbackDecoder):
    """Pre-net, LSTMs over it and the spread phone states, a projection; a post-net where asked.

    Kathaka's modified DurIAN has no post-net (section 2); CAMP's DurIAN+ is Tacotron-2's decoder with durations instead
    of attention (section 2.1). Where a frame lies in its phone is given besides, as in DurIAN (arXiv 1909.01700).
    Further arguments are those of ``FeedbackDecoder``.

    Args:
        inputs: dimensions of the phone states.
        recurrent: units of the LSTMs.
        layers: how many.
        dropout: between them.
    """

    def __init__(
        self,
        inputs: int,
        mels: int,
        recurrent: int,
        layers: int,
        prenet: int,
        postnet: PostNet | None,
        frames_per_step: int,
        dropout: float,
        prenet_dropout: float,
        prenet_always: bool,
        seed: int,
    ) -> None:
        super().__init__(recurrent, mels, prenet, postnet, frames_per_step, prenet_dropout, prenet_always, seed)
        memory = (inputs + 3) * frames_per_step
        self.recurrent = SteppedLSTM(prenet + memory, recurrent, layers, dropout)
        self.mel = nn.Linear(recurrent + memory, mels * frames_per_step)

    def forward(
        self, states: Tensor, lengths: Tensor, durations: Tensor | None, recording: AcousticBatch | None
    ) -> Decoded:
        assert durations is not None
        total, step = durations.sum(1), self.frames_per_step
        frames = int(total.max())
        index, inside = framing(durations, step)
        place = positions(durations, index).to(states.dtype) * inside[:, :, None]
        memory = torch.cat([by_step(states, index, inside, step), place.reshape(*place.shape[:1], -1, 3 * step)], dim=2)
        kept = self.prenet.kept(memory.shape[1], states)
        hidden, out = self.alone(memory, kept) if recording is None else self.taught(memory, kept, recording.mel)
        mel = by_frame(out, frames, step) * length_mask(total, frames)[:, :, None]
        draft = Decoded(mel, widened(hidden, frames, step), durations, total, {})
        return self.refined(draft, memory, recording)

    def taught(self, memory: Tensor, kept: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Rebuild a recording, whose frames are heard: states [B, S, D] and what the steps say [B, S, r M]."""
        heard = self.before(mel, memory.shape[1])
        if self.training and self.own > 0:
            with torch.no_grad():
                made = by_frame(self.follow(memory, kept, heard)[1], mel.shape[1], self.frames_per_step)
            heard = self.mixed(heard, self.before(made, memory.shape[1]))
        return self.follow(memory, kept, heard)

    def follow(self, memory: Tensor, kept: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """All steps at once, for frames heard [B, S, M]."""
        hidden = self.recurrent(torch.cat([self.prenet(heard, kept), memory], dim=2))
        return hidden, self.mel(torch.cat([hidden, memory], dim=2))

    def alone(self, memory: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Step by step, each hearing what the one before said."""
        heard = memory.new_zeros(memory.shape[0], self.mel.out_features // self.frames_per_step)
        state = self.recurrent.start(memory)
        states, said = [], []
        for step in range(memory.shape[1]):
            entered = self.prenet(heard[:, None], kept[step : step + 1])[:, 0]
            hidden, state = self.recurrent.step(torch.cat([entered, memory[:, step]], dim=1), state)
            out = self.mel(torch.cat([hidden, memory[:, step]], dim=1))
            heard = out[:, -heard.shape[1] :]
            states.append(hidden)
            said.append(out)
        return torch.stack(states, dim=1), torch.stack(said, dim=1)
