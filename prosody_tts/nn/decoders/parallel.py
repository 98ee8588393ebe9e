"""All frames at once, by convolutions."""

from __future__ import annotations

from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders.contract import Decoded, Decoder
from prosody_tts.nn.decoders.steps import by_frame, framing, positions, step_lengths, widened
from prosody_tts.nn.layers import ConvStack
from prosody_tts.nn.units import length_mask, spread


class ParallelTrunk(nn.Module):
    """Spread phone states and convolve them at ``frames_per_step`` frames a step (after CAMP, section 2.1).

    Shapes: states [B, P, inputs], durations [B, P] -> [B, T / frames_per_step, width].
    """

    def __init__(self, inputs: int, width: int, kernel: int, layers: int, frames_per_step: int, dropout: float) -> None:
        super().__init__()
        self.frames_per_step = frames_per_step
        self.position = nn.Linear(3, inputs)
        self.reduce = nn.Linear(inputs * frames_per_step, width)
        self.stack = ConvStack(width, kernel, layers, dropout)

    def forward(self, states: Tensor, durations: Tensor) -> Tensor:
        step = self.frames_per_step
        index, inside = framing(durations, step)
        mask = inside[:, :, None].to(states.dtype)
        placed = (spread(states, index) + self.position(positions(durations, index))) * mask
        joined = self.reduce(placed.reshape(placed.shape[0], placed.shape[1] // step, -1))
        return self.stack(joined, length_mask(step_lengths(durations.sum(1), step), joined.shape[1]))


class ParallelDecoder(Decoder):
    """The trunk and a projection."""

    def __init__(
        self, inputs: int, width: int, mels: int, kernel: int, layers: int, frames_per_step: int, dropout: float
    ) -> None:
        super().__init__()
        self.width, self.frames_per_step = width, frames_per_step
        self.trunk = ParallelTrunk(inputs, width, kernel, layers, frames_per_step, dropout)
        self.mel = nn.Linear(width, mels * frames_per_step)

    def forward(
        self, states: Tensor, lengths: Tensor, durations: Tensor | None, recording: AcousticBatch | None
    ) -> Decoded:
        assert durations is not None
        total = durations.sum(1)
        frames = int(total.max())
        steps = self.trunk(states, durations)
        mask = length_mask(total, frames)[:, :, None].to(steps.dtype)
        mel = by_frame(self.mel(steps), frames, self.frames_per_step) * mask
        return Decoded(mel, widened(steps, frames, self.frames_per_step), durations, total, {})
