"""A listening test of noise, small and quickly built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from prosody_tts.listening.kinds import Kind
from prosody_tts.listening.test import ListeningTest, Plan, Wording, build_test

RATE = 16000
SYSTEMS = ("recording", "baseline", "camp")


def noise(seed: int, seconds: float = 0.7, scale: float = 0.05) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, int(seconds * RATE))


def clips(place: Path, systems: tuple[str, ...] = SYSTEMS, count: int = 3) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    place.mkdir(exist_ok=True)
    for item in range(count):
        for number, system in enumerate(systems):
            path = place / f"{item}-{system}.wav"
            rate = 22050 if system == "recording" else RATE
            soundfile.write(path, noise(10 * item + number), rate)
            found.setdefault(f"s{item}", {})[system] = path
    return found


def built(
    place: Path,
    kind: Kind = "mushra",
    systems: tuple[str, ...] = SYSTEMS,
    each: int | None = 2,
    count: int = 3,
    completion: str | None = None,
    **more: Any,
) -> ListeningTest:
    """A test in ``place/test``, of ``count`` sentences beside those for training."""
    given = clips(place / "clips", systems, count + more.get("training", 0))
    texts = {name: f"Sentence {name} <b>." for name in given}
    plan = Plan(kind, Wording(completion=completion), each=each, sample_rate=RATE, **more)
    return build_test(place / "test", plan, given, texts)


def folder(place: Path, *given: Any, **more: Any) -> Path:
    """The same test's folder."""
    built(place, *given, **more)
    return place / "test"
