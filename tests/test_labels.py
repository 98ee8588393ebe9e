"""Corpora of labels: what is read is what stands there, what does not tie is told, vectors mean what they say."""

from __future__ import annotations

import itertools
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from label_corpora import grid_text, helsinki_corpus, helsinki_text, spoken, tiers, timing_corpus

from data_modules import labels as explicit
from data_modules.corpora import CORPORA
from data_modules.corpora.contract import Corpus, PhoneTime, Utterance, silent
from data_modules.labels import NO_CLASS, LabelStore, on_tokens
from data_modules.text.sentence import Word
from data_modules.text.words import find_words
from prosody_tts import cli
from prosody_tts.config import ROOT, Experiment, SamplerConfig, load
from prosody_tts.errors import UserError
from prosody_tts.evaluation.decisions import THREE_WAY, best_f1, most_accurate
from prosody_tts.evaluation.word_majority import word_majority
from prosody_tts.nn.priors import PRIORS
from prosody_tts.nn.reference import Posterior
from prosody_tts.pipeline import plan
from prosody_tts.systems import build_prior

SHARED = Path(os.environ.get("PROSODY_TTS_SHARED", ROOT.parent / "shared"))


#: The testbed's phones are eSpeak's.
IPA = "text.pronouncer=espeak"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels")


def experiment(corpus: str, path: Path, runs: Path, *more: str) -> Experiment:
    return load("timing", [f"corpus={corpus}", f"corpus_path={path}", f"run.folder={runs}", *more])


def build(corpus: str, path: Path, runs: Path, *more: str) -> Corpus:
    folder = runs / "built"
    folder.mkdir(exist_ok=True)
    return CORPORA[corpus]().build(experiment(corpus, path, runs, *more), folder, silent)


# ljspeech_timing ------------------------------------------------------------------------------------------------------

WORDS = [("", 0.0, 0.1), ("forty", 0.1, 0.4), ("two", 0.4, 0.6), ("", 0.6, 0.8), ("men", 0.8, 1.0)]
PHONES = [
    *[("sil", 0.0, 0.1), ("F", 0.1, 0.2), ("AO1", 0.2, 0.3), ("R", 0.3, 0.4), ("T", 0.4, 0.5), ("UW1", 0.5, 0.6)],
    *[("sp", 0.6, 0.8), ("M", 0.8, 0.9), ("EH1", 0.9, 0.95), ("N", 0.95, 1.0)],
]


def test_times_survive_the_way_through_text_grids(place: Path) -> None:
    found = {item.id: item for item in build("ljspeech_timing", timing_corpus(place), place, IPA).utterances}
    exact = {item.id: item for item in spoken(place / "spoken")}
    assert len(found) == len(exact) > 20
    for name, item in found.items():
        said, was = item.phones, exact[name].phones
        assert item.audio is None and said is not None and was is not None
        assert [(p.label, p.word) for p in said if p.word >= 0] == [(p.label, p.word) for p in was if p.word >= 0]
        np.testing.assert_allclose([p.end for p in said], [p.end for p in was], atol=2e-6)


def test_an_archive_holds_the_same_corpus(place: Path, tmp_path: Path) -> None:
    source = timing_corpus(place)
    with tarfile.open(tmp_path / "textgrids.tar.xz", "w:xz") as archive:
        archive.add(source / "TextGrid", "some/where")
    (tmp_path / "metadata.csv").write_bytes((source / "metadata.csv").read_bytes())
    packed, plain = (build("ljspeech_timing", path, place, IPA).utterances for path in (tmp_path, source))
    assert packed == plain


