"""Whatever comes from outside ends in a value or one sentence: no parser fails otherwise, hangs or fills the memory."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import resource
import sqlite3
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from corpus_trees import clip, sentence
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_corpora import helsinki_corpus

from benchmarks.fuzz import run as attacked
from benchmarks.mutations import WORDS
from benchmarks.parsers import parsers
from benchmarks.seeds import GRID, KEY, SHORT_GRID, packed
from prosody_tts import cli
from prosody_tts.config import load
from prosody_tts.errors import UserError
from prosody_tts.pipeline import folder, plan

QUICK = [name for name, parser in parsers().items() if not parser.slow]
SLOW = [name for name, parser in parsers().items() if parser.slow and name != "script"]


@st.composite
def edited(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A sound input in which spans are replaced: by words that parsers trip over, bytes, or their own repetition."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        new = draw(st.sampled_from(WORDS) | st.binary(max_size=8) | st.just(data[start:end] * 40))
        data = data[:start] + new + data[end:]
    return data


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["\ud800", "../x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def swapped(draw: st.DrawFn, seed: Any) -> bytes:
    """Sound JSON in which one value, at any depth, is another."""

    def swap(value: Any) -> Any:
        if isinstance(value, dict) and value and draw(st.integers(0, 4)):
            key = draw(st.sampled_from(sorted(value)))
            return {**value, key: swap(value[key])}
        if isinstance(value, list) and value and draw(st.integers(0, 4)):
            place = draw(st.integers(0, len(value) - 1))
            return [*value[:place], swap(value[place]), *value[place + 1 :]]
        return draw(JSON)

    return json.dumps(swap(seed)).encode()


def ends_well(name: str, data: bytes, place: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        crash = attacked(parsers()[name], data, place)
    assert not crash, f"{name}: {crash} on {data[:200]!r}"


QUIET = {"suppress_health_check": list(HealthCheck), "deadline": None, "database": None}


@pytest.mark.parametrize("name", QUICK)
def test_any_input_ends_in_a_value_or_a_sentence(name: str, tmp_path: Path) -> None:
    @settings(max_examples=40, **QUIET)  # type: ignore[arg-type]
    @given(edited(parsers()[name].seeds) | st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
    def attack(data: bytes) -> None:
        ends_well(name, data, tmp_path / "input")

    attack()


@pytest.mark.parametrize("name", SLOW)
def test_any_settings_sweep_or_table_ends_in_a_value_or_a_sentence(name: str, tmp_path: Path) -> None:
    @settings(max_examples=12, **QUIET)  # type: ignore[arg-type]
    @given(edited(parsers()[name].seeds))
    def attack(data: bytes) -> None:
        ends_well(name, data, tmp_path / "input")

    attack()


@pytest.mark.parametrize("name", ["key", "returned", "ledger", "results", "cutset", "shar", "splits", "stored"])
def test_json_of_any_types_ends_in_a_value_or_a_sentence(name: str, tmp_path: Path) -> None:
    seeds = [json.loads(line) for seed in parsers()[name].seeds[:1] for line in seed.splitlines()]

    @settings(max_examples=40 if name != "stored" else 10, **QUIET)  # type: ignore[arg-type]
    @given(st.one_of([swapped(seed) for seed in seeds]))
    def attack(data: bytes) -> None:
        ends_well(name, data, tmp_path / "input")

    attack()


HEAD = b"content-type: application/json\nauthorization: Bearer TOKEN\n\n"
DEEP = b"[" * 100_000
MANIFEST = json.loads(parsers()["cutset"].seeds[0].splitlines()[2])


def cut(**changed: Any) -> bytes:
    return json.dumps({**MANIFEST, **changed}).encode()


def said(**changed: Any) -> bytes:
    return cut(supervisions=[{**MANIFEST["supervisions"][0], **changed}])


DRAWN = b"method: random\nrun_cap: 1\nparameters: {experiment: {value: camp}, seed: "
#: Inputs on which a parser once failed, hung or took too much, the smallest of each.
FOUND: list[tuple[str, bytes]] = [
    ("text", b"A" * 900 + b" Dr." * 2000),
    ("text", b"1" * 30_000),
    ("text", b"a." * 15_000 + b" 1"),
    ("text", b"\xed\xa0\x80 5"),
    ("ssml", b"<speak>" + b"<prosody>" * 10_000),
    ("ssml", b'<speak xml:lang="de\xe2\x80\xa8">a</speak>'),
    ("ssml", b'<speak><prosody rate="' + b"1" * 30_000 + b'x"/></speak>'),
    ("controls", b"9" * 5000),
    ("controls", b"1:" + b"x" * 30_000 + b"=1"),
    ("controls", b"1:pace=" + b"1" * 20_000 + b"x"),
    ("phones", b"DH\x0b | \n"),
    ("textgrid", SHORT_GRID.encode().replace(b"0.5", b"1" * 30_000 + b"x")),
    ("textgrid", SHORT_GRID.encode().replace(b"1.5", b"1e999")),
    ("grids", packed([("\udcff.TextGrid", b"")])),
    ("metadata", b"x" * 300 + b"|The cat."),
    ("metadata", b"u1|" + b"1" * 5000),
    ("splits", b'{"dev":' + DEEP),
    ("helsinki", b"<file>\t1_1_1_" + b"9" * 5000 + b".txt\nThe\t0\t0\t0\t0\n"),
    ("cutset", DEEP),
    ("cutset", b'{"id": "a", "type": "MonoCut", "x": ' + b"[" * 900 + b"]" * 900 + b"}"),
    ("cutset", cut(id=[])),
    ("cutset", cut(start="0")),
    ("cutset", cut(start=float("nan"))),
    ("cutset", said(id=None)),
    ("cutset", said(id="\ud800")),
    ("cutset", said(duration=1e308)),
    ("cutset", cut(recording={**MANIFEST["recording"], "sources": 1})),
    (
        "cutset",
        cut(recording={**MANIFEST["recording"], "sources": [{"type": "file", "channels": [0], "source": "~no/a"}]}),
    ),
    ("shar", cut(id={})),
    ("stored", b"[1]"),
    ("stored", b'{"run": {"group": "${oc.env:HOME}"}}'),
    ("stored", b'"\x01"'),
    (
        "experiment",
        b"a: &a [1,1,1,1,1,1,1,1,1]\n"
        + b"".join(b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 107)),
    ),
    ("experiment", b"a: &a [*a]"),
    ("experiment", DEEP),
    ("experiment", b"seed: " + b"1" * 5000),
    ("experiment", b"seed: 1e999"),
    ("experiment", b"data: {speeds: [[1.1]]}"),
    ("experiment", b"run: {group: '${oc.env:HOME}'}"),
    ("experiment", b"corpus: !!python/object/apply:os.system [x]"),
    ("settings", b"run.group=${oc.env:HOME}"),
    ("settings", b"seed=" + b"[" * 5000),
    ("settings", b"x" * 30_000 + b"=1"),
    ("sweep", b"method: 2001-99-99\nparameters: {}"),
    ("sweep", b"method: random\nrun_cap: 1" + b"0" * 400 + b"\nparameters: {experiment: {values: [camp]}}"),
    ("sweep", b"method: grid\nparameters: {experiment: {value: camp}, seed: {min: 0, max: 999999999999}}"),
    ("sweep", b"method: random\nrun_cap: 1\nparameters: {experiment: {values: [camp], probabilities: [x]}}"),
    (
        "sweep",
        DRAWN + b"{min: 1, max: 2, distribution: q_uniform, q: 0}}",
    ),
    (
        "sweep",
        DRAWN + b"{mu: 1000, distribution: log_normal}}",
    ),
    ("ratings", b"x" * 200_000),
    ("ratings", b"listener,item,a\n" + b"x" * 140_000 + b",1,1"),
    ("returned", DEEP),
    ("key", DEEP),
    ("key", json.dumps({**KEY, "items": [{**KEY["items"][1], "asked": []}]}).encode()),
    ("key", json.dumps({**KEY, "groups": []}).encode()),
    ("database", b"SQLite format 3\0" + b"\xff" * 4096),
    ("requests", b"PUT /api/screens/" + b"9" * 5000 + b"\n" + HEAD + b"{}"),
    ("requests", b"PUT /api/finish\n" + HEAD + b'{"device": "\\ud800", "remarks": ""}'),
    ("requests", b"POST /api/listeners\n" + HEAD + b"[" * 60_000),
    ("requests", b"POST /api/listeners\n" + HEAD + b"1" * 60_000),
    ("requests", b"GET /clips/ab12.wav\nrange: bytes=" + b"0-1," * 10_000 + b"\n\n"),
    ("results", b"[]\n"),
    ("results", b"\xff"),
    ("results", DEEP),
    ("ledger", DEEP),
    ("ledger", b'{"label":"","system":"","seed":0,"seconds":1' + b"0" * 400 + b',"inputs":{}}'),
    ("ledger", b'{"label":"","system":"","seed":Infinity,"seconds":1,"inputs":{}}'),
    ("array", b"\x93NUMPY\x01\x00\x10\x00{'descr': '''xxxx"),
]


@pytest.mark.parametrize(("name", "data"), FOUND, ids=[f"{name}-{number}" for number, (name, _) in enumerate(FOUND)])
def test_what_was_found_stays_mended(name: str, data: bytes, tmp_path: Path) -> None:
    ends_well(name, data, tmp_path / "input")


@pytest.mark.parametrize("change", ["ordinal = NULL", "grp = 7", "grp = -9"])
def test_ratings_that_were_tampered_with_end_in_a_sentence(change: str, tmp_path: Path) -> None:
    path = tmp_path / "seed.db"
    path.write_bytes(parsers()["database"].seeds[0])
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"UPDATE listeners SET {change}")
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with pytest.raises(UserError, match="is damaged or of another test"):
        parsers()["database"].parse(path.read_bytes(), tmp_path)


# Through the command line


class Evil:
    """A pickle that writes a file wherever it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@contextmanager
