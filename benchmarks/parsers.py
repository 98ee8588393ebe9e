"""Every parser of what comes from outside, with inputs it takes: what ``benchmarks.fuzz`` and the tests attack."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.seeds import (
    CODES,
    EXPERIMENT,
    GRID,
    HELSINKI,
    KEY,
    RATINGS,
    SETTINGS,
    SHORT_GRID,
    SSML,
    SWEEP,
    TEXTS,
    encoded,
    manifest,
    packed,
    saved,
    shard,
    wave,
)
from data_modules.corpora.contract import silent
from prosody_tts.config import DataConfig, Experiment, load, read_stored, to_plain
from prosody_tts.errors import UserError


@dataclass(frozen=True)
class Parser:
    """A parser.

    Attributes:
        parse: reads the bytes of an input, in a folder of its own for files; what it gives is of no matter.
        seeds: inputs that it takes.
        slow: whether one input takes some hundredths of a second or more.
    """

    parse: Callable[[bytes, Path], object]
    seeds: tuple[bytes, ...]
    slow: bool = False


def text_of(data: bytes) -> str:
    """Text as a command line gives it: bytes that are no UTF-8 are lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def written(data: bytes, place: Path, name: str) -> Path:
    """A file of the input."""
    path = place / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _text(data: bytes, place: Path) -> object:
    from data_modules.text.normalise import Light
    from data_modules.text.words import clean, find_words, slot_marks

    said = clean(Light()(text_of(data)))
    return slot_marks(said, find_words(said))


def _ssml(data: bytes, place: Path) -> object:
    from prosody_tts.speaking.ssml import is_ssml, read_ssml

    return is_ssml(text_of(data)), read_ssml(text_of(data))


@cache
def _analyser() -> Any:
    from data_modules.text.analysis import TextAnalyser

    return TextAnalyser(load("baseline", ["size=smoke"]))


def _script(data: bytes, place: Path) -> object:
    """All of a request of ``synthesize``: the text, plain or marked up, and a control of its second word."""
    from prosody_tts.speaking.controls import Control, read_span
    from prosody_tts.speaking.script import plain, script_of
    from prosody_tts.speaking.ssml import is_ssml, read_ssml

    text = text_of(data)
    script = script_of(read_ssml(text) if is_ssml(text) else plain(text), _analyser())
    script = script.asking(Control(), [read_span("2:pace=0.8,pause=300ms")])
    return [script.slots(number) for number in range(len(script.sentences))], script.phones


def _controls(data: bytes, place: Path) -> object:
    from prosody_tts.speaking.controls import read_control, read_span, read_words

    return _any_of([read_span, read_words, lambda given: read_control(given, given, given, given)], text_of(data))


def _any_of(readers: Sequence[Callable[[Any], object]], given: object) -> object:
    """What the first reader that takes it makes of an input; each is tried."""
    found: list[object] = []
    refused: UserError | None = None
    for reader in readers:
        try:
            found.append(reader(given))
        except UserError as error:
            refused = error
    if not found and refused is not None:
        raise refused
    return found


def _phones(data: bytes, place: Path) -> object:
    from prosody_tts.speaking.phones import read_phones

    return read_phones(text_of(data), ["The", "cat"])


def _textgrid(data: bytes, place: Path) -> object:
    from data_modules.alignment.matching import timed_phones
    from data_modules.alignment.textgrids import read_grid

    return timed_phones(read_grid(data), "The cat.", None)


def _grids(data: bytes, place: Path) -> object:
    from data_modules.alignment.grid_files import read_grids

    return [name for name, _ in read_grids(str(written(data, place, "grids")))]


def _corpus(name: str, data: bytes, place: Path, files: dict[str, bytes], target: str, path: str = "") -> object:
    """Identity and all of a corpus, one file of which is the input."""
    from data_modules.corpora import CORPORA

    for file, content in {**files, target: data}.items():
        written(content, place / "corpus", file)
    source = str(place / "corpus" / path)
    settings = Experiment(corpus=name, corpus_path=source)  # type: ignore[arg-type]
    settings.run.folder = str(place / "runs")
    settings.data.allowed_bad = 1.0
    builder = CORPORA[name]()  # type: ignore[index]
    return builder.identity(settings), builder.build(settings, place / "made", silent)


def _splits(data: bytes, place: Path) -> object:
    from data_modules.corpora.splits import given_splits

    if data[:1] != b"{":
        for name in ("dev", "test"):
            written(data, place, f"lists/{name}.txt")
        return given_splits(DataConfig(splits=str(place / "lists")))
    return given_splits(DataConfig(splits=str(written(data, place, "splits.json"))))