def test_what_is_left_out_has_its_reason(place: Path, tmp_path: Path) -> None:
    texts = {"whole": "Forty-two men.", "other": "Forty men.", "none": "Silence.", "strange": "Forty-two men."}
    (tmp_path / "metadata.csv").write_text("".join(f"{name}|{text}\n" for name, text in texts.items()))
    for name in ("whole", "other", "orphan"):
        (tmp_path / f"{name}.TextGrid").write_text(grid_text(WORDS, PHONES))
    unknown = [*WORDS[:4], ("<unk>", 0.8, 1.0)]
    (tmp_path / "strange.TextGrid").write_text(grid_text(unknown, [*PHONES[:7], ("spn", 0.8, 1.0)]))
    corpus = build("ljspeech_timing", tmp_path, place, "data.allowed_bad=0.9", "data.min_seconds=0.5")
    reasons = {fault.item: (fault.reason, fault.bad) for fault in corpus.faults}
    assert [item.id for item in corpus.utterances] == ["whole"]
    assert reasons == {
        "other": ("the grid says 'two' where the transcript has 'men'", True),
        "none": ("has no TextGrid", False),
        "strange": ("has a word that the aligner did not know", False),
        "orphan": ("has no transcript in metadata.csv", True),
    }


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (None, "is not a folder"),
        ({}, "has no metadata.csv"),
        ({"metadata.csv": b"a|b\n"}, "holds no .TextGrid file"),
        ({"metadata.csv": b"a|b\n", "textgrids.tar.xz": b"junk"}, "is no archive that can be read"),
        ({"metadata.csv": b"a|b\n", "a.TextGrid": b"junk"}, "is not a TextGrid in text form"),
        ({"metadata.csv": b"a|b\n", "a.TextGrid": b"\xff\x00"}, "is neither UTF-8 nor UTF-16"),
    ],
)
def test_a_wrong_folder_is_one_sentence(
    tmp_path: Path, files: dict[str, bytes] | None, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "given"
    if files is not None:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    arguments = ["train", "timing", f"corpus_path={folder}", f"run.folder={tmp_path / 'runs'}", "--workers", "0"]
    assert cli.run([*arguments, "run.progress=false"]) == 2
    told = capsys.readouterr().err
    assert sentence in told and "Traceback" not in told and told.count("error:") == 1


# helsinki -------------------------------------------------------------------------------------------------------------

LINES = (
    "<file>\ta.txt\nMany\t2\t0\t2.8\t0.1\n,\tNA\tNA\tNA\tNA\nno\t0\t0\t0.0\t0.0\n"
    "'DOUBT'\t0\t2\t0.3\t2.0\n.\tNA\tNA\tNA\tNA\n"
)


def helsinki(folder: Path, **files: str) -> Corpus:
    source = folder / "source"
    source.mkdir(exist_ok=True)
    for name, content in files.items():
        (source / f"{name}.txt").write_text(content)
    return build("helsinki", source, folder, "data.allowed_bad=0.9")


def test_labels_stand_on_their_words(tmp_path: Path) -> None:
    (utterance,) = helsinki(tmp_path, own=LINES).utterances
    assert utterance.text == "Many, no 'DOUBT'." and utterance.audio is None
    assert utterance.labels == {
        "prominence_class": [2, 0, 0],
        "boundary_class": [0, 0, 2],
        "prominence": [2.8, 0.0, 0.3],
        "boundary": [0.1, 0.0, 2.0],
    }


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "no\t0\t0\t0.0\t0.0",
            "no\t0\t0\tNA\t0.0",
            "line 4 has 'NA' as the prominence of 'no', where a number must be",
        ),
        ("no\t0\t0\t0.0", "no\t5\t0\t0.0", "line 4 has the prominence_class 5 for 'no', which is out of range"),
        ("no\t0\t0\t0.0", "no\t0\t0\tnan", "line 4 has the prominence nan for 'no', which is out of range"),
        (",\tNA\tNA\tNA", ",\t1\t1\t0.3", "line 3 gives ',' a label, which is no word"),
        ("no\t0\t0\t0.0\t0.0", "no\t0\t0\t0.0", "line 4 has 4 cells, not the 5 of word"),
        ("no\t", "no/more\t", "line 4 has 'no/more', which is 2 words with one label"),
        ("no\t", ".no\t", "starts a sentence of"),
    ],
)
def test_a_sentence_with_a_broken_line_is_left_out_with_its_reason(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    broken = LINES.replace(",\tNA", "\tNA") if new.startswith(".no") else LINES
    if new.startswith(".no"):
        broken = broken.replace("\tNA\tNA\tNA\tNA\nno", "Some\t0\t0\t0.0\t0.0\nno", 1)
    whole = LINES.replace("a.txt", "b.txt")
    corpus = helsinki(tmp_path, own=broken.replace(old, new, 1) + whole)
    assert [item.id for item in corpus.utterances] == ["b"]
    assert len(corpus.faults) == 1 and reason in corpus.faults[0].reason


def test_the_corpus_own_files_give_the_splits(tmp_path: Path) -> None:
    names = {"train_360": "a", "dev": "b", "test": "c"}
    files = {name: LINES.replace("a.txt", f"{letter}.txt") for name, letter in names.items()}
    corpus = helsinki(tmp_path, **files)
    assert {item.id: item.split for item in corpus.utterances} == {"a": "train", "b": "dev", "c": "test"}
    (tmp_path / "source" / "dev.txt").unlink()
    alone = helsinki(tmp_path, train_360=helsinki_text([f"The {word} came." for word in ("cat", "dog", "cow")]))
    assert {item.split for item in alone.utterances} == {"train", "dev", "test"}, "a hash decides"


@pytest.mark.parametrize("content", ["", "a|b|c\n", "Many\t2\t0\t2.8\t0.1\n"])
def test_a_file_of_another_format_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(UserError, match=r"own\.txt is not in the Helsinki Prosody Corpus's format"):
        helsinki(tmp_path, own=content)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.txt does not exist"):
        plan(experiment("helsinki", tmp_path / "nowhere.txt", tmp_path))


# Explicit vectors -----------------------------------------------------------------------------------------------------


def test_timing_is_what_its_definition_says() -> None:
    """Two phones of mean .1 and .2 s: a word of .1 + .2 s is as expected, the same at half the speed is log 2 above."""
    rows = [("A", 0.0, 0.05, 0), ("B", 0.05, 0.2, 0), ("sil", 0.2, 0.3, -1), ("A", 0.3, 0.45, 1), ("B", 0.45, 0.7, 1)]
    one = Utterance("one", "one", "x y", None, "train", phones=tuple(PhoneTime(*row) for row in rows))
    slow = tuple(PhoneTime(label, 2 * start, 2 * end, word) for label, start, end, word in rows)
    first, second = explicit.timing([one, replace(one, id="two", split="test", phones=slow)])
    assert first.exists.tolist() == [[False] * 2, [True, False], [False, True], [True, False], [False] * 2]
    np.testing.assert_allclose(first.values[[1, 3], 0], np.log([0.2 / 0.3, 0.4 / 0.3]), rtol=1e-6)
    np.testing.assert_allclose(second.values[[1, 3], 0] - first.values[[1, 3], 0], np.log(2), rtol=1e-5)
    np.testing.assert_allclose([first.values[2, 1], second.values[2, 1]], np.log1p([0.1 / 0.0125, 0.2 / 0.0125]))
    assert first.classes[2, 1] == 1 and (first.values[~first.exists] == 0).all()


def test_silences_below_the_threshold_are_no_pauses() -> None:
    def slot(silence: float) -> int:
        times = [("A", 0.0, 0.1, 0), ("sil", 0.1, 0.1 + silence, -1), ("A", 0.1 + silence, 0.3 + silence, 1)]
        phones = tuple(PhoneTime(*time) for time in times)
        return int(explicit.timing([Utterance("u", "u", "x y", None, "train", phones=phones)])[0].classes[2, 1])

    assert [slot(silence) for silence in (0.0, 0.03, 0.06, 0.5)] == [0, 0, 1, 1]


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=20), st.data())
def test_labels_lie_on_words_and_on_the_slots_between(of_words: list[float], data: st.DataObject) -> None:
    between = data.draw(st.lists(st.floats(-3, 3), min_size=len(of_words) - 1, max_size=len(of_words) - 1))
    made = on_tokens(of_words, between, [], [1] * len(between))
    assert made.values.shape == (1 + 2 * len(of_words), 2)
    np.testing.assert_array_equal(made.values[made.exists[:, 0], 0], np.float32(of_words))
    np.testing.assert_array_equal(made.values[made.exists[:, 1], 1], np.float32(between))
    assert not (made.exists[:, 0] & made.exists[:, 1]).any() and not made.exists[[0, -1]].any()
    assert (made.classes[:, 0] == NO_CLASS).all() and (made.values[~made.exists] == 0).all()


