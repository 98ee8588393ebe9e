"""Ratings from files: webMUSHRA's three, and tables with a line a rating (long) or a line a screen (wide).

What a file is, its columns say. webMUSHRA (audiolabs/webMUSHRA, results/*/): ``mushra.csv`` has a line a stimulus,
with the listener's ``session_uuid``; ``lms.csv`` (several stimuli on one scale) and ``paired_comparison.csv`` name no
session, so a column of the questionnaire must tell listeners apart.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prosody_tts.errors import UserError, nearest
from prosody_tts.listening.ratings import UNDECIDED, Choice, Score

#: How "no preference" is written in files, besides nothing at all.
NEITHER = frozenset({"", "undecided", "no preference", "none", "neither", "equal"})
#: Longest line of columns' names, in characters.
LONGEST_HEAD = 10_000
#: webMUSHRA's own names of what it adds to the stimuli.
REFERENCE, LOW_ANCHOR, MID_ANCHOR = "reference", "anchor35", "anchor70"


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table of one's own.

    Attributes:
        listener: who.
        item: what the systems of a screen have in common.
        system: what was rated; a table without it has a column a system.
        score: the rating.
        systems: columns of a wide table; none takes all others that hold nothing but numbers.
    """

    listener: str = "listener"
    item: str = "item"
    system: str = "system"
    score: str = "score"
    systems: tuple[str, ...] = ()


@dataclass
class Heard:
    """What files hold: scores, choices, or both."""

    scores: list[Score] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)


def read_files(paths: Sequence[Path], columns: Columns | None = None) -> Heard:
    """Read files of any of the kinds.

    Raises:
        UserError: a file cannot be read, is of no kind, or has a line that is no rating; names file and line.
    """
    heard = Heard()
    for path in paths:
        _read(path, columns or Columns(), heard)
    return heard


def _read(path: Path, columns: Columns, into: Heard) -> None:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); give a file of ratings") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8; save it as UTF-8") from None
    lines = _lines(path, text)
    head = lines.head
    if {"rating_stimulus", "rating_score", "trial_id"} <= set(head):
        into.scores += _scores(lines, "session_uuid", "trial_id", "rating_stimulus", "rating_score")
    elif {"choice_reference", "choice_non_reference", "choice_answer"} <= set(head):
        into.choices += _choices(lines, columns)
    elif {"stimuli", "stimuli_rating", "trial_id"} <= set(head):
        listener = columns.listener if columns.listener in head else ""
        if not listener:
            raise UserError(
                f"{path} is webMUSHRA's lms.csv, which names no session; give --column listener=NAME, a column of the "
                f"questionnaire that tells listeners apart, of {', '.join(head)}"
            )
        into.scores += _scores(lines, listener, "trial_id", "stimuli", "stimuli_rating")
    elif columns.system in head and columns.score in head:
        into.scores += _scores(lines, columns.listener, columns.item, columns.system, columns.score)
    else:
        into.scores += _wide(lines, columns)


@dataclass(frozen=True)
class _Lines:
    """A table of text: its file, the names of its columns, and every line by its number."""

    path: Path
    head: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]

    def need(self, *names: str) -> None:
        """Refuse a table that lacks a column."""
        for name in names:
            if name not in self.head:
                raise UserError(
                    f"{self.path} has no column '{name}'; {nearest(name, self.head)}; "
                    "--column listener=NAME (item, system, score) says which is which"
                )

    def number(self, line: int, text: str) -> float:
        """A rating as a number."""
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(
                f"{self.path} line {line} has the rating '{text}', which is no number; correct or delete it"
            )
        return value


def _lines(path: Path, text: str) -> _Lines:
    if not text.strip():
        raise UserError(f"{path} is empty; give a file of ratings")
    first = text.splitlines()[0]
    if len(first) > LONGEST_HEAD:
        raise UserError(f"{path} begins with a line of {len(first)} characters, which names no columns; give a table")
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(first, delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel
    reader = csv.reader(io.StringIO(text), delimiter=dialect.delimiter, quotechar='"')
    rows: list[tuple[int, dict[str, str]]] = []
    head: tuple[str, ...] = ()
    try:
        for cells in reader:
            if not head:
                head = _columns_of(cells, path)
                continue
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(head):
                raise UserError(f"{path} line {reader.line_num} has {len(cells)} cells, not {len(head)}; mend the line")
            rows.append((reader.line_num, dict(zip(head, (cell.strip() for cell in cells), strict=True))))
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num} is no line of a table ({error}); mend or delete it") from None
    return _Lines(path, head, tuple(rows))


def _columns_of(cells: Sequence[str], path: Path) -> tuple[str, ...]:
    head = tuple(name.strip() for name in cells)
    if len(set(head)) < len(head):
        raise UserError(f"{path} has two columns of one name; give every column a name of its own")
    return head


def _scores(lines: _Lines, listener: str, item: str, system: str, score: str) -> Iterator[Score]:
    lines.need(listener, item, system, score)
    for number, row in lines.rows:
        yield Score(row[listener], row[item], row[system], lines.number(number, row[score]))


def _wide(lines: _Lines, columns: Columns) -> Iterator[Score]:
    lines.need(columns.listener, columns.item, *columns.systems)
    others = [name for name in lines.head if name not in {columns.listener, columns.item}]
    systems = list(columns.systems) or [
        name for name in others if all(row[name] == "" or _is_number(row[name]) for _, row in lines.rows)
    ]
    if not systems:
        raise UserError(
            f"{lines.path} has no column of systems' names and none that holds nothing but numbers; name the columns "
            "with --column, such as system=condition score=rating"
        )
    for number, row in lines.rows:
        for name in systems:
            if row[name] != "":
                yield Score(row[columns.listener], row[columns.item], name, lines.number(number, row[name]))


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _choices(lines: _Lines, columns: Columns) -> Iterator[Choice]:
    if columns.listener not in lines.head:
        raise UserError(
            f"{lines.path} is webMUSHRA's paired_comparison.csv, which names no session; give --column listener=NAME, "
            f"a column of the questionnaire that tells listeners apart, of {', '.join(lines.head)}"
        )
    lines.need("trial_id")
    for number, row in lines.rows:
        one, other, said = row["choice_reference"], row["choice_non_reference"], row["choice_answer"]
        chosen = UNDECIDED if said.lower() in NEITHER else said
        if chosen not in {one, other, UNDECIDED}:
            raise UserError(
                f"{lines.path} line {number} chooses '{said}' between '{one}' and '{other}'; correct or delete it"
            )
        yield Choice(row[columns.listener], row["trial_id"], one, other, chosen)
