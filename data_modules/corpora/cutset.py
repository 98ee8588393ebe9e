"""Any corpus with lhotse manifests: cuts, or recordings with supervisions; each supervision becomes an utterance."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_modules.audio import ROUNDING, check_audio
from data_modules.corpora.contract import Corpus, Fault, Progress, Utterance
from data_modules.corpora.lines import climbs, rows, too_long
from data_modules.corpora.manifests import wrong_with
from data_modules.corpora.recipes import text_of
from data_modules.corpora.screening import content_digest, has_letters, length_fault, screen, sentence_id
from data_modules.corpora.splits import selection, with_splits
from data_modules.members import Member
from data_modules.text.words import excerpt
from prosody_tts.config import CORPUS_PATHS, DataConfig, Experiment
from prosody_tts.errors import UserError
from prosody_tts.files import parse_json

if TYPE_CHECKING:
    from lhotse import Recording, SupervisionSegment

VERSION = 1

_SUFFIXES = (".jsonl", ".jsonl.gz")
#: Changes of a recording that leave its times and its sound as they are.
_HARMLESS = {"Resample"}


@dataclass(frozen=True)
class Piece:
    """A supervision, the recording it speaks of, and its first second there."""

    segment: SupervisionSegment
    recording: Recording | None
    start: float
    manifest: Path


class Cuts:
    """The corpus in ``experiment.corpus_path``: a manifest of cuts, or a folder of manifests.

    In a folder those named ``*recordings*`` and ``*supervisions*`` are read, else those named ``*cuts*``. Paths of
    recordings are relative to the manifest's folder, or to the working folder. A supervision that is a part of its
    recording is read as that part. Slashes in ids become hyphens. The recordings stay where they are.
    """

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Names and contents of the manifests and of the recordings they name, and the settings that choose among them.

        Raises:
            UserError: there is no manifest, or it cannot be read.
        """
        files: dict[str, Path] = {}
        for manifest in _manifests(experiment):
            files[manifest.name] = manifest
            for _, item in items(manifest):
                for name in _sources(item):
                    with suppress(UserError):  # told when the corpus is built
                        path = _located(name, manifest)
                        files[str(path)] = path
        content = content_digest(files.items(), Path(experiment.run.folder))
        return {"corpus": "cutset", "version": VERSION, "content": content, "data": selection(experiment.data)}

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus:
        """Check every supervision and the part of the recording it speaks of.

        Raises:
            UserError: nothing usable, more faults than ``data.allowed_bad`` allows, or as for ``identity``.
        """
        data = experiment.data
        pieces, faults = _pieces(_manifests(experiment))
        utterances: dict[str, Utterance] = {}
        for done, piece in enumerate(pieces, start=1):
            found = check(piece, data, partial(_source, piece))
            if isinstance(found, Fault):
                faults.append(found)
            elif found.id in utterances:
                faults.append(Fault(f"{found.id} ({piece.manifest.name}, {piece.start:g} s)", "repeats an earlier id"))
            else:
                utterances[found.id] = found
            progress(done, len(pieces), "recordings checked")
        screen(str(experiment.corpus_path), list(utterances.values()), faults, folder, data)
        chosen, splits = with_splits(list(utterances.values()), faults, data)
        return Corpus("cutset", folder, chosen, tuple(faults), splits)


def _manifests(experiment: Experiment) -> list[Path]:
    if experiment.corpus_path is None:
        raise UserError(f"corpus=cutset needs corpus_path=PATH, {CORPUS_PATHS['cutset']}")
    path = Path(experiment.corpus_path).expanduser().resolve()
    if path.is_file() and path.name.endswith(_SUFFIXES):
        return [path]
    if not path.is_dir():
        raise UserError(f"corpus_path={experiment.corpus_path} is not {CORPUS_PATHS['cutset']}")
    files = [file for file in sorted(path.iterdir()) if file.name.endswith(_SUFFIXES)]
    recordings = [file for file in files if "recordings" in file.name]
    supervisions = [file for file in files if "supervisions" in file.name]
    found = [*recordings, *supervisions] if recordings and supervisions else [f for f in files if "cuts" in f.name]
    if not found:
        raise UserError(
            f"{path} holds no manifests; give it *recordings*.jsonl.gz and *supervisions*.jsonl.gz, or *cuts*.jsonl.gz"
        )
    return found


def items(manifest: Path) -> Iterator[tuple[int, Any]]:
    """Number and content of every line of a manifest; none for a line that is no JSON.

    Raises:
        UserError: it cannot be read.
    """
    for number, text, sound in rows(manifest):
        try:
            yield number, parse_json(text) if sound else None
        except ValueError:
            yield number, None


def _sources(item: Any) -> Iterator[str]:
    """Every audio file that a line names, at any depth."""
    left = [item]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += reversed(part)
        elif isinstance(part, dict):
            if part.get("type") == "file" and isinstance(part.get("source"), str):
                yield part["source"]
            left += reversed(part.values())


def _located(source: str, manifest: Path) -> Path:
    """The file that a manifest names.

    Raises:
        UserError: there is none, or the name is none of a file.
    """
    try:
        for path in (manifest.parent / source, Path(source).expanduser()):
            if path.is_file():
                return path.resolve()
    except (OSError, RuntimeError):  # a name that is too long; the home of nobody
        pass
    raise UserError(f"there is no audio file {excerpt(source, 200)}, beside {manifest.name} or elsewhere")


