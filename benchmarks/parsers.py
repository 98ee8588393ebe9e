"""Every parser of what comes from outside, with inputs it takes: what ``benchmarks.fuzz`` and the tests attack."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from prosody_tts.config import DataConfig, Experiment, load, read_stored, to_plain
from prosody_tts.errors import UserError

GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0.0
xmax = 1.5
tiers? <exists>
size = 2
item []:
\titem [1]:
\t\tclass = "IntervalTier"
\t\tname = "words"
\t\txmin = 0.0
\t\txmax = 1.5
\t\tintervals: size = 2
\t\t\tintervals [1]:
\t\t\t\txmin = 0.0
\t\t\t\txmax = 0.5
\t\t\t\ttext = "the"
\t\t\tintervals [2]:
\t\t\t\txmin = 0.5
\t\t\t\txmax = 1.5
\t\t\t\ttext = "cat"
"""
SHORT_GRID = (
    '"ooTextFile"\n"TextGrid"\n0\n1.5\n<exists>\n2\n"IntervalTier"\n"words"\n0\n1.5\n2\n0\n0.5\n"the"\n0.5\n1.5\n"cat"\n'
    '"IntervalTier"\n"phones"\n0\n1.5\n3\n0\n0.5\n"DH"\n0.5\n1.0\n"K"\n1.0\n1.5\n"T"\n'
)
TEXTS = (
    "Dr. Smith paid $3.50, i.e. 1,200 yen, on 5/12/2019 at 5:30 p.m. in St. Ives.",
    "See http://www.example.com/a?b=c, mail a.b-c@example.org; 3/4 of 12 km/h, 2²; the 1990s, Henry VIII, no. 7!",
    "-5 °C, 007, 1.2.3, #tag #1, (555) 555-1234, 10-12, 5th of May 2001, ½ ٣ ① café naïve — “don’t” 😀",
)
SSML = (
    '<?xml version="1.0"?><speak version="1.1" xml:lang="en"><p><s>The <emphasis level="strong">cat</emphasis> '
    'sat.</s></p><prosody rate="slow" pitch="+2st" volume="-3dB">It <break time="300ms"/>is <sub alias="two">2</sub> '
    'and <phoneme alphabet="x-cmu" ph="K AE1 T">cat</phoneme>.</prosody></speak>'
)
EXPERIMENT = """family: camp
units: word
vectors: predicted
acoustic: {reference: deterministic, latent: 8}
sampler: {contexts: [bert, tags], prior: autoregressive}
data: &d {dev_share: 0.1, speeds: [0.9, 1.1]}
"""
SWEEP = """program: prosody_tts/train.py
name: a sweep
method: random
run_cap: 3
metric: {name: evaluate/log_f0_rmse, goal: minimize}
parameters:
  experiment: {values: [baseline, camp]}
  seed: {distribution: q_uniform, min: 1, max: 9, q: 2}
  sampler: {parameters: {width: {values: [8, 16], probabilities: [0.5, 0.5]}}}
"""
SETTINGS = (
    "size=smoke\nsampler.prior=flow\nsampler.contexts=[bert,tags]\nrun.group=None\nacoustic.latent=4",
    "corpus=folder\ncorpus_path=/x\ndata.speeds=[0.9,1.1]\nsynthesis.temperature=0.5\nrun.progress=false",
)
HELSINKI = "<file>\t84_121123_000007_000001.txt\nThe\t0\t0\t0.01\t0.2\ncat\t2\t1\t1.5\t0.9\n.\tNA\tNA\tNA\tNA\n" * 2
RATINGS = (
    "listener,item,system,score\na,s1,baseline,40\na,s1,camp,60\nb,s1,baseline,20\nb,s1,camp,55.5\n",
    "listener;item;baseline;camp\na;s1;40;60\nb;s1;20;\n",
    "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score\nt,u,s1,C1,50\nt,u,s1,reference,100\n",
    "session_test_id,listener,trial_id,choice_reference,choice_non_reference,choice_answer\nt,u,s1,C1,C2,C2\n",
    "session_test_id,listener,trial_id,stimuli,stimuli_rating\nt,u,s1,C1,5\n",
)
CODES = ("ab12", "cd34", "ef56")
KEY: dict[str, Any] = {
    "kind": "mushra_like",
    "wording": {"title": "t", "question": "q", "instructions": "i", "consent": "c", "completion": None},
    "systems": ["baseline", "camp"],
    "items": [
        {
            "id": "s1",
            "text": "A",
            "codes": {"baseline": CODES[0], "camp": CODES[1]},
            "reference": None,
            "role": "rated",
        },
        {
            "id": "check-1",
            "text": "",
            "codes": {"camp": CODES[2], "check": "9a"},
            "role": "check",
            "asked": [90.0, 100.0],
        },
    ],
    "groups": [["s1"]],
    "sample_rate": 16000,
    "loudness": -23.0,
    "seed": 0,
    "origin": {"sweep": "x"},
}


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


