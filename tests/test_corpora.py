"""Corpora give sound utterances, name every fault, and hold out the same sentences every time."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from data_modules.corpora import CORPORA
from data_modules.corpora.allison import Allison, decode_g722, read_transcript
from data_modules.corpora.contract import Corpus, Fault, Utterance, silent
from data_modules.corpora.folder import Folder
from data_modules.corpora.screening import content_digest, sentence_id
from data_modules.corpora.splits import split_chapters, split_sentences, with_splits
from data_modules.corpora.spoken import spoken, without_notes
from data_modules.text.numbers import number_words
from prosody_tts.config import DataConfig, Experiment
from prosody_tts.errors import UserError
from prosody_tts.files import read_json

RATE = 16000


def voice(seconds: float = 1.5, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


def experiment(corpus: str, source: Path | None, run: Path, **data: float) -> Experiment:
    made = Experiment(corpus=corpus, corpus_path=None if source is None else str(source))  # type: ignore[arg-type]
    made.run.folder = str(run)
    for name, value in data.items():
        setattr(made.data, name, value)
    return made


def reasons(corpus: Corpus) -> dict[str, str]:
    return {fault.item: fault.reason for fault in corpus.faults}


# Splits


@given(st.sets(st.text("abcdef", min_size=1, max_size=6), min_size=3, max_size=60), st.integers(0, 5))
def test_every_split_has_a_sentence(names: set[str], seed: int) -> None:
    assert set(split_sentences(sorted(names), DataConfig(seed=seed)).values()) == {"train", "dev", "test"}


@given(st.sets(st.integers(0, 10**6), min_size=120, max_size=160), st.integers(0, 5))
def test_adding_a_sentence_moves_no_other(numbers: set[int], seed: int) -> None:
    names = [str(number) for number in sorted(numbers)]
    data = DataConfig(seed=seed, dev_share=0.3, test_share=0.3)
    few, all_of_them = split_sentences(names[:-1], data), split_sentences(names[::-1], data)
    assert few == {name: all_of_them[name] for name in few}


def test_shares_are_kept_and_the_seed_matters() -> None:
    names = [f"s{i}" for i in range(4000)]
    splits = split_sentences(names, DataConfig())
    assert abs(list(splits.values()).count("test") / 4000 - 0.12) < 0.02
    assert abs(list(splits.values()).count("dev") / 4000 - 0.08) < 0.02
    assert splits != split_sentences(names, DataConfig(seed=1))


def test_no_share_no_split() -> None:
    names = [f"s{i}" for i in range(50)]
    assert set(split_sentences(names, DataConfig(dev_share=0, test_share=0)).values()) == {"train"}


def test_one_or_two_sentences_still_get_a_split() -> None:
    assert len(split_sentences(["a"], DataConfig())) == 1
    assert split_sentences([], DataConfig()) == {}


def test_counts_hold_out_as_many_sentences_the_first_of_the_hash() -> None:
    names = [f"s{place}" for place in range(400)]
    shares = split_sentences(names, DataConfig())
    counted = split_sentences(names, DataConfig(test_count=12, dev_count=30))
    assert [list(counted.values()).count(split) for split in ("test", "dev", "train")] == [12, 30, 358]
    assert {name for name, split in counted.items() if split == "test"} < {
        name for name, split in shares.items() if split == "test"
    }
    # The one that is counted leaves the other a share.
    half = split_sentences(names, DataConfig(test_count=12))
    assert list(half.values()).count("test") == 12
    assert abs(list(half.values()).count("dev") / 400 - DataConfig().dev_share) < 0.03
    # A sentence more moves no more than one over each border.
    more = split_sentences([*names, "another"], DataConfig(test_count=12, dev_count=30))
    assert sum(more[name] != counted[name] for name in names) <= 2
    with pytest.raises(UserError, match="leave nothing to train on of 400 sentences"):
        split_sentences(names, DataConfig(test_count=300, dev_count=100))


def test_a_larger_limit_only_adds() -> None:
    items = [Utterance(f"u{i}", f"s{i}", "text", "a.wav", "train") for i in range(40)]
    few = {item.id for item in with_splits(items, [], DataConfig(limit=7))[0]}
    more = {item.id for item in with_splits(items, [], DataConfig(limit=20))[0]}
    assert len(few) == 7 and len(more) == 20 and few < more


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(1, 30), min_size=3, max_size=30),
    st.integers(0, 5),
)
def test_chapters_are_held_out_whole(sizes: dict[str, int], seed: int) -> None:
    """No chapter in two splits, none empty, no sentence of a held-out chapter in training; nothing is lost silently."""
    items = [
        Utterance(f"{name}-{row}", f"{row % 7}" if row % 5 == 0 else f"{name}{row}", "text", None, "train")
        for name, size in sizes.items()
        for row in range(size)
    ]
    faults: list[Fault] = []
    data = DataConfig(seed=seed, dev_share=0.2, test_share=0.2)
    chapters = {item.id: item.id.partition("-")[0] for item in items}
    kept, source = with_splits(items, faults, data, None, chapters)
    assert source == "hash" and set(split_chapters(sizes, data).values()) == {"train", "dev", "test"}
    where: dict[str, set[str]] = {}
    said: dict[str, set[str]] = {}
    for item in kept:
        where.setdefault(chapters[item.id], set()).add(item.split)
        said.setdefault(item.sentence, set()).add(item.split)
    assert all(len(splits) == 1 for splits in where.values()) and all(len(splits) == 1 for splits in said.values())
    assert {item.id for item in kept} | {fault.item for fault in faults} == set(chapters)
    assert all(not fault.bad for fault in faults)


def test_chapters_meet_the_shares() -> None:
    """Within half a chapter, however unlike they are in length."""
    sizes = {f"c{number}": 10 + 13 * number % 90 for number in range(97)}
    for seed in range(5):
        found = split_chapters(sizes, DataConfig(seed=seed, dev_share=0.05, test_share=0.1))
        shares = {s: sum(sizes[name] for name, split in found.items() if split == s) for s in ("test", "dev")}
        total = sum(sizes.values())
        assert abs(shares["test"] / total - 0.1) < 0.02 and abs(shares["dev"] / total - 0.05) < 0.02


# The text of prompts


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (57, "fifty seven"),
        (500, "five hundred"),
        (8500, "eight thousand five hundred"),
        (310012, "three hundred ten thousand twelve"),
    ],
)
def test_numbers_are_spelled(number: int, words: str) -> None:
    assert number_words(number).replace("-", " ") == words


@given(st.integers(0, 999_999))
def test_number_words_can_be_read_back(number: int) -> None:
    values = {number_words(n): n for n in [*range(20), *range(20, 100, 10)]}
    total = part = 0
    for word in number_words(number).replace("-", " ").split():
        if word == "thousand":
            total, part = total + part * 1000, 0
        elif word == "hundred":
            part *= 100
        else:
            part += values[word]
    assert total + part == number


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Press 1 to mute, 2 to lock.", "Press one to mute, two to lock."),
        ("press * to pause, press # to go on", "press star to pause, press pound to go on"),
        ("... letters of your party's name.", "letters of your party's name."),
        ("visit www.asterisk.org.", "visit w w w dot asterisk dot org."),
        ("H.323", "H three two three"),
        ("A.M.", "A M"),
        ("3D audio enabled", "three D audio enabled"),
        ("to umute yourself", "to umute yourself"),
        ("Please enter the first ...", "Please enter the first..."),
        ("dial 0800", "dial zero eight zero zero"),
    ],
)
def test_prompts_are_written_as_they_are_said(text: str, said: str) -> None:
    assert spoken(text) == said


@pytest.mark.parametrize(
    ("text", "words", "sounds"),
    [
        ("at [@]", "at", False),
        ('IAX (note: does not say "2")', "IAX", False),
        ("Hang up. (simple tone sound plays)", "Hang up.", True),
        ("<beep ascending>", "", True),
        ("(10 seconds of silence)", "", True),
        ("At the tone, please say your name.", "At the tone, please say your name.", False),
    ],
)
def test_notes_are_told_from_speech(text: str, words: str, sounds: bool) -> None:
    assert without_notes(text) == (words, sounds)


def test_renditions_share_a_sentence_whatever_the_punctuation() -> None:
    assert sentence_id("Please try again.") == sentence_id("please  try again")
    assert sentence_id("I'm sorry.") != sentence_id("I am sorry.")


# The folder corpus


def make_folder(folder: Path, count: int = 20) -> Path:
    (folder / "wavs").mkdir(parents=True)
    lines = []
    for i in range(count):
        soundfile.write(folder / "wavs" / f"u{i:02}.wav", voice(seed=i), RATE)
        lines.append(f'u{i:02}|He said "No. {i}"|He said "number {number_words(i)}"')
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_sound_folder_gives_all_its_utterances(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "speech")
    settings = experiment("folder", source, tmp_path / "runs")
    corpus = Folder().build(settings, tmp_path / "out", silent)
    assert [item.id for item in corpus.utterances] == [f"u{i:02}" for i in range(20)]
    assert corpus.utterances[3].text == 'He said "number three"'
    assert corpus.faults == ()
    assert all(Path(item.audio).is_absolute() and Path(item.audio).is_file() for item in corpus.utterances)
    assert {item.split for item in corpus.utterances} == {"train", "dev", "test"}
    assert corpus == Folder().build(settings, tmp_path / "out", silent)


def test_metadata_of_other_programs_is_understood(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "speech", 3)
    text = "\ufeffu00|“Quoted”, one\u2028line\r\nu01|only raw|\r\n\r\nu02|raw|normalised\r\n"
    (source / "metadata.csv").write_bytes(text.encode("utf-8"))
    corpus = Folder().build(experiment("folder", source, tmp_path / "runs"), tmp_path / "out", silent)
    assert [item.text for item in corpus.utterances] == ["“Quoted”, one\u2028line", "only raw", "normalised"]


def spoil(source: Path) -> dict[str, str]:
    """Break one utterance in every way; returns what the fault of each item must say."""
    wavs = source / "wavs"
    good = voice()
    broken = good.copy()
    broken[5] = np.inf
    (wavs / "u00.wav").unlink()
    (wavs / "u01.wav").write_bytes(b"")
    (wavs / "u02.wav").write_bytes((wavs / "u02.wav").read_bytes()[:9000])
    soundfile.write(wavs / "u03.wav", good * 1e-4, RATE)
    soundfile.write(wavs / "u04.wav", np.stack([good, good], 1), RATE)
    soundfile.write(wavs / "u05.wav", broken, RATE, subtype="FLOAT")
    soundfile.write(wavs / "stranger.wav", good, RATE)
    soundfile.write(source / "outside.wav", good, RATE)
    soundfile.write(wavs / "u07.wav", voice(0.5), RATE)
    soundfile.write(wavs / "u08.wav", voice(16.0), RATE)
    lines = (source / "metadata.csv").read_text().splitlines()
    lines[6] = "u06|... — !"
    lines += ["u09|again", "../outside|climbs out", "u10 has no bar"]
    (source / "metadata.csv").write_text("\n".join(lines))
    return {
        "u00": "has no recording",
        "u01": "is empty",
        "u02": "is truncated",
        "u03": "is silent",
        "u04": "has 2 channels",
        "u05": "not finite",
        "u06": "without letters",
        "u07": "data.min_seconds=1",
        "u08": "data.max_seconds=15",
        "u09 (line 21)": "repeats the id",
        "../outside": "leaves the folder",
        "u10 has no bar": "not of the form",
        "stranger": "no transcript",
    }


def test_every_fault_is_named_and_left_out(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "speech")
    expected = spoil(source)
    settings = experiment("folder", source, tmp_path / "runs", allowed_bad=0.9)
    corpus = Folder().build(settings, tmp_path / "out", silent)
    found = reasons(corpus)
    assert set(found) == set(expected)
    for item, part in expected.items():
        assert part in found[item], item
    assert {fault.item for fault in corpus.faults if not fault.bad} == {"u07", "u08"}
    assert {item.id for item in corpus.utterances} == {f"u{i:02}" for i in range(9, 20)}
    assert [fault["item"] for fault in read_json(tmp_path / "out" / "faults.json")] == list(found)


def test_too_many_faults_are_refused_with_their_number_and_place(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "speech")
    spoil(source)
    with pytest.raises(UserError, match=r"11 of 24 utterances are faulty.*u.*faults\.json") as refusal:
        Folder().build(experiment("folder", source, tmp_path / "runs"), tmp_path / "out", silent)
    assert len(read_json(tmp_path / "out" / "faults.json")) == 13
    assert "\n" not in str(refusal.value)


def test_exclusions_by_setting_are_not_faults(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "speech", 6)
    for i in range(4):
        soundfile.write(source / "wavs" / f"u{i:02}.wav", voice(0.3), RATE)
    settings = experiment("folder", source, tmp_path / "runs", allowed_bad=0.0)
    assert len(Folder().build(settings, tmp_path / "out", silent).utterances) == 2
    settings = experiment("folder", source, tmp_path / "runs", min_seconds=5.0)
    with pytest.raises(UserError, match="no usable utterance"):
        Folder().build(settings, tmp_path / "out", silent)


@pytest.mark.parametrize("missing", ["folder", "metadata.csv", "wavs", "encoding"])
def test_a_folder_of_another_form_is_refused(tmp_path: Path, missing: str) -> None:
    source = make_folder(tmp_path / "speech", 3)
    if missing == "folder":
        shutil.rmtree(source)
    elif missing == "wavs":
        shutil.rmtree(source / "wavs")
    elif missing == "metadata.csv":
        (source / "metadata.csv").unlink()
    else:
        (source / "metadata.csv").write_bytes("u00|gut\nu01|schön\nu02|fein".encode("latin-1"))
    with pytest.raises(UserError, match="u01 metadata.csv line 2 is not UTF-8" if missing == "encoding" else missing):
        Folder().build(experiment("folder", source, tmp_path / "runs"), tmp_path / "out", silent)


def test_identity_follows_contents(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "speech", 3)
    settings = experiment("folder", source, tmp_path / "runs")
    first = Folder().identity(settings)
    assert first == Folder().identity(settings)
    path = source / "wavs" / "u01.wav"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    second = Folder().identity(settings)
    assert second != first
    (source / "metadata.csv").write_text("u00|other")
    assert Folder().identity(settings) not in (first, second)
    settings.data.seed = 7
    assert Folder().identity(settings)["data"]["seed"] == 7


def test_contents_are_remembered_and_noticed_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(b"one")
    os.utime(path, (1000, 1000))
    first = content_digest([("clip", path)], tmp_path)
    assert content_digest([("clip", path)], tmp_path) == first
    assert read_json(tmp_path / "contents.json")[str(path)][:2] == [3, 1000 * 10**9]
    path.write_bytes(b"two")
    assert content_digest([("clip", path)], tmp_path) != first
    (tmp_path / "contents.json").write_text("{ damaged")
    path.write_bytes(b"one")
    assert content_digest([("clip", path)], tmp_path) == first


# The prompts


def encode_g722(path: Path, wave: np.ndarray) -> None:
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray((wave[None] * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


TRANSCRIPT = """; a comment: not a prompt

