"""The Helsinki Prosody Corpus (Talman et al. 2019): prominence and boundaries of read speech, word by word.

One word a line, separated by tabs: the word, its prominence 0-2, the boundary after it 0-2, and both as real numbers
(from a wavelet analysis of F0, energy and duration); ``NA`` for punctuation; ``<file> NAME.txt`` before each sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from data_modules.corpora.contract import Corpus, Fault, Progress, Split, Utterance
from data_modules.corpora.lines import rows
from data_modules.corpora.order import libritts_place
from data_modules.corpora.screening import content_digest, has_letters, screen, sentence_id
from data_modules.corpora.splits import selection, with_splits
from data_modules.text.spans import covering
from data_modules.text.words import clean, excerpt, find_words
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError

VERSION = 2
SENTENCE = "<file>"
COLUMNS = ("word", "prominence_class", "boundary_class", "prominence", "boundary")
#: Tokens that begin with one of these stand right after the token before them.
CLOSING = ".,;:!?)]}…"
#: The corpus's own names of its files.
SPLITS: dict[str, Split] = {"train": "train", "dev": "dev", "test": "test"}


class Row(NamedTuple):
    """One line: its number, its cells, and whether it is UTF-8."""

    number: int
    cells: tuple[str, ...]
    sound: bool


@dataclass(frozen=True)
class Entry:
    """One sentence of a file: its name, its split by the file's name, its line's number, its lines."""

    name: str
    split: Split | None
    number: int
    rows: tuple[Row, ...]


class Helsinki:
    """The corpus in ``experiment.corpus_path``: a ``.txt`` file, or a folder of them.

    Files named ``train*``, ``dev*`` and ``test*`` give the splits where all three are there, else a hash of the
    chapter does, as far as names tell it (LibriTTS's are ``SPEAKER_CHAPTER_PARAGRAPH_SENTENCE``).
    """

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Names and contents of the files, and the settings that choose among their sentences.

        Raises:
            UserError: there is no such file, or none in the folder.
        """
        files = _files(experiment)
        return {
            "corpus": "helsinki",
            "version": VERSION,
            "content": content_digest([(path.name, path) for path in files], Path(experiment.run.folder)),
            "data": selection(experiment.data),
        }

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus:
        """Read every sentence; those with a broken line or a word without numbers are left out, each with its reason.

        Raises:
            UserError: a file is not of this format, nothing is usable, more faults than ``data.allowed_bad`` allows.
        """
        files = _files(experiment)
        entries = [entry for path in files for entry in _read(path)]
        utterances: dict[str, Utterance] = {}
        official: dict[str, Split | None] = {}
        faults: list[Fault] = []
        for done, entry in enumerate(entries, start=1):
            try:
                if entry.name in utterances:
                    raise UserError(f"line {entry.number} repeats the name of an earlier sentence")
                utterances[entry.name] = _utterance(entry)
                official[entry.name] = entry.split
            except UserError as error:
                faults.append(Fault(entry.name, str(error)))
            if done % 500 == 0 or done == len(entries):
                progress(done, len(entries), "sentences read")
        found = list(utterances.values())
        screen(str(experiment.corpus_path), found, faults, folder, experiment.data)
        named = {name: split for name, split in official.items() if split is not None}
        given = named if len(named) == len(official) else None
        chapters = {item.id: _chapter(item) for item in found}
        chosen, splits = with_splits(found, faults, experiment.data, given, chapters)
        texts = {item.id: item.text for item in found}
        return Corpus("helsinki", folder, chosen, tuple(faults), splits, texts)


def _files(experiment: Experiment) -> list[Path]:
    if experiment.corpus_path is None:
        raise UserError("corpus=helsinki needs corpus_path=PATH, a .txt file of the corpus or a folder of them")
    source = Path(experiment.corpus_path).expanduser().resolve()
    if source.is_dir():
        files = sorted(path for path in source.glob("*.txt") if path.is_file())
        if not files:
            raise UserError(f"{source} has no .txt file; give the folder with the corpus's train_360, dev and test.txt")
        return files
    if not source.is_file():
        raise UserError(f"corpus_path={experiment.corpus_path} does not exist; give a .txt file or a folder of them")
    return [source]


def _read(path: Path) -> Iterator[Entry]:
    split = SPLITS.get(path.stem.split("_")[0])
    name, start = "", 0
    found: list[Row] = []
    for number, line, sound in rows(path):
        cells = tuple(line.split("\t"))
        if cells[0] == SENTENCE and len(cells) > 1:
            if name:
                yield Entry(name, split, start, tuple(found))
            name, start, found = cells[-1].strip().removesuffix(".txt"), number, []
        elif not name:
            break
        else:
            found.append(Row(number, cells, sound))
    if not name:
        raise UserError(
            f"{path} is not in the Helsinki Prosody Corpus's format: it does not begin with '{SENTENCE}<tab>NAME'"
        )
    yield Entry(name, split, start, tuple(found))


def _utterance(entry: Entry) -> Utterance:
    """Tie the labels to the words of the text that the lines make.

    Raises:
        UserError: why this sentence is left out.
    """
    for number, cells, sound in entry.rows:
        if not sound:
            raise UserError(f"line {number} is not UTF-8")
        if len(cells) != len(COLUMNS):
            raise UserError(f"line {number} has {len(cells)} cells, not the {len(COLUMNS)} of {', '.join(COLUMNS)}")
    text, spans = _text([row.cells[0] for row in entry.rows])
    if not has_letters(text) or clean(text) != text:
        raise UserError(f"line {entry.number} starts a sentence whose text cannot be read: '{excerpt(text)}'")
    words = find_words(text)
    inside = covering(spans, [word.start for word in words], [word.end for word in words])
    labels: dict[str, list[float]] = {name: [] for name in COLUMNS[1:]}
    for (number, cells, _), tied in zip(entry.rows, inside, strict=True):
        if not tied:
            if any(cell != "NA" for cell in cells[1:]):
                raise UserError(f"line {number} gives '{cells[0]}' a label, which is no word")
            continue
        if len(tied) > 1:
            raise UserError(f"line {number} has '{cells[0]}', which is {len(tied)} words with one label")
        for name, cell in zip(COLUMNS[1:], cells[1:], strict=True):
            labels[name].append(_number(cell, name, number, cells[0]))
    if (count := len(labels["prominence"])) != len(words):
        raise UserError(f"line {entry.number} starts a sentence of {len(words)} words with {count} labels")
    return Utterance(entry.name, sentence_id(text), text, None, "train", labels=labels)


def _text(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The sentence and each token's character offsets in it."""
    text = ""
    spans = []
    for token in map(clean, tokens):
        text += "" if not text or (token and token[0] in CLOSING) else " "
        spans.append((len(text), len(text) + len(token)))
        text += token
    return text, spans


def _number(cell: str, name: str, line: int, word: str) -> float:
    try:
        value = int(cell) if name.endswith("_class") else float(cell)
    except ValueError:
        raise UserError(f"line {line} has '{cell}' as the {name} of '{word}', where a number must be") from None
    if (name.endswith("_class") and value not in (0, 1, 2)) or not abs(value) < 1e6:
        raise UserError(f"line {line} has the {name} {cell} for '{word}', which is out of range")
    return value


def _chapter(item: Utterance) -> str:
    """What is held out together: the chapter, or where a name does not tell it the sentence."""
    place = libritts_place(item.id)
    return item.sentence if place is None else place.chapter
