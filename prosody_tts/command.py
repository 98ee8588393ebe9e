"""What the programs of the framework share: their arguments, their errors, their exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from prosody_tts.disk import trouble
from prosody_tts.errors import UserError

if TYPE_CHECKING:
    from prosody_tts.board import Outcome

PROGRAM = "prosody-tts"
#: Exit statuses.
OK, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell files from settings: a setting is ``key=value``, everything without ``=`` a file.

    ``experiment=FILE``, as a W&B agent writes it, is a file too.
    """
    files, settings = [], []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            files.append(argument)
        elif key == "experiment":
            files.append(value)
        else:
            settings.append(argument)
    return files, settings


def one_file(files: Sequence[str], default: str | None = None) -> str:
    """Return the one file given, or the default.

    Raises:
        UserError: there is none, or more than one.
    """
    if len(files) > 1:
        raise UserError(f"give one file, not {len(files)} ({', '.join(files)}); settings are written key=value")
    if not files and default is None:
        raise UserError("name an experiment, such as 'camp' or experiments/camp.yaml")
    return files[0] if files else str(default)


def guarded(action: Callable[[], int]) -> int:
    """Run a program and return its exit status; a user's mistake becomes one sentence on stderr."""
    try:
        return action()
    except UserError as error:
        complain(str(error))
        return MISTAKE
    except KeyboardInterrupt:
        complain("stopped; what is finished is kept, and the same command goes on from there")
        return INTERRUPTED
    except OSError as error:
        if (sentence := trouble(error, Path.cwd())) is None:
            raise
        complain(sentence)
        return MISTAKE


def output() -> Console:
    """Standard output; a file or a pipe gets lines wide enough for every table."""
    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    return Console(width=wide)


def complain(sentence: str) -> None:
    """Print ``prosody-tts: error: …`` on stderr."""
    print(f"{PROGRAM}: error: {sentence}", file=sys.stderr)


def conclude(outcomes: Sequence[Outcome]) -> int:
    """Report what failed, each cause once, and return the exit status: 0, 2 if the user can mend all of it, or 1."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    skipped = sum(outcome.status == "skipped" for outcome in outcomes)
    for sentence in dict.fromkeys(_sentence(outcome) for outcome in failed):
        complain(sentence)
    if skipped:
        stages = "1 stage was" if skipped == 1 else f"{skipped} stages were"
        print(f"{stages} skipped because of it; the same command runs what is missing", file=sys.stderr)
    if not failed:
        return OK
    return MISTAKE if all(outcome.mendable for outcome in failed) else FAILED


def _sentence(outcome: Outcome) -> str:
    if outcome.mendable:
        return outcome.error
    log = f"; see {outcome.log}" if outcome.log is not None else ""
    return f"{outcome.stage.label} failed: {outcome.error}{log}"
