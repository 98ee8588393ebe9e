"""The voice prompts recorded by Allison Smith for Asterisk, from Debian's packages (CC BY-SA 3.0)."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.audio import check_wave
from data_modules.corpora.contract import Corpus, Fault, Progress, Utterance
from data_modules.corpora.screening import content_digest, has_letters, length_fault, screen, sentence_id
from data_modules.corpora.splits import selection, with_splits
from data_modules.corpora.spoken import spoken, without_notes
from prosody_tts.config import DataConfig, Experiment
from prosody_tts.errors import UserError
from prosody_tts.files import atomic

VERSION = 1
#: Debian's packages: recordings and transcripts.
PACKAGES = ("asterisk-core-sounds-en-g722", "asterisk-core-sounds-en")
#: Bytes of the longest transcript, unpacked: a hundred times Debian's.
MOST_BYTES = 16 * 2**20
#: Hz of G.722.
SAMPLE_RATE = 16000
SPEAKER = "allison"

_SOUNDS = "asterisk/sounds/en_US_f_Allison"
_TRANSCRIPT = "core-sounds-en.txt.gz"
_INSTALLED = Path("/usr/share")


@dataclass(frozen=True)
class Source:
    """Where the prompts lie: the folder of G.722 files and the transcript."""

    sounds: Path
    transcript: Path

    def recordings(self) -> dict[str, Path]:
        """Prompt name, such as ``digits/1``, to its file."""
        files = sorted(self.sounds.rglob("*.g722"))
        return {path.relative_to(self.sounds).with_suffix("").as_posix(): path for path in files}


class Allison:
    """Builds the corpus from ``experiment.corpus_path``, the installed packages, or a download, in this order.

    ``corpus_path`` is a folder into which the packages were unpacked with ``dpkg -x``. The text of an utterance is
    what is said: digits and signs are words, notes about the recording are gone, misspellings stay.
    """

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """The prompts' contents (or that they will be downloaded) and the settings that choose among them.

        Raises:
            UserError: ``corpus_path`` does not hold the prompts.
        """
        source = _find(experiment)
        content = "download"
        if source is not None:
            files = [("transcript", source.transcript), *source.recordings().items()]
            content = content_digest(files, Path(experiment.run.folder))
        return {"corpus": "allison", "version": VERSION, "content": content, "data": selection(experiment.data)}

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus:
        """Decode the prompts to 16-bit WAV files in ``folder/wavs``.

        Raises:
            UserError: the packages cannot be fetched, or more prompts are faulty than ``data.allowed_bad`` allows.
        """
        source = _find(experiment)
        if source is None:
            progress(0, 1, f"downloading {' and '.join(PACKAGES)}")
            source = _download(folder / "packages")
        utterances, faults = _decode(source, experiment.data, folder / "wavs", progress)
        screen(f"the prompts in {source.sounds}", utterances, faults, folder, experiment.data)
        chosen, splits = with_splits(utterances, faults, experiment.data)
        return Corpus("allison", folder, chosen, tuple(faults), splits)


def read_transcript(path: Path) -> dict[str, str]:
    """Prompt name to transcript; lines are ``name: text``, those that begin with a semicolon are comments.

    Raises:
        UserError: the file is not gzipped UTF-8 text.
    """
    try:
        with gzip.open(path, "rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES} bytes")
        lines = content.decode("utf-8").splitlines()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"cannot read the transcripts {path}: {error}; unpack the package again") from None
    pairs = (line.partition(":") for line in lines if line.strip() and not line.startswith(";"))
    return {name.strip(): text.strip() for name, _, text in pairs}


def decode_g722(path: Path) -> np.ndarray:
    """Decode a raw G.722 file: int16 [samples] at 16 kHz.

    Raises:
        UserError: the file is empty or cannot be decoded.
    """
    import av
    from av.error import FFmpegError

    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty (0 bytes)")
    try:
        with av.open(str(path), format="g722") as container:
            frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    except (FFmpegError, OSError) as error:
        raise UserError(f"{path} cannot be decoded as G.722: {error}") from None
    return np.concatenate(frames) if frames else np.zeros(0, np.int16)


def _decode(source: Source, data: DataConfig, wavs: Path, progress: Progress) -> tuple[list[Utterance], list[Fault]]:
    transcript, recordings = read_transcript(source.transcript), source.recordings()
    faults = [Fault(name, "has no transcript") for name in recordings if name not in transcript]
    utterances: list[Utterance] = []
    for done, (name, text) in enumerate(sorted(transcript.items()), start=1):
        found = _prompt(name, text, recordings.get(name), data, wavs)
        (faults if isinstance(found, Fault) else utterances).append(found)  # type: ignore[arg-type]
        progress(done, len(transcript), "prompts decoded")
    return utterances, faults


def _prompt(name: str, text: str, path: Path | None, data: DataConfig, wavs: Path) -> Utterance | Fault:
    words, sounds = without_notes(text)
    if sounds or not has_letters(words):
        return Fault(name, f"is not speech alone: '{text}'", bad=False)
    if path is None:
        return Fault(name, "has a transcript but no recording")
    try:
        wave = decode_g722(path)
        check_wave(wave / np.float32(32768), str(path))
    except UserError as error:
        return Fault(name, str(error))
    excluded = length_fault(name, len(wave) / SAMPLE_RATE, data)
    if excluded is not None:
        return excluded
    identifier, said = name.replace("/", "-"), spoken(words)
    _write_wave(wavs / f"{identifier}.wav", wave)
    return Utterance(identifier, sentence_id(said), said, f"wavs/{identifier}.wav", "train", SPEAKER)


def _write_wave(path: Path, wave: np.ndarray) -> None:
    import soundfile

    with atomic(path) as temporary:
        soundfile.write(temporary, wave, SAMPLE_RATE, subtype="PCM_16", format="WAV")


def _find(experiment: Experiment) -> Source | None:
    """The prompts in ``corpus_path`` or, where that is not given, in the system; none where they are not installed."""
    if experiment.corpus_path is None:
        return _source_below(_INSTALLED)
    folder = Path(experiment.corpus_path).expanduser().resolve()
    for share in (folder, folder / "usr/share"):
        if (source := _source_below(share)) is not None:
            return source
    raise UserError(
        f"corpus_path={experiment.corpus_path} does not hold the prompts; unpack {' and '.join(PACKAGES)} into it "
        "with dpkg -x, or leave corpus_path out to have them downloaded"
    )


def _source_below(share: Path) -> Source | None:
    source = Source(share / _SOUNDS, share / "doc" / PACKAGES[1] / _TRANSCRIPT)
    return source if source.transcript.is_file() and source.recordings() else None


def _download(target: Path) -> Source:
    """Fetch and unpack the packages into ``target``, which is whole or absent; needs no root."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".packages-", dir=target.parent) as name:
            fresh = Path(name) / "unpacked"
            _run(["apt-get", "download", *PACKAGES], Path(name))
            for package in sorted(Path(name).glob("*.deb")):
                _run(["dpkg", "-x", package.name, fresh.name], Path(name))
            if _source_below(fresh / "usr/share") is None:
                raise UserError(f"the downloaded packages {' and '.join(PACKAGES)} do not hold the expected prompts")
            fresh.rename(target)
    source = _source_below(target / "usr/share")
    if source is None:
        raise UserError(f"{target} does not hold the prompts; delete it to download them again")
    return source


def _run(command: Sequence[str], folder: Path) -> None:
    advice = (
        f"run 'apt-get update' and try again, or fetch {' and '.join(PACKAGES)} elsewhere, "
        "unpack both with dpkg -x and give the folder as corpus_path"
    )
    if shutil.which(command[0]) is None:
        raise UserError(f"corpus=allison comes from Debian packages and there is no {command[0]} here; {advice}")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        detail = " ".join((done.stderr or done.stdout).split())[-300:]
        raise UserError(f"'{' '.join(command)}' failed ({detail}); {advice}")