def little_memory() -> Iterator[None]:
    """At most 512 MiB more than the process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 512 * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def refused(capsys: pytest.CaptureFixture[str], place: Path, *arguments: str, swells: bool = False) -> str:
    """Give a command what must be refused; its one sentence. What would fill the memory gets little."""
    with little_memory() if swells else nullcontext():
        status = cli.run(list(arguments))
    error = capsys.readouterr().err
    # Beside it only, how many stages were skipped.
    told = [line for line in error.splitlines() if "skipped because of it" not in line]
    assert status == 2 and len(told) == 1 and told[0].startswith("prosody-tts: error: "), error
    assert not (place / "evil").exists(), "what was planted ran"
    return error


def small(place: Path) -> list[str]:
    return [f"run.folder={place / 'runs'}", "size=smoke", "run.progress=false", "run.wandb=disabled"]


def timing(place: Path, archive: bytes) -> list[str]:
    """A corpus of timing whose archive is planted."""
    source = place / "corpus"
    source.mkdir()
    (source / "metadata.csv").write_text("u1|The cat.\n")
    (source / "textgrids.tar.xz").write_bytes(archive)
    return ["prepare", "timing", "corpus=ljspeech_timing", f"corpus_path={source}", *small(place), "--workers", "0"]


def one_grid(place: Path, grid: str) -> list[str]:
    return timing(place, packed([("u1.TextGrid", grid.encode())], "xz"))


def linked(kind: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as tar:
        info = tarfile.TarInfo("u1.TextGrid")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    return stream.getvalue()


def swollen(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar of a few kB with one member of so many zeros."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    packer = lzma.LZMACompressor(preset=0)
    parts = [packer.compress(info.tobuf())]
    block = bytes(2**20)
    parts += [packer.compress(block) for _ in range(size // len(block))]
    return b"".join([*parts, packer.flush()])


def zip_bomb() -> bytes:
    """Many grids that each unpack to as much as a grid may have."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_BZIP2) as archive:
        for number in range(5):
            archive.writestr(f"u{number}.TextGrid", bytes(16 * 2**20))
    return stream.getvalue()


