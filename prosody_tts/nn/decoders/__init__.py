"""Decoders, one contract (``contract.Decoder``) and one registry; what refines their drafts has its own."""

from __future__ import annotations

from prosody_tts.nn.decoders.attention import AttentionDecoder
from prosody_tts.nn.decoders.autoregressive import AutoregressiveDecoder
from prosody_tts.nn.decoders.camp import CampDecoder
from prosody_tts.nn.decoders.contract import Attended, Decoded, Decoder
from prosody_tts.nn.decoders.harmonic import HarmonicDecoder, HarmonicHead
from prosody_tts.nn.decoders.parallel import ParallelDecoder
from prosody_tts.nn.decoders.postnets import POSTNETS, ConvolutionalPostNet, HarmonicPostNet, PostNet

DECODERS: dict[str, type[Decoder]] = {
    "parallel": ParallelDecoder,
    "harmonic": HarmonicDecoder,
    "autoregressive": AutoregressiveDecoder,
    "camp": CampDecoder,
    "attention": AttentionDecoder,
}
__all__ = [
    "DECODERS",
    "POSTNETS",
    "Attended",
    "AttentionDecoder",
    "AutoregressiveDecoder",
    "CampDecoder",
    "ConvolutionalPostNet",
    "Decoded",
    "Decoder",
    "HarmonicDecoder",
    "HarmonicHead",
    "HarmonicPostNet",
    "ParallelDecoder",
    "PostNet",
]
