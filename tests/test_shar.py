"""lhotse's Shar: numbers as from files, nothing unpacked, whatever is wrong told; memory that does not grow."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from corpus_trees import experiment, sentence, speech, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules import features
from data_modules.audio import audio_seconds, load_audio
from data_modules.corpora import CORPORA
from data_modules.corpora.contract import Corpus, Utterance, silent
from data_modules.corpora.shar_writer import write_shar
from data_modules.features import Task, measure_corpus
from data_modules.members import Member
from data_modules.records import Records, write_lines
from data_modules.store import AudioStore, CorpusStore, FeatureStore, Packed, TextStore, write_packed
from prosody_tts import cli
from prosody_tts.config import AudioConfig, Experiment
from prosody_tts.errors import UserError
from prosody_tts.pipeline import folder, plan, run_stage
from prosody_tts.runners import prepared as preparing
from prosody_tts.runners.prepared import task_of


def build(source: Path, tmp_path: Path, **data: object) -> Corpus:
    return CORPORA["shar"]().build(experiment("shar", source, tmp_path / "runs", **data), tmp_path / "out", silent)


def shar_tree(tmp_path: Path) -> Path:
    source = tree("shar", tmp_path / "tree")
    assert source is not None
    return source


def contents(archive: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        return [(info.name, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]


def rewrite(archive: Path, members: list[tuple[str, bytes]]) -> None:
    with tarfile.open(archive, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def run(settings: Experiment, *kinds: str) -> dict[str, Path]:
    """Run stages of a plan; their folders."""
    stages = {stage.kind: stage for stage in plan(settings) if stage.kind in kinds}
    for stage in stages.values():
        run_stage(stage, silent)
    return {kind: folder(stage) for kind, stage in stages.items()}


# The same numbers


def test_features_are_those_of_the_same_recordings_in_files(tmp_path: Path) -> None:
    source, files = shar_tree(tmp_path), tmp_path / "files"
    (files / "wavs").mkdir(parents=True)
    for archive in source.glob("*.tar"):
        for name, content in contents(archive):
            if name.endswith(".flac"):
                (files / "wavs" / name.replace(".flac", ".wav")).write_bytes(content)
    (files / "metadata.csv").write_text("".join(f"u{i:02}|{sentence(i)}\n" for i in range(12)))
    found = {}
    for corpus, path in {"shar": source, "folder": files}.items():
        made = run(experiment(corpus, path, tmp_path / "runs"), "corpus", "audio")
        found[corpus] = CorpusStore(made["corpus"]), AudioStore(made["audio"])
    (packed, numbers), (plain, expected) = found["shar"], found["folder"]
    for one, other in zip(packed.utterances, plain.utterances, strict=True):
        assert (one.id, one.text, one.sentence, one.split) == (other.id, other.text, other.sentence, other.split)
        assert one.speaker == f"s{int(one.id[1:]) % 2}" and one.member is not None
        for measure in ("mel", "f0", "energy"):
            row, same = numbers.rows[one.id], expected.rows[other.id]
            np.testing.assert_array_equal(getattr(numbers, measure)[row], getattr(expected, measure)[same])
        wave, rate = speech(one.text)
        read, clip = load_audio(packed.audio(one)), load_audio(packed.clip(one))
        np.testing.assert_array_equal(read[0], load_audio(plain.audio(other))[0])
        np.testing.assert_allclose(read[0], wave, atol=1e-4)
        np.testing.assert_array_equal(clip[0], read[0])
        assert read[1] == clip[1] == rate and audio_seconds(packed.audio(one)) == len(wave) / rate


def test_parts_of_a_cut_are_utterances(tmp_path: Path) -> None:
    source = shar_tree(tmp_path)
    path = source / "cuts.000000.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    whole = lines[0]["supervisions"][0]
    lines[0]["supervisions"] = [
        {**whole, "id": "a/first", "duration": 1.0, "text": "The farmer."},
        {**whole, "id": "second", "start": 1.0, "duration": 1.2, "text": "Counted horses."},
    ]
    with gzip.open(path, "wt") as stream:
        stream.write("".join(json.dumps(line) + "\n" for line in lines))
    corpus = build(source, tmp_path)
    first, second = corpus.utterances[:2]
    assert (first.id, first.start, first.seconds) == ("a-first", 0.0, 1.0)
    assert (second.id, second.start, second.seconds) == ("second", 1.0, 1.2)
    wave, rate = speech(sentence(0))
    read = load_audio(second.recording(tmp_path), second.start, second.seconds)[0]
    np.testing.assert_allclose(read, wave[rate : rate + round(1.2 * rate)], atol=1e-4)


# Processes and kills


def tasks_of(corpus: Path) -> Records[Task]:
    """As the audio stage makes them."""
    store = CorpusStore(corpus)
    return Records(corpus / "utterances.jsonl", lambda line: task_of(store, Utterance.from_dict(line)))


def measured(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def test_neither_processes_nor_a_kill_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of five utterances, which are not those of the tars; killed in the second, ended by two processes."""
    monkeypatch.setattr(features, "SHARD", 5)
    corpus = build(shar_tree(tmp_path), tmp_path)
    CorpusStore.write(tmp_path / "out", corpus.utterances, corpus.faults)
    tasks = tasks_of(tmp_path / "out")
    measure_corpus(tasks, AudioConfig(), tmp_path / "one", 1, silent)
    script = f"""
import os, signal
from pathlib import Path
from data_modules import features
from data_modules.features import Task
from data_modules.store import CorpusStore
from prosody_tts.config import AudioConfig
features.SHARD = 5
def progress(done, total, what):
    if done == 7:
        os.killpg(0, signal.SIGKILL)
store = CorpusStore(Path({str(tmp_path / "out")!r}))
tasks = [Task(item.id, store.audio(item)) for item in store.utterances]
features.measure_corpus(tasks, AudioConfig(), Path({str(tmp_path / "killed")!r}), 1, progress)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    killed = subprocess.run([sys.executable, "-c", script], env=environment, start_new_session=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    told: list[int] = []
    measure_corpus(tasks, AudioConfig(), tmp_path / "killed", 2, lambda done, total, what: told.append(done))
    assert told[0] == 5 and measured(tmp_path / "killed") == measured(tmp_path / "one")


# Faults


def cut_in_a_recording(source: Path) -> dict[str, str]:
    path = source / "recording.000001.tar"
    with tarfile.open(path) as tar:
        info = tar.getmember("u06.flac")
    path.write_bytes(path.read_bytes()[: info.offset_data + 700])
    return {"u06": "is cut short in", "u07": "which is truncated"}


def cut_between_recordings(source: Path) -> dict[str, str]:
    path = source / "recording.000001.tar"
    with tarfile.open(path) as tar:
        info = tar.getmember("u06.flac")
    path.write_bytes(path.read_bytes()[: info.offset])
    return {"u06": "which is truncated", "u07": "has no recording in"}


def cut_in_a_header(source: Path) -> dict[str, str]:
    path = source / "recording.000001.tar"
    with tarfile.open(path) as tar:
        info = tar.getmember("u06.flac")
    path.write_bytes(path.read_bytes()[: info.offset + 100])
    return {"u06": "which is truncated", "u07": "has no recording in"}


def without_a_tar(source: Path) -> dict[str, str]:
    (source / "recording.000002.tar").unlink()
    return {f"u{i:02}": "which does not exist" for i in range(8, 12)}


def with_a_compressed_tar(source: Path) -> dict[str, str]:
    path = source / "recording.000002.tar"
    path.write_bytes(gzip.compress(path.read_bytes()))
    return {f"u{i:02}": "no plain tar" for i in range(8, 12)}


def without_a_recording(source: Path) -> dict[str, str]:
    path = source / "recording.000000.tar"
    members = contents(path)
    rewrite(path, [("u00.nodata", b""), ("u00.nometa", b""), *members[2:4], *members[6:], ("x.flac", members[0][1])])
    return {"u00": "has no recording in", "u02": "has no recording in", "x": "without a cut"}


def out_of_order(source: Path) -> dict[str, str]:
    path = source / "recording.000000.tar"
    members = contents(path)
    rewrite(path, [*members[:2], *members[4:6], *members[2:4], *members[6:], members[6]])
    return {"u02": "before an earlier cut's", "u03": "more than once"}


def climbing(source: Path) -> dict[str, str]:
    path = source / "recording.000000.tar"
    members = contents(path)
    with tarfile.open(path, "w") as tar:
        for name, content in [*members, ("../../up.flac", members[0][1]), ("/abs.flac", members[0][1])]:
            info = tarfile.TarInfo("u03.flac" if name == "u03.flac" else name)
            info.size = len(content)
            if name == "u03.flac":
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
            tar.addfile(info, io.BytesIO(content))
    return {"u03": "is no plain file", "../../up": "leaves its folder", "/abs": "leaves its folder"}


def wrong_lines(source: Path) -> dict[str, str]:
    path = source / "cuts.000000.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    lines[0]["recording"]["transforms"] = [{"name": "Speed", "kwargs": {"factor": 1.1}}]
    lines[1]["supervisions"] = []
    lines[2]["supervisions"][0]["duration"] += 1
    with gzip.open(path, "wt") as stream:
        stream.write("".join(json.dumps(line) + "\n" for line in [*lines, lines[3]]) + "{no\n[1]\n")
    return {
        "u00": "changes its recording",
        "u01": "without a supervision",
        "u02": "only a part of its supervision",
        "u03 (cuts.000000.jsonl.gz)": "repeats an earlier id",
        "cuts.000000.jsonl.gz line 6": "is not JSON",
        "cuts.000000.jsonl.gz line 7": "is no line of a lhotse manifest",
    }


@pytest.mark.parametrize(
    "spoil",
    [
        cut_in_a_recording,
        cut_between_recordings,
        cut_in_a_header,
        without_a_tar,
        with_a_compressed_tar,
        without_a_recording,
        out_of_order,
        climbing,
        wrong_lines,
    ],
)
def test_what_is_wrong_with_a_shard_is_told_and_nothing_is_unpacked(
    tmp_path: Path, spoil: Callable[[Path], dict[str, str]]
) -> None:
    source = shar_tree(tmp_path)
    expected = spoil(source)
    before = sorted(tmp_path.rglob("*"))
    corpus = build(source, tmp_path, allowed_bad=0.9)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "out", tmp_path / "out/faults.json"])
    found = {fault.item: fault.reason for fault in corpus.faults}
    assert set(found) == set(expected)
    for item, part in expected.items():
        assert part in found[item] and "\n" not in found[item], item
    left = {f"u{i:02}" for i in range(12)} - set(expected)
    assert {item.id for item in corpus.utterances} == left
    with pytest.raises(UserError, match=r"utterances are faulty") as refusal:
        build(source, tmp_path, allowed_bad=0.01)
    assert "\n" not in str(refusal.value)


def test_a_tar_without_cuts_is_a_fault(tmp_path: Path) -> None:
    source = shar_tree(tmp_path)
    identity = CORPORA["shar"]().identity(experiment("shar", source, tmp_path / "runs"))
    shutil.copy(source / "recording.000000.tar", source / "recording.000003.tar")
    corpus = build(source, tmp_path, allowed_bad=0.1)
    assert {fault.item: fault.reason for fault in corpus.faults} == {"recording.000003.tar": "has no cuts beside it"}
    assert len(corpus.utterances) == 12
    assert CORPORA["shar"]().identity(experiment("shar", source, tmp_path / "runs")) != identity


@settings(max_examples=40, deadline=None)
@given(place=st.integers(0, 10239), value=st.integers(0, 255), cut=st.integers(0, 10240))
def test_a_damaged_tar_is_never_a_traceback(place: int, value: int, cut: int) -> None:
    from data_modules.corpora.archives import Archive

    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        for name in ("a.wav", "a.json", "b" * 120 + ".wav"):
            info = tarfile.TarInfo(name)
            info.size = 600
            tar.addfile(info, io.BytesIO(b"x" * 600))
    content = bytearray(memory.getvalue())
    content[place] = value
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "damaged.tar")
        path.write_bytes(content[:cut])
        for member in Archive(path).members.values():
            assert isinstance(member, str) or len(member.read()) == member.size


def test_a_tar_that_has_changed_since_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "recording.000000.tar"
    path.write_bytes(b"x" * 100)
    for member, part in (
        (Member(path, 90, 20), "is truncated"),
        (Member(path, 0, 0), "is empty"),
        (Member(tmp_path / "none.tar", 0, 1), "cannot read"),
        (Member(path, 0, 50), "cannot be read as audio"),
    ):
        with pytest.raises(UserError, match=part):
            load_audio(member)


def test_what_is_no_shar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for path, part in ((tmp_path / "none", r"holds no cuts\."), (tmp_path / "nowhere", "is not a folder of cuts")):
        settings = experiment("shar", path, tmp_path / "runs")
        for act in (CORPORA["shar"]().identity, lambda s: CORPORA["shar"]().build(s, tmp_path / "out", silent)):
            with pytest.raises(UserError, match=part):
                act(settings)


# Writing


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, FeatureStore]:
    """A testbed with features."""
    made = experiment("testbed", None, tmp_path_factory.mktemp("runs"), speakers=2, train_sentences=6)
    made.run.progress = False
    at = run(made, "corpus", "text", "audio", "alignment")
    return made, FeatureStore(at["corpus"], at["text"], at["audio"], at["alignment"] / "durations.json")


def test_what_is_written_is_read_back_with_its_splits(
    prepared: tuple[Experiment, FeatureStore], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, store = prepared
    data = [
        f"data.{name}={getattr(made.data, name)}" for name in ("train_sentences", "dev_sentences", "test_sentences")
    ]
    data += ["data.renditions=1", "data.speakers=2", f"run.folder={made.run.folder}", "run.progress=false"]
    arguments = ["prepare", "baseline", *data, "--workers", "0", "--shar", str(tmp_path / "new/shar")]
    assert cli.run(arguments) == 0
    assert f"10 utterances: {tmp_path / 'new/shar'}" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["shar"]
    corpus = build(tmp_path / "new/shar", tmp_path, min_seconds=0.1)
    assert corpus.splits == "official" and corpus.faults == ()
    for item in corpus.utterances:
        source = store.utterances[item.id]
        assert (item.text, item.split, item.speaker) == (source.text, source.split, source.speaker)
        one, other = load_audio(item.recording(tmp_path)), load_audio(store.corpus.audio(source))
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1] == other[1]
    assert cli.run(arguments) == 2
    assert "is there already; give a new folder" in capsys.readouterr().err


def test_lhotse_reads_what_is_written(prepared: tuple[Experiment, FeatureStore], tmp_path: Path) -> None:
    from lhotse import CutSet

    _, store = prepared
    assert write_shar(store, tmp_path / "shar", silent) == 10
    cuts = list(CutSet.from_shar(in_dir=tmp_path / "shar"))
    assert [cut.id for cut in cuts] == store.ids("train", "dev", "test")
    for cut in cuts:
        np.testing.assert_array_equal(cut.load_audio()[0], load_audio(store.corpus.audio(store.utterances[cut.id]))[0])


def test_a_write_that_fails_leaves_nothing(prepared: tuple[Experiment, FeatureStore], tmp_path: Path) -> None:
    made, store = prepared
    copied = tmp_path / "corpus"
    shutil.copytree(store.corpus.folder, copied)
    broken = FeatureStore(copied, store.text.folder, made_audio(made), None)
    next(iter(copied.rglob("test-*.wav"))).unlink()
    with pytest.raises(UserError, match="there is no audio file"):
        write_shar(broken, tmp_path / "shar", silent)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def made_audio(settings: Experiment) -> Path:
    return next(folder(stage) for stage in plan(settings) if stage.kind == "audio")


# Memory


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=30), max_size=12))
def test_lines_are_read_back_whatever_they_hold(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home, "lines.jsonl")
        write_lines(path, ({"text": text} for text in texts))
        records = Records(path, lambda line: line["text"])
        write_lines(path, [{"text": "another file"}])  # replaced: changes nothing
        assert list(records) == texts and [records[row] for row in range(len(records))] == texts
        assert records[1:] == texts[1:] and records[::-2] == texts[::-2]
        assert not texts or records[-1] == texts[-1]
        with pytest.raises(IndexError):
            records[len(texts)]


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(0, 4), max_size=8), width=st.integers(1, 3))
def test_arrays_written_one_by_one_are_numpys_file(lengths: list[int], width: int) -> None:
    random = np.random.default_rng(len(lengths))
    arrays = [random.normal(size=(length, width)).astype(np.float32) for length in lengths]
    expected = io.BytesIO()
    np.save(expected, np.concatenate(arrays) if arrays else np.zeros(0, np.float32))
    with tempfile.TemporaryDirectory() as home:
        write_packed(Path(home), "x", iter(arrays))
        assert Path(home, "x.npy").read_bytes() == expected.getvalue()
        packed = Packed(Path(home), "x")
        assert len(packed) == len(arrays)
        for row, array in enumerate(arrays):
            np.testing.assert_array_equal(packed[row], array)
        if sum(lengths):
            Path(home, "x.npy").write_bytes(expected.getvalue()[:-1])
            with pytest.raises(UserError, match=r"x\.npy is cut short"):
                Packed(Path(home), "x")


def test_a_store_holds_names_not_texts(tmp_path: Path) -> None:
    held = {}
    for count in (400, 4000):
        text = "word " * 400
        items = [Utterance(f"u{i}", "s", f"{i} {text}", "a.wav", "train", "x") for i in range(count)]
        CorpusStore.write(tmp_path, items, [])
        del items
        tracemalloc.start()
        store = CorpusStore(tmp_path)
        assert sum(len(item.text) > 2000 for item in store.utterances) == len(store.rows) == count
        assert [store.utterances[row].id for row in range(0, count, 7)] == [f"u{i}" for i in range(0, count, 7)]
        held[count] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert (held[4000] - held[400]) / 3600 < 400, "bytes an utterance; its text alone has 2000"


def test_how_many_texts_are_analysed_at_once_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name, size in {"one": 128, "few": 3}.items():
        monkeypatch.setattr(preparing, "TEXTS", size)
        settings = experiment("testbed", None, tmp_path / name, train_sentences=6)
        found.append(run(settings, "corpus", "text")["text"])
    one, few = found
    for name in ("sentences.jsonl", "index.json", "faults.json", "bert-offsets.npy"):
        assert (one / name).read_bytes() == (few / name).read_bytes(), name
    np.testing.assert_allclose(np.load(one / "bert.npy"), np.load(few / "bert.npy"), atol=1e-5)
    assert len(TextStore(one).sentences) == 10
