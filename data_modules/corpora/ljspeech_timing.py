"""When a human speaker said each word and phone: transcripts and TextGrids, no recordings needed."""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from data_modules.corpora.contract import Corpus, Fault, Progress, Utterance
from data_modules.corpora.folder import Line, read_metadata
from data_modules.corpora.screening import content_digest, has_letters, length_fault, screen, selection, sentence_id
from data_modules.corpora.splits import with_splits
from data_modules.corpora.timing import has_unknown_word, read_grid, tie
from data_modules.text.words import clean, find_words
from prosody_tts.config import DataConfig, Experiment
from prosody_tts.errors import UserError

VERSION = 1
ARCHIVE = "textgrids.tar.xz"
WANTED = f"a folder with metadata.csv and {ARCHIVE}, or *.TextGrid files in it or below"


class LjspeechTiming:
    """The corpus in ``experiment.corpus_path``: LJSpeech's own folder with an aligner's TextGrids put into it.

    ``metadata.csv`` is as for ``folder``; each TextGrid is called by its line's id. Files ``*.TextGrid`` in the folder
    or below it are read, and where there are none the archive ``textgrids.tar.xz``.
    """

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Names and contents of transcripts and TextGrids, and the settings that choose among them.

        Raises:
            UserError: the folder, its ``metadata.csv`` or its TextGrids are missing.
        """
        source = _source(experiment)
        files = [(str(path.relative_to(source)), path) for path in [source / "metadata.csv", *_grids(source)]]
        return {
            "corpus": "ljspeech_timing",
            "version": VERSION,
            "path": str(source),
            "content": content_digest(files, Path(experiment.run.folder)),
            "data": selection(experiment.data),
        }

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus:
        """Tie every TextGrid to its transcript; what does not tie is left out and listed in ``folder/faults.json``.

        Raises:
            UserError: nothing usable, more faults than ``data.allowed_bad`` allows, or as for ``identity``.
        """
        source = _source(experiment)
        lines, faults = read_metadata(source / "metadata.csv")
        grids = dict(_read_all(_grids(source)))
        utterances: list[Utterance] = []
        for done, line in enumerate(lines, start=1):
            found = _check(line, grids.get(line.id), experiment.data)
            (faults if isinstance(found, Fault) else utterances).append(found)  # type: ignore[arg-type]
            if done % 100 == 0 or done == len(lines):
                progress(done, len(lines), "alignments tied to transcripts")
        known = {line.id for line in lines} | {fault.item for fault in faults}
        faults += [Fault(name, "has no transcript in metadata.csv") for name in grids if name not in known]
        screen(str(source), utterances, faults, folder, experiment.data)
        return Corpus("ljspeech_timing", folder, with_splits(utterances, experiment.data), tuple(faults))


def _source(experiment: Experiment) -> Path:
    if experiment.corpus_path is None:
        raise UserError(f"corpus=ljspeech_timing needs corpus_path=DIR, {WANTED}")
    source = Path(experiment.corpus_path).expanduser().resolve()
    if not source.is_dir():
        raise UserError(f"corpus_path={experiment.corpus_path} is not a folder; give {WANTED}")
    if not (source / "metadata.csv").is_file():
        raise UserError(f"{source} has no metadata.csv; give {WANTED}")
    if not _grids(source):
        raise UserError(f"{source} has no TextGrids; put {ARCHIVE}, or *.TextGrid files, beside its metadata.csv")
    return source


def _grids(source: Path) -> list[Path]:
    """The TextGrids there are, or the one archive of them."""
    files = sorted(path for path in source.rglob("*.TextGrid") if path.is_file())
    archive = source / ARCHIVE
    return files or ([archive] if archive.is_file() else [])


def _read_all(paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Name without ending, and content, of each TextGrid."""
    for path in paths:
        if path.suffix == ".TextGrid":
            yield path.stem, path.read_bytes()
            continue
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    name = PurePosixPath(member.name)
                    content = archive.extractfile(member) if name.suffix == ".TextGrid" else None
                    if content is not None:
                        yield name.stem, content.read()
        except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
            raise UserError(f"cannot read {path} ({error}); download it again") from None


def _check(line: Line, grid: bytes | None, data: DataConfig) -> Utterance | Fault:
    if not has_letters(line.text):
        return Fault(line.id, "has a text without letters")
    if grid is None:
        # An aligner leaves out what it cannot align.
        return Fault(line.id, "has no TextGrid", bad=False)
    try:
        spoken, phones = read_grid(grid.decode("utf-8"))
        if has_unknown_word(spoken):
            return Fault(line.id, "has a word that the aligner did not know", bad=False)
        text = clean(line.text)
        timed = tie(find_words(text), spoken, phones)
    except UnicodeDecodeError:
        return Fault(line.id, "has a TextGrid that is not UTF-8")
    except UserError as error:
        return Fault(line.id, f"its TextGrid {error}")
    short = length_fault(line.id, phones[-1].end, data)
    return short or Utterance(line.id, sentence_id(text), text, None, "train", phones=timed)
