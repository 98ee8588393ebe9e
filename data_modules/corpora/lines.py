"""Lines of transcripts as other programs write them: byte-order marks, Windows line ends, a line that is not UTF-8."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from prosody_tts.errors import UserError

#: Bytes of the longest line: what is longer is no transcript, whatever a compressed file unpacks to.
LONGEST = 16 * 2**20

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def rows(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Number, text and soundness of every line that is not blank, of a file that may be gzipped.

    A line that is not UTF-8 is unsound; its text has a replacement character for each wrong byte. One line is in memory
    at a time.

    Raises:
        UserError: the file cannot be read or decompressed, is UTF-16, or has a line longer than ``LONGEST``.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(_lines(cast("IO[bytes]", stream), path), start=1):
                text = line.decode("utf-8", errors="replace")
                if text.strip():
                    yield number, text, line == text.encode("utf-8")
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _lines(stream: IO[bytes], path: Path) -> Iterator[bytes]:
    first = True
    while line := stream.readline(LONGEST + 1):
        if first and line.startswith(_UTF16_MARKS):
            raise UserError(f"{path} is UTF-16; save it as UTF-8")
        if len(line) > LONGEST:
            raise UserError(
                f"{path} has a line of more than {LONGEST} bytes, which is no transcript; break it into lines"
            )
        if first:
            line, first = line.removeprefix(_UTF8_MARK), False
        # Not splitlines, which also breaks at characters that may stand inside a text.
        yield from line.removesuffix(b"\n").removesuffix(b"\r").split(b"\r")


def too_long(name: str) -> bool:
    """Whether no file could be named so: systems allow 255 bytes, and an ending stands behind."""
    return len(name.encode("utf-8", "replace")) > 200


def climbs(name: str) -> bool:
    """Whether a file of that name would lie outside its folder, or below it where no other tool would look."""
    return len(PurePosixPath(name).parts) != 1 or name in {".", ".."} or "\\" in name or "\0" in name
