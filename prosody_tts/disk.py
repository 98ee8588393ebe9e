"""What went wrong with a disk, as the user must mend it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

#: What the system calls a disk that takes no more.
FULL = {errno.ENOSPC, errno.EDQUOT}
#: What it calls a place where nothing may be written.
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
#: Bytes below which a disk counts as full: libraries in C tell no reason when they cannot write.
SPARE = 1 << 20


def trouble(error: BaseException, place: Path) -> str | None:
    """The sentence for an error that a disk caused; none where it did not.

    Args:
        error: what was raised while something was written.
        place: the folder that was written to, which need not be there.
    """
    number = error.errno if isinstance(error, OSError) else None
    there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    if number in FULL or (number not in CLOSED and shutil.disk_usage(there).free < SPARE):
        return (
            f"the disk of {there} is full; make room (`prosody-tts runs` lists what takes it) and give the same "
            "command again, which goes on from what is finished"
        )
    if number in CLOSED:
        assert isinstance(error, OSError)
        where = error.filename or there
        return f"{where} cannot be written ({error.strerror}); make it writable or give another run.folder"
    return None