def folder_of(place: Path, name: str, content: bytes) -> list[str]:
    """A corpus of one sound recording and one that is planted."""
    clip(place / "corpus/wavs/u1.wav", sentence(1))
    (place / "corpus/metadata.csv").write_text(f"u1|{sentence(1)}\nu2|{sentence(2)}\n")
    (place / "corpus" / name).write_bytes(content)
    return ["prepare", "corpus=folder", f"corpus_path={place / 'corpus'}", *small(place), "--workers", "0"]


def aligner(place: Path) -> list[str]:
    """Sound recordings, and an aligner whose checkpoint is planted."""
    arguments = folder_of(place, "speakers.csv", b"")
    (place / "corpus/speakers.csv").unlink()
    (place / "corpus/metadata.csv").write_text("".join(f"u{i}|{sentence(i)}\n" for i in range(1, 4)))
    for number in (2, 3):
        clip(place / f"corpus/wavs/u{number}.wav", sentence(number))
    (place / "aligner").mkdir()
    (place / "aligner/last.ckpt").write_bytes(evil_checkpoint(place))
    return [*arguments, f"aligned_by={place / 'aligner'}"]


def endless_wave() -> bytes:
    """A WAV header that claims 2^32 - 2 bytes of samples, and four of them."""
    head = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", 2**32 - 2)
    return b"RIFF" + struct.pack("<I", 2**32 - 2) + b"WAVE" + head + bytes(4)


