"""Hearings that read frames in order and take one state a unit from them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.layers import BiLSTM, ConvStack, MaskedBatchNorm, SentenceDropout
from prosody_tts.nn.reference.contract import Heard, Hearing
from prosody_tts.nn.units import POOLS, length_mask

#: Convolutions of CAMP's reference encoder, their kernel (Tacotron-2's), and its BiLSTMs (CAMP, section 2.2).
CAMP_CONVOLUTIONS, CAMP_KERNEL, CAMP_RECURRENT = 3, 5, 2
#: Convolution blocks and units a direction of the BiLSTM of arXiv 2301.11446.
GATED_BLOCKS, GATED_RECURRENT = 6, 128


def shrunk(lengths: Tensor, stride: int) -> Tensor:
    """Steps of sequences read at a stride, the last perhaps in part."""
    return torch.div(lengths + stride - 1, stride, rounding_mode="floor")


class FramewiseHearing(Hearing):
    """Mel frames, and with ``states`` above zero the spread phone states beside them, in; one state a unit out.

    The phone states tell what is said, so that the vector need only hold how (CAMP, section 2.1). Frames are read
    ``stride`` at a time. A subclass turns steps into states (``read``); then ``pool`` takes one a unit.

    Args:
        mels: M.
        states: dimensions of the phone states; 0 hears the mel alone.
        read_width: dimensions of what ``read`` returns.
        pool: key of ``POOLS``.
        stride: frames a step.
        shrink: how many steps ``read`` makes one of.
    """

    def __init__(self, mels: int, states: int, read_width: int, pool: str, stride: int, shrink: int = 1) -> None:
        super().__init__()
        self.states, self.stride, self.shrink = states, stride, shrink
        self.pool, factor = POOLS[pool]
        self.inputs = (mels + states) * stride
        self.width = read_width * factor

    def read(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Steps [B, S, inputs], zero past ``lengths`` [B], -> [B, ceil(S / shrink), read_width]."""
        raise NotImplementedError

    def forward(self, heard: Heard) -> Tensor:
        size = heard.mel.shape[1]
        mask = length_mask(heard.lengths, size)
        joined = torch.cat([heard.mel, heard.states[:, :, : self.states]], dim=2) * mask[:, :, None]
        joined = nn.functional.pad(joined, (0, 0, 0, -joined.shape[1] % self.stride))
        steps = joined.reshape(joined.shape[0], joined.shape[1] // self.stride, -1)
        states = self.read(steps, shrunk(heard.lengths, self.stride))
        frames = states.repeat_interleave(self.stride * self.shrink, dim=1)[:, :size]
        return self.pool(frames, heard.frame_to_unit, mask, heard.units)


class ConvolutionalHearing(FramewiseHearing):
    """Two residual convolutions and a BiLSTM (ours): the small one of all families in ``design=fast``."""

    def __init__(self, mels: int, states: int, width: int, kernel: int, pool: str, stride: int, dropout: float) -> None:
        super().__init__(mels, states, width, pool, stride)
        self.reduce = nn.Linear(self.inputs, width)
        self.stack = ConvStack(width, kernel, 2, dropout)
        self.recurrent = BiLSTM(width, width)

    def read(self, steps: Tensor, lengths: Tensor) -> Tensor:
        states = self.stack(self.reduce(steps), length_mask(lengths, steps.shape[1]))
        return states + self.recurrent(states, lengths)


class CampHearing(FramewiseHearing):
    """Three convolutions and two BiLSTMs (CAMP, section 2.2, and Hodari's thesis, Figure 6.2).

    The convolutions are Tacotron-2's, each with batch normalisation and a rectifier: what CAMP's phone encoder has;
    those of its reference encoder are not printed.
    """

    def __init__(self, mels: int, states: int, width: int, pool: str, stride: int, dropout: float) -> None:
        super().__init__(mels, states, width, pool, stride)
        sizes = [self.inputs] + [width] * CAMP_CONVOLUTIONS
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs, width, CAMP_KERNEL, padding=CAMP_KERNEL // 2, bias=False) for inputs in sizes[:-1]
        )
        self.norms = nn.ModuleList(MaskedBatchNorm(width) for _ in self.convolutions)
        self.dropout = SentenceDropout(dropout)
        self.recurrent = nn.ModuleList(BiLSTM(width, width) for _ in range(CAMP_RECURRENT))

    def read(self, steps: Tensor, lengths: Tensor) -> Tensor:
        mask = length_mask(lengths, steps.shape[1])
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            steps = norm(convolution(steps.transpose(1, 2)).transpose(1, 2), mask).relu()
        steps = self.dropout(steps)
        for recurrent in self.recurrent:
            steps = recurrent(steps, lengths)
        return steps


class GatedConvolution(nn.Module):
    """Residual convolution gated as WaveNet's, tanh times sigmoid; with ``halve`` every second step is left out.

    Shapes: x [B, S, D], mask [B, S] -> [B, S or ceil(S / 2), D].
    """

    def __init__(self, width: int, kernel: int, halve: bool) -> None:
        super().__init__()
        self.stride = 2 if halve else 1
        self.convolution = nn.Conv1d(width, 2 * width, kernel, self.stride, kernel // 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x * mask[:, :, None]
        signal, gate = self.convolution(x.transpose(1, 2)).transpose(1, 2).chunk(2, dim=2)
        return x[:, :: self.stride] + signal.tanh() * gate.sigmoid()


class GatedHearing(FramewiseHearing):
    """Six gated convolutions and a BiLSTM of 128 units a direction (arXiv 2301.11446, section 2).

    There a word or phone has the state of its middle frame; an utterance, convolutions of stride 2 and the first and
    the last state: ``halve`` and the pool ``ends``.
    """

    def __init__(
        self,
        mels: int,
        states: int,
        width: int,
        kernel: int,
        pool: str,
        stride: int,
        dropout: float,
        halve: bool,
    ) -> None:
        super().__init__(mels, states, 2 * GATED_RECURRENT, pool, stride, 2**GATED_BLOCKS if halve else 1)
        self.halving = 2 if halve else 1
        self.reduce = nn.Linear(self.inputs, width)
        self.blocks = nn.ModuleList(GatedConvolution(width, kernel, halve) for _ in range(GATED_BLOCKS))
        self.dropout = SentenceDropout(dropout)
        self.recurrent = BiLSTM(width, 2 * GATED_RECURRENT)

    def read(self, steps: Tensor, lengths: Tensor) -> Tensor:
        states = self.reduce(steps)
        for block in self.blocks:
            states = block(states, length_mask(lengths, states.shape[1]))
            lengths = shrunk(lengths, self.halving)
        return self.recurrent(self.dropout(states), lengths)
