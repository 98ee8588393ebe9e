"""A folder of recordings in the layout of LJSpeech: ``metadata.csv`` and ``wavs/ID.wav``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_modules.audio import check_audio
from data_modules.corpora.contract import Corpus, Fault, Progress, Utterance
from data_modules.corpora.lines import climbs, rows, too_long
from data_modules.corpora.screening import content_digest, has_letters, length_fault, screen, sentence_id
from data_modules.corpora.splits import selection, with_splits
from data_modules.text.normalise import NORMALISERS, Normaliser
from prosody_tts.config import DataConfig, Experiment
from prosody_tts.errors import UserError

VERSION = 2
#: Optional file that says who speaks.
SPEAKERS = "speakers.csv"


@dataclass(frozen=True)
class Line:
    """One line of ``metadata.csv``."""

    id: str
    text: str
    raw: bool
    """Whether nobody has normalised the text."""


class Folder:
    """The corpus in ``experiment.corpus_path``.

    Each line of ``metadata.csv`` is ``id|text`` or ``id|raw text|normalised text`` (UTF-8, no quoting); the last
    non-empty text is what is spoken. A raw text is normalised as ``text.normaliser`` says; a normalised one is left
    alone. The recordings stay where they are. Where several people speak, ``speakers.csv`` beside it has a line
    ``id|speaker`` for every recording.
    """

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Names and contents of the transcripts and recordings, and the settings that choose among them.

        Raises:
            UserError: the folder, its ``metadata.csv`` or its ``wavs`` are missing or unreadable.
        """
        source = _source(experiment)
        recordings = [(path.name, path) for path in _recordings(source)]
        recordings += [(SPEAKERS, source / SPEAKERS)] if (source / SPEAKERS).is_file() else []
        return {
            **normaliser_identity(source / "metadata.csv", experiment),
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
        speakers = _read_speakers(source / SPEAKERS, faults)
        normalise = NORMALISERS[experiment.text.normaliser]()
        utterances: list[Utterance] = []
        for done, line in enumerate(lines):
            found = _spoken_by(speakers, _check(source, line, normalise, experiment.data))
            (faults if isinstance(found, Fault) else utterances).append(found)  # type: ignore[arg-type]
            progress(done + 1, len(lines), "recordings checked")
        known = {line.id for line in lines} | {fault.item for fault in faults}
        faults += [
            Fault(path.stem, "has no transcript in metadata.csv")
            for path in _recordings(source)
            if path.stem not in known
        ]
        screen(str(source), utterances, faults, folder, experiment.data)
        chosen, splits = with_splits(utterances, faults, experiment.data)
        return Corpus("folder", folder, chosen, tuple(faults), splits)


def _source(experiment: Experiment) -> Path:
    if experiment.corpus_path is None:
        raise UserError("corpus=folder needs corpus_path=PATH, a folder with wavs/ and metadata.csv")
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
    """Lines of a ``metadata.csv``, and the faults of those that are not of its form, not UTF-8 or repeat an id."""
    lines: dict[str, Line] = {}
    faults: list[Fault] = []
    for number, row, sound in rows(path):
        name, *texts = (cell.strip() for cell in row.split("|"))
        text = next((cell for cell in reversed(texts[:2]) if cell), "")
        place = f"metadata.csv line {number}"
        if not name or not texts:
            faults.append(Fault(name or place, f"{place} is not of the form id|text"))
        elif not sound:
            faults.append(Fault(name, f"{place} is not UTF-8"))
        elif name in lines:
            faults.append(Fault(f"{name} (line {number})", f"repeats the id of an earlier line of {path.name}"))
        elif too_long(name):
            faults.append(Fault(place, f"has an id of {len(name)} characters, too long for the name of a recording"))
        elif climbs(name):
            faults.append(Fault(name, f"{place} has an id that leaves the folder wavs"))
        else:
            lines[name] = Line(name, text, raw=not "".join(texts[1:2]))
    return list(lines.values()), faults


def normaliser_identity(path: Path, experiment: Experiment) -> dict[str, Any]:
    """What normalises the raw texts of a ``metadata.csv``, where it has some."""
    raw = any(line.raw for line in read_metadata(path)[0])
    return {"normaliser": NORMALISERS[experiment.text.normaliser]().identity()} if raw else {}


def _read_speakers(path: Path, faults: list[Fault]) -> dict[str, str] | None:
    """Speaker of each id, empty where two are given; None where there is no such file, and one speaker."""
    if not path.is_file():
        return None
    speakers: dict[str, str] = {}
    for number, row, sound in rows(path):
        if not sound:
            faults.append(Fault(f"{SPEAKERS} line {number}", "is not UTF-8"))
            continue
        name, _, speaker = (cell.strip() for cell in row.partition("|"))
        speakers[name] = speaker if speakers.get(name, speaker) == speaker else ""
    return speakers


def _spoken_by(speakers: dict[str, str] | None, found: Utterance | Fault) -> Utterance | Fault:
    """Name an utterance's speaker; a fault where ``speakers.csv`` does not."""
    if speakers is None or isinstance(found, Fault):
        return found
    speaker = speakers.get(found.id)
    return replace(found, speaker=speaker) if speaker else Fault(found.id, f"has no speaker, or two, in {SPEAKERS}")


def _check(source: Path, line: Line, normalise: Normaliser, data: DataConfig) -> Utterance | Fault:
    path = source / "wavs" / f"{line.id}.wav"
    try:
        text = normalise(line.text) if line.raw else line.text
    except UserError as error:
        return Fault(line.id, str(error))
    if not has_letters(text):
        return Fault(line.id, "has a text without letters")
    if not path.is_file():
        return Fault(line.id, f"has no recording {path}")
    try:
        seconds = check_audio(path)
    except UserError as error:
        return Fault(line.id, str(error))
    short = length_fault(line.id, seconds, data)
    return short or Utterance(line.id, sentence_id(text), text, str(path), "train")
