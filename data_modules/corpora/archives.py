"""What a tar of recordings holds, by its headers alone: nothing in it is unpacked, and no name in it names a file."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

from data_modules.members import Member

#: Endings of lhotse's members that are no recordings: descriptions, and what stands for one that is not there.
_BESIDE = {".json", ".nometa", ".nodata"}
#: Zeros at the end of a tar that is whole.
_END = 1024


class Archive:
    """The recordings of a tar, by their names without the ending, as ``lhotse.shar`` ties them to cuts.

    ``members`` gives each, or says in a few words why it is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: dict[str, Member | str] = {}
        self.ended = self._read()

    def missing(self) -> str:
        """Why there is no recording of a name that is not in ``members``."""
        return f"has no recording in {self.path}{self.ended}"

    def _read(self) -> str:
        """Walk over the headers; what is wrong with the tar, if anything."""
        try:
            size = self.path.stat().st_size
            with tarfile.open(self.path, "r:") as tar:
                before = -1
                while (info := tar.next()) is not None:
                    if info.size < 0 or info.offset <= before:
                        return ", whose headers are damaged"
                    before = info.offset
                    self._add(info, size)
                    tar.members = []  # type: ignore[attr-defined]  # it would keep all
            return "" if _is_whole(self.path, size) else ", which is truncated"
        except FileNotFoundError:
            return ", which does not exist"
        except OSError as error:
            return f", which cannot be read ({error.strerror or error})"
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            return f", which is truncated or no plain tar ({error})"

    def _add(self, info: tarfile.TarInfo, size: int) -> None:
        path = PurePosixPath(info.name)
        name = str(path.parent / path.stem).encode("utf-8", "replace").decode()
        if info.isdir() or path.suffix in _BESIDE:
            return
        if name in self.members:
            self.members[name] = f"stands more than once in {self.path}"
        elif path.is_absolute() or ".." in path.parts:
            self.members[name] = f"has a name in {self.path} that leaves its folder"
        elif not info.isfile() or info.issparse():
            self.members[name] = f"is no plain file in {self.path}"
        elif info.offset_data + info.size > size:
            self.members[name] = f"is cut short in {self.path}, which is truncated"
        else:
            self.members[name] = Member(self.path, info.offset_data, info.size)


def _is_whole(path: Path, size: int) -> bool:
    with path.open("rb") as stream:
        stream.seek(max(size - _END, 0))
        return not stream.read().strip(b"\0")