def given_file(place: Path, name: str, content: bytes, *arguments: str) -> list[str]:
    (place / name).write_bytes(content)
    return [word.replace("FILE", str(place / name)) for word in arguments]


def given_test(place: Path, **changed: Any) -> list[str]:
    (place / "test").mkdir()
    (place / "test/key.json").write_text(json.dumps({**KEY, **changed}))
    return ["listen", "export", str(place / "test"), "--out", str(place / "out")]


def bad_code(code: str) -> list[dict[str, Any]]:
    return [{**KEY["items"][0], "codes": {"baseline": code, "camp": "cd34"}}, KEY["items"][1]]


LAUGHS = b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 10)) for c in range(98, 110)
)
DOCTYPE = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]><speak>&c;</speak>'
CLAIM = SHORT_GRID.replace('"words"\n0\n1.5\n2', '"words"\n0\n1.5\n1000000000')

#: What is planted -> the command that meets it, and what it must say.
PLANTED: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "YAML that runs Python": (
        lambda place: given_file(
            place, "x.yaml", b"corpus: !!python/object/apply:os.mkdir [evil]", "parameters", "FILE"
        ),
        "is not valid YAML",
    ),
    "a sweep that runs Python": (
        lambda place: given_file(place, "x.yaml", b"method: !!python/object/apply:os.mkdir [evil]", "sweep", "FILE"),
        "is not valid YAML",
    ),
    "YAML of a billion laughs": (
        lambda place: given_file(place, "x.yaml", LAUGHS, "parameters", "FILE"),
        "has more than 100000 values",
    ),
    "a sweep of a billion laughs": (
        lambda place: given_file(place, "x.yaml", LAUGHS, "sweep", "FILE"),
        "100000 values",
    ),
    "YAML that asks for secrets": (
        lambda place: given_file(place, "x.yaml", b"run: {group: '${oc.env:HOME}'}", "parameters", "FILE"),
        "refers to another value",
    ),
    "a setting that asks for secrets": (lambda place: ["parameters", "camp", "run.group=${oc.env:HOME}"], "refers to"),
    "splits of a million lists": (
        lambda place: given_file(
            place,
            "x.json",
            b"[" * 10**6,
            "prepare",
            "prominence_phones",
            "corpus=helsinki",
            f"corpus_path={__file__}",
            "data.splits=FILE",
            *small(place),
        ),
        "nested too deeply",
    ),
    "ratings of a million lists": (
        lambda place: given_file(
            place, "x.json", b"[" * 10**6, "listen", "analyse", "--test", given_test(place)[2], "FILE"
        ),
        "is not what the page saves",
    ),
    "a test whose clips lie elsewhere": (
        lambda place: given_test(place, items=bad_code("../../../../etc/passwd")),
        "holds no listening test",
    ),
    "a test whose code is a root": (
        lambda place: given_test(place, items=bad_code("/etc/passwd")),
        "holds no listening",
    ),
    "a grid that claims a billion intervals": (lambda place: one_grid(place, CLAIM), "the grid is damaged"),
    "an archive that climbs": (
        lambda place: timing(place, packed([("../u1.TextGrid", GRID.encode())], "xz")),
        "climbs out of the archive",
    ),
    "an archive from the root": (
        lambda place: timing(place, packed([("/tmp/u1.TextGrid", GRID.encode())], "xz")),
        "climbs out of the archive",
    ),
    "a zip that climbs": (
        lambda place: timing(place, packed([("a\\..\\..\\u1.TextGrid", GRID.encode())], "zip")),
        "climbs out of the archive",
    ),
    "a symbolic link": (lambda place: timing(place, linked(tarfile.SYMTYPE)), "is a link"),
    "a hard link": (lambda place: timing(place, linked(tarfile.LNKTYPE)), "is a link"),
    "a device": (lambda place: timing(place, linked(tarfile.CHRTYPE)), "is a link or no file"),
    "a zip bomb": (lambda place: timing(place, zip_bomb()), "would unpack to more than"),
    "a tar bomb": (lambda place: timing(place, swollen("x", 72 * 2**20)), "would unpack to more than"),
    "a tar whose header is a bomb": (
        lambda place: timing(place, swollen("x", 4 * 2**20, tarfile.XHDTYPE)),
        "is no archive that can be read",
    ),
    "a manifest that unpacks to one line": (
        lambda place: given_file(
            place,
            "cuts.jsonl.gz",
            gzip.compress(bytes(20 * 2**20)),
            "prepare",
            "corpus=cutset",
            "corpus_path=FILE",
            *small(place),
        ),
        "has a line of more than",
    ),
    "a WAV of 2^32 samples": (lambda place: folder_of(place, "wavs/u2.wav", endless_wave()), "is truncated"),
    "an aligner": (aligner, "cannot read the checkpoint"),
    "an array for a recording": (
        lambda place: folder_of(place, "wavs/u2.wav", objects(place)),
        "cannot be read as audio",
    ),
}