hello: Hello, and welcome.
digits/1: one
vm-press: Press 1 to listen...
vm-again: press one to listen
beep: [this is a simple beep tone]
lost: I have no recording.
"""


def make_prompts(folder: Path) -> Path:
    """Unpacked packages, made from nothing; returns the folder that is to be ``corpus_path``."""
    share = folder / "usr/share"
    sounds = share / "asterisk/sounds/en_US_f_Allison"
    for name, seconds in {"hello": 1.5, "digits/1": 0.5, "vm-press": 2.0, "vm-again": 1.2, "beep": 1.0}.items():
        encode_g722(sounds / f"{name}.g722", voice(seconds))
    transcript = share / "doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    transcript.parent.mkdir(parents=True)
    with gzip.open(transcript, "wt", encoding="utf-8") as stream:
        stream.write(TRANSCRIPT)
    return folder


def test_prompts_are_decoded_and_their_text_is_what_is_said(tmp_path: Path) -> None:
    source = make_prompts(tmp_path / "unpacked")
    settings = experiment("allison", source, tmp_path / "runs", allowed_bad=0.2)
    corpus = Allison().build(settings, tmp_path / "out", silent)
    texts = {item.id: item.text for item in corpus.utterances}
    assert texts == {
        "hello": "Hello, and welcome.",
        "vm-press": "Press one to listen...",
        "vm-again": "press one to listen",
    }
    sentences = {item.id: (item.sentence, item.split) for item in corpus.utterances}
    assert sentences["vm-press"] == sentences["vm-again"] != sentences["hello"]
    found = reasons(corpus)
    assert "data.min_seconds" in found["digits/1"] and "beep tone" in found["beep"]
    assert [fault.item for fault in corpus.faults if fault.bad] == ["lost"]
    wave, rate = soundfile.read(corpus.folder / "wavs/hello.wav")
    assert rate == RATE and len(wave) == 1.5 * RATE
    assert np.corrcoef(wave[22:], voice(1.5)[:-22])[0, 1] > 0.95, "G.722 delays by 22 samples and adds some noise"


def test_the_prompts_identity_follows_contents_not_places(tmp_path: Path) -> None:
    source = make_prompts(tmp_path / "unpacked")
    first = Allison().identity(experiment("allison", source, tmp_path / "runs"))
    shutil.copytree(source, tmp_path / "moved")
    assert Allison().identity(experiment("allison", tmp_path / "moved", tmp_path / "runs")) == first
    encode_g722(tmp_path / "moved/usr/share/asterisk/sounds/en_US_f_Allison/hello.g722", voice(1.5, seed=1))
    assert Allison().identity(experiment("allison", tmp_path / "moved", tmp_path / "runs")) != first


def test_a_folder_without_prompts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not hold the prompts"):
        Allison().identity(experiment("allison", tmp_path, tmp_path / "runs"))


def test_damaged_prompts_are_named(tmp_path: Path) -> None:
    source = make_prompts(tmp_path / "unpacked")
    sounds = source / "usr/share/asterisk/sounds/en_US_f_Allison"
    (sounds / "hello.g722").write_bytes(b"")
    encode_g722(sounds / "vm-press.g722", np.zeros(2 * RATE, np.float32))
    settings = experiment("allison", source, tmp_path / "runs", allowed_bad=0.9)
    found = reasons(Allison().build(settings, tmp_path / "out", silent))
    assert "is empty" in found["hello"] and "is silent" in found["vm-press"]
    with pytest.raises(UserError, match="3 of 6"):
        Allison().build(experiment("allison", source, tmp_path / "runs"), tmp_path / "out", silent)


def test_a_damaged_transcript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "core-sounds-en.txt.gz"
    path.write_bytes(gzip.compress(TRANSCRIPT.encode())[:40])
    with pytest.raises(UserError, match="cannot read the transcripts"):
        read_transcript(path)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without the prompts, whose ``apt-get`` the test writes into the folder returned."""
    monkeypatch.setattr("data_modules.corpora.allison._INSTALLED", tmp_path / "nowhere")
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return tools


