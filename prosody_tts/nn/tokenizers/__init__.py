"""Acoustic tokenizers: segments of the mel spectrogram to integers and back (``contract.Tokenizer``)."""

from __future__ import annotations

from prosody_tts.nn.tokenizers.binned import BinnedTokenizer
from prosody_tts.nn.tokenizers.contract import Tokenised, Tokenizer
from prosody_tts.nn.tokenizers.learned import LearnedTokenizer, SegmentEncoder
from prosody_tts.nn.tokenizers.quantizers import QUANTIZERS, FiniteQuantizer, Quantizer, ResidualQuantizer, perplexity

TOKENIZERS: dict[str, type[Tokenizer]] = {"learned": LearnedTokenizer, "binned": BinnedTokenizer}
__all__ = [
    "QUANTIZERS",
    "TOKENIZERS",
    "BinnedTokenizer",
    "FiniteQuantizer",
    "LearnedTokenizer",
    "Quantizer",
    "ResidualQuantizer",
    "SegmentEncoder",
    "Tokenised",
    "Tokenizer",
    "perplexity",
]
