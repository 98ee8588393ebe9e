"""Building blocks that padding cannot touch: every layer takes a mask or lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from prosody_tts.nn.means import over_processes, summed
from prosody_tts.nn.units import spread


class SentenceDropout(nn.Module):
    """Dropout of whole channels: the same for every step of a sentence (Gal & Ghahramani 2016; Tompson et al. 2015).

    Dropped step by step, a channel that says something of the whole sentence survives in the other steps, and the
    model learns by heart how each training sentence happened to be spoken.

    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return x
        kept = x.new_ones(x.shape[0], 1, x.shape[2])
        return x * nn.functional.dropout(kept, self.share)


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) over the places in a mask alone.

    The usual kind takes mean and variance over padding too, so that how an utterance is heard in training, and by the
    running statistics ever after, would depend on how long its neighbours are. Processes that share a batch take them
    over the whole of it.

    Shapes: x [B, ..., D], mask [B, ...] -> [B, ..., D], zero outside the mask.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, width: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_variance", torch.ones(width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        inside = mask[..., None].to(x.dtype)
        mean, variance = self.running_mean, self.running_variance
        if self.training:
            axes, count = tuple(range(x.ndim - 1)), over_processes(inside.sum())
            mean = summed((x * inside).sum(axes)) / count
            variance = summed(((x - mean).square() * inside).sum(axes)) / count
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_variance.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
        return ((x - mean) * (variance + self.epsilon).rsqrt() * self.weight + self.bias) * inside


class ConvBlock(nn.Module):
    """Residual convolution over time, pre-activated: normalise channels, rectify, convolve.

    Shapes: x [B, T, D], mask [B, T, 1] -> [B, T, D].
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        hidden = nn.functional.relu(self.norm(x)) * mask
        return x + self.conv(hidden.transpose(1, 2)).transpose(1, 2)


class ConvStack(nn.Module):
    """Several ``ConvBlock``, a normalisation, dropout of channels: x [B, T, D], mask [B, T] -> [B, T, D], zero outside.

    Dropout stands once a stack: per block it cost a tenth of a training step on a CPU and gained nothing (ours).
    """

    def __init__(self, width: int, kernel: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvBlock(width, kernel) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.dropout = SentenceDropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        inside = mask[:, :, None].to(x.dtype)
        for block in self.blocks:
            x = block(x, inside)
        return self.dropout(self.norm(x)) * inside


class BiLSTM(nn.Module):
    """Bidirectional LSTM that starts at each sequence's own end.

    Two one-way LSTMs, the second over each sequence reversed within its length: padding changes nothing, and the
    fused kernels run, which packed sequences forgo (3.5 times slower on a CPU).

    Shapes: x [B, T, inputs], lengths [B] -> [B, T, width], zero outside the lengths; ``width`` is both directions'.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"a BiLSTM's width must be even, not {width}")
        self.forwards = nn.LSTM(inputs, width // 2, batch_first=True)
        self.backwards = nn.LSTM(inputs, width // 2, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        index = torch.arange(x.shape[1], device=x.device).expand(x.shape[0], -1)
        inside = index < lengths[:, None]
        mirror = torch.where(inside, lengths[:, None] - 1 - index, index)
        backwards = spread(self.backwards(spread(x, mirror))[0], mirror)
        return torch.cat([self.forwards(x)[0], backwards], dim=2) * inside[:, :, None]


class NormedConvolutions(nn.Module):
    """Tacotron-2's convolutions (arXiv 1712.05884, section 2.2): convolve, normalise the batch, activate, drop out.

    ``widths`` are the channels in and after every layer; ``activate_last`` says whether the last is activated too.

    Shapes: x [B, T, widths[0]], mask [B, T] -> [B, T, widths[-1]], zero outside the mask.
    """

    def __init__(
        self,
        widths: Sequence[int],
        kernel: int,
        dropout: float,
        activation: Callable[[Tensor], Tensor],
        activate_last: bool = True,
    ) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.convs = nn.ModuleList(nn.Conv1d(a, b, kernel, padding=kernel // 2, bias=False) for a, b in pairs)
        self.norms = nn.ModuleList(MaskedBatchNorm(b) for _, b in pairs)
        self.activation = activation
        self.activated = len(pairs) if activate_last else len(pairs) - 1
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for place, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(conv(x.transpose(1, 2)).transpose(1, 2), mask)
            x = self.dropout(self.activation(x) if place < self.activated else x)
        return x


#: Hidden and cell state [B, D] of every layer of an LSTM.
LSTMState = list[tuple[Tensor, Tensor]]


class SteppedLSTM(nn.Module):
    """An LSTM that runs over a whole sequence in one fused call, or step by step with the same weights.

    A step by cells takes a third of what a call of the fused kernel for one step does (on a CPU).

    Shapes: x [B, T, inputs] -> [B, T, width]; ``step`` takes x [B, inputs] and returns [B, width] and the next state.
    """

    def __init__(self, inputs: int, width: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(inputs, width, layers, batch_first=True, dropout=between)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]

    def start(self, x: Tensor) -> LSTMState:
        """The state before the first step, for as many rows as ``x`` has."""
        zeros = x.new_zeros(x.shape[0], self.lstm.hidden_size)
        return [(zeros, zeros)] * self.lstm.num_layers

    def step(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """One step, without dropout."""
        after: LSTMState = []
        for before, weights in zip(state, self.lstm.all_weights, strict=True):
            x, cell = torch.lstm_cell(x, before, *weights)
            after.append((x, cell))
        return x, after


def first_and_last(states: Tensor, lengths: Tensor) -> Tensor:
    """Concatenate the first and the last state of each sequence, as Kathaka does (section 3.2): [B, 2 D]."""
    rows = torch.arange(states.shape[0], device=states.device)
    return torch.cat([states[:, 0], states[rows, lengths - 1]], dim=1)
