"""Recordings that lie in a tar: read at their place, never unpacked."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from prosody_tts.errors import UserError


class Member(NamedTuple):
    """A file in a tar that is not compressed: its content's first byte there, and how many bytes it has."""

    archive: Path
    first: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive} at byte {self.first}"

    def read(self) -> bytes:
        """The content.

        Raises:
            UserError: the tar is missing, unreadable or truncated.
        """
        try:
            with self.archive.open("rb") as stream:
                stream.seek(self.first)
                content = stream.read(self.size)
        except OSError as error:
            raise UserError(f"cannot read {self.archive}: {error.strerror or error}") from None
        if len(content) < self.size:
            raise UserError(f"{self.archive} is truncated: a recording in it lacks {self.size - len(content)} bytes")
        return content


#: Where a recording lies: a file, or a part of a tar.
Source = Path | str | Member
