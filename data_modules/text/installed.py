"""Folders of models that came with installed packages, and the identities of such folders."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

from prosody_tts.files import digest, file_digest


def package_folders(package: str) -> list[Path]:
    """Folders of an installed package, without importing it; none where it is not installed."""
    if not package.isidentifier():
        return []
    spec = importlib.util.find_spec(package)
    return [Path(root) for root in (spec.submodule_search_locations or ())] if spec is not None else []


def folder_digest(folder: Path) -> str:
    """Hash of the names and contents of all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    state = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return _digest(folder, state)


@lru_cache(maxsize=8)
def _digest(folder: Path, state: tuple[tuple[str, int, int], ...]) -> str:
    return digest([[Path(name).relative_to(folder).as_posix(), file_digest(Path(name))] for name, _, _ in state])
