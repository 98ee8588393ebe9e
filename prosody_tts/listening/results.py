"""The ratings of a test that was built here, wherever its listeners gave them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from prosody_tts.errors import UserError
from prosody_tts.evaluation.names import RECORDING
from prosody_tts.listening.exchange import Columns, Heard, read_files
from prosody_tts.listening.kinds import KINDS
from prosody_tts.listening.screening import Check
from prosody_tts.listening.static import returned
from prosody_tts.listening.storage import DATABASE, Store
from prosody_tts.listening.test import ListeningTest


def of_test(test: ListeningTest, folder: Path, files: Sequence[Path], columns: Columns) -> Heard:
    """Ratings of systems.

    Args:
        test: with its key.
        folder: of the test, in which the server stores.
        files: what listeners sent back (``.json``) and webMUSHRA's results; none takes what the server has stored.
        columns: of tables.

    Raises:
        UserError: there are no ratings, a file's are not of this test, or what is stored is damaged.
    """
    if not files:
        if not (folder / DATABASE).exists():
            raise UserError(
                f"{folder} has stored no ratings; serve it with `prosody-tts listen serve {folder}`, or give the files "
                "that listeners sent back"
            )
        try:
            return test.named(Store.of(test, folder).heard())
        except (sqlite3.Error, LookupError, ValueError, OverflowError) as error:
            raise UserError(
                f"{folder / DATABASE} is damaged or of another test ({error}); give the copy that was kept of it"
            ) from None
    sent = [path for path in files if path.suffix == ".json"]
    tables = [path for path in files if path.suffix != ".json"]
    heard = Heard()
    for part in (returned(test, sent), read_files(tables, columns)):
        heard.scores += part.scores
        heard.choices += part.choices
    return test.named(heard)


def reference_of(test: ListeningTest) -> str | None:
    """The hidden reference by which listeners are screened, where the kind has one."""
    return RECORDING if KINDS[test.kind].reference else None


def checks_of(test: ListeningTest, heard: Heard) -> tuple[Check, ...]:
    """The screens that check attention and that somebody has come to."""
    reached = {score.item for score in heard.scores} | {choice.item for choice in heard.choices}
    return tuple(check for check in test.checks if check.item in reached)
