"""A folder of recordings in the layout of LJSpeech: ``metadata.csv`` and ``wavs/ID.wav``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from data_modules.audio import load_audio
from data_modules.corpora.contract import Corpus, Fault, Progress, Utterance
from data_modules.corpora.screening import content_digest, has_letters, length_fault, screen, selection, sentence_id
from data_modules.corpora.splits import with_splits
from prosody_tts.config import DataConfig, Experiment
from prosody_tts.errors import UserError

VERSION = 1


@dataclass(frozen=True)
class Line:
    """One line of ``metadata.csv``."""

    id: str
    text: str


class Folder:
    """The corpus in ``experiment.corpus_path``.

    Each line of ``metadata.csv`` is ``id|text`` or ``id|raw text|normalised text`` (UTF-8, no quoting); the last
    non-empty text is what is spoken. The recordings stay where they are.
    """

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Names and contents of the transcripts and recordings, and the settings that choose among them.

        Raises:
            UserError: the folder, its ``metadata.csv`` or its ``wavs`` are missing or unreadable.
        """
        source = _source(experiment)
        recordings = [(path.name, path) for path in _recordings(source)]
        return {
            "corpus": "folder",
            "version": VERSION,
            "path": str(source),
            "content": content_digest(
                [("metadata.csv", source / "metadata.csv"), *recordings], Path(experiment.run.folder)
            ),
            "data": selection(experiment.data),
        }

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus:
        """Check every transcript and recording; faulty ones are left out and listed in ``folder/faults.json``.

        Raises:
            UserError: nothing usable, more faults than ``data.allowed_bad`` allows, or as for ``identity``.
        """
        source = _source(experiment)
        lines, faults = read_metadata(source / "metadata.csv")
        utterances: list[Utterance] = []
        for done, line in enumerate(lines):
            found = _check(source, line, experiment.data)
            (faults if isinstance(found, Fault) else utterances).append(found)  # type: ignore[arg-type]
            progress(done + 1, len(lines), "recordings checked")
        known = {line.id for line in lines} | {fault.item for fault in faults}
        faults += [
            Fault(path.stem, "has no transcript in metadata.csv")
            for path in _recordings(source)
            if path.stem not in known
        ]
        screen(str(source), utterances, faults, folder, experiment.data)
        return Corpus("folder", folder, with_splits(utterances, experiment.data), tuple(faults))


def _source(experiment: Experiment) -> Path:
    if experiment.corpus_path is None:
        raise UserError("corpus=folder needs corpus_path=DIR, a folder with wavs/ and metadata.csv")
    source = Path(experiment.corpus_path).expanduser().resolve()
    if not source.is_dir():
        raise UserError(f"corpus_path={experiment.corpus_path} is not a folder; give one with wavs/ and metadata.csv")
    if not (source / "metadata.csv").is_file():
        raise UserError(f"{source} has no metadata.csv; give a folder with wavs/ and a metadata.csv of 'id|text' lines")
    if not (source / "wavs").is_dir():
        raise UserError(f"{source} has no folder wavs; the recordings belong in it as wavs/ID.wav")
    return source


def _recordings(source: Path) -> list[Path]:
    return sorted(path for path in (source / "wavs").glob("*.wav") if path.is_file())


def read_metadata(path: Path) -> tuple[list[Line], list[Fault]]:
    """Lines of a ``metadata.csv``, and the faults of those that are not of its form or repeat an id.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"{path} is not UTF-8 (line {line}); save it as UTF-8") from None
    lines: dict[str, Line] = {}
    faults: list[Fault] = []
    # Not splitlines: it also breaks at characters that may stand inside a text.
    for number, row in enumerate(content.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if not row.strip():
            continue
        name, *texts = (cell.strip() for cell in row.split("|"))
        text = next((cell for cell in reversed(texts[:2]) if cell), "")
        place = f"metadata.csv line {number}"
        if not name or not texts:
            faults.append(Fault(name or place, f"{place} is not of the form id|text"))
        elif name in lines:
            faults.append(Fault(f"{name} (line {number})", f"repeats the id of an earlier line of {path.name}"))
        elif _climbs(name):
            faults.append(Fault(name, f"{place} has an id that leaves the folder wavs"))
        else:
            lines[name] = Line(name, text)
    return list(lines.values()), faults


def _climbs(name: str) -> bool:
    """Whether a file of that name would lie outside ``wavs``, or below it where no other tool would look."""
    return len(PurePosixPath(name).parts) != 1 or name in {".", ".."} or "\\" in name or "\0" in name


def _check(source: Path, line: Line, data: DataConfig) -> Utterance | Fault:
    path = source / "wavs" / f"{line.id}.wav"
    if not has_letters(line.text):
        return Fault(line.id, "has a text without letters")
    if not path.is_file():
        return Fault(line.id, f"has no recording {path}")
    try:
        wave, rate = load_audio(path)
    except UserError as error:
        return Fault(line.id, str(error))
    short = length_fault(line.id, len(wave) / rate, data)
    return short or Utterance(line.id, sentence_id(line.text), line.text, str(path), "train")