def _pieces(manifests: Sequence[Path]) -> tuple[list[Piece], list[Fault]]:
    """All supervisions of the manifests with their recordings, and the faults of lines that have none."""
    from lhotse import MonoCut, Recording, SupervisionSegment

    pieces: list[Piece] = []
    faults: list[Fault] = []
    recordings: dict[str, Recording] = {}
    alone: list[tuple[SupervisionSegment, Path]] = []
    for manifest in manifests:
        for number, content in items(manifest):
            place = f"{manifest.name} line {number}"
            item = deserialised(content, place)
            if isinstance(item, Fault):
                faults.append(item)
            elif isinstance(item, Recording):
                recordings[item.id] = item
            elif isinstance(item, SupervisionSegment):
                alone.append((item, manifest))
            elif isinstance(item, MonoCut):
                found = pieces_of(item, manifest)
                if isinstance(found, Fault):
                    faults.append(found)
                else:
                    pieces += found
            else:
                faults.append(Fault(str(getattr(item, "id", place)), f"is a {type(item).__name__}, not a MonoCut"))
    if alone and not recordings:
        raise UserError(f"{manifests[0]} holds supervisions without recordings; give the folder that holds both")
    pieces += [Piece(segment, recordings.get(segment.recording_id), segment.start, path) for segment, path in alone]
    spoken = {segment.recording_id for segment, _ in alone}
    faults += [Fault(name, "is a recording without a supervision") for name in recordings if name not in spoken]
    return pieces, faults


def deserialised(content: Any, place: str) -> Any:
    """What lhotse makes of a line of a manifest, or the fault of the line at ``place``."""
    from lhotse.serialization import deserialize_item

    try:
        item = deserialize_item(content)
        wrong = wrong_with(item)
    except Exception as error:  # lhotse reads by key, and its errors share no base
        reason = "is not JSON" if content is None else f"is no line of a lhotse manifest ({excerpt(repr(error), 200)})"
        return Fault(place, reason)
    return (
        item if wrong is None else Fault(place, f"is no line of a lhotse manifest (its {wrong} is not what it must be)")
    )


def pieces_of(cut: Any, manifest: Path) -> list[Piece] | Fault:
    """The supervisions of a ``MonoCut``; a fault where it has none, or only a part of one."""
    if not cut.supervisions:
        return Fault(cut.id, "is a cut without a supervision")
    for segment in cut.supervisions:
        if segment.start < -ROUNDING or segment.end > cut.duration + ROUNDING:
            return Fault(cut.id, f"is a cut that holds only a part of its supervision {segment.id}")
    return [
        Piece(segment, cut.recording, max(cut.start + segment.start, 0.0), manifest) for segment in cut.supervisions
    ]


def check(piece: Piece, data: DataConfig, locate: Callable[[], Path | Member], kind: str = "file") -> Utterance | Fault:
    """The utterance of a supervision whose recording is of a ``kind`` of lhotse's sources, or what is wrong with it.

    ``locate`` says where the recording lies, or raises ``UserError``.
    """
    segment, recording, text = piece.segment, piece.recording, text_of(piece.segment)
    name = segment.id.replace("/", "-").replace("\\", "-")
    if climbs(name) or too_long(name):
        return Fault(segment.id, "has an id that cannot name a file")
    if not has_letters(text):
        return Fault(name, "has a text without letters")
    if recording is None:
        return Fault(name, f"has no recording '{segment.recording_id}' in the manifests")
    reason = _unreadable(recording, kind)
    if reason is not None:
        return Fault(name, reason)
    whole = piece.start == 0 and abs(segment.duration - recording.duration) * recording.sampling_rate < 1
    start, seconds = piece.start, None if whole else segment.duration
    try:
        source = locate()
        short = length_fault(name, check_audio(source, start, seconds), data)
    except UserError as error:
        return Fault(name, str(error))
    archive, member = (str(source), None) if isinstance(source, Path) else (str(source.archive), source[1:])
    return short or Utterance(
        name,
        sentence_id(text),
        text,
        sys.intern(archive),
        "train",
        sys.intern(segment.speaker or ""),
        start=start,
        seconds=seconds,
        member=member,
    )


def _source(piece: Piece) -> Path:
    assert piece.recording is not None
    return _located(str(piece.recording.sources[0].source), piece.manifest)


def _unreadable(recording: Recording, kind: str) -> str | None:
    """Why a recording is not one mono file as it lies on disk; none where it is."""
    if recording.num_channels != 1 or len(recording.sources) != 1:
        return f"has a recording of {recording.num_channels} channels in {len(recording.sources)} files; give mono"
    if recording.sources[0].type != kind:
        return f"has a recording of the type '{recording.sources[0].type}'; save it to a file with lhotse"
    names = [
        change["name"] if isinstance(change, dict) else type(change).__name__ for change in recording.transforms or []
    ]
    changes = [name for name in names if name not in _HARMLESS]
    return f"changes its recording ({', '.join(changes)}); save it to a file with lhotse" if changes else None
