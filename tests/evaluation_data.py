"""A corpus with planted prosody and systems that recover a chosen share of it, as evaluation results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from prosody_tts.evaluation.measure import TokenMeasures, token_starts
from prosody_tts.evaluation.results import Contour, Phones, Readout, UtteranceResult

HOP = 0.0125
WORDS = ("The", "gentle", "garden", "keeper", "saw", "a", "man", "who", "sang", "softly")
#: Effects of the text on (log F0, log energy, log duration) of a word.
PLANTED = {
    "compound": (0.12, 0.0, 0.0),
    "subordinate": (-0.10, 0.0, 0.0),
    "final": (0.0, 0.0, 0.25),
    "function": (-0.08, -0.5, -0.3),
    "attachment": (0.09, 0.0, 0.0),
}
SENTIMENT = (0.05, 0.4, -0.08)
RANDOM = {"accent": 0.33, "register": 0.16}


def factors(sentence: int, rendition: int, words: int, rng: np.random.Generator) -> dict:
    """Factors of an utterance; those of the text are drawn once a sentence."""
    text = np.random.default_rng([11, sentence])
    planted = {name: text.integers(0, 2, words).tolist() for name in PLANTED}
    late = bool(rng.integers(0, 2)) if rendition < 0 else rendition % 2 == 1
    accent = [0] * words
    accent[words - 2 if late else 1] = 1
    return {
        "utterance": {
            "sentiment": int(sentence % 3) - 1,
            "register": 1.18 if rendition // 2 % 2 else 0.86,
            "accent": "late" if late else "early",
        },
        "words": {**planted, "accent": accent},
    }


def prosody(plan: dict, share: float, random: float) -> np.ndarray:
    """[words, 3] log F0, log energy and log duration of words with a share of the text's and of random effects."""
    words = len(plan["words"]["accent"])
    values = np.tile([np.log(110.0), -3.0, np.log(0.25)], (words, 1))
    values[:, 0] -= 0.1 * np.linspace(0, 1, words)
    for name, effect in PLANTED.items():
        values += share * np.outer(plan["words"][name], effect)
    values += share * plan["utterance"]["sentiment"] * np.array(SENTIMENT)
    values[:, 0] += random * RANDOM["accent"] * np.array(plan["words"]["accent"])
    values[:, 0] += random * (np.log(plan["utterance"]["register"]) - 0.5 * np.log(1.18 * 0.86))
    return values


def tokens_of(values: np.ndarray) -> tuple[TokenMeasures, np.ndarray]:
    """Measures on the word axis, with short pauses around and no pause within, and frames of each token."""
    width = 1 + 2 * len(values)
    log_f0, energy, frames = np.full(width, np.nan), np.full(width, np.nan), np.zeros(width, dtype=int)
    log_f0[1::2], energy[1::2] = values[:, 0], values[:, 1]
    frames[1::2] = np.maximum(np.round(np.exp(values[:, 2]) / HOP), 3)
    frames[[0, -1]] = 4
    energy[[0, -1]] = -9.0
    return TokenMeasures(log_f0, energy, frames * HOP), frames


def halves(measures: TokenMeasures, frames: np.ndarray) -> tuple[TokenMeasures, tuple[bool, ...]]:
    """Two phones to a word, one to a pause slot: measures of each, and which are said."""
    rows, spoken = [], []
    for place, (log_f0, energy, count) in enumerate(zip(measures.log_f0, measures.energy, frames, strict=True)):
        word = place % 2 == 1
        for number in (count // 2, count - count // 2) if word else (count,):
            rows.append((log_f0, energy, number * HOP))
            spoken.append(word)
    return TokenMeasures(*np.array(rows).T), tuple(spoken)


def contour_of(measures: TokenMeasures, frames: np.ndarray) -> np.ndarray:
    """[T] F0 in Hz that rises and falls within words and is unvoiced at their ends."""
    pieces = []
    for log_f0, count in zip(measures.log_f0, frames, strict=True):
        shape = np.exp(log_f0 + 0.04 * np.sin(np.linspace(0, np.pi, count))) if count else np.zeros(0)
        shape = np.nan_to_num(shape)
        if count > 6:
            shape[:2] = 0.0
        pieces.append(shape)
    return np.round(np.concatenate(pieces), 2)


def speak(
    share: float,
    random: float,
    noise: float,
    seed: int = 0,
    sentences: int = 24,
    renditions: int = 4,
    readout: bool = True,
) -> list[UtteranceResult]:
    """Results of a system that recovers ``share`` of the text's effects and ``random`` of the renditions'."""
    rng = np.random.default_rng(seed)
    results = []
    for sentence in range(sentences):
        words = 6 + sentence % 4
        spoken = WORDS[:words]
        fixed = rng.normal(0, noise, (words, 3))
        for rendition in range(renditions):
            plan = factors(sentence, rendition, words, rng)
            micro = np.random.default_rng([5, sentence, rendition]).normal(0, 0.01, (words, 3))
            reference, reference_frames = tokens_of(prosody(plan, 1.0, 1.0) + micro)
            clean = prosody(plan, share, random) + fixed
            system, system_frames = tokens_of(clean + rng.normal(0, noise / 4, (words, 3)))
            read, _ = tokens_of(clean)
            name = f"s{sentence:03d}_r{rendition}"
            recorded, said = halves(reference, reference_frames), halves(system, system_frames)
            results.append(
                UtteranceResult(
                    id=name,
                    sentence=f"s{sentence:03d}",
                    text=" ".join(spoken) + ".",
                    tokens=("", *(part for word in spoken for part in (word, ""))),
                    reference=reference,
                    system=system,
                    mel_l1=0.4 + noise,
                    mcd=4.0 + 10 * noise + 0.1 * (sentence % 5),
                    audio=f"audio/{name}.wav",
                    factors=plan,
                    readout=Readout(read.log_f0, read.energy) if readout else None,
                    phones=Phones(said[1], recorded[0], said[0]),
                    contour=Contour(
                        hop_seconds=HOP,
                        reference_f0=contour_of(reference, reference_frames),
                        system_f0=contour_of(system, system_frames),
                        reference_starts=token_starts(reference_frames, HOP),
                        system_starts=token_starts(system_frames, HOP),
                    ),
                )
            )
    return results


def plain(results: list[UtteranceResult]) -> list[UtteranceResult]:
    """The same results as of a corpus that plants nothing."""
    return [replace(result, factors={}) for result in results]