def test_labels_come_back_from_disk(tmp_path: Path) -> None:
    made = [on_tokens([0.5, -1.0], [2.0], [1, 0], [2]), on_tokens([3.0], [], [2], [])]
    LabelStore.write_labels(tmp_path, ["a", "b"], made)
    store = LabelStore(tmp_path)
    for name, item in zip("ab", made, strict=True):
        exists = store.exists(name)
        assert exists is not None and exists.dtype == np.bool_
        for found, wanted in (
            (store.mean(name), item.values),
            (exists, item.exists),
            (store.classes(name), item.classes),
        ):
            np.testing.assert_array_equal(found, wanted)
        assert not store.scale(name).any()


def test_a_dimension_that_no_training_sentence_has_is_told() -> None:
    single = Utterance("u", "u", "x", None, "train", phones=(PhoneTime("A", 0.0, 0.1, 0),))
    with pytest.raises(UserError, match="no training sentence with a label of pause"):
        explicit.label_corpus("ljspeech_timing", [single])


@pytest.mark.parametrize("name", sorted(PRIORS))
def test_what_does_not_exist_has_no_part_in_the_loss(name: str) -> None:
    torch.manual_seed(0)
    settings = SamplerConfig(prior=name, kl_direction="posterior_sampler", recurrent=8, dropout=0.0, own=1.0)
    prior = build_prior(settings, 6, 2)
    context, mean, mask = torch.randn(3, 5, 6), torch.randn(3, 5, 2), torch.ones(3, 5, dtype=torch.bool)
    exists = torch.rand(3, 5, 2) > 0.5
    everything = torch.ones_like(exists)

    def loss(values: torch.Tensor, there: torch.Tensor | None) -> torch.Tensor:
        torch.manual_seed(1)
        return prior.loss(context, Posterior(values, torch.full_like(values, 0.5), there), mask)

    if name in {"gaussian", "autoregressive"}:  # the others draw, and draw more where there is something to fill
        assert torch.allclose(loss(mean, None), loss(mean, everything)), "all there is as none missing"
    changed = torch.where(exists, mean, mean + 7)
    assert torch.allclose(loss(mean, exists), loss(changed, exists))
    assert not torch.allclose(loss(mean, everything), loss(changed, everything))


