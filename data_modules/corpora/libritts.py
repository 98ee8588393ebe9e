"""LibriTTS (Zen et al. 2019) and LibriTTS-R (Koizumi et al. 2023): 2,456 speakers, 585 hours, CC BY 4.0."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from data_modules.corpora.contract import Fault, Split
from data_modules.corpora.lines import climbs, rows
from data_modules.corpora.recipes import Entry, Listing, Manifests, first
from prosody_tts.config import DataConfig, Part

PARTS: tuple[Part, ...] = get_args(Part)
#: What is downloaded where ``data.parts`` names nothing: 54 hours of training speech, and the clean held-out sets.
DOWNLOADED: tuple[Part, ...] = ("train-clean-100", "dev-clean", "test-clean")
_TRANSCRIPTS = "*.trans.tsv"


class LibriTTS:
    """``PART/SPEAKER/CHAPTER/`` with ``ID.wav`` and ``SPEAKER_CHAPTER.trans.tsv`` of ``id, text, normalised text``.

    The part an utterance stands in decides on its split.
    """

    def __init__(self, restored: bool = False) -> None:
        self.restored = restored
        self.name = "libritts_r" if restored else "libritts"
        self.folder = "LibriTTS_R" if restored else "LibriTTS"
        archives = [f"{part}.tar.gz" for part in DOWNLOADED]
        self.archive = ", ".join(name.replace("-", "_") if restored else name for name in archives)
        self.page = "openslr.org/141" if restored else "openslr.org/60"

    def find(self, path: Path, data: DataConfig) -> Path | None:
        parts = data.parts or [part for part in PARTS if any((p / part).is_dir() for p in (path, path / self.folder))]
        return first(
            path, [self.folder], lambda folder: bool(parts) and all((folder / part).is_dir() for part in parts)
        )

    def recordings(self, source: Path, data: DataConfig) -> list[Path]:
        return _files(source, data, "*.wav")

    def transcripts(self, source: Path, data: DataConfig) -> list[Path]:
        return _files(source, data, _TRANSCRIPTS)

    def entries(self, source: Path, data: DataConfig) -> Listing:
        listing = Listing()
        for path in self.transcripts(source, data):
            where = path.relative_to(source).as_posix()
            for number, row, sound in rows(path):
                name, *texts = (cell.strip() for cell in row.split("\t"))
                place = f"{where} line {number}"
                if not sound:
                    listing.faults.append(Fault(name, f"{place} is not UTF-8"))
                elif not name or len(texts) != 2:
                    listing.faults.append(Fault(name or place, f"{place} is not of the form id, text, normalised text"))
                elif climbs(name):
                    listing.faults.append(Fault(name, f"{place} has an id that leaves its folder"))
                else:
                    listing.add(Entry(name, path.parent / f"{name}.wav", where, "\t".join([name, *texts])), place)
        return listing

    def complete(self, mirror: Path) -> None:
        """Write a book's table beside each transcript: the recipe reads signal-to-noise ratios from it, we do not."""
        for path in mirror.rglob(_TRANSCRIPTS):
            path.with_name(path.name.replace(".trans.", ".book.")).touch()

    def prepare(self, mirror: Path) -> Manifests:
        from lhotse.recipes.libritts import prepare_libritts, prepare_librittsr

        prepare = prepare_librittsr if self.restored else prepare_libritts
        found = prepare(mirror, dataset_parts=[part for part in PARTS if (mirror / part).is_dir()])
        return {part: (sets["recordings"], sets["supervisions"]) for part, sets in found.items()}

    def official(self, part: str) -> Split | None:
        splits: dict[str, Split] = {"train": "train", "dev": "dev", "test": "test"}
        return splits[part.partition("-")[0]]

    def download(self, target: Path, data: DataConfig) -> None:
        from lhotse.recipes.libritts import download_libritts

        download_libritts(target, self.restored, dataset_parts=list(data.parts or DOWNLOADED))


def _files(source: Path, data: DataConfig, pattern: str) -> list[Path]:
    """Files of the parts in use, without those that macOS leaves in the archives."""
    parts = [source / part for part in PARTS if not data.parts or part in data.parts]
    return [path for part in parts for path in sorted(part.rglob(pattern)) if not path.name.startswith("._")]