def _transcript(data: bytes, place: Path) -> object:
    from data_modules.corpora.allison import read_transcript

    return read_transcript(written(data, place, "core.txt.gz"))


def _members(data: bytes, place: Path) -> object:
    from data_modules.corpora.archives import Archive

    found = Archive(written(data, place, "recording.tar"))
    return [member.read() for member in found.members.values() if not isinstance(member, str)]


def _experiment(data: bytes, place: Path) -> object:
    return load(written(data, place, "own.yaml"))


def _settings(data: bytes, place: Path) -> object:
    return load("camp", text_of(data).split("\n"))


def _stored(data: bytes, place: Path) -> object:
    return read_stored(written(data, place, "config.json"))


def _sweep(data: bytes, place: Path) -> object:
    from prosody_tts.sweeps import load_sweep
    from prosody_tts.sweeps.points import points, resolve

    sweep = load_sweep(written(data, place, "own.yaml"))
    found = points(sweep)
    return resolve(sweep, found[0])


def _ratings(data: bytes, place: Path) -> object:
    from prosody_tts.listening.analysis import Question, analyse
    from prosody_tts.listening.exchange import read_files

    return analyse(read_files([written(data, place, "ratings.csv")]), Question(resamples=20))


@cache
def _test() -> Any:
    from prosody_tts.listening.test import ListeningTest

    place = Path(_scratch())
    written(json.dumps(KEY).encode(), place, "key.json")
    return ListeningTest.read(place)


