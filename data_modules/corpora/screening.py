"""What every corpus of recordings checks alike: texts, lengths, and how much may be faulty."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_modules.corpora.contract import Fault, Utterance
from prosody_tts.config import DataConfig
from prosody_tts.errors import UserError
from prosody_tts.files import file_digest, read_json, write_json

#: File of a corpus's folder that lists all its faults.
FAULTS = "faults.json"
#: File of the run folder that remembers the hashes of recordings.
CONTENTS = "contents.json"
#: Age in nanoseconds from which a file's time of change is trusted.
SETTLED_NS = 2_000_000_000
#: Faults an error message quotes.
QUOTED = 3


def sentence_id(text: str) -> str:
    """Name a text by its words, so that renditions of one sentence share a name whatever their punctuation."""
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.casefold())
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:12]


def has_letters(text: str) -> bool:
    """Whether there is anything to pronounce."""
    return any(character.isalpha() for character in text)


def length_fault(item: str, seconds: float, data: DataConfig) -> Fault | None:
    """The exclusion of a recording shorter or longer than the settings allow."""
    if seconds < data.min_seconds:
        return Fault(item, f"lasts {seconds:.2f} s, less than data.min_seconds={data.min_seconds:g}", bad=False)
    if seconds > data.max_seconds:
        return Fault(item, f"lasts {seconds:.2f} s, more than data.max_seconds={data.max_seconds:g}", bad=False)
    return None


def screen(
    source: str, utterances: Sequence[Utterance], faults: Sequence[Fault], folder: Path, data: DataConfig
) -> None:
    """Write all faults to ``folder/faults.json`` and refuse a corpus with too many of them.

    Raises:
        UserError: the share of bad items exceeds ``data.allowed_bad``, or no utterance is left.
    """
    write_json(folder / FAULTS, [asdict(fault) for fault in faults])
    bad = [fault for fault in faults if fault.bad]
    total = len(utterances) + len(faults)
    if total and len(bad) / total > data.allowed_bad:
        raise UserError(
            f"{source}: {len(bad)} of {total} utterances are faulty, more than data.allowed_bad={data.allowed_bad:g} "
            f"allows: {_quote(bad)} (all in {folder / FAULTS}); mend them or raise data.allowed_bad"
        )
    if not utterances:
        detail = f": {_quote(faults)} (all in {folder / FAULTS})" if faults else ""
        raise UserError(f"{source} has no usable utterance{detail}")


def content_digest(paths: Iterable[tuple[str, Path]], memory: Path) -> str:
    """Hash named files: their names and their contents.

    ``memory/contents.json`` remembers contents by path, size and time of change, so that a large corpus is read once.
    """
    store = memory / CONTENTS
    try:
        known = dict(read_json(store))
    except (OSError, ValueError, TypeError):
        known = {}
    found: dict[str, list[Any]] = {}
    total = hashlib.sha256()
    for name, path in sorted(paths):
        status = path.stat()
        key, stamp = str(path.resolve()), [status.st_size, status.st_mtime_ns]
        entry = known.get(key)
        content = entry[2] if entry and entry[:2] == stamp else file_digest(path)
        # A file changed this very moment may change again without a new time stamp.
        if time.time_ns() - status.st_mtime_ns > SETTLED_NS:
            found[key] = [*stamp, content]
        total.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    if any(known.get(key) != entry for key, entry in found.items()):
        write_json(store, {**known, **found})
    return total.hexdigest()[:16]


def _quote(faults: Sequence[Fault]) -> str:
    return "; ".join(f"{fault.item} {fault.reason}" for fault in faults[:QUOTED]) + ("; ..." * (len(faults) > QUOTED))
