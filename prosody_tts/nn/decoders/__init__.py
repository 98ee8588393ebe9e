"""Decoders, one contract (``contract.Decoder``) and one registry."""

from __future__ import annotations

from prosody_tts.nn.decoders.attention import AttentionDecoder
from prosody_tts.nn.decoders.autoregressive import AutoregressiveDecoder
from prosody_tts.nn.decoders.camp import CampDecoder
from prosody_tts.nn.decoders.contract import Attended, Decoded, Decoder
from prosody_tts.nn.decoders.harmonic import HarmonicDecoder
from prosody_tts.nn.decoders.parallel import ParallelDecoder

DECODERS: dict[str, type[Decoder]] = {
    "parallel": ParallelDecoder,
    "harmonic": HarmonicDecoder,
    "autoregressive": AutoregressiveDecoder,
    "camp": CampDecoder,
    "attention": AttentionDecoder,
}
__all__ = [
    "DECODERS",
    "Attended",
    "AttentionDecoder",
    "AutoregressiveDecoder",
    "CampDecoder",
    "Decoded",
    "Decoder",
    "HarmonicDecoder",
    "ParallelDecoder",
]
