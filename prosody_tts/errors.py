"""The one exception that reaches a user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Characters of a wrong name that are compared with the right ones: what it costs grows with their square.
LONGEST = 200


class UserError(Exception):
    """A mistake the user can mend: one sentence that names the file or setting, what is wrong and what to do.

    The command line prints it without a traceback and exits with status 2. Whatever it quotes, it is one line of
    characters that can be shown: breaks become spaces, all else that cannot becomes its escape.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if text.isprintable():
            return text
        return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else ascii(character)[1:-1]


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return a hint such as ``did you mean 'word'? one of: phone, utterance, word`` for a wrong name."""
    known = sorted(choices)
    close = difflib.get_close_matches(name[:LONGEST], known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}one of: {', '.join(known)}"


def close(name: str, choices: Iterable[str], count: int = 5) -> str:
    """The ``count`` names most like a wrong one, for lists too long for ``nearest``."""
    known = sorted(choices)
    return ", ".join(difflib.get_close_matches(name[:LONGEST], known, n=count, cutoff=0.0))
