"""Reference encoders: what a recording's prosody is, one vector a unit.

A learned one is a *hearing* (a state a unit, heard in the recording) below a *head* (the kind of its posterior); any
goes with any. The explicit one measures.
"""

from prosody_tts.nn.reference.contract import (
    Head,
    Heard,
    Hearing,
    LearnedReference,
    Posterior,
    ReferenceEncoder,
)
from prosody_tts.nn.reference.explicit import ExplicitReference
from prosody_tts.nn.reference.framewise import CampHearing, ConvolutionalHearing, GatedHearing
from prosody_tts.nn.reference.gst import GstHearing
from prosody_tts.nn.reference.heads import DeterministicHead, VariationalHead

HEARINGS: dict[str, type[Hearing]] = {
    "convolutional": ConvolutionalHearing,
    "gst": GstHearing,
    "camp": CampHearing,
    "gated": GatedHearing,
}

HEADS: dict[str, type[Head]] = {"deterministic": DeterministicHead, "variational": VariationalHead}

#: All kinds of ``acoustic.reference`` that have vectors.
REFERENCES: tuple[str, ...] = (*HEADS, "explicit")

__all__ = [
    "HEADS",
    "HEARINGS",
    "REFERENCES",
    "ExplicitReference",
    "Head",
    "Heard",
    "Hearing",
    "LearnedReference",
    "Posterior",
    "ReferenceEncoder",
]