def silent(done: int, total: int, what: str) -> None:
    """Tell nobody of progress."""


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


def packed(files: Iterable[tuple[str, bytes]], how: str = "") -> bytes:
    """Files in a tar, compressed as ``tarfile`` names it, or in a zip."""
    stream = io.BytesIO()
    if how == "zip":
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files:
                archive.writestr(name, content)
        return stream.getvalue()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return {"": bytes, "gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}[how](stream.getvalue())


@cache
def wave(seconds: float = 0.2) -> bytes:
    """A WAV file of noise."""
    import numpy as np
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, np.random.default_rng(0).normal(0, 0.1, int(16000 * seconds)), 16000, format="WAV")
    return stream.getvalue()


def _manifest() -> bytes:
    """Lines of lhotse: a recording, a supervision, and both as a cut."""
    source = [{"type": "file", "channels": [0], "source": "a.wav"}]
    recording = {"id": "r", "sources": source, "sampling_rate": 16000, "num_samples": 3200, "duration": 0.2}
    said = {"id": "s", "recording_id": "r", "start": 0.0, "duration": 0.2, "channel": 0, "text": "Hi.", "speaker": "a"}
    cut = {
        "id": "c",
        "start": 0,
        "duration": 0.2,
        "channel": 0,
        "supervisions": [{**said, "id": "t"}],
        "type": "MonoCut",
    }
    lines = [recording, said, {**cut, "recording": {**recording, "channel_ids": [0]}}]
    return "\n".join(map(json.dumps, lines)).encode()


def _shard() -> bytes:
    """A cut whose recording lies in the shard's tar."""
    source = [{"type": "shar", "channels": [0], "source": ""}]
    recording = {"id": "r", "sources": source, "sampling_rate": 16000, "num_samples": 3200, "duration": 0.2}
    said = {
        "id": "s",
        "recording_id": "r",
        "start": 0.0,
        "duration": 0.2,
        "channel": 0,
        "text": "Hi.",
        "custom": {"split": "dev"},
    }
    cut = {"id": "c", "start": 0, "duration": 0.2, "channel": 0, "supervisions": [said], "type": "MonoCut"}
    return json.dumps({**cut, "recording": {**recording, "channel_ids": [0]}}).encode()


def _saved() -> tuple[bytes, ...]:
    import numpy as np
    import torch

    array, objects, checkpoint = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros((3, 2), np.float32))
    np.save(objects, np.array([{}], object), allow_pickle=True)
    torch.save({"state_dict": {"a": torch.zeros(2)}, "epoch": 1}, checkpoint)
    return array.getvalue(), objects.getvalue(), checkpoint.getvalue()


def encoded(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Texts as bytes."""
    return tuple(text.encode() for text in texts)


@cache
def parsers() -> dict[str, Parser]:
    """Name -> parser."""
    from benchmarks.requests import SEEDS, ask

    grids = [("words/u1.TextGrid", SHORT_GRID.encode()), ("u2.TextGrid", GRID.encode())]
    answers = [{"scores": {CODES[0]: 5, CODES[1]: 60}, "heard": list(CODES[:2]), "seconds": 1.5}]
    array, objects, checkpoint = _saved()
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
            lambda data, place: _corpus("cutset", data, place, {"a.wav": wave(1.2)}, "cuts.jsonl"), (_manifest(),)
        ),
        "zipped": Parser(
            lambda data, place: _corpus("cutset", data, place, {}, "cuts.jsonl.gz"), (gzip.compress(_manifest()),)
        ),
        "shar": Parser(
            lambda data, place: _corpus(
                "shar", data, place, {"recording.000000.tar": packed([("c.wav", wave())])}, "cuts.000000.jsonl"
            ),
            (_shard(),),
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