# Decisions ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1, max_size=12))
def test_thresholds_are_the_best_of_all(rows: list[tuple[int, int]]) -> None:
    predicted, labels = np.array([float(p) for p, _ in rows]), np.array([c for _, c in rows])
    places = np.arange(-1, 8) + 0.5
    for classes in (2, 3):
        known = np.minimum(labels, classes - 1)
        cuts = most_accurate(predicted, known, classes)
        assert len(cuts) == classes - 1 and (np.diff(cuts) >= 0).all()
        right = (np.searchsorted(cuts, predicted, side="right") == known).sum()
        tried = itertools.combinations_with_replacement(places, classes - 1)
        assert right == max(
            (np.searchsorted(row, predicted, side="right") == known).sum() for row in map(np.array, tried)
        )


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), min_size=1, max_size=12))
def test_the_f1_threshold_is_the_best_of_all(rows: list[tuple[int, int]]) -> None:
    predicted, labels = np.array([float(p) for p, _ in rows]), np.array([c for _, c in rows])

    def f1(cut: float) -> float:
        said = predicted >= cut
        return 2 * (said & (labels == 1)).sum() / max(said.sum() + labels.sum(), 1)

    (found,) = best_f1(predicted, labels)
    assert f1(found) == pytest.approx(max(f1(cut) for cut in np.arange(-1, 8) + 0.5))


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("camp", ["corpus=ljspeech_timing"], "corpus=ljspeech_timing has labels and no recordings, which camp needs"),
        ("baseline", ["corpus=helsinki"], "corpus=helsinki has labels and no recordings, which baseline needs"),
        ("timing", ["corpus=testbed"], "timing learns labels (vectors=labels), which corpus=testbed has not"),
        ("timing", ["units=phone"], "units=phone does not fit vectors=labels"),
        ("timing", ["units=utterance"], "units=utterance does not fit vectors=labels"),
        ("timing", ["acoustic.reference=variational"], "acoustic.reference=variational does not fit vectors=labels"),
        ("timing", ["textgrids=x"], "corpus=ljspeech_timing comes with its labels and aligns nothing"),
    ],
)
def test_systems_and_corpora_that_do_not_fit_are_refused(name: str, settings: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        load(name, settings)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_a_system_of_labels_cannot_speak(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.run(["synthesize", "timing", "corpus_path=x", f"run.folder={tmp_path}", "--text", "Hello."]) == 2
    assert "cannot speak" in capsys.readouterr().err


@pytest.mark.parametrize("corpus", ["ljspeech_timing", "helsinki"])
def test_a_corpus_without_its_path_is_told(corpus: str) -> None:
    with pytest.raises(UserError, match=f"corpus={corpus} needs corpus_path="):
        plan(load("timing", [f"corpus={corpus}"]))


# The real files -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (SHARED / "data" / "helsinki-prosody").is_dir(), reason="needs helsinki-prosody/dev.txt")
def test_the_helsinki_corpus_itself_is_read(tmp_path: Path) -> None:
    corpus = build("helsinki", SHARED / "data" / "helsinki-prosody" / "dev.txt", tmp_path)
    assert len(corpus.utterances) > 5600 and len(corpus.faults) < 100
    words = sum(len(item.labels["prominence"]) for item in corpus.utterances)
    assert words > 95_000 and all(
        len(item.labels["boundary"]) == len(find_words(item.text)) for item in corpus.utterances
    )


@pytest.mark.skipif(not (SHARED / "data" / "ljspeech-mfa").is_dir(), reason="needs ljspeech-mfa/textgrids.tar.xz")
def test_ljspeechs_own_text_grids_tie(tmp_path: Path) -> None:
    wanted = [f"LJ001-{number:04d}" for number in range(1, 60)]
    with tarfile.open(SHARED / "data" / "ljspeech-mfa" / "textgrids.tar.xz") as archive:
        for member in archive:
            if member.name.removesuffix(".TextGrid") in wanted:
                content = archive.extractfile(member)
                assert content is not None
                (tmp_path / member.name).write_bytes(content.read())
            elif member.name > "LJ002":
                break
    lines = (SHARED / "data" / "ljspeech-metadata.csv").read_text().splitlines(keepends=True)
    (tmp_path / "metadata.csv").write_text("".join(line for line in lines if line[:10] in wanted))
    corpus = build("ljspeech_timing", tmp_path, tmp_path)
    assert len(corpus.utterances) >= 45 and sum(fault.bad for fault in corpus.faults) <= 2
    sentence = next(item for item in corpus.utterances if item.id == "LJ001-0002")
    labelled = explicit.timing([sentence])[0]
    assert sentence.text == "in being comparatively modern." and labelled.exists[:, 0].sum() == 4


def test_tiers_of_the_testbed_are_whole(place: Path) -> None:
    """The helper of these tests writes what the exact times say, or the tests above would prove nothing."""
    for utterance in spoken(place / "spoken")[:3]:
        words, phones = tiers(utterance)
        assert [label for label, _, _ in words if label] == [w.text.lower() for w in find_words(utterance.text)]
        assert phones[0][1] == 0.0 and all(a[2] == b[1] for a, b in itertools.pairwise(phones))


def test_the_small_helsinki_corpus_is_sound(place: Path) -> None:
    corpus = build("helsinki", helsinki_corpus(place), place)
    assert not corpus.faults and len(corpus.utterances) > 20


def test_a_word_has_the_class_it_has_most_often(tmp_path: Path) -> None:
    """Against counting by hand; a word that is not trained on has the commonest class of all."""
    said = {"a": ("The dog ran.", [0, 2, 1]), "b": ("the Dog sat.", [0, 2, 1]), "c": ("The dog!", [1, 1])}
    held = {"d": ("Dog the cat.", [2, 0, 0]), "e": ("A dog.", [0, 1])}

    def words_of(name: str) -> tuple[Word, ...]:
        return find_words(rows[name][0])

    rows = {**said, **held}
    labels = [on_tokens(row, row[1:], row, row[1:]) for _, row in rows.values()]
    LabelStore.write_labels(tmp_path, list(rows), labels)
    stored = LabelStore(tmp_path)
    # dog 2 2 1, the 0 0 1, ran 1, sat 1; of all 0 0, 2 2, 1 1 1 1: unknown words are said to be 1.
    found = word_majority(words_of, stored, list(said), list(held), 0, THREE_WAY)
    assert found == pytest.approx(2 / 5)  # dog, the; not cat, a, nor the second dog
    assert word_majority(words_of, stored, list(said), list(held), 1, THREE_WAY) is None
