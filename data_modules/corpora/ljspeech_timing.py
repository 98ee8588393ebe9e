"""When a human speaker said each word and phone: transcripts and TextGrids, no recordings needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_modules.alignment.grid_files import grid_paths, read_grids
from data_modules.alignment.matching import timed_phones
from data_modules.alignment.textgrids import UNKNOWN_WORD, read_grid
from data_modules.corpora.contract import Corpus, Fault, Progress, Utterance
from data_modules.corpora.folder import Line, normaliser_identity, read_metadata
from data_modules.corpora.screening import content_digest, has_letters, length_fault, screen, sentence_id
from data_modules.corpora.splits import selection, with_splits
from data_modules.text.normalise import NORMALISERS
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError

VERSION = 1
ARCHIVE = "textgrids.tar.xz"
WANTED = f"a folder with metadata.csv and {ARCHIVE}, or *.TextGrid files in it or below"


class LjspeechTiming:
    """The corpus in ``experiment.corpus_path``: LJSpeech's own folder with an aligner's TextGrids put into it.

    ``metadata.csv`` is as for ``folder``; each TextGrid is called by its line's id. The archive ``textgrids.tar.xz``
    is read, and where there is none the files ``*.TextGrid`` in the folder or below it.
    """

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Names and contents of transcripts and TextGrids, and the settings that choose among them.

        Raises:
            UserError: the folder, its ``metadata.csv`` or its TextGrids are missing.
        """
        source = _source(experiment)
        files = [("metadata.csv", source / "metadata.csv"), *grid_paths(_grids(source))]
        return {
            **normaliser_identity(source / "metadata.csv", experiment),
            "corpus": "ljspeech_timing",
            "version": VERSION,
            "path": str(source),
            "content": content_digest(files, Path(experiment.run.folder)),
            "pronouncer": experiment.pronouncer,
            "data": selection(experiment.data),
        }

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus:
        """Tie every TextGrid to its transcript; what does not tie is left out and listed in ``folder/faults.json``.

        Raises:
            UserError: nothing usable, more faults than ``data.allowed_bad`` allows, or as for ``identity``.
        """
        source = _source(experiment)
        lines, faults = read_metadata(source / "metadata.csv")
        check = _Check(experiment)
        tied, strays = _tied(source, lines, check, progress)
        utterances: list[Utterance] = []
        for line in lines:
            found = tied[line.id] if line.id in tied else check(line, None)
            (faults if isinstance(found, Fault) else utterances).append(found)  # type: ignore[arg-type]
        known = {fault.item for fault in faults}
        faults += [Fault(name, "has no transcript in metadata.csv") for name in strays if name not in known]
        screen(str(source), utterances, faults, folder, experiment.data)
        chosen, splits = with_splits(utterances, faults, experiment.data)
        texts = {line.id: check.text(line) for line in lines} if experiment.text.neighbours else {}
        return Corpus("ljspeech_timing", folder, chosen, tuple(faults), splits, texts)


def _source(experiment: Experiment) -> Path:
    if experiment.corpus_path is None:
        raise UserError(f"corpus=ljspeech_timing needs corpus_path=PATH, {WANTED}")
    source = Path(experiment.corpus_path).expanduser().resolve()
    if not source.is_dir():
        raise UserError(f"corpus_path={experiment.corpus_path} is not a folder; give {WANTED}")
    if not (source / "metadata.csv").is_file():
        raise UserError(f"{source} has no metadata.csv; give {WANTED}")
    return source


def _grids(source: Path) -> str:
    """The archive of TextGrids, or the folder they lie in."""
    archive = source / ARCHIVE
    return str(archive if archive.is_file() else source)


def _tied(
    source: Path, lines: Sequence[Line], check: _Check, progress: Progress
) -> tuple[dict[str, Utterance | Fault], list[str]]:
    """What becomes of each line that has a TextGrid, one of them in memory at a time, and the grids without a line.

    Of two grids of a name the second counts, which says that it is one too many.
    """
    wanted = {line.id: line for line in lines}
    tied: dict[str, Utterance | Fault] = {}
    strays: dict[str, None] = {}
    for done, (name, content) in enumerate(read_grids(_grids(source)), start=1):
        if name in wanted:
            tied[name] = check(wanted[name], content)
        else:
            strays[name] = None
        if done % 100 == 0:
            progress(min(done, len(lines)), len(lines), "alignments tied to transcripts")
    progress(len(lines), len(lines), "alignments tied to transcripts")
    return tied, list(strays)


class _Check:
    """A line of the transcript and its TextGrid in, an utterance or the reason against it out."""

    def __init__(self, experiment: Experiment) -> None:
        from data_modules.text.pronounce import PRONOUNCERS

        self.data = experiment.data
        self.normalise = NORMALISERS[experiment.text.normaliser]()
        self.inventory = PRONOUNCERS[experiment.pronouncer]().inventory()

    def text(self, line: Line) -> str:
        """What is said; of a text that cannot be normalised what is written."""
        try:
            return self.normalise(line.text) if line.raw else line.text
        except UserError:
            return line.text

    def __call__(self, line: Line, content: bytes | UserError | None) -> Utterance | Fault:
        if content is None:
            # An aligner leaves out what it cannot align.
            return Fault(line.id, "has no TextGrid", bad=False)
        if isinstance(content, UserError):
            return Fault(line.id, str(content))
        try:
            text = self.normalise(line.text) if line.raw else line.text
            if not has_letters(text):
                return Fault(line.id, "has a text without letters")
            grid = read_grid(content)
            if any(word.label == UNKNOWN_WORD for word in grid.words):
                return Fault(line.id, "has a word that the aligner did not know", bad=False)
            phones = timed_phones(grid, text, self.inventory)
        except UserError as error:
            return Fault(line.id, str(error))
        short = length_fault(line.id, grid.end, self.data)
        return short or Utterance(line.id, sentence_id(text), text, None, "train", phones=phones)
