"""Miniature corpora in their real layouts, spoken by eSpeak NG: what the tests of corpora build from."""

from __future__ import annotations

import gzip
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from data_modules.espeak import speak
from prosody_tts.config import Experiment

NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()


@cache
def speech(text: str) -> tuple[np.ndarray, int]:
    """A spoken text: float32 [samples] and Hz."""
    spoken = speak(text)
    return spoken.samples, spoken.rate


def sentence(index: int) -> str:
    """A text longer than a second; the first twelve differ."""
    return f"The farmer counted {NUMBERS[index % 12]} gentle horses in the garden."


def clip(path: Path, text: str, rate: int | None = None) -> Path:
    """Write a spoken text, as 16 bit WAV or FLAC; ``rate`` resamples it."""
    import soxr

    wave, own = speech(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave if rate is None else soxr.resample(wave, own, rate), rate or own, subtype="PCM_16")
    return path


def folder(root: Path, count: int = 12) -> Path:
    """``corpus=folder``."""
    lines = []
    for i in range(count):
        clip(root / "wavs" / f"u{i:02}.wav", sentence(i))
        lines.append(f"u{i:02}|{sentence(i)}\n")
    (root / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    return root


def ljspeech(root: Path) -> Path:
    """LJSpeech-1.1: raw and normalised text."""
    lines = []
    for i in range(12):
        clip(root / "LJSpeech-1.1/wavs" / f"LJ001-{i:04}.wav", sentence(i))
        lines.append(f"LJ001-{i:04}|{sentence(i).replace(NUMBERS[i], str(i + 1))}|{sentence(i)}\n")
    (root / "LJSpeech-1.1/README").write_text("The LJ Speech Dataset\n")
    (root / "LJSpeech-1.1/metadata.csv").write_text("".join(lines), encoding="utf-8")
    return root


def libritts(root: Path, name: str = "LibriTTS") -> Path:
    """LibriTTS or LibriTTS_R: parts, speakers, chapters."""
    parts = {"train-clean-100": ("103", "1240", 6), "dev-clean": ("84", "121123", 3), "test-clean": ("61", "70968", 3)}
    first = 0
    for part, (speaker, chapter, count) in parts.items():
        place = root / name / part / speaker / chapter
        texts, book = [], []
        for i in range(count):
            said, item = sentence(first + i), f"{speaker}_{chapter}_{i:06}_000000"
            raw = said.replace(NUMBERS[first + i], str(first + i + 1))
            clip(place / f"{item}.wav", said, 24000)
            (place / f"{item}.original.txt").write_text(raw)
            (place / f"{item}.normalized.txt").write_text(said)
            texts.append(f"{item}\t{raw}\t{said}\n")
            book.append(f"{item}\t{raw}\t{said}\t1.0\t30.5\n")
        (place / f"{speaker}_{chapter}.trans.tsv").write_text("".join(texts))
        (place / f"{speaker}_{chapter}.book.tsv").write_text("".join(book))
        (place / f"._{speaker}_{chapter}.trans.tsv").write_bytes(b"\0\5\x16\7 of another system")
        first += count
    (root / name / "SPEAKERS.txt").write_text(";ID |SEX| SUBSET | MINUTES| NAME\n103 | F | train-clean-100 | 25 | A\n")
    return root


def vctk(root: Path, latest: bool = True) -> Path:
    """VCTK-Corpus-0.92, or the version before it."""
    home = root / ("VCTK-Corpus-0.92" if latest else "VCTK-Corpus")
    for speaker, texts in {"p225": range(0, 7), "p226": range(5, 12)}.items():
        for number, i in enumerate(texts, start=1):
            name = f"{speaker}_{number:03}"
            if latest:
                clip(home / "wav48_silence_trimmed" / speaker / f"{name}_mic1.flac", sentence(i), 48000)
                clip(home / "wav48_silence_trimmed" / speaker / f"{name}_mic2.flac", sentence(i), 48000)
            else:
                clip(home / "wav48" / speaker / f"{name}.wav", sentence(i), 48000)
            path = home / "txt" / speaker / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(sentence(i) + "\n")
    (home / "speaker-info.txt").write_text("ID  AGE  GENDER  ACCENTS  REGION COMMENTS\np225  23  F  English  England\n")
    return root


def cutset(root: Path) -> Path:
    """One long recording of all sentences, and a supervision for each: recordings and supervisions of lhotse."""
    from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet

    root.mkdir(parents=True)
    waves = [speech(sentence(i))[0] for i in range(12)]
    rate, bounds = speech(sentence(0))[1], np.cumsum([0, *map(len, waves)])
    soundfile.write(root / "session.wav", np.concatenate(waves), rate, subtype="PCM_16")
    recording = Recording.from_file(root / "session.wav").with_path_prefix("")
    recording.sources[0].source = "session.wav"
    segments = [
        SupervisionSegment(
            f"session-{i:02}", "session", bounds[i] / rate, len(waves[i]) / rate, text=sentence(i), speaker=f"s{i % 2}"
        )
        for i in range(12)
    ]
    RecordingSet.from_recordings([recording]).to_file(root / "mini_recordings_all.jsonl.gz")
    SupervisionSet.from_segments(segments).to_file(root / "mini_supervisions_all.jsonl.gz")
    return root


def shar(root: Path) -> Path:
    """The cuts of twelve recordings, four a shard: lhotse's Shar, by its own writer."""
    import io

    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment
    from lhotse.shar import SharWriter

    root.mkdir(parents=True)
    with SharWriter(str(root), fields={"recording": "flac"}, shard_size=4) as writer:
        for i in range(12):
            wave, rate = speech(sentence(i))
            content, name, seconds = io.BytesIO(), f"u{i:02}", len(wave) / rate
            soundfile.write(content, wave, rate, format="WAV", subtype="PCM_16")
            source = AudioSource("memory", [0], content.getvalue())
            recording = Recording(name, [source], rate, len(wave), seconds, channel_ids=[0])
            segment = SupervisionSegment(name, name, 0.0, seconds, text=sentence(i), speaker=f"s{i % 2}")
            writer.write(MonoCut(name, 0.0, seconds, 0, [segment], recording=recording))
    return root


def allison(root: Path) -> Path:
    """The packages of ``corpus=allison``, unpacked."""
    import av
    import soxr

    share, lines = root / "usr/share", []
    for i in range(12):
        wave, rate = speech(sentence(i))
        path = share / f"asterisk/sounds/en_US_f_Allison/prompt-{i:02}.g722"
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", format="g722") as container:
            stream = container.add_stream("g722", rate=16000, layout="mono")
            samples = (soxr.resample(wave, rate, 16000)[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = 16000
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
        lines.append(f"prompt-{i:02}: {sentence(i)}\n")
    transcript = share / "doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    transcript.parent.mkdir(parents=True)
    transcript.write_bytes(gzip.compress("".join(lines).encode()))
    return root


#: How to make the tree of each corpus that needs files: the path returned is its ``corpus_path``.
TREES = {
    "allison": allison,
    "folder": folder,
    "ljspeech": ljspeech,
    "libritts": libritts,
    "libritts_r": lambda root: libritts(root, "LibriTTS_R"),
    "vctk": vctk,
    "cutset": cutset,
    "shar": shar,
}


def tree(corpus: str, root: Path) -> Path | None:
    """The tree of a corpus, made once a process and copied; none for one that needs no files."""
    return shutil.copytree(_made(corpus), root, symlinks=True) if corpus in TREES else None


@cache
def _made(corpus: str) -> Path:
    import atexit
    import tempfile

    home = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return TREES[corpus](Path(home) / corpus)


def experiment(corpus: str, source: Path | None, runs: Path, **data: object) -> Experiment:
    """Settings of a small corpus."""
    made = Experiment(corpus=corpus, corpus_path=None if source is None else str(source))  # type: ignore[arg-type]
    made.run.folder = str(runs)
    made.data.train_sentences, made.data.dev_sentences, made.data.test_sentences = 4, 2, 2
    made.data.renditions = 1
    for name, value in data.items():
        assert hasattr(made.data, name)
        setattr(made.data, name, value)
    return made
