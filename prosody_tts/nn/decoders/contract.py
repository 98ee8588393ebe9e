"""What a decoder is: phone states and durations, or attention, to mel spectrograms."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from data_modules.batches import AcousticBatch


@dataclass
class Attended:
    """Where an attention looked.

    Attributes:
        weights: [B, S, P] of each decoder step over the phones; a step's sum to one, zero past the sentence's steps.
        steps: [B] steps.
        stopped: [B] whether the decoder ended by itself, and not at its limit.
    """

    weights: Tensor
    steps: Tensor
    stopped: Tensor


@dataclass
class Decoded:
    """What a decoder made.

    Attributes:
        mel: [B, T, M] normalised log-mel, zeros past the lengths.
        states: [B, T, D] what each frame was read from.
        durations: [B, P] frames of each phone: those given, or those read off the attention.
        lengths: [B] frames.
        extra: further tensors the decoder's own losses need, by name.
        drafts: [B, T, M] each; what the mel was before a post-net, which is to be the recording's too.
        attended: where an attention looked; none of a decoder that was told the durations.
    """

    mel: Tensor
    states: Tensor
    durations: Tensor
    lengths: Tensor
    extra: dict[str, Tensor]
    drafts: tuple[Tensor, ...] = ()
    attended: Attended | None = None


class Decoder(nn.Module):
    """The contract of a decoder.

    ``forward(states [B, P, C], lengths [B], durations [B, P] or None, recording or None) -> Decoded``: ``lengths`` are
    the phones', ``durations`` frames. With a ``recording`` it is rebuilt, and a decoder that hears its own past hears
    the recording's; without one the decoder is on its own. A decoder whose ``timed`` is false takes no durations: it
    finds them itself.
    """

    #: Whether the decoder is told how long each phone lasts.
    timed: bool = True
    #: Dimensions of ``Decoded.states``.
    width: int

    def forward(
        self, states: Tensor, lengths: Tensor, durations: Tensor | None, recording: AcousticBatch | None
    ) -> Decoded:
        raise NotImplementedError

    def losses(self, decoded: Decoded, recording: AcousticBatch) -> dict[str, Tensor]:
        """Un-weighted losses of the decoder's own, beside that of the mel; their names are weights of stage one."""
        return {}

    def anneal(self, own: float) -> None:
        """Tell a decoder that hears its own past which share of it is, in training, not the recording's but its own."""
        return None
