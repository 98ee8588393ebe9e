"""Files that are whole or absent, and the identities of settings and contents."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and rename it to ``path`` if the block succeeds.

    A reader never sees half a file, and a killed writer leaves the old one untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o644)  # mkstemp makes it private to the user; shared run folders are not
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def is_text(value: str) -> bool:
    """Whether a string holds only what a file can hold: JSON and names of files may have halves of characters."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, keys in the order given."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    if not is_text(text):
        # A file's name whose bytes are no text: as escapes it comes back as it was.
        text = json.dumps(value, indent=1, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a UTF-8 JSON file; ``ValueError`` where it is none."""
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str | bytes) -> Any:
    """What JSON says; ``ValueError`` where it is none, or nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def flat(data: Mapping[str, Any], separator: str = "/", prefix: str = "") -> dict[str, Any]:
    """Nested plain data as ``outer/inner`` names, in their order; lists are values."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            found |= flat(value, separator, f"{prefix}{name}{separator}")
        else:
            found[f"{prefix}{name}"] = value
    return found


def set_aside(folder: Path) -> Path:
    """Take a folder out of the way at once, to be deleted at leisure; return where it is now.

    Its new name begins with a dot: what is left of it after a crash is no stage, and goes with the next.
    """
    away = folder.with_name(f".removed-{folder.name}")
    shutil.rmtree(away, ignore_errors=True)
    folder.rename(away)
    return away


def digest(value: Any, length: int = 12) -> str:
    """Hash plain data (dicts, lists, strings, numbers, None) independently of the order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def file_digest(path: Path, length: int = 16) -> str:
    """Hash a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:length]
