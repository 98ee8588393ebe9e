"""A corpus: a file of ``RECORDING<tab>TEXT`` lines, with the recordings beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_modules.audio import check_audio
from data_modules.corpora import CORPORA
from data_modules.corpora.contract import Corpus, Fault, Progress, Utterance
from data_modules.corpora.screening import content_digest, has_letters, length_fault, screen, sentence_id
from data_modules.corpora.splits import selection, with_splits
from prosody_tts.config import DataConfig, Experiment
from prosody_tts.errors import UserError


class Tabbed:
    """The recordings that the file ``corpus_path`` names."""

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Whatever the utterances depend on: names and contents of the files, and the settings that choose among them.

        Raises:
            UserError: as ``lines_of``.
        """
        source, lines = lines_of(experiment)
        recordings = [(name, path) for name, _ in lines if (path := source.parent / name).is_file()]
        content = content_digest([(source.name, source), *recordings], Path(experiment.run.folder))
        return {"corpus": "tabbed", "version": 1, "content": content, "data": selection(experiment.data)}

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus:
        """Every sound utterance, and a sentence on each of the others.

        Raises:
            UserError: as ``lines_of``, or more faults than ``data.allowed_bad`` allows.
        """
        source, lines = lines_of(experiment)
        utterances: list[Utterance] = []
        faults: list[Fault] = []
        for done, (name, text) in enumerate(lines, start=1):
            found = checked(source.parent / name, text, experiment.data)
            if isinstance(found, Fault):
                faults.append(found)
            else:
                utterances.append(found)
            progress(done, len(lines), "recordings checked")
        screen(str(source), utterances, faults, folder, experiment.data)
        chosen, splits = with_splits(utterances, faults, experiment.data)
        return Corpus("tabbed", folder, chosen, tuple(faults), splits)


def lines_of(experiment: Experiment) -> tuple[Path, list[tuple[str, str]]]:
    """The file, and recording and text of each of its lines.

    Raises:
        UserError: there is no such file.
    """
    if experiment.corpus_path is None or not Path(experiment.corpus_path).is_file():
        raise UserError(f"corpus_path={experiment.corpus_path} is no file; give one of 'RECORDING<tab>TEXT' lines")
    source = Path(experiment.corpus_path).resolve()
    rows = [line.partition("\t") for line in source.read_text(encoding="utf-8").splitlines() if line.strip()]
    return source, [(name, text.strip()) for name, _, text in rows]


def checked(path: Path, text: str, data: DataConfig) -> Utterance | Fault:
    """One recording, or why it cannot be used."""
    if not has_letters(text):
        return Fault(path.stem, "has a text without letters")
    try:
        seconds = check_audio(path)
    except UserError as error:
        return Fault(path.stem, str(error))
    return length_fault(path.stem, seconds, data) or Utterance(path.stem, sentence_id(text), text, str(path), "train")


CORPORA["tabbed"] = Tabbed
