"""Decoders, one contract (``contract.Decoder``) and one registry."""

from __future__ import annotations

from prosody_tts.nn.decoders.contract import Decoded, Decoder
from prosody_tts.nn.decoders.harmonic import HarmonicDecoder
from prosody_tts.nn.decoders.parallel import ParallelDecoder

DECODERS: dict[str, type[Decoder]] = {"parallel": ParallelDecoder, "harmonic": HarmonicDecoder}
__all__ = ["DECODERS", "Decoded", "Decoder", "HarmonicDecoder", "ParallelDecoder"]
