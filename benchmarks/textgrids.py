"""How many of a corpus's TextGrids agree with its transcripts, why the rest does not, and how fast they are read.

Run: ``python benchmarks/textgrids.py ARCHIVE METADATA``; metadata lines are ``id|raw|normalised``. No audio is needed:
a clip is taken to end where its grid ends.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from data_modules.alignment.grid_files import read_grids
from data_modules.alignment.matching import timed_phones
from data_modules.alignment.textgrids import Grid, read_grid
from data_modules.corpora.contract import PhoneTime
from data_modules.text.pronounce import ARPABET
from data_modules.text.sentence import PAUSE
from data_modules.tokens import exact_durations
from prosody_tts.errors import UserError

#: Seconds between frames.
HOP = 0.0125


def main(archive: str, metadata: str) -> None:
    """Print the tables."""
    lines = (line.split("|") for line in Path(metadata).read_text(encoding="utf-8").splitlines())
    texts = {cells[0]: cells[2] or cells[1] for cells in lines}
    start = time.process_time()
    grids: dict[str, Grid | UserError] = {}
    for name, content in read_grids(archive, texts):
        grids[name] = content if isinstance(content, UserError) else _or_error(content)
    reading = time.process_time() - start
    start = time.process_time()
    reasons: list[tuple[str, str]] = []
    frames = sound = short = 0
    for name, grid in grids.items():
        try:
            if isinstance(grid, UserError):
                raise grid
            timed_phones(grid, texts[name], ARPABET)
        except UserError as error:
            reasons.append((name, str(error)))
        if isinstance(grid, UserError):
            continue
        # As of audio that ends where the grid does: frame t is centred on t * HOP. The words are the grid's own.
        phones = grid.phones
        total = 1 + int(grid.end / HOP)
        labels = _labels(phones)
        durations = exact_durations(labels, phones, total, HOP, least=1)
        assert sum(durations) == total, f"{name}: {sum(durations)} frames of {total}"
        assert all(d > 0 for d, label in zip(durations, labels, strict=True) if label != PAUSE), name
        frames, sound = frames + total, sound + 1
        short += sum(phone.word >= 0 and phone.end - phone.start < HOP for phone in phones)
    matching = time.process_time() - start
    shown = Table("measure", "value", title=f"{len(grids)} TextGrids of {len(texts)} transcripts")
    agree = len(grids) - len(reasons)
    shown.add_row("agree with the transcript", f"{agree} ({agree / len(grids):.2%})")
    shown.add_row("durations sum to the frames", f"{sound} of {sound} that can be read, {frames * HOP / 3600:.2f} h")
    shown.add_row("phones shorter than a frame", str(short))
    shown.add_row("files read in a second of CPU time", f"{len(grids) / reading:.0f}")
    shown.add_row("files matched and counted in frames in a second of CPU time", f"{len(grids) / matching:.0f}")
    console = Console(width=160)
    console.print(shown)
    why = Table("disagreement", "files", "share", "first", title=f"{len(reasons)} disagree")
    kinds = Counter(_kind(reason) for _, reason in reasons)
    for kind, count in kinds.most_common():
        name, first = next(pair for pair in reasons if _kind(pair[1]) == kind)
        why.add_row(kind, str(count), f"{count / len(grids):.2%}", f"{name}: {first}")
    console.print(why, markup=False)


def _or_error(content: bytes) -> Grid | UserError:
    try:
        return read_grid(content)
    except UserError as error:
        return error


def _labels(phones: tuple[PhoneTime, ...]) -> list[str]:
    """Phones with a pause slot before, between and after words, as a sentence has them."""
    labels, word = [PAUSE], 0
    for phone in phones:
        if phone.word < 0:
            continue
        if phone.word != word:
            labels.append(PAUSE)
            word = phone.word
        labels.append(phone.label)
    return [*labels, PAUSE]


def _kind(reason: str) -> str:
    """A reason without what it quotes."""
    return re.sub(r"\d+(\.\d+)?", "N", re.sub(r"'[^<].*?'(?=[ ,]|$)", "'…'", reason))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python benchmarks/textgrids.py ARCHIVE METADATA")
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
