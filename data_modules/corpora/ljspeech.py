"""LJSpeech 1.1 (Ito and Johnson 2017): one speaker, 13,100 clips, 24 hours, public domain."""

from __future__ import annotations

from pathlib import Path

from data_modules.corpora.contract import Fault, Split
from data_modules.corpora.lines import climbs, rows
from data_modules.corpora.recipes import Entry, Listing, Manifests, first
from prosody_tts.config import DataConfig

_TRANSCRIPT = "metadata.csv"


class LJSpeech:
    """``metadata.csv`` of ``id|raw text|normalised text`` lines, ``wavs/ID.wav``; no splits of its own."""

    name = "ljspeech"
    archive = "LJSpeech-1.1.tar.bz2"
    page = "keithito.com/LJ-Speech-Dataset"

    def find(self, path: Path, data: DataConfig) -> Path | None:
        return first(
            path, ["LJSpeech-1.1"], lambda folder: (folder / _TRANSCRIPT).is_file() and (folder / "wavs").is_dir()
        )

    def recordings(self, source: Path, data: DataConfig) -> list[Path]:
        return sorted((source / "wavs").glob("*.wav"))

    def transcripts(self, source: Path, data: DataConfig) -> list[Path]:
        return [source / _TRANSCRIPT]

    def entries(self, source: Path, data: DataConfig) -> Listing:
        listing = Listing()
        for number, row, sound in rows(source / _TRANSCRIPT):
            name, *texts = (cell.strip() for cell in row.split("|"))
            place = f"{_TRANSCRIPT} line {number}"
            if not sound:
                listing.faults.append(Fault(name, f"{place} is not UTF-8"))
            elif not name or len(texts) != 2:
                listing.faults.append(Fault(name or place, f"{place} is not of the form id|text|normalised text"))
            elif climbs(name):
                listing.faults.append(Fault(name, f"{place} has an id that leaves the folder wavs"))
            else:
                listing.add(Entry(name, source / "wavs" / f"{name}.wav", _TRANSCRIPT, "|".join([name, *texts])), place)
        return listing

    def complete(self, mirror: Path) -> None:
        return None

    def prepare(self, mirror: Path) -> Manifests:
        from lhotse.recipes.ljspeech import prepare_ljspeech

        found = prepare_ljspeech(mirror)
        return {"": (found["recordings"], found["supervisions"])}

    def official(self, part: str) -> Split | None:
        return None

    def download(self, target: Path, data: DataConfig) -> None:
        from lhotse.recipes.ljspeech import download_ljspeech

        download_ljspeech(target)
