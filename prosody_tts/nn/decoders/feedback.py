"""What decoders that hear their own past share: pre-net, scheduled sampling, and a post-net where there is one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.batches import AcousticBatch
from prosody_tts.nn.decoders.contract import Decoded, Decoder
from prosody_tts.nn.decoders.postnets import PostNet


class PreNet(nn.Module):
    """Two rectified layers over the frame before, with dropout in training and, with ``always``, at synthesis too.

    Tacotron-2 keeps the dropout at synthesis (arXiv 1712.05884, section 2.2). There the same draws, by ``seed``, meet
    every sentence step by step, so that a sentence sounds the same alone, in company, and again (ours).
    """

    LAYERS = 2

    def __init__(self, inputs: int, width: int, dropout: float, always: bool, seed: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(inputs, width), nn.Linear(width, width)])
        self.width = width
        self.dropout = dropout
        self.seed = seed if always and dropout > 0 else None

    def kept(self, steps: int, like: Tensor) -> Tensor:
        """Factors of the units of every layer outside training: [steps, LAYERS, width]."""
        if self.seed is None:
            return like.new_ones(steps, self.LAYERS, self.width)
        generator = torch.Generator().manual_seed(self.seed)
        # Step by step, so that the first steps' draws do not depend on how many there will be.
        draws = [torch.rand(self.LAYERS, self.width, generator=generator) for _ in range(steps)]
        return (torch.stack(draws) >= self.dropout).to(like) / (1 - self.dropout)

    def forward(self, frames: Tensor, kept: Tensor) -> Tensor:
        """Frames [..., S, M] and what is ``kept`` of each step [S, LAYERS, width]: [..., S, width]."""
        for place, layer in enumerate(self.layers):
            frames = nn.functional.relu(layer(frames))
            frames = nn.functional.dropout(frames, self.dropout) if self.training else frames * kept[:, place]
        return frames


class FeedbackDecoder(Decoder):
    """A decoder whose every step hears the last frame of the step before; the first hears zeros, the mean frame.

    Args:
        width: dimensions of its states.
        mels: channels.
        prenet: units of the pre-net.
        postnet: what looks at the whole mel again, or none.
        frames_per_step: the reduction factor.
        prenet_dropout: of the pre-net.
        prenet_always: whether it drops at synthesis too.
        seed: of what it drops there.
    """

    def __init__(
        self,
        width: int,
        mels: int,
        prenet: int,
        postnet: PostNet | None,
        frames_per_step: int,
        prenet_dropout: float,
        prenet_always: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.frames_per_step = frames_per_step
        self.width = width if postnet is None or postnet.width is None else postnet.width
        self.prenet = PreNet(mels, prenet, prenet_dropout, prenet_always, seed)
        self.postnet = postnet
        self.own = 0.0

    def anneal(self, own: float) -> None:
        self.own = own

    def before(self, mel: Tensor, steps: int) -> Tensor:
        """The frame that each step hears: mel [B, T, M] -> [B, S, M]."""
        lasts = mel[:, self.frames_per_step - 1 :: self.frames_per_step][:, : steps - 1]
        return nn.functional.pad(lasts, (0, 0, 1, steps - 1 - lasts.shape[1]))

    def mixed(self, given: Tensor, made: Tensor) -> Tensor:
        """A share ``own`` of the frames heard [B, S, M] is what the decoder made under teacher forcing.

        Scheduled sampling in two passes (Mihaylova & Martins 2019), which leaves training parallel.
        """
        chosen = torch.rand(given.shape[0], given.shape[1], 1, device=given.device) < self.own
        return torch.where(chosen, made, given)

    def refined(self, draft: Decoded, told: Tensor, recording: AcousticBatch | None) -> Decoded:
        """The draft as the post-net leaves it; ``told`` [B, S, D] is what each step was told of the text."""
        return draft if self.postnet is None else self.postnet(draft, told, recording)

    def losses(self, decoded: Decoded, recording: AcousticBatch) -> dict[str, Tensor]:
        return {} if self.postnet is None else self.postnet.losses(decoded, recording)