@cache
def _scratch() -> str:
    import atexit
    import shutil
    import tempfile

    place = tempfile.mkdtemp(prefix="parsers-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def _returned(data: bytes, place: Path) -> object:
    from prosody_tts.listening.static import returned

    return _test().named(returned(_test(), [written(data, place, "ratings-1.json")]))


def _key(data: bytes, place: Path) -> object:
    """All that is done with a test's own files: asked for, served, exported."""
    from prosody_tts.listening.static import export
    from prosody_tts.listening.test import ListeningTest
    from prosody_tts.listening.webmushra import write_webmushra

    written(data, place, "test/key.json")
    test = ListeningTest.read(place / "test")
    for code in (*CODES, "9a"):
        written(b"RIFF", place, f"test/public/stimuli/{code}.wav")
    write_webmushra(test, place / "test")
    export(test, place / "test", place / "out", 2)
    return test.checks


def _database(data: bytes, place: Path) -> object:
    from prosody_tts.listening.exchange import Columns
    from prosody_tts.listening.results import of_test

    written(data, place, "ratings.db")
    return of_test(_test(), place, (), Columns())


@cache
def _stored_ratings() -> bytes:
    from prosody_tts.listening.answers import Answer
    from prosody_tts.listening.storage import Store

    path = Path(_scratch()) / "seed.db"
    store = Store(_test(), path)
    listener = store.listener(store.enrol("somebody"))
    assert listener is not None
    listener = store.begin(listener)
    for number, screen in enumerate(store.screens(listener)):
        store.answer(listener, number, screen.codes, Answer(dict.fromkeys(screen.codes, 50.0), 1.0))
    store._local.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def _results(data: bytes, place: Path) -> object:
    from prosody_tts.evaluation.labels import read_label_results
    from prosody_tts.evaluation.recognition import read_transcripts
    from prosody_tts.evaluation.results import read_results

    written(data, place, "utterances.jsonl")
    return _any_of([read_results, read_transcripts, read_label_results], place)


def _ledger(data: bytes, place: Path) -> object:
    from prosody_tts.ledger import entries

    written(data, place, "text/0123456789ab/result.json")
    return entries(place)


def _audio(data: bytes, place: Path) -> object:
    from data_modules.audio import check_audio, load_audio

    path = written(data, place, "a.wav")
    return check_audio(path), load_audio(path, 0.0, 0.01), load_audio(path)


def _array(data: bytes, place: Path) -> object:
    from data_modules.arrays import Rows

    rows = Rows(written(data, place, "a.npy"))
    return rows.read(0, 1)


def _checkpoint(data: bytes, place: Path) -> object:
    from prosody_tts.stages.fit.checkpoints import load_checkpoint

    return load_checkpoint(written(data, place, "last.ckpt"))


@cache
def parsers() -> dict[str, Parser]:
    """Name -> parser."""
    from benchmarks.requests import SEEDS, ask

    grids = [("words/u1.TextGrid", SHORT_GRID.encode()), ("u2.TextGrid", GRID.encode())]
    answers = [{"scores": {CODES[0]: 5, CODES[1]: 60}, "heard": list(CODES[:2]), "seconds": 1.5}]
    array, objects, checkpoint = saved()
    result = {"kind": "text", "label": "text", "system": "camp", "seed": 0, "seconds": 1.5, "inputs": {"corpus": "ab"}}
    heard = {"id": "a", "sentence": "b", "speaker": "", "reference": "the cat", "heard": "the hat", "unseen": 0}
    metadata = b"u1|The cat sat.\nu2|In 1999|in nineteen ninety-nine\n"
    folder = {"wavs/u1.wav": wave(1.2), "speakers.csv": b"u1|ann\nu2|bob\n", "metadata.csv": metadata}
    timing = {"metadata.csv": b"u1|The cat.\nu2|The cat so.\n"}
    return {
        "text": Parser(_text, encoded(TEXTS)),
        "ssml": Parser(_ssml, encoded([SSML])),
        "script": Parser(_script, encoded([SSML.replace("x-cmu", "x-espeak"), *TEXTS]), slow=True),
        "controls": Parser(
            _controls, encoded(["3-5:pace=0.8,pitch=+2st,pause=300ms", "2,5-7", "+10%", "1:energy=-3dB"])
        ),
        "phones": Parser(_phones, encoded(["1:The = DH AH0 | 2:cat = K AE1 T", "DH AH0 | K AE1 T"])),
        "textgrid": Parser(_textgrid, encoded([GRID, SHORT_GRID])),
        "grids": Parser(_grids, tuple(packed(grids, how) for how in ("", "gz", "xz", "bz2", "zip"))),
        "metadata": Parser(lambda data, place: _corpus("folder", data, place, folder, "metadata.csv"), (metadata,)),
        "speakers": Parser(
            lambda data, place: _corpus("folder", data, place, folder, "speakers.csv"), (b"u1|a\nu2|b\n",)
        ),
        "timing": Parser(
            lambda data, place: _corpus("ljspeech_timing", data, place, timing, "textgrids.tar.xz"),
            (packed(grids, "xz"), packed(grids)),
            slow=True,
        ),
        "splits": Parser(_splits, (b'{"train": ["a", "b"], "dev": ["c"], "test": ["d"]}', b"a\nb\n")),
        "helsinki": Parser(
            lambda data, place: _corpus("helsinki", data, place, {}, "train.txt", "train.txt"), encoded([HELSINKI])
        ),
        "cutset": Parser(
            lambda data, place: _corpus("cutset", data, place, {"a.wav": wave(1.2)}, "cuts.jsonl"), (manifest(),)
        ),
        "zipped": Parser(
            lambda data, place: _corpus("cutset", data, place, {}, "cuts.jsonl.gz"), (gzip.compress(manifest()),)
        ),
        "shar": Parser(
            lambda data, place: _corpus(
                "shar", data, place, {"recording.000000.tar": packed([("c.wav", wave())])}, "cuts.000000.jsonl"
            ),
            (shard(),),
        ),
        "members": Parser(_members, (packed([("c.wav", wave(0.05)), ("c.json", b"{}"), ("d.wav", wave(0.05))]),)),
        "transcript": Parser(_transcript, (gzip.compress(b"; notes\ndigits/1: one\nhello: hello\n"),)),
        "experiment": Parser(_experiment, encoded([EXPERIMENT]), slow=True),
        "settings": Parser(_settings, encoded(SETTINGS), slow=True),
        "stored": Parser(_stored, (json.dumps(to_plain(load("camp"))).encode(),), slow=True),
        "sweep": Parser(_sweep, encoded([SWEEP]), slow=True),
        "ratings": Parser(_ratings, encoded(RATINGS), slow=True),
        "returned": Parser(
            _returned, (json.dumps({"test": _test().identity, "listener": 1, "answers": answers}).encode(),)
        ),
        "key": Parser(_key, (json.dumps(KEY).encode(),)),
        "database": Parser(_database, (_stored_ratings(),)),
        "requests": Parser(lambda data, place: ask(data, _test()), SEEDS),
        "results": Parser(_results, (json.dumps(heard).encode() + b"\n",)),
        "ledger": Parser(_ledger, (json.dumps(result).encode(),)),
        "audio": Parser(_audio, (wave(0.2),)),
        "array": Parser(_array, (array, objects)),
        "checkpoint": Parser(_checkpoint, (checkpoint,)),
    }
