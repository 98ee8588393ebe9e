"""What a corpus gives: utterances on disk, the faults found on the way, and nothing about features or models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from data_modules.members import Member
from prosody_tts.config import Experiment

#: ``perturbed`` holds training recordings at other speeds: stage one learns of them, nothing else does.
Split = Literal["train", "dev", "test", "perturbed"]
#: The splits of what was recorded.
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
#: Who decides what is held out: a hash of the sentence, the corpus's makers, or ``data.splits``.
SplitSource = Literal["hash", "official", "given"]

#: ``progress(done, total, what)``: called by long work as it goes.
Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, what: str) -> None:
    """A progress that shows nothing."""


@dataclass(frozen=True, slots=True)
class PhoneTime:
    """One phone or pause of an exact or given alignment, in seconds of the clip.

    ``word`` is the index of the word the phone belongs to, or -1 for a pause.
    """

    label: str
    start: float
    end: float
    word: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording and what was said.

    Utterances with the same ``sentence`` are renditions of the same text. ``audio`` is relative to the corpus's
    folder, or absolute; of a tar, ``member`` is the byte at which the recording begins in it, and how many it has.
    Where the utterance is a part of the recording, ``start`` and ``seconds`` say which (none: to the end); it is
    played ``speed`` times as fast.
    ``phones`` is the alignment where there is an exact or a given one. ``tree`` is a gold parse in
    bracket notation where there is one. ``factors`` are what a controlled corpus planted, plain values only:
    ``factors["utterance"]`` maps a factor to its value, ``factors["words"]`` maps a factor to one value a word.
    A corpus without recordings has no ``audio``; ``labels`` maps what it measured to one value a word.
    ``before`` and ``after`` are the texts of the sentences around it, in the order in which they are read, where
    ``text.neighbours`` asks for them.
    """

    id: str
    sentence: str
    text: str
    audio: str | None
    split: Split
    speaker: str = ""
    start: float = 0.0
    seconds: float | None = None
    speed: float = 1.0
    phones: tuple[PhoneTime, ...] | None = None
    tree: str | None = None
    factors: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, list[float]] = field(default_factory=dict)
    member: tuple[int, int] | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def recording(self, folder: Path) -> Path | Member:
        """Where the recording lies, of a corpus in ``folder``."""
        assert self.audio is not None, "a corpus of labels has no recordings"
        path = folder / self.audio
        return path if self.member is None else Member(path, *self.member)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a JSON line."""
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Utterance:
        """The inverse of ``to_dict``."""
        phones, member = data.get("phones"), data.get("member")
        return Utterance(
            **{
                **data,
                "phones": None if phones is None else tuple(PhoneTime(**phone) for phone in phones),
                "member": None if member is None else (member[0], member[1]),
                "before": tuple(data.get("before", ())),
                "after": tuple(data.get("after", ())),
            }
        )


@dataclass(frozen=True)
class Fault:
    """Something the corpus left out, and why, in one sentence.

    ``bad`` is false for what is sound but excluded by a setting, or holds no speech by the corpus's own word.
    """

    item: str
    reason: str
    bad: bool = True

    def __post_init__(self) -> None:
        """Names of files may hold bytes that are no text, which no report could be written with."""
        object.__setattr__(self, "item", self.item.encode("utf-8", "backslashreplace").decode())
        object.__setattr__(self, "reason", self.reason.encode("utf-8", "backslashreplace").decode())


@dataclass(frozen=True)
class Corpus:
    """What a corpus builder returns: sound utterances, the faults of the rest, and who decided on the splits.

    A corpus of ``config.ORDERED`` has the ``texts`` of all it knows by id, also of those left out.
    """

    name: str
    folder: Path
    utterances: tuple[Utterance, ...]
    faults: tuple[Fault, ...] = ()
    splits: SplitSource = "hash"
    texts: Mapping[str, str] = field(default_factory=dict)


class CorpusBuilder(Protocol):
    """A role of the registry ``data_modules.corpora.CORPORA``.

    ``identity`` is cheap plain data that changes whenever the utterances could (settings, versions, file contents);
    ``build`` writes what it must below ``folder`` and returns the corpus. Both raise ``UserError`` for what the user
    must mend.
    """

    def identity(self, experiment: Experiment) -> dict[str, Any]: ...

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus: ...
