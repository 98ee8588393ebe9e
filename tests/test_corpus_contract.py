"""Every corpus of the registry keeps one contract, lhotse's recipes run for real on miniature trees of each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpus_trees import TREES, clip, experiment, sentence, speech, tree, vctk
from label_corpora import helsinki_corpus, timing_corpus

from data_modules.audio import read_audio
from data_modules.corpora import CORPORA
from data_modules.corpora.contract import SPLITS, Corpus, silent
from data_modules.corpora.splits import FILE
from data_modules.store import AudioStore, Clips, CorpusStore
from prosody_tts.config import LABELS, ROOT, Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.files import read_json

SPEAKING = [name for name in CORPORA if name not in LABELS]
LABELLED = {"ljspeech_timing": timing_corpus, "helsinki": helsinki_corpus}
RECIPES = ("ljspeech", "libritts", "libritts_r", "vctk")


def build(settings: Experiment, out: Path) -> Corpus:
    return CORPORA[settings.corpus]().build(settings, out, silent)


def reasons(corpus: Corpus) -> dict[str, str]:
    return {fault.item: fault.reason for fault in corpus.faults}


def a_recording(source: Path) -> Path:
    """One recording of a tree that the corpus uses."""
    return next(
        p for p in sorted(source.rglob("*")) if p.suffix in {".wav", ".flac", ".g722", ".tar"} and "mic1" not in p.name
    )


def test_every_corpus_of_the_registry_is_tested() -> None:
    assert set(CORPORA) == set(TREES) | set(LABELS) | {"testbed"}


@pytest.mark.parametrize("name", SPEAKING)
def test_utterances_have_text_and_readable_audio_in_disjoint_splits(tmp_path: Path, name: str) -> None:
    settings = experiment(name, tree(name, tmp_path / "tree"), tmp_path / "runs")
    corpus = build(settings, tmp_path / "out")
    assert corpus.name == name and len(corpus.utterances) >= 8 and corpus.faults == ()
    assert len({item.id for item in corpus.utterances}) == len(corpus.utterances)
    CorpusStore.write(tmp_path / "out", corpus.utterances, corpus.faults)
    store = CorpusStore(tmp_path / "out")
    assert tuple(store.utterances) == corpus.utterances
    for item in store.utterances:
        assert any(character.isalpha() for character in item.text) and item.sentence
        wave = read_audio(store.audio(item), 16000, item.start, item.seconds)
        assert 16000 < len(wave) < 6 * 16000 and np.abs(wave).max() > 0.05
    splits = read_json(tmp_path / "out" / FILE)
    assert list(splits) == list(SPLITS) and all(splits.values())
    assert sorted(item for ids in splits.values() for item in ids) == sorted(item.id for item in corpus.utterances)
    sentences = [{item.sentence for item in corpus.utterances if item.split == split} for split in SPLITS]
    assert sum(map(len, sentences)) == len(set().union(*sentences))


@pytest.mark.parametrize("name", CORPORA)
def test_the_same_files_and_settings_give_the_same_corpus_and_identity(tmp_path: Path, name: str) -> None:
    source = LABELLED[name](tmp_path) if name in LABELLED else tree(name, tmp_path / "tree")
    settings = experiment(name, source, tmp_path / "runs")
    if name in LABELLED:
        settings.text.pronouncer = "espeak"  # the phones of these grids
    identity = CORPORA[name]().identity(settings)
    assert json.loads(json.dumps(identity)) == identity
    first = build(settings, tmp_path / "out")
    assert build(settings, tmp_path / "out") == first
    assert CORPORA[name]().identity(settings) == identity
    settings.data.seed += 1
    assert CORPORA[name]().identity(settings) != identity


@pytest.mark.parametrize("name", TREES)
def test_a_changed_file_is_another_corpus_and_an_unusable_one_is_a_fault(tmp_path: Path, name: str) -> None:
    source = tree(name, tmp_path / "tree")
    assert source is not None
    settings = experiment(name, source, tmp_path / "runs", allowed_bad=0.3)
    identity, whole = CORPORA[name]().identity(settings), build(settings, tmp_path / "out")
    path = a_recording(source)
    path.write_bytes(b"")
    assert CORPORA[name]().identity(settings) != identity
    if name in {"cutset", "shar"}:  # all or a third of it is in this file
        with pytest.raises(UserError, match=r"(12|4) of 12 utterances are faulty.*(is empty|empty file)"):
            build(settings, tmp_path / "out")
        return
    corpus = build(settings, tmp_path / "out")
    assert len(corpus.utterances) == len(whole.utterances) - 1
    assert list(reasons(corpus)) == [path.stem] and f"{path} is empty" in reasons(corpus)[path.stem]
    path.unlink()
    assert "recording" in reasons(build(settings, tmp_path / "out"))[path.stem]
    settings.data.allowed_bad = 0.01
    with pytest.raises(UserError, match=r"1 of \d+ utterances are faulty, more than data\.allowed_bad=0\.01"):
        build(settings, tmp_path / "out")


@pytest.mark.parametrize("name", [name for name in TREES if name not in {"allison", "cutset", "shar"}])
def test_a_recording_without_transcript_is_a_fault(tmp_path: Path, name: str) -> None:
    source = tree(name, tmp_path / "tree")
    assert source is not None
    path = a_recording(source)
    extra = path.with_name(path.name.replace(path.stem, "x99_001_mic2" if name == "vctk" else "x99"))
    shutil.copy(path, extra)
    corpus = build(experiment(name, source, tmp_path / "runs", allowed_bad=0.3), tmp_path / "out")
    assert "has no transcript" in reasons(corpus)[extra.stem] and len(corpus.faults) == 1


# The recipes


def test_the_normalised_text_is_what_is_said(tmp_path: Path) -> None:
    for name in ("ljspeech", "libritts"):
        corpus = build(experiment(name, tree(name, tmp_path / name), tmp_path / "runs"), tmp_path / "out")
        assert {item.text for item in corpus.utterances} == {sentence(i) for i in range(12)}


def test_libritts_has_its_own_splits_speakers_and_parts(tmp_path: Path) -> None:
    settings = experiment("libritts", tree("libritts", tmp_path / "tree"), tmp_path / "runs")
    corpus = build(settings, tmp_path / "out")
    assert corpus.splits == "official"
    speakers = {split: {i.speaker for i in corpus.utterances if i.split == split} for split in SPLITS}
    assert speakers == {"train": {"103"}, "dev": {"84"}, "test": {"61"}}
    settings.data.limit = 3
    assert {item.split for item in build(settings, tmp_path / "out").utterances} == set(SPLITS)
    settings.data.limit, settings.data.parts = None, ["train-clean-100"]
    part = build(settings, tmp_path / "out")
    assert part.splits == "hash" and {item.speaker for item in part.utterances} == {"103"}
    settings.data.parts = ["train-other-500"]
    with pytest.raises(UserError, match="does not hold libritts; download"):
        build(settings, tmp_path / "out")


def test_both_versions_of_vctk_are_read(tmp_path: Path) -> None:
    ids = {}
    for latest in (True, False):
        source = vctk(tmp_path / str(latest), latest)
        corpus = build(experiment("vctk", source, tmp_path / "runs"), tmp_path / "out")
        assert corpus.faults == () and {item.speaker for item in corpus.utterances} == {"p225", "p226"}
        assert all(Path(item.audio).is_relative_to(source) for item in corpus.utterances)
        ids[latest] = {item.id for item in corpus.utterances}
    assert ids[True] == {f"{name}_mic2" for name in ids[False]} and len(ids[True]) == 14


def spoil_ljspeech(source: Path) -> dict[str, str]:
    path = source / "LJSpeech-1.1/metadata.csv"
    lines = path.read_bytes().splitlines()
    lines[1] = b"LJ001-0001|two columns"
    lines[2] = lines[2].replace(b"gentle", b"g\xe9ntle")
    lines[3] = b"LJ001-0003|4|1234"
    lines += [lines[4], b"../../README|out|out"]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines) + b"\r\n")
    return {
        "LJ001-0001": "line 2 is not of the form id",
        "LJ001-0002": "line 3 is not UTF-8",
        "LJ001-0003": "without letters",
        "LJ001-0004 (metadata.csv line 13)": "repeats the id",
        "../../README": "leaves the folder",
    }


def spoil_libritts(source: Path) -> dict[str, str]:
    place = source / "LibriTTS/train-clean-100/103/1240"
    path = place / "103_1240.trans.tsv"
    lines = path.read_bytes().splitlines()
    lines[1] = b"103_1240_000001_000000\tno third column"
    lines[2] = lines[2] + b" caf\xe9"
    lines.append(b"../up\ta\tb")
    path.write_bytes(b"\r\n".join(lines))
    wave, rate = speech(sentence(3))
    soundfile.write(place / "103_1240_000003_000000.wav", np.stack([wave, wave], 1), rate)
    (place / "103_1240.book.tsv").unlink()
    return {
        "103_1240_000001_000000": "line 2 is not of the form",
        "103_1240_000002_000000": "line 3 is not UTF-8",
        "../up": "leaves its folder",
        "103_1240_000003_000000": "has 2 channels",
    }


def spoil_vctk(source: Path) -> dict[str, str]:
    home = source / "VCTK-Corpus-0.92"
    (home / "txt/p225/p225_001.txt").write_bytes(b"Caf\xe9s in the garden.")
    (home / "txt/p225/p225_002.txt").write_text("")
    (home / "wav48_silence_trimmed/p225/p225_003_mic2.flac").unlink()
    whole = (home / "wav48_silence_trimmed/p225/p225_004_mic2.flac").read_bytes()
    (home / "wav48_silence_trimmed/p225/p225_004_mic2.flac").write_bytes(whole[: len(whole) // 2])
    (home / "speaker-info.txt").unlink()
    return {
        "p225_001_mic2": "not UTF-8",
        "p225_002_mic2": "without letters",
        "p225_003_mic2": "has no recording",
        "p225_004_mic2": "p225_004_mic2.flac",
    }


@pytest.mark.parametrize(
    ("name", "spoil"), [("ljspeech", spoil_ljspeech), ("libritts", spoil_libritts), ("vctk", spoil_vctk)]
)
def test_what_would_end_a_recipe_is_a_fault_of_its_line(
    tmp_path: Path, name: str, spoil: Callable[[Path], dict[str, str]]
) -> None:
    source = tree(name, tmp_path / "tree")
    assert source is not None
    whole = len(build(experiment(name, source, tmp_path / "runs"), tmp_path / "out").utterances)
    expected = spoil(source)
    corpus = build(experiment(name, source, tmp_path / "runs", allowed_bad=0.9), tmp_path / "out")
    found = reasons(corpus)
    assert set(found) == set(expected)
    for item, part in expected.items():
        assert part in found[item], item
    added = sum(item.startswith("..") or "(" in item for item in expected)
    assert len(corpus.utterances) + len(corpus.faults) == whole + added


@pytest.mark.parametrize("name", RECIPES)
def test_a_corpus_that_is_not_there_says_what_to_download_and_where_to_put_it(tmp_path: Path, name: str) -> None:
    settings = load(None, [f"corpus={name}", f"corpus_path={tmp_path / 'here'}", f"run.folder={tmp_path}"])
    with pytest.raises(UserError) as refusal:
        CORPORA[name]().identity(settings)
    said = str(refusal.value)
    assert f"does not hold {name}; download" in said and "described at" in said and str(tmp_path / "here") in said
    assert "\n" not in said and not (tmp_path / "here").exists()
    with pytest.raises(UserError, match=f"corpus={name} needs corpus_path"):
        load(None, [f"corpus={name}"])


@pytest.mark.parametrize("name", RECIPES)
def test_without_a_network_a_download_ends_in_the_same_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("<urlopen error [Errno 101] Network is unreachable>")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    settings = experiment(name, tmp_path / "here", tmp_path / "runs", download=True)
    with pytest.raises(UserError, match=r"cannot download.*Network is unreachable.*; download .* and unpack it in"):
        CORPORA[name]().identity(settings)


@pytest.mark.parametrize("name", RECIPES)
def test_a_download_is_unpacked_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """lhotse's own downloaders, but for the transfer: the archives they get are made here, in the makers' layout."""
    source = tree(name, tmp_path / "tree")
    assert source is not None
    home = next(source.iterdir())

    def fetch(url: str, filename: Path, **_: object) -> None:
        if name == "vctk":  # as published: no folder of its own
            shutil.make_archive(str(filename).removesuffix(".zip"), "zip", home)
        elif name == "ljspeech":
            shutil.make_archive(str(filename).removesuffix(".tar.bz2"), "bztar", source, home.name)
        else:
            part = Path(filename).name.removesuffix(".tar.gz")
            assert part in {"train-clean-100", "dev-clean", "test-clean"}
            shutil.make_archive(str(filename).removesuffix(".tar.gz"), "gztar", source, f"{home.name}/{part}")

    module = "libritts" if name.startswith("libritts") else name
    monkeypatch.setattr(f"lhotse.recipes.{module}.resumable_download", fetch)
    settings = experiment(name, tmp_path / "here", tmp_path / "runs", download=True)
    identity = CORPORA[name]().identity(settings)
    corpus = build(settings, tmp_path / "out")
    assert len(corpus.utterances) >= 12 and corpus.faults == ()
    settings.data.download = False
    assert CORPORA[name]().identity(settings) == identity


def test_a_download_that_was_broken_off_is_not_taken_for_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tree("ljspeech", tmp_path / "tree")
    assert source is not None
    settings = experiment("ljspeech", tmp_path / "here", tmp_path / "runs", download=True)
    shutil.make_archive(str(tmp_path / "whole"), "bztar", source, "LJSpeech-1.1")
    whole = (tmp_path / "whole.tar.bz2").read_bytes()

    def fetch(cut: int) -> Callable[..., None]:
        return lambda url, filename, **_: Path(filename).write_bytes(whole[: len(whole) - cut]) and None

    monkeypatch.setattr("lhotse.recipes.ljspeech.resumable_download", fetch(3000))
    with pytest.raises(UserError, match="cannot download ljspeech"):
        CORPORA["ljspeech"]().identity(settings)
    assert (tmp_path / "here/LJSpeech-1.1/metadata.csv").exists() or list((tmp_path / "here").iterdir())
    settings.data.download = False
    with pytest.raises(UserError, match="does not hold ljspeech"):
        CORPORA["ljspeech"]().identity(settings)
    settings.data.download = True
    monkeypatch.setattr("lhotse.recipes.ljspeech.resumable_download", fetch(0))
    assert len(build(settings, tmp_path / "out").utterances) == 12


@pytest.mark.parametrize("name", ["folder", "ljspeech"])
def test_real_speech_is_read(tmp_path: Path, name: str) -> None:
    shared = Path(os.environ.get("PROSODY_TTS_SHARED", ROOT.parent / "shared")) / "data/ljspeech-sample"
    if not shared.is_dir():
        pytest.skip(f"needs sixteen clips of LJSpeech in {shared}")
    rows = [row.split("|") for row in (shared / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    corpus = build(experiment(name, shared, tmp_path / "runs"), tmp_path / "out")
    assert corpus.faults == () and {i.id: i.text for i in corpus.utterances} == {row[0]: row[2] for row in rows}


# Manifests


def test_parts_of_a_recording_are_read_as_those_parts(tmp_path: Path) -> None:
    source = tree("cutset", tmp_path / "tree")
    corpus = build(experiment("cutset", source, tmp_path / "runs"), tmp_path / "out")
    assert [item.speaker for item in corpus.utterances[:3]] == ["s0", "s1", "s0"]
    CorpusStore.write(tmp_path / "out", corpus.utterances, corpus.faults)
    clips = Clips(CorpusStore(tmp_path / "out"))
    for i, item in enumerate(corpus.utterances):
        wave, rate = speech(sentence(i))
        read = read_audio(item.audio, rate, item.start, item.seconds)
        assert item.text == sentence(i) and len(read) == len(wave)
        np.testing.assert_allclose(read, wave, atol=1e-4)
        np.testing.assert_allclose(soundfile.read(clips[item.id])[0], wave, atol=1e-4)


def test_the_features_of_a_part_are_its_own(tmp_path: Path) -> None:
    from data_modules.audio import analyse
    from prosody_tts.pipeline import folder, plan, run_stage

    settings = experiment("cutset", tree("cutset", tmp_path / "tree"), tmp_path / "runs")
    stages = {stage.kind: stage for stage in plan(settings)}
    run_stage(stages["corpus"], silent)
    run_stage(stages["audio"], silent)
    store = AudioStore(folder(stages["audio"]))
    for item in CorpusStore(folder(stages["corpus"])).utterances[:3]:
        clip(tmp_path / "alone.wav", item.text)
        alone = analyse(read_audio(tmp_path / "alone.wav", 16000), settings.audio)
        np.testing.assert_allclose(store.mel[store.rows[item.id]], alone.mel, atol=1e-2)


def a_cut(source: Path, name: str, start: float, duration: float) -> object:
    from lhotse import MonoCut, Recording, SupervisionSegment

    recording = Recording.from_file(source / "session.wav")
    segment = SupervisionSegment(f"{name}-s", "session", 0.5, duration - 0.5, text="A text of its own.", speaker="x")
    return MonoCut(name, start, duration, 0, [segment], recording=recording)


def test_cuts_are_utterances_and_what_is_no_part_of_one_mono_file_is_a_fault(tmp_path: Path) -> None:
    from lhotse import AudioSource, CutSet, Recording, SupervisionSegment

    source = tree("cutset", tmp_path / "tree")
    assert source is not None
    wave, rate = soundfile.read(source / "session.wav", dtype="float32")
    soundfile.write(source / "two.wav", np.stack([wave, wave], 1), rate)
    cuts = [a_cut(source, f"a/{i}", 2.0 * i, 2.0) for i in range(4)]
    stereo, fast, mixed, empty, past, half, remote, mute = (
        a_cut(source, n, 1, 2) for n in ("stereo", "fast", "mixed", "empty", "past", "half", "remote", "mute")
    )
    stereo.recording = Recording.from_file(source / "two.wav")
    fast.recording = fast.recording.perturb_speed(1.1)
    empty.supervisions = []
    past.start = 1000.0
    half.supervisions = [SupervisionSegment("half-s", "session", 1.5, 2.0, text="Beyond the cut.")]
    remote.recording.sources = [AudioSource("url", [0], "a.example/b.wav")]
    mute.supervisions[0].text = None
    again = a_cut(source, "a/0", 1, 2)
    everything = [*cuts, stereo, fast, mixed.pad(5.0, preserve_id=True), empty, past, half, remote, mute, again]
    path = tmp_path / "cuts.jsonl"
    path.write_text("".join(json.dumps(cut.to_dict()) + "\n" for cut in everything) + "{not json\n")
    corpus = build(experiment("cutset", path, tmp_path / "runs", allowed_bad=0.9), tmp_path / "out")
    assert [(item.id, item.start, item.seconds) for item in corpus.utterances] == [
        (f"a-{i}-s", 2.0 * i + 0.5, 1.5) for i in range(4)
    ]
    found = reasons(corpus)
    expected = {
        "stereo-s": "2 channels",
        "fast-s": "(Speed)",
        "mixed": "is a MixedCut",
        "empty": "without a supervision",
        "past-s": "has no part from 1000.5 s",
        "half": "only a part of its supervision",
        "remote-s": "type 'url'",
        "mute-s": "without letters",
        "a-0-s (cuts.jsonl, 1.5 s)": "repeats an earlier id",
        "cuts.jsonl line 14": "is not JSON",
    }
    assert len(found) == len(expected)
    for item, part in expected.items():
        assert any(part in reason for key, reason in found.items() if key.startswith(item)), (item, found)
    CutSet.from_cuts(cuts).to_file(tmp_path / "plain.jsonl.gz")
    plain = build(experiment("cutset", tmp_path / "plain.jsonl.gz", tmp_path / "runs"), tmp_path / "out")
    assert plain.utterances == corpus.utterances


def test_what_is_no_manifest_is_refused(tmp_path: Path) -> None:
    source = tree("cutset", tmp_path / "tree")
    assert source is not None
    (tmp_path / "none").mkdir()
    (tmp_path / "cut.jsonl.gz").write_bytes((source / "mini_supervisions_all.jsonl.gz").read_bytes()[:50])
    for path, part in {
        tmp_path / "none": "holds no manifests",
        tmp_path / "nowhere": "is not a lhotse manifest",
        source / "session.wav": "is not a lhotse manifest",
        tmp_path / "cut.jsonl.gz": "cannot read",
        source / "mini_supervisions_all.jsonl.gz": "without recordings; give the folder",
    }.items():
        with pytest.raises(UserError, match=part):
            build(experiment("cutset", path, tmp_path / "runs"), tmp_path / "out")


# Splits


@pytest.mark.parametrize("name", TREES)
def test_given_splits_are_used_and_are_part_of_the_identity(tmp_path: Path, name: str) -> None:
    source = tree(name, tmp_path / "tree")
    settings = experiment(name, source, tmp_path / "runs")
    ids = [item.id for item in build(settings, tmp_path / "out").utterances]
    identity = CORPORA[name]().identity(settings)
    given = tmp_path / "splits"
    given.mkdir()
    (given / "dev.txt").write_bytes(b"\xef\xbb\xbf" + f"{ids[3]}\r\n\r\n".encode())
    (given / "test.txt").write_text(f"{ids[0]}\n{ids[1]}")
    settings.data.splits = str(given)
    corpus = build(settings, tmp_path / "out")
    assert corpus.splits == "given" and corpus.faults == ()
    wanted = {ids[0]: "test", ids[1]: "test", ids[3]: "dev"}
    assert {i.id: i.split for i in corpus.utterances} == {name: wanted.get(name, "train") for name in ids}
    changed = CORPORA[name]().identity(settings)
    assert changed != identity
    CorpusStore.write(tmp_path / "out", corpus.utterances, corpus.faults)
    settings.data.splits = str(tmp_path / "out" / FILE)
    assert build(settings, tmp_path / "again").utterances == corpus.utterances
    settings.data.splits = str(given)
    (given / "train.txt").write_text("\n".join(ids[5:]))
    assert CORPORA[name]().identity(settings) != changed
    left = build(settings, tmp_path / "out").faults
    assert {(f.item, f.bad) for f in left} == {(ids[2], False), (ids[4], False)}
    (given / "test.txt").write_text(f"{ids[1]}\n{ids[0]}\n")
    (given / "train.txt").unlink()
    assert CORPORA[name]().identity(settings) == changed, "the order of ids decides nothing"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no dev.txt"),
        ({"dev.txt": "u01"}, "has no test.txt"),
        ({"dev.txt": "u01", "test.txt": "\n"}, "has no id in its test split"),
        ({"dev.txt": "u01", "test.txt": "u02\nu01"}, "has u01 in dev and in test"),
        ({"dev.txt": "u01", "test.txt": "u02", "train.txt": "u02"}, "has u02 in train and in test"),
        ({"dev.txt": "u01", "test.txt": "u02\nu98\nu99"}, "names u98 (and 1 more), which the corpus does not have"),
        ({"splits.json": "{"}, "is not of the form"),
        ({"splits.json": '{"dev": ["u01"]}'}, "is not of the form"),
        ({"splits.json": '{"dev": ["u01"], "test": "u02"}'}, "is not of the form"),
        ({"splits.json": '{"dev": ["u01"], "test": [2]}'}, "is not of the form"),
        (None, "there is no data.splits="),
    ],
)
def test_wrong_splits_are_one_sentence(tmp_path: Path, files: dict[str, str] | None, said: str) -> None:
    given = tmp_path / "splits"
    for name, text in (files or {}).items():
        given.mkdir(exist_ok=True)
        (given / name).write_text(text)
    if files == {}:
        given.mkdir()
    path = given / "splits.json" if files and "splits.json" in files else given
    settings = experiment("folder", tree("folder", tmp_path / "tree"), tmp_path / "runs", splits=str(path))
    with pytest.raises(UserError) as refusal:
        build(settings, tmp_path / "out")
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_faulty_utterance_may_stand_in_given_splits(tmp_path: Path) -> None:
    source = tree("folder", tmp_path / "tree")
    assert source is not None
    (source / "wavs/u01.wav").write_bytes(b"")
    (tmp_path / "splits.json").write_text('{"dev": ["u00", "u01"], "test": ["u02"]}')
    settings = experiment("folder", source, tmp_path / "runs", splits=str(tmp_path / "splits.json"), allowed_bad=0.2)
    corpus = build(settings, tmp_path / "out")
    assert [item.id for item in corpus.utterances if item.split == "dev"] == ["u00"]
    settings.data.limit = 4
    assert {item.split for item in build(settings, tmp_path / "out").utterances} == set(SPLITS)


def test_the_testbed_takes_no_splits(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.splits is for recorded corpora"):
        load(None, [f"data.splits={tmp_path}"])


def test_a_sentence_in_two_splits_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from prosody_tts.pipeline import plan, run_stage

    source = tree("folder", tmp_path / "tree")
    assert source is not None
    clip(source / "wavs/again.wav", sentence(0))
    with (source / "metadata.csv").open("a", encoding="utf-8") as stream:
        stream.write(f"again|{sentence(0).upper()}\n")
    settings = experiment("folder", source, tmp_path / "runs")
    told = run_stage(plan(settings)[0], silent)["metrics"]
    assert told["leaks"] == 0 and told["splits"] == "hash" and "warning" not in told
    (tmp_path / "splits.json").write_text('{"dev": ["u05"], "test": ["again"]}')
    settings.data.splits = str(tmp_path / "splits.json")
    told = run_stage(plan(settings)[0], silent)["metrics"]
    assert told["leaks"] == 1 and told["splits"] == "given"
    assert told["warning"] == f"1 sentence stands in more than one split, such as '{sentence(0)}' in train and test"