def write_tool(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_failed_download_says_what_to_do_and_leaves_nothing(tmp_path: Path, nowhere: Path) -> None:
    write_tool(nowhere / "apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    settings = experiment("allison", None, tmp_path / "runs")
    with pytest.raises(UserError, match=r"Unable to locate package.*apt-get update.*corpus_path"):
        Allison().build(settings, tmp_path / "out", silent)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs Debian's dpkg-deb to make a package")
def test_the_packages_are_fetched_and_unpacked_once(tmp_path: Path, nowhere: Path) -> None:
    package = make_prompts(tmp_path / "package")
    (package / "DEBIAN").mkdir()
    (package / "DEBIAN/control").write_text(
        "Package: prompts\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: test\n"
    )
    subprocess.run(["dpkg-deb", "-b", str(package), str(tmp_path / "prompts.deb")], check=True, capture_output=True)
    write_tool(nowhere / "apt-get", f"cp {tmp_path}/prompts.deb .; echo called >> {tmp_path}/calls")
    settings = experiment("allison", None, tmp_path / "runs", allowed_bad=0.2)
    identity = Allison().identity(settings)
    first = Allison().build(settings, tmp_path / "out", silent)
    assert len(first.utterances) == 3
    assert Allison().build(settings, tmp_path / "out", silent) == first
    assert (tmp_path / "calls").read_text() == "called\n"
    assert Allison().identity(settings) == identity


def test_g722_of_garbage_is_still_a_wave_of_two_samples_a_byte(tmp_path: Path) -> None:
    """G.722 has no header: any bytes decode, so only length and loudness can be checked."""
    (tmp_path / "noise.g722").write_bytes(np.random.default_rng(0).bytes(800))
    assert decode_g722(tmp_path / "noise.g722").shape == (1600,)


def test_the_registry_makes_every_corpus() -> None:
    assert {"allison", "folder"} <= set(CORPORA)
    for name in ("allison", "folder"):
        builder = CORPORA[name]()
        assert callable(builder.identity) and callable(builder.build)
