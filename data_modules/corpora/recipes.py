"""Public corpora through lhotse's recipes: found or downloaded, screened file by file, then prepared by the recipe.

A recipe ends at the first file it cannot read and says nothing of what it leaves out. So each corpus first lists what
its folder holds (``Listing``); what is unsound becomes a fault; and the recipe sees a mirror of the folder, links and
transcripts of the sound entries alone.
"""

from __future__ import annotations

import logging
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from locale import getpreferredencoding
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import FileLock

from data_modules.audio import check_audio
from data_modules.corpora.contract import Corpus, Fault, Progress, Split, Utterance
from data_modules.corpora.screening import content_digest, has_letters, length_fault, screen, sentence_id
from data_modules.corpora.splits import selection, with_splits
from prosody_tts.config import CORPUS_PATHS, DataConfig, Experiment
from prosody_tts.errors import UserError

if TYPE_CHECKING:
    from lhotse import RecordingSet, SupervisionSegment, SupervisionSet

VERSION = 1
#: Lies where a download has begun and not ended.
_UNFINISHED = ".unfinished-download"
#: What the network, archives and full disks raise.
_DOWNLOAD_ERRORS = (OSError, ValueError, EOFError, HTTPException, tarfile.TarError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Entry:
    """One utterance as the corpus's folder has it.

    ``audio`` is the recording, ``transcript`` the file below the folder whose line ``line`` holds the text.
    """

    id: str
    audio: Path
    transcript: str
    line: str


@dataclass
class Listing:
    """What a corpus's folder holds: entries by id, and the faults of lines and files that are no entry."""

    entries: dict[str, Entry] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def add(self, entry: Entry, place: str) -> None:
        """Keep an entry, or name why not; ``place`` is where it stands."""
        if entry.id in self.entries:
            self.faults.append(Fault(f"{entry.id} ({place})", "repeats the id of an earlier transcript"))
        elif not entry.audio.is_file():
            self.faults.append(Fault(entry.id, f"has no recording {entry.audio}"))
        else:
            self.entries[entry.id] = entry

    def strangers(self, recordings: Iterable[Path]) -> None:
        """Name the recordings that no transcript speaks of."""
        known = set(self.entries) | {fault.item for fault in self.faults}
        self.faults += [
            Fault(path.stem, f"has no transcript, but a recording {path}")
            for path in recordings
            if path.stem not in known
        ]


Manifests = Mapping[str, tuple["RecordingSet", "SupervisionSet"]]


class Recipe(Protocol):
    """What tells one corpus from another; ``Recorded`` does the rest.

    ``find`` returns the corpus's folder at or below a path, if it holds what the settings ask for. ``recordings`` and
    ``transcripts`` list its files.
    ``entries`` reads the transcripts. ``complete`` adds to a mirror what the recipe reads and we do not. ``prepare``
    runs lhotse's recipe: part -> manifests. ``official`` is a part's split, where the corpus has one. ``download``
    runs lhotse's into a folder. ``archive`` and ``page`` are what a person would download, and where it is described.
    """

    name: str
    archive: str
    page: str

    def find(self, path: Path, data: DataConfig) -> Path | None: ...
    def recordings(self, source: Path, data: DataConfig) -> list[Path]: ...
    def transcripts(self, source: Path, data: DataConfig) -> list[Path]: ...
    def entries(self, source: Path, data: DataConfig) -> Listing: ...
    def complete(self, mirror: Path) -> None: ...
    def prepare(self, mirror: Path) -> Manifests: ...
    def official(self, part: str) -> Split | None: ...
    def download(self, target: Path, data: DataConfig) -> None: ...


class Recorded:
    """Builder of a public corpus from its recipe; the recordings stay where they are."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Names and contents of the transcripts and recordings, and the settings that choose among them.

        With ``data.download`` a corpus that is not there is fetched first: nothing else could tell its content.

        Raises:
            UserError: ``corpus_path`` does not hold the corpus and it is not, or cannot be, downloaded.
        """
        source, data = self._source(experiment), experiment.data
        files = [*self.recipe.transcripts(source, data), *self.recipe.recordings(source, data)]
        named = [(path.relative_to(source).as_posix(), path) for path in files]
        return {
            "corpus": self.recipe.name,
            "version": VERSION,
            "path": str(source),
            "content": content_digest(named, Path(experiment.run.folder)),
            "data": {**selection(data), "parts": sorted(data.parts)},
        }

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus:
        """Check every transcript and recording, then run lhotse's recipe on the sound ones.

        Raises:
            UserError: nothing usable, more faults than ``data.allowed_bad`` allows, or as for ``identity``.
        """
        source, data = self._source(experiment), experiment.data
        listing = self.recipe.entries(source, data)
        listing.strangers(self.recipe.recordings(source, data))
        sound = _sound(listing, data, progress)
        progress(0, 0, "lhotse's recipe")
        found = self._prepared(source, sound) if sound else {}
        faults, utterances, official = listing.faults, [], {}
        for entry in sound:
            if entry.id not in found:
                faults.append(Fault(entry.id, "is left out by lhotse's recipe"))
            elif not has_letters(text_of(found[entry.id][0])):
                faults.append(Fault(entry.id, "has a text without letters"))
            else:
                segment, part = found[entry.id]
                text, split = text_of(segment), self.recipe.official(part)
                speaker = segment.speaker or self.recipe.name
                utterances.append(Utterance(entry.id, sentence_id(text), text, str(entry.audio), "train", speaker))
                if split is not None:
                    official[entry.id] = split
        screen(str(source), utterances, faults, folder, data)
        chosen, splits = with_splits(utterances, faults, data, official or None)
        texts = {item.id: item.text for item in utterances}
        return Corpus(self.recipe.name, folder, chosen, tuple(faults), splits, texts)

    def _prepared(self, source: Path, sound: Sequence[Entry]) -> dict[str, tuple[SupervisionSegment, str]]:
        """Id to supervision and part, as the recipe gives them."""
        if getpreferredencoding(False).upper() != "UTF-8":  # in which the recipes read, whatever the files are in
            raise UserError("lhotse's recipes read text in the locale's encoding; set PYTHONUTF8=1 and run again")
        with tempfile.TemporaryDirectory(prefix="prosody-tts-") as name, _quiet():
            mirror = Path(name) / source.name
            _mirror(mirror, source, sound)
            self.recipe.complete(mirror)
            try:
                manifests = self.recipe.prepare(mirror)
            except Exception as error:  # a recipe reads by assertion and index, and its errors share no base
                detail = " ".join(f"{type(error).__name__}: {error}".split())
                raise UserError(
                    f"lhotse's recipe cannot read {source} ({detail}); is it {self.recipe.archive} as unpacked?"
                ) from None
        return {segment.id: (segment, part) for part, (_, found) in manifests.items() for segment in found}

    def _source(self, experiment: Experiment) -> Path:
        recipe, data = self.recipe, experiment.data
        if experiment.corpus_path is None:
            raise UserError(f"corpus={recipe.name} needs corpus_path=PATH, {CORPUS_PATHS[recipe.name]}")
        path = Path(experiment.corpus_path).expanduser().resolve()
        found = self._found(path, data)
        if found is None and data.download:
            self._download(path, data)
            found = self._found(path, data)
        if found is None:
            raise UserError(f"corpus_path={experiment.corpus_path} does not hold {recipe.name}; {self._advice(path)}")
        return found

    def _found(self, path: Path, data: DataConfig) -> Path | None:
        """The corpus's folder, but not one that a download was broken off in."""
        return None if (path / _UNFINISHED).exists() else self.recipe.find(path, data)

    def _advice(self, path: Path) -> str:
        return f"download {self.recipe.archive} (described at {self.recipe.page}) and unpack it in {path}"

    def _download(self, path: Path, data: DataConfig) -> None:
        """Fetch the corpus; two processes that ask at once do it once."""
        try:
            path.mkdir(parents=True, exist_ok=True)
            with FileLock(path / ".download.lock"):
                if self._found(path, data) is None:
                    (path / _UNFINISHED).touch()
                    self.recipe.download(path, data)
                    (path / _UNFINISHED).unlink()
        except _DOWNLOAD_ERRORS as error:
            detail = " ".join(str(error).split())
            raise UserError(f"cannot download {self.recipe.name}: {detail}; {self._advice(path)}") from None


def text_of(segment: SupervisionSegment) -> str:
    """What is said: the corpus's own normalised text where the recipe keeps one beside the raw."""
    return str((segment.custom or {}).get("normalized_text") or segment.text or "").strip()


def _sound(listing: Listing, data: DataConfig, progress: Progress) -> list[Entry]:
    """The entries with a usable recording; the others join the faults."""
    sound = []
    for done, entry in enumerate(listing.entries.values(), start=1):
        try:
            fault = length_fault(entry.id, check_audio(entry.audio), data)
        except UserError as error:
            fault = Fault(entry.id, str(error))
        if fault is None:
            sound.append(entry)
        else:
            listing.faults.append(fault)
        progress(done, len(listing.entries), "recordings checked")
    return sound


def _mirror(mirror: Path, source: Path, entries: Sequence[Entry]) -> None:
    """Write a folder of the same layout that holds the entries alone: their transcripts, and links to recordings."""
    lines: dict[Path, list[str]] = {}
    for entry in entries:
        lines.setdefault(mirror / entry.transcript, []).append(entry.line)
        link = mirror / entry.audio.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(entry.audio)
    for path, texts in lines.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the recipes' warnings, each of which is a fault of ours already."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def first(path: Path, names: Sequence[str], is_it: Callable[[Path], bool]) -> Path | None:
    """The first of a path and the folders ``names`` below it that is the corpus."""
    return next((found for found in (path, *(path / name for name in names)) if is_it(found)), None)
