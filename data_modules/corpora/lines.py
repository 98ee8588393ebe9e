"""Lines of transcripts as other programs write them: byte-order marks, Windows line ends, a line that is not UTF-8."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from prosody_tts.errors import UserError

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def rows(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Number, text and soundness of every line that is not blank, of a file that may be gzipped.

    A line that is not UTF-8 is unsound; its text has a replacement character for each wrong byte.

    Raises:
        UserError: the file cannot be read or decompressed, or is UTF-16.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if content.startswith(_UTF16_MARKS):
        raise UserError(f"{path} is UTF-16; save it as UTF-8")
    # Not splitlines: of a text it also breaks at characters that may stand inside one.
    lines = content.removeprefix(_UTF8_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for number, line in enumerate(lines, start=1):
        text = line.decode("utf-8", errors="replace")
        if text.strip():
            yield number, text, line == text.encode("utf-8")


def climbs(name: str) -> bool:
    """Whether a file of that name would lie outside its folder, or below it where no other tool would look."""
    return len(PurePosixPath(name).parts) != 1 or name in {".", ".."} or "\\" in name or "\0" in name
