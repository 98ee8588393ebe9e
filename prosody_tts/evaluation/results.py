"""What an evaluation writes: one line of JSON per utterance, read by metrics and report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from prosody_tts.errors import UserError
from prosody_tts.evaluation.attention import Attention
from prosody_tts.evaluation.kept_draws import Draws
from prosody_tts.evaluation.measure import Floats, TokenMeasures, from_json_floats, to_json_floats
from prosody_tts.files import parse_json, write_text

#: Name of the file in an evaluation's folder.
RESULTS = "utterances.jsonl"


@dataclass(frozen=True, eq=False)
class Readout:
    """Word prosody read from the decoder's states by the auxiliary head, in the units of ``TokenMeasures``.

    Attributes:
        log_f0: [W] natural log of Hz.
        energy: [W] natural-log energy.
    """

    log_f0: Floats
    energy: Floats

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"log_f0": to_json_floats(self.log_f0), "energy": to_json_floats(self.energy)}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Readout:
        """The inverse of ``to_dict``."""
        return Readout(log_f0=from_json_floats(data["log_f0"]), energy=from_json_floats(data["energy"]))


@dataclass(frozen=True, eq=False)
class Drawn:
    """What many draws of one sentence sound like (``draws``).

    Attributes:
        log_f0: [S, W] natural log of Hz; NaN on pause slots, and where a word of a draw has no F0.
        duration: [S, W] seconds.
    """

    log_f0: Floats
    duration: Floats


@dataclass(frozen=True, eq=False)
class Phones:
    """Prosody of every phone P, slots of pauses included, in the units of ``TokenMeasures``.

    Attributes:
        spoken: [P] which are said; the others are slots of pauses.
        reference: measures of the recording.
        system: measures of the synthesised audio, with the system's own predicted durations.
    """

    spoken: tuple[bool, ...]
    reference: TokenMeasures
    system: TokenMeasures

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "spoken": list(self.spoken),
            "reference": self.reference.to_dict(),
            "system": self.system.to_dict(),
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Phones:
        """The inverse of ``to_dict``."""
        sides = {name: TokenMeasures.from_dict(data[name]) for name in ("reference", "system")}
        return Phones(tuple(map(bool, data["spoken"])), **sides)


@dataclass(frozen=True, eq=False)
class Contour:
    """F0 over time.

    Attributes:
        hop_seconds: seconds between frames.
        reference_f0: Hz of every frame of the recording, 0 where unvoiced.
        system_f0: Hz of every frame of the synthesised audio, 0 where unvoiced.
        reference_starts: [W + 1] seconds at which the recording's tokens start, and the end of the last.
        system_starts: [W + 1] the same of the system.
    """

    hop_seconds: float
    reference_f0: Floats
    system_f0: Floats
    reference_starts: Floats
    system_starts: Floats

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; F0 to a hundredth of a Hz, times to a tenth of a millisecond."""
        return {
            "hop_seconds": self.hop_seconds,
            "reference_f0": np.round(self.reference_f0, 2).tolist(),
            "system_f0": np.round(self.system_f0, 2).tolist(),
            "reference_starts": np.round(self.reference_starts, 4).tolist(),
            "system_starts": np.round(self.system_starts, 4).tolist(),
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Contour:
        """The inverse of ``to_dict``."""
        arrays = {name: np.asarray(data[name], dtype=np.float64) for name in data if name != "hop_seconds"}
        return Contour(hop_seconds=data["hop_seconds"], **arrays)


@dataclass(frozen=True, eq=False)
class UtteranceResult:
    """One held-out utterance, spoken by the corpus and by a system.

    Attributes:
        id: the utterance.
        sentence: renditions of the same text share it.
        text: what is said.
        tokens: [W] the words; "" for pause slots.
        reference: measures of the recording.
        system: measures of the synthesised audio, with the system's own predicted durations.
        mel_l1: nats, see ``measure.mel_l1``.
        mcd: dB, see ``measure.mcd``.
        audio: the synthesised audio, relative to the evaluation's folder.
        speaker: who speaks; renditions of a sentence are compared within a speaker.
        factors: what a controlled corpus planted (``data_modules.corpora.contract.Utterance.factors``).
        readout: the decoder's read-out head, where the system has one.
        contour: F0 over time, where it was kept.
        phones: measures of every phone, where they were kept.
        quality: scores that a model gave the synthesised audio (``raters``); none where nobody rated.
        vectors: [U, D] that stage one gave the recording, of an oracle.
        attention: whether the system's attention read the sentence (``attention.Attention``); none where it has none.
        cut: whether a guard of length ended the sentence, of systems that say when they have finished; else none.
        heard: what a recogniser wrote of the synthesised audio, as it wrote it; none where nobody listened.
        draws: of the sentence, the same for all its renditions; none where nothing was drawn. They stand in a file of
            their own.
    """

    id: str
    sentence: str
    text: str
    tokens: tuple[str, ...]
    reference: TokenMeasures
    system: TokenMeasures
    mel_l1: float
    mcd: float
    audio: str
    speaker: str = ""
    factors: dict[str, Any] = field(default_factory=dict)
    readout: Readout | None = None
    contour: Contour | None = None
    phones: Phones | None = None
    vectors: Floats | None = None
    attention: Attention | None = None
    cut: bool | None = None
    heard: str | None = None
    quality: dict[str, float] | None = None
    draws: Drawn | None = None

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless every measure has one value a token."""
        for name, values in (("reference", self.reference.duration), ("system", self.system.duration)):
            if len(values) != len(self.tokens):
                raise ValueError(f"{self.id}: {name} has {len(values)} tokens, the sentence {len(self.tokens)}")
        if self.readout is not None and len(self.readout.log_f0) != len(self.tokens):
            raise ValueError(f"{self.id}: readout has {len(self.readout.log_f0)} tokens, not {len(self.tokens)}")

    @property
    def words(self) -> list[int]:
        """Tokens that are words, not pause slots."""
        return [index for index, token in enumerate(self.tokens) if token]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a JSON line, without draws."""
        return {
            "id": self.id,
            "sentence": self.sentence,
            "speaker": self.speaker,
            "text": self.text,
            "tokens": list(self.tokens),
            "factors": self.factors,
            "reference": self.reference.to_dict(),
            "system": self.system.to_dict(),
            "readout": None if self.readout is None else self.readout.to_dict(),
            "mel_l1": self.mel_l1,
            "mcd": self.mcd,
            "contour": None if self.contour is None else self.contour.to_dict(),
            "phones": None if self.phones is None else self.phones.to_dict(),
            "vectors": None if self.vectors is None else self.vectors.tolist(),
            "audio": self.audio,
            "attention": self.attention,
            "cut": self.cut,
            "heard": self.heard,
            "quality": self.quality,
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> UtteranceResult:
        """The inverse of ``to_dict``."""
        readout, contour, phones = data.get("readout"), data.get("contour"), data.get("phones")
        return UtteranceResult(
            id=data["id"],
            sentence=data["sentence"],
            text=data["text"],
            tokens=tuple(data["tokens"]),
            reference=TokenMeasures.from_dict(data["reference"]),
            system=TokenMeasures.from_dict(data["system"]),
            mel_l1=data["mel_l1"],
            mcd=data["mcd"],
            audio=data["audio"],
            speaker=data.get("speaker", ""),
            factors=data.get("factors", {}),
            readout=None if readout is None else Readout.from_dict(readout),
            contour=None if contour is None else Contour.from_dict(contour),
            phones=None if phones is None else Phones.from_dict(phones),
            vectors=None if data.get("vectors") is None else np.array(data["vectors"], np.float64),
            attention=data.get("attention"),
            cut=data.get("cut"),
            heard=data.get("heard"),
            quality=data.get("quality"),
        )


def write_results(folder: Path, results: Iterable[UtteranceResult]) -> Path:
    """Write ``utterances.jsonl`` into an evaluation's folder, atomically; return its path."""
    lines = (json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False) + "\n" for result in results)
    write_text(folder / RESULTS, "".join(lines))
    return folder / RESULTS


def read_results(folder: Path) -> list[UtteranceResult]:
    """Read an evaluation's ``utterances.jsonl``, and its draws where it has some.

    Raises:
        UserError: there is none, or a line of it is not a result; names the file and the line.
    """
    path = folder / RESULTS
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); evaluate the system first") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8; delete the folder and evaluate again") from None
    results, draws = [], Draws(folder)
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            result = UtteranceResult.from_dict(parse_json(line))
            results.append(_with_draws(result, draws[result.id]) if result.id in draws else result)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(
                f"line {number} of {path} is not an evaluation result ({error!r}); delete the folder and evaluate again"
            ) from None
    return results


