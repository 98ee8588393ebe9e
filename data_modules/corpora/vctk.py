"""VCTK (Veaux, Yamagishi and MacDonald): 110 speakers of English, about 400 sentences each, CC BY 4.0."""

from __future__ import annotations

from pathlib import Path

from data_modules.corpora.contract import Fault, Split
from data_modules.corpora.lines import rows
from data_modules.corpora.recipes import Entry, Listing, Manifests, first
from prosody_tts.config import DataConfig

#: Folder of version 0.92, FLAC of two microphones, and of those before, WAV of one.
_FLAC, _WAV = "wav48_silence_trimmed", "wav48"
#: Of version 0.92 the second microphone, as lhotse does: the first has more low-frequency noise.
_MICROPHONE = "_mic2"
_SPEAKERS = "speaker-info.txt"


class VCTK:
    """``txt/SPEAKER/ID.txt`` and ``wav48_silence_trimmed/SPEAKER/ID_mic2.flac`` (0.92) or ``wav48/SPEAKER/ID.wav``.

    Many sentences are read by several speakers; without splits of its own the hash keeps each sentence in one.
    """

    name = "vctk"
    archive = "VCTK-Corpus-0.92.zip"
    page = "datashare.ed.ac.uk/handle/10283/3443"

    def find(self, path: Path, data: DataConfig) -> Path | None:
        return first(
            path,
            ["VCTK-Corpus-0.92", "VCTK-Corpus"],
            lambda folder: (folder / "txt").is_dir() and ((folder / _FLAC).is_dir() or (folder / _WAV).is_dir()),
        )

    def recordings(self, source: Path, data: DataConfig) -> list[Path]:
        if (source / _FLAC).is_dir():
            return sorted((source / _FLAC).rglob(f"*{_MICROPHONE}.flac"))
        return sorted((source / _WAV).rglob("*.wav"))

    def transcripts(self, source: Path, data: DataConfig) -> list[Path]:
        return sorted((source / "txt").rglob("*.txt"))

    def entries(self, source: Path, data: DataConfig) -> Listing:
        listing = Listing()
        latest = (source / _FLAC).is_dir()
        for path in self.transcripts(source, data):
            where, speaker = path.relative_to(source).as_posix(), path.parent.name
            name = path.stem + _MICROPHONE if latest else path.stem
            audio = source / (_FLAC if latest else _WAV) / speaker / (name + (".flac" if latest else ".wav"))
            lines = list(rows(path))
            if not all(sound for _, _, sound in lines):
                listing.faults.append(Fault(name, f"{where} is not UTF-8"))
            else:
                listing.add(Entry(name, audio, where, " ".join(text.strip() for _, text, _ in lines)), where)
        return listing

    def complete(self, mirror: Path) -> None:
        """Write an empty table of speakers: the recipe reads ages and accents from it, we do not."""
        (mirror / _SPEAKERS).write_text("ID AGE GENDER ACCENTS REGION\n", encoding="utf-8")

    def prepare(self, mirror: Path) -> Manifests:
        from lhotse.recipes.vctk import prepare_vctk

        found = prepare_vctk(mirror, use_edinburgh_vctk_url=(mirror / _FLAC).is_dir())
        return {"": (found["recordings"], found["supervisions"])}

    def official(self, part: str) -> Split | None:
        return None

    def download(self, target: Path, data: DataConfig) -> None:
        from lhotse.recipes.vctk import download_vctk

        try:
            download_vctk(target / "VCTK-Corpus-0.92", use_edinburgh_vctk_url=True)
        except FileNotFoundError as error:
            # The archive has no folder of its own, in which lhotse would leave its mark after unpacking.
            if Path(str(error.filename)).name != ".completed":
                raise