def objects(place: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Evil(place / "evil")], object), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_refused(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, told = PLANTED[what]
    swells = any(word in what for word in ("bomb", "laughs", "million", "billion", "unpacks", "2^32"))
    assert told in refused(capsys, tmp_path, *arguments(tmp_path), swells=swells)
    outside = [path for path in tmp_path.parent.iterdir() if path != tmp_path and path.suffix in {".TextGrid", ".js"}]
    assert not outside


def test_a_checkpoint_runs_nothing_wherever_it_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the last of a training that goes on, and as a stage's own."""
    source = helsinki_corpus(tmp_path)
    arguments = ["prominence_phones", "corpus=helsinki", f"corpus_path={source}", *small(tmp_path)]
    settings = [word for word in arguments[1:]]
    stages = {stage.kind: folder(stage) for stage in plan(load(arguments[0], settings))}
    stages["sampler"].mkdir(parents=True)
    for content in (evil_checkpoint(tmp_path), b"no checkpoint"):
        (stages["sampler"] / "last.ckpt").write_bytes(content)
        error = refused(capsys, tmp_path, "train", *arguments, "--workers", "0")
        assert "cannot read the checkpoint" in error and "last.ckpt" in error


def evil_checkpoint(place: Path) -> bytes:
    stream = io.BytesIO()
    torch.save({"state_dict": {}, "evil": Evil(place / "evil")}, stream)
    return stream.getvalue()
