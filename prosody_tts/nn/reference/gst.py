"""Kathaka's hearing: the reference encoder of global style tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prosody_tts.nn.layers import MaskedBatchNorm
from prosody_tts.nn.reference.contract import Heard, Hearing
from prosody_tts.nn.reference.framewise import shrunk
from prosody_tts.nn.units import length_mask

#: Channels of the convolutions, and units of the GRU (Skerry-Ryan et al., arXiv 1803.09047, section 3.2).
CHANNELS, RECURRENT = (32, 32, 64, 64, 128, 128), 128


class GstHearing(Hearing):
    """Six convolutions over time and mel channels, 3 by 3 at stride 2, then a GRU whose last state is the utterance's.

    Kathaka (section 3.1) names Zhang et al. (arXiv 1812.04342), who have the encoder of Skerry-Ryan et al. (arXiv
    1803.09047, section 3.2). It hears the mel alone, and its steps of 64 frames are too long for words: it is for
    utterances.

    Every layer sets what lies past a recording's end to zero, which a 3 by 3 window at an end would see alone as well;
    ``ceil(T / 2)`` steps of each layer are the recording's own. Batch normalisation takes its statistics from those.
    """

    width = RECURRENT

    def __init__(self, mels: int) -> None:
        super().__init__()
        sizes = (1, *CHANNELS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
            for inputs, outputs in zip(sizes[:-1], CHANNELS, strict=True)
        )
        self.norms = nn.ModuleList(MaskedBatchNorm(channels) for channels in CHANNELS)
        bands = mels
        for _ in CHANNELS:
            bands = (bands + 1) // 2
        self.recurrent = nn.GRU(CHANNELS[-1] * bands, RECURRENT, batch_first=True)

    def forward(self, heard: Heard) -> Tensor:
        lengths = heard.lengths
        image = heard.mel[:, None] * length_mask(lengths, heard.mel.shape[1])[:, None, :, None]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            image, lengths = convolution(image), shrunk(lengths, 2)
            inside = length_mask(lengths, image.shape[2])[:, :, None].expand(-1, -1, image.shape[3])
            image = norm(image.permute(0, 2, 3, 1), inside).relu().permute(0, 3, 1, 2)
        steps = self.recurrent(image.permute(0, 2, 1, 3).flatten(2))[0]
        rows = torch.arange(len(steps), device=steps.device)
        return steps[rows, lengths - 1][:, None]