def _with_draws(result: UtteranceResult, heard: NDArray[np.float32]) -> UtteranceResult:
    """Add draws [W, S, 2], in the order of ``kept_draws.HEARD``."""
    log_f0, duration = np.moveaxis(heard.astype(np.float64), (2, 1), (0, 1))
    return replace(result, draws=Drawn(log_f0, duration))


class OfSentence(Protocol):
    """A result of an utterance, of whatever was measured."""

    @property
    def id(self) -> str: ...
    @property
    def sentence(self) -> str: ...


_Result = TypeVar("_Result", bound=OfSentence)


def by_renditions(results: Sequence[_Result]) -> dict[str, list[_Result]]:
    """Group results by sentence, sentences and renditions in the order of their names."""
    groups: dict[str, list[_Result]] = {}
    for result in sorted(results, key=lambda item: (item.sentence, item.id)):
        groups.setdefault(result.sentence, []).append(result)
    return groups


def by_speaker(results: Sequence[UtteranceResult]) -> dict[str, list[list[UtteranceResult]]]:
    """Group as ``by_renditions``, and within a sentence by speaker: what two speakers say are no renditions."""
    return {
        sentence: [
            [result for result in group if result.speaker == speaker]
            for speaker in sorted({result.speaker for result in group})
        ]
        for sentence, group in by_renditions(results).items()
    }
