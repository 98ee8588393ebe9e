"""Listeners and their answers in one SQLite file, in which every answer stands once or not at all."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from prosody_tts.errors import UserError
from prosody_tts.listening.answers import Answer, add
from prosody_tts.listening.exchange import Heard
from prosody_tts.listening.ordering import Screen, screens_of
from prosody_tts.listening.test import ListeningTest

DATABASE = "ratings.db"
#: Hours after which a listener who has not finished no longer counts when groups are filled evenly.
PATIENCE = 24
SCHEMA = """
CREATE TABLE IF NOT EXISTS listeners (
    number INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, participant TEXT UNIQUE, grp INTEGER, ordinal INTEGER,
    began TEXT, finished TEXT, questions TEXT, UNIQUE (grp, ordinal)
) STRICT;
CREATE TABLE IF NOT EXISTS screens (
    listener INTEGER NOT NULL REFERENCES listeners, screen INTEGER NOT NULL, answered TEXT NOT NULL,
    seconds REAL NOT NULL, PRIMARY KEY (listener, screen)
) STRICT;
CREATE TABLE IF NOT EXISTS ratings (
    listener INTEGER NOT NULL, screen INTEGER NOT NULL, code TEXT NOT NULL, place INTEGER NOT NULL,
    score REAL NOT NULL, PRIMARY KEY (listener, screen, code), FOREIGN KEY (listener, screen) REFERENCES screens
) STRICT;
"""


class Conflict(Exception):
    """What is asked for goes against what is stored."""


@dataclass(frozen=True)
class Listener:
    """Somebody who takes part.

    Attributes:
        number: from 1.
        participant: the name or number that they came with, if any.
        group: which sentences they hear; none before they begin.
        ordinal: place within the group, from 0.
        finished: whether they have sent the last page.
    """

    number: int
    participant: str | None
    group: int | None
    ordinal: int | None
    finished: bool

    @property
    def name(self) -> str:
        """What the analysis calls them."""
        return self.participant or f"listener {self.number}"


class Store:
    """A test's answers.

    Every call opens a transaction of its own that is on disk when the call returns (WAL, ``synchronous=FULL``): what
    was answered survives the death of the program and of the machine. Several programs may share the file.
    """

    def __init__(self, test: ListeningTest, path: Path | str) -> None:
        self.test = test
        self._path = str(path)
        self._local = threading.local()
        # A store in memory, for a preview, lives in one connection, which its threads take turns to use.
        self._lock = threading.RLock() if self._path == ":memory:" else None
        self._shared = self._connect() if self._lock else None
        try:
            with self._transaction() as database:
                for statement in SCHEMA.split(";"):
                    database.execute(statement)
        except sqlite3.Error as error:
            raise UserError(
                f"{path} cannot be used to store ratings ({error}); move it away, or make its folder writable"
            ) from None

    @staticmethod
    def of(test: ListeningTest, folder: Path) -> Store:
        """The answers that lie beside a test's key."""
        return Store(test, folder / DATABASE)

    def invite(self, count: int) -> list[tuple[int, str]]:
        """Make so many listeners; their numbers and tokens, which are stored nowhere in clear."""
        made = []
        with self._transaction() as database:
            for _ in range(count):
                token = secrets.token_urlsafe(24)
                cursor = database.execute("INSERT INTO listeners (token) VALUES (?)", (_hash(token),))
                made.append((int(cursor.lastrowid or 0), token))
        return made

    def enrol(self, participant: str | None, most: int | None = None) -> str:
        """Make a listener who comes uninvited; their token.

        Raises:
            Conflict: somebody of that name takes part already, or as many as shall take part do.
        """
        token = secrets.token_urlsafe(24)
        with self._transaction() as database:
            if participant is not None:
                row = database.execute("SELECT 1 FROM listeners WHERE participant = ?", (participant,)).fetchone()
                if row is not None:
                    raise Conflict("Somebody of this name takes part already; go on where you began.")
            (count,) = database.execute("SELECT count(*) FROM listeners").fetchone()
            if most is not None and count >= most:
                raise Conflict("As many people as are needed take part already. Thank you for your interest.")
            database.execute("INSERT INTO listeners (token, participant) VALUES (?, ?)", (_hash(token), participant))
        return token

    def listener(self, token: str) -> Listener | None:
        """Whose token it is."""
        with self._transaction(write=False) as database:
            return self._listener(database, "token = ?", _hash(token))

    def begin(self, listener: Listener) -> Listener:
        """Put a listener into the group that has fewest, once; they have read what they agree to."""
        with self._transaction() as database:
            now = self._listener(database, "number = ?", listener.number)
            assert now is not None
            if now.group is not None:
                return now
            taken = database.execute(
                "SELECT grp, count(*), max(ordinal), sum(finished IS NOT NULL OR began > ?) FROM listeners"
                " WHERE grp IS NOT NULL GROUP BY grp",
                (_ago(PATIENCE),),
            )
            last = {group: (counted, ordinal) for group, _, ordinal, counted in taken}
            group = min(range(len(self.test.groups)), key=lambda one: (last.get(one, (0, -1))[0], one))
            database.execute(
                "UPDATE listeners SET grp = ?, ordinal = ?, began = ? WHERE number = ?",
                (group, last.get(group, (0, -1))[1] + 1, _now(), listener.number),
            )
            found = self._listener(database, "number = ?", listener.number)
            assert found is not None
            return found

    def screens(self, listener: Listener) -> list[Screen]:
        """What a listener who has begun hears."""
        assert listener.group is not None and listener.ordinal is not None
        return screens_of(self.test, listener.group, listener.ordinal)

    def answered(self, listener: Listener) -> int:
        """How many screens they have answered: the first ones."""
        with self._transaction(write=False) as database:
            return self._answered(database, listener)

    def answer(self, listener: Listener, screen: int, codes: Sequence[str], answer: Answer) -> Literal["new", "known"]:
        """Store the answer to a screen, whole or not at all; an answer that comes again is known already.

        Args:
            listener: who.
            screen: its number in their order, from 0.
            codes: its clips, from the first version to the last.
            answer: what they said.

        Raises:
            Conflict: it is not the next screen, or another answer to it is stored.
        """
        with self._transaction() as database:
            done = self._answered(database, listener)
            if screen < done:
                if self._scores(database, listener, screen) == answer.scores:
                    return "known"
                raise Conflict("This screen has been answered; answers cannot be changed.")
            if screen > done:
                raise Conflict("This screen is not the next one.")
            database.execute(
                "INSERT INTO screens VALUES (?, ?, ?, ?)", (listener.number, screen, _now(), answer.seconds)
            )
            database.executemany(
                "INSERT INTO ratings VALUES (?, ?, ?, ?, ?)",
                [(listener.number, screen, code, codes.index(code), score) for code, score in answer.scores.items()],
            )
        return "new"

    def finish(self, listener: Listener, questions: dict[str, str]) -> None:
        """Store what the last page asks, once.

        Raises:
            Conflict: screens are left.
        """
        with self._transaction() as database:
            if self._answered(database, listener) < len(self.screens(listener)):
                raise Conflict("There are sentences left to hear.")
            database.execute(
                "UPDATE listeners SET finished = ?, questions = ? WHERE number = ? AND finished IS NULL",
                (_now(), json.dumps(questions, ensure_ascii=False), listener.number),
            )

    def heard(self) -> Heard:
        """Every answer, of everybody, by codes; ``LookupError`` or ``sqlite3.Error`` where the file is damaged."""
        heard = Heard()
        with self._transaction(write=False) as database:
            numbers = [number for (number,) in database.execute("SELECT number FROM listeners WHERE grp IS NOT NULL")]
            for number in numbers:
                listener = self._listener(database, "number = ?", number)
                if listener is None or listener.group is None or listener.ordinal is None:
                    raise LookupError(f"listener {number} is not whole")
                screens = self.screens(listener)
                for place in range(self._answered(database, listener)):
                    scores = self._scores(database, listener, place)
                    add(heard, self.test.kind, listener.name, screens[place], scores)
        return heard

    def standing(self) -> tuple[int, int, int]:
        """How many were invited or came, have begun, and have finished."""
        with self._transaction(write=False) as database:
            row = database.execute("SELECT count(*), count(began), count(finished) FROM listeners").fetchone()
        return int(row[0]), int(row[1]), int(row[2])

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=60, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            database.execute(f"PRAGMA {pragma}")
        return database

    @contextmanager
    def _transaction(self, write: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction of this thread's connection, on disk at the end."""
        if self._lock is not None and self._shared is not None:
            with self._lock, _within(self._shared, write) as database:
                yield database
            return
        if not hasattr(self._local, "database"):
            self._local.database = self._connect()
        with _within(self._local.database, write) as database:
            yield database

    @staticmethod
    def _listener(database: sqlite3.Connection, where: str, value: str | int) -> Listener | None:
        row = database.execute(
            f"SELECT number, participant, grp, ordinal, finished FROM listeners WHERE {where}", (value,)
        ).fetchone()
        if row is None:
            return None
        number, participant, group, ordinal, finished = row
        return Listener(number, participant, group, ordinal, finished is not None)

    @staticmethod
    def _answered(database: sqlite3.Connection, listener: Listener) -> int:
        (count,) = database.execute("SELECT count(*) FROM screens WHERE listener = ?", (listener.number,)).fetchone()
        return int(count)

    @staticmethod
    def _scores(database: sqlite3.Connection, listener: Listener, screen: int) -> dict[str, float]:
        rows = database.execute(
            "SELECT code, score FROM ratings WHERE listener = ? AND screen = ? ORDER BY place",
            (listener.number, screen),
        )
        return {code: float(score) for code, score in rows}


@contextmanager
def _within(database: sqlite3.Connection, write: bool) -> Iterator[sqlite3.Connection]:
    database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield database
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _ago(hours: int) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="seconds")
