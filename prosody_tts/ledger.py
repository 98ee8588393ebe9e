"""What lies in a folder of runs: every stage, what made it, how large it is, who needs it; and how to make room."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from prosody_tts.config import Experiment
from prosody_tts.errors import UserError
from prosody_tts.files import read_json, set_aside
from prosody_tts.pipeline import RESULT, VERSIONS, plan_all

#: Kinds of stages that are no folder of a stage: reports are written anew by ``table``.
NO_STAGE = {"report"}


@dataclass(frozen=True)
class Entry:
    """One stage's folder.

    Attributes:
        kind: of the stage.
        identity: of it, the folder's name.
        folder: where it lies.
        done: whether it is finished.
        label: what a person calls it; empty where it is unfinished or its record is damaged.
        system: for which system it was made first.
        seed: of it, or none.
        seconds: that it took.
        size: bytes on disk.
        changed: when it was finished, or touched last, in seconds since 1970.
        inputs: keys of the stages it was made from.
    """

    kind: str
    identity: str
    folder: Path
    done: bool
    label: str
    system: str
    seed: int | None
    seconds: float
    size: int
    changed: float
    inputs: tuple[str, ...]

    @property
    def key(self) -> str:
        """Kind and identity, as plans have it."""
        return f"{self.kind}/{self.identity}"


def entries(folder: Path) -> list[Entry]:
    """Every stage in a folder of runs, in the order of the pipeline, the oldest first.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder of runs at {folder}; name one by run.folder=FOLDER")
    kinds = [kind for kind in VERSIONS if kind not in NO_STAGE]
    found = [_entry(kind, path) for kind in kinds for path in _folders(folder / kind)]
    return sorted(found, key=lambda one: (kinds.index(one.kind), one.changed, one.identity))


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        # What is being removed, or was when somebody stopped it, begins with a dot.
        yield from (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _entry(kind: str, folder: Path) -> Entry:
    result = folder / RESULT
    blank = Entry(kind, folder.name, folder, False, "", "", None, 0.0, _size(folder), folder.stat().st_mtime, ())
    try:
        told = read_json(result)
        return replace(
            blank,
            done=True,
            label=str(told["label"]),
            system=str(told["system"]),
            seed=int(told["seed"]),
            seconds=float(told["seconds"]),
            changed=result.stat().st_mtime,
            inputs=tuple(f"{name}/{identity}" for name, identity in told["inputs"].items()),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return blank


def _size(folder: Path) -> int:
    """Bytes on disk of a folder's files, links not followed."""
    total = 0
    with os.scandir(folder) as items:
        for item in items:
            if item.is_dir(follow_symlinks=False):
                total += _size(Path(item.path))
            else:
                total += item.stat(follow_symlinks=False).st_size
    return total


def needed(experiments: Iterable[Experiment]) -> set[str]:
    """Keys of the stages that the tables of experiments are made of."""
    return {stage.key for stage in plan_all(list(experiments))}


def prune(found: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Remove stages; what another process works on stays.

    Each is taken out of the way by a rename before it is deleted, so that a stage is whole or absent.

    Returns:
        Those removed, and those kept because somebody works on them.
    """
    removed, kept = [], []
    for entry in found:
        lock = FileLock(entry.folder.with_suffix(".lock"))
        try:
            with lock.acquire(timeout=0):
                if entry.folder.is_symlink():  # of a stage that was done again; what it points to stays
                    entry.folder.unlink()
                else:
                    shutil.rmtree(set_aside(entry.folder))
            removed.append(entry)
        except Timeout:
            kept.append(entry)
        except OSError as error:
            raise UserError(
                f"cannot remove {entry.folder} ({error.strerror}); make the folder writable and ask again"
            ) from None
    return removed, kept


def size_text(size: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
