"""What looks at a whole mel again after a decoder that made it frame by frame; one contract, one registry."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders.contract import Decoded
from prosody_tts.nn.decoders.harmonic import HarmonicHead
from prosody_tts.nn.decoders.steps import step_lengths, widened
from prosody_tts.nn.layers import ConvStack, NormedConvolutions
from prosody_tts.nn.units import length_mask

#: Width of Tacotron-2's post-net's convolutions, in frames.
KERNEL = 5


class PostNet(nn.Module):
    """The contract: a draft in, the same speech with a better mel out, and the draft's own mel among its ``drafts``.

    ``told`` [B, S, D] is what each step of the decoder was told of the text. With a ``recording`` it is rebuilt.
    """

    #: Dimensions of the states it leaves; none keeps the decoder's.
    width: int | None = None

    def forward(self, draft: Decoded, told: Tensor, recording: AcousticBatch | None) -> Decoded:
        raise NotImplementedError

    def losses(self, decoded: Decoded, recording: AcousticBatch) -> dict[str, Tensor]:
        """Un-weighted losses of its own, by the names of their weights."""
        return {}


class ConvolutionalPostNet(PostNet):
    """Convolutions that add to the mel what needs its surroundings (Tacotron-2): five of them there, tanh between."""

    def __init__(self, mels: int, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        widths = [mels, *[width] * (layers - 1), mels]
        self.stack = NormedConvolutions(widths, KERNEL, dropout, torch.tanh, activate_last=False)

    def forward(self, draft: Decoded, told: Tensor, recording: AcousticBatch | None) -> Decoded:
        mask = length_mask(draft.lengths, draft.mel.shape[1])
        return replace(draft, mel=draft.mel + self.stack(draft.mel, mask), drafts=(draft.mel,))


class HarmonicPostNet(PostNet):
    """Draws the mel anew from what the decoder was told, as the default decoder does from phones and durations (ours).

    It hears nothing of the frames before, so that no error of theirs reaches the mel: these only steer where the
    decoder reads and when it stops.
    """

    def __init__(self, inputs: int, width: int, kernel: int, layers: int, dropout: float, head: HarmonicHead) -> None:
        super().__init__()
        self.width: int = width
        self.enter = nn.Linear(inputs, width)
        self.stack = ConvStack(width, kernel, layers, dropout)
        self.head = head

    def forward(self, draft: Decoded, told: Tensor, recording: AcousticBatch | None) -> Decoded:
        step, frames = self.head.frames_per_step, draft.mel.shape[1]
        mask = length_mask(step_lengths(draft.lengths, step), told.shape[1])
        steps = self.stack(self.enter(told) * mask[:, :, None], mask)
        mel, extra = self.head(steps, draft.lengths, frames, recording)
        states = widened(steps, frames, step)
        return replace(draft, mel=mel, states=states, extra={**draft.extra, **extra}, drafts=(draft.mel,))

    def losses(self, decoded: Decoded, recording: AcousticBatch) -> dict[str, Tensor]:
        return self.head.losses(decoded, recording)


POSTNETS: dict[str, type[PostNet]] = {"convolutional": ConvolutionalPostNet, "harmonic": HarmonicPostNet}
