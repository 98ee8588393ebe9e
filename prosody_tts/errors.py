"""The one exception that reaches a user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake the user can mend: one sentence that names the file or setting, what is wrong and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return a hint such as ``did you mean 'word'? one of: phone, utterance, word`` for a wrong name."""
    known = sorted(choices)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}one of: {', '.join(known)}"


def close(name: str, choices: Iterable[str], count: int = 5) -> str:
    """The ``count`` names most like a wrong one, for lists too long for ``nearest``."""
    known = sorted(choices)
    return ", ".join(difflib.get_close_matches(name, known, n=count, cutoff=0.0))
