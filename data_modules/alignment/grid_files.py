"""Where TextGrids lie: a folder, or an archive that is read in memory and never unpacked."""

from __future__ import annotations

import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Container, Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Self

from prosody_tts.errors import UserError

#: Bytes of the largest grid that is read: hours of speech.
MOST_BYTES = 16 * 2**20
#: An archive that unpacks to more bytes than this, and to more than so many times its own, is none of text.
UNPACKED, TIMES = 64 * 2**20, 1000
_ENDING = ".textgrid"
#: Headers of a tar that hold the header of what follows, and what they hold at most.
_LONG_HEADERS = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}
_LONGEST_HEADER = 2**20
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, struct.error),
    *(EOFError, OSError, RuntimeError, ValueError, OverflowError),
)


def grid_paths(source: str) -> list[tuple[str, Path]]:
    """Files whose content is what ``source`` says: the archive itself, or all grids of the folder by relative name.

    Raises:
        UserError: there is nothing there, or no grid.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return [(path.name, path)]
    if not path.is_dir():
        raise UserError(
            f"textgrids={source} is no folder and no archive; give a folder of .TextGrid files, or a .tar, "
            ".tar.xz or .zip of them"
        )
    found = [item for item in path.rglob("*") if item.suffix.lower() == _ENDING and item.is_file()]
    if not found:
        raise UserError(f"textgrids={source} holds no .TextGrid file; give the folder that the aligner wrote")
    return sorted((item.relative_to(path).as_posix(), item) for item in found)


def read_grids(source: str, wanted: Container[str] | None = None) -> Iterator[tuple[str, bytes | UserError]]:
    """Yield the content of each wanted grid as ``(id, bytes)``, in the order they lie there; the id is the file's stem.

    Without ``wanted`` all are.
    A grid that is there twice, is too large or cannot be read comes as the error that says so.

    Raises:
        UserError: as ``grid_paths``; the archive is damaged, or a member is a link or climbs out of it.
    """
    paths = grid_paths(source)
    if not Path(source).expanduser().is_file():
        names = Counter(Path(name).stem for name, _ in paths)
        for name, path in paths:
            if wanted is None or Path(name).stem in wanted:
                yield Path(name).stem, _content(path) if names[path.stem] == 1 else _twice(name)
        return
    archive = paths[0][1]
    try:
        if zipfile.is_zipfile(archive):
            yield from _zip(archive, source, wanted)
        else:
            yield from _tar(archive, source, wanted)
    except _DAMAGED as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"textgrids={source} cannot be read: {detail}; copy the archive again") from None


class _Header(tarfile.TarInfo):
    """A member's header; what it says of the next one's is read whole into memory, so its size has a bound."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header."""
        found = super().frombuf(buf, encoding, errors)
        if found.type in _LONG_HEADERS and found.size > _LONGEST_HEADER:
            raise tarfile.ReadError(f"it has a header of {found.size} bytes")
        return found


def _content(path: Path) -> bytes | UserError:
    if path.stat().st_size > MOST_BYTES:
        return _too_large(path.stat().st_size)
    try:
        return path.read_bytes()
    except OSError as error:
        return UserError(f"the grid cannot be read: {error}")


def _tar(path: Path, source: str, wanted: Container[str] | None) -> Iterator[tuple[str, bytes | UserError]]:
    seen: set[str] = set()
    try:
        opened = tarfile.open(path, tarinfo=_Header)  # noqa: SIM115 (closed below)
    except tarfile.ReadError:
        raise UserError(
            f"textgrids={source} is no archive that can be read; give a folder, .tar, .tar.xz or .zip"
        ) from None
    most = _most(path)
    with opened as archive:
        for member in archive:
            if member.size < 0 or member.offset_data + member.size > most:
                raise _too_much(most)
            if not member.isdir():
                _refuse(member.name, not member.isfile(), source)
            name = _stem(member.name)
            if not member.isfile() or not name or (wanted is not None and name not in wanted):
                continue
            stream = archive.extractfile(member) if member.size <= MOST_BYTES and name not in seen else None
            yield name, _fresh(name, seen, member.name, member.size, stream.read() if stream else b"")
        # An archive ends with blocks of zeros, which have been read; one that was cut off between members does not.
        if archive.fileobj is None or archive.fileobj.tell() <= archive.offset:
            raise tarfile.ReadError("it is cut off")


def _zip(path: Path, source: str, wanted: Container[str] | None) -> Iterator[tuple[str, bytes | UserError]]:
    seen: set[str] = set()
    most, total = _most(path), 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            _refuse(member.filename, kind not in {0, stat.S_IFREG, stat.S_IFDIR}, source)
            name = _stem(member.filename)
            if member.is_dir() or not name or (wanted is not None and name not in wanted):
                continue
            # A member may hold more than it says; no more than this is unpacked.
            with archive.open(member) as stream:
                content = stream.read(MOST_BYTES + 1)
            if (total := total + len(content)) > most:
                raise _too_much(most)
            yield name, _fresh(name, seen, member.filename, len(content), content)


def _most(path: Path) -> int:
    """Bytes that an archive may unpack to."""
    return max(UNPACKED, TIMES * path.stat().st_size)


def _too_much(most: int) -> tarfile.ReadError:
    return tarfile.ReadError(f"it would unpack to more than {most} bytes")


def _fresh(name: str, seen: set[str], place: str, size: int, content: bytes) -> bytes | UserError:
    if name in seen:
        return _twice(place)
    seen.add(name)
    return _too_large(size) if size > MOST_BYTES else content


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() == _ENDING else ""


def _refuse(name: str, link: bool, source: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if link:
        raise UserError(f"textgrids={source} holds '{name}', which is a link or no file; pack plain files")
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UserError(f"textgrids={source} holds '{name}', which climbs out of the archive; pack it again")


def _twice(name: str) -> UserError:
    return UserError(f"the grid is there twice, the second time as {name}; keep one")


def _too_large(size: int) -> UserError:
    return UserError(f"the grid has {size} bytes or more, too many for one recording (the most is {MOST_BYTES})")
