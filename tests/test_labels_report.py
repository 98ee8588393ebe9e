"""Promises of the report on labels: whole, alone, safe with any text, and its figures say what was measured."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_reading import HOSTILE, Reader, assert_alone, assert_escaped, assert_links_lead_somewhere
from rich.console import Console

from prosody_tts.config import LABELS
from prosody_tts.errors import UserError
from prosody_tts.evaluation.decisions import DECISIONS
from prosody_tts.evaluation.label_metrics import MEANINGS, METRICS
from prosody_tts.evaluation.labels import LabelResult, Track, write_label_results
from prosody_tts.evaluation.pairs import Pair, cell
from prosody_tts.report import figures, labels_figures, labels_page
from prosody_tts.report.labels_build import build
from prosody_tts.report.labels_figures import Pooled, calibrated
from prosody_tts.report.labels_page import short_names
from prosody_tts.report.labels_table import MAIN, LabelTable
from prosody_tts.report.provenance import Provenance
from prosody_tts.report.table import number

PROVENANCE = Provenance(
    corpus="helsinki",
    split="test",
    seed=0,
    vocoder="",
    commit="0123456789abcdef0123",
    clean=False,
    size="smoke",
    command="prosody-tts sweep sweeps/timing.yaml 'corpus=<b>'",
    identities={"timing": "abcdef"},
    notes=("2 utterances were left out.",),
)
#: Share of what was measured that each system knows.
SYSTEMS = {
    "timing, sampler.contexts=['phones']": 0.2,
    "timing, sampler.contexts=['bert', 'tags']": 0.8,
    "timing, <img src=x onerror=alert(1)>": 0.5,
}
CORPORA = sorted(LABELS)


def track(dimension: str, places: np.ndarray, share: float, draw: np.random.Generator) -> Track:
    """Labels that are measured, and a prediction that knows a share of them."""
    measured = draw.gamma(1.0, 0.8, len(places))
    predicted = share * measured + 0.1 * draw.normal(size=len(places))
    decisions = {
        name: tuple(
            np.minimum((row > 0.5).astype(int) + (row > 1.2), decision.classes - 1) for row in (measured, predicted)
        )
        for name, decision in DECISIONS.get(dimension, {}).items()
    }
    return Track(places, measured, predicted, decisions)  # type: ignore[arg-type]


def results(corpus: str, share: float, sentences: int = 6) -> list[LabelResult]:
    """One system's evaluation; the first sentence is hostile, the last too long for a line."""
    found = []
    for place in range(sentences):
        words = HOSTILE.split(" ") if place == 0 else ["word"] * (60 if place == sentences - 1 else 3 + place)
        text = HOSTILE if place == 0 else " ".join(words)
        tokens = ("", *(part for word in words for part in (word, "")))
        draw = np.random.default_rng(place)
        places = (np.arange(len(words)) * 2 + 1, np.arange(len(words) - 1) * 2 + 2)
        tracks = {name: track(name, row, share, draw) for name, row in zip(LABELS[corpus], places, strict=True)}
        found.append(LabelResult(f"u{place}", f"s{place}", text, tokens, tracks))
    return found


def evaluate(root: Path, corpus: str) -> dict[str, Path]:
    """Evaluations on disk, as the stage leaves them."""
    folders = {}
    for place, (name, share) in enumerate(SYSTEMS.items()):
        folders[name] = root / f"evaluate{place}"
        folders[name].mkdir(parents=True)
        write_label_results(folders[name], results(corpus, share))
    return folders


@pytest.fixture(scope="module", params=CORPORA)
def built(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    folders = evaluate(root, request.param)
    shown = build(root / "report", folders, PROVENANCE, resamples=100, examples=3)
    return request.param, root / "report", folders, shown


@pytest.fixture(scope="module")
def page(built) -> str:
    return (built[1] / "index.html").read_text()


@pytest.fixture(scope="module")
def read(page) -> Reader:
    return Reader(page)


def test_the_page_stands_alone(page, read) -> None:
    assert_alone(page, read)
    assert_links_lead_somewhere(page, read)


def test_texts_and_names_are_text(page, read) -> None:
    assert_escaped(page, read)
    assert not read.all("img")
    # The words of the figure too, dollars not taken for mathematics.
    assert {"$5", "$6"} <= set(read.words)


def test_the_page_says_what_the_table_says(built, read) -> None:
    corpus, folder, _, _ = built
    words = {word.strip() for word in read.words}
    rows = json.loads((folder / "table.json").read_text())
    assert {row["system"] for row in rows} == set(SYSTEMS) <= words
    assert {number(row["value"]) for row in rows} <= words
    assert {METRICS[row["metric"]].definition for row in rows} <= words
    assert all(any(MEANINGS[name] in word for word in words) for name in LABELS[corpus])
    assert {PROVENANCE.command, PROVENANCE.tree(), "timing abcdef", PROVENANCE.notes[0]} <= words
    best = "timing, sampler.contexts=['bert', 'tags'] explains most"
    assert sum(best in word for word in words) == len(LABELS[corpus])


def test_accuracies_stand_beside_the_commonest_class_and_the_papers(built, read) -> None:
    corpus, folder, _, _ = built
    text = " ".join(read.words)
    decides = corpus == "helsinki"
    assert ("Who always says the commonest class has" in text) == decides
    assert ("arXiv 1908.02262" in text) == decides and ("83.2" in text) == decides
    assert ("Who always says" in (folder / "table.md").read_text()) == decides


def test_every_system_is_drawn_in_every_figure(built, page, read) -> None:
    corpus, _, _, _ = built
    words = Reader(re.sub(r"<table>.*?</table>", "", page, flags=re.S)).words
    labels = [str(svg["aria-label"]) for svg in read.all("svg") if "aria-label" in svg]
    assert len(labels) == len(set(labels)) == 3 * len(LABELS[corpus]) + 3
    for name in short_names(list(SYSTEMS)):
        # Metrics, distributions and calibration of each dimension; and it can be ticked in each of three sentences.
        assert sum(word.strip() == name for word in words) == 3 * len(LABELS[corpus]) + 3


def test_every_pair_of_systems_is_tested_and_told(built, read) -> None:
    corpus, folder, _, _ = built
    found = [Pair.from_dict(pair) for pair in json.loads((folder / "pairs.json").read_text())]
    tested = {pair.metric for pair in found}
    assert {f"{name}_r2" for name in LABELS[corpus]} <= tested
    assert len(found) == 3 * len(tested)
    # The more of the labels a system knows, the smaller its errors.
    order = sorted(SYSTEMS, key=lambda name: SYSTEMS[name])
    for pair in found:
        if pair.metric.endswith("_r2"):
            assert order.index(pair.better) == max(order.index(pair.one), order.index(pair.other))
    words = {word.strip() for word in read.words}
    assert {cell(pair.one, pair.other, [pair]) for pair in found if pair.metric in MAIN} <= words
    text = (folder / "table.md").read_text()
    assert all(f"## Pairs: {METRICS[name].label}" in text for name in tested & set(MAIN))


def test_draws_stand_in_figures_and_tables(tmp_path) -> None:
    def drawn(spread: float) -> list[LabelResult]:
        found = []
        for result in results("ljspeech_timing", 0.5, sentences=8):
            draw = np.random.default_rng(1)
            tracks = {
                name: replace(one, draws=one.predicted + spread * draw.normal(size=(5, len(one.places))))
                for name, one in result.tracks.items()
            }
            found.append(replace(result, tracks=tracks))
        return found

    folders = {"point": tmp_path / "a", "drawn": tmp_path / "b"}
    write_label_results(folders["point"], results("ljspeech_timing", 0.5, sentences=8))
    write_label_results(folders["drawn"], drawn(0.6))
    build(tmp_path / "report", folders, PROVENANCE, resamples=20)
    rows = {
        (row["system"], row["metric"]): row["value"]
        for row in json.loads((tmp_path / "report" / "table.json").read_text())
    }
    assert ("drawn", "timing_jsd_share") in rows and ("point", "timing_jsd_share") not in rows
    assert rows["drawn", "timing_sd_drawn"] > rows["drawn", "timing_sd"] == rows["point", "timing_sd"]
    assert rows["drawn", "timing_diversity"] == pytest.approx(0.6, rel=0.2)
    assert "| drawn |" in (tmp_path / "report" / "table.md").read_text().split("## Distribution: timing")[1]


def test_only_the_best_system_of_a_sentence_is_shown_at_first(read) -> None:
    boxes = read.all("input")
    assert len(boxes) == 3 * len(SYSTEMS)
    assert {str(box["value"]) for box in boxes if "checked" in box} == {"s2"}
    series = [str(group["class"]).split() for group in read.all("g") if "series" in str(group.get("class"))]
    assert {kinds[1] for kinds in series} == {"s1", "s2", "s3"}
    assert all(("off" in kinds) == (kinds[1] != "s2") for kinds in series)


@pytest.mark.parametrize("built", ["helsinki"], indirect=True)
def test_the_same_inputs_give_the_same_bytes(built, tmp_path) -> None:
    corpus, folder, folders, _ = built
    build(tmp_path, folders, PROVENANCE, resamples=100, examples=3)
    pictures = {f"{name}_{kind}.png" for name in LABELS[corpus] for kind in ("metrics", "distribution", "calibration")}
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "index.html",
        "table.csv",
        "table.json",
        "table.md",
        "table.tex",
        "pairs.json",
        "provenance.json",
        *pictures,
    }
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_figures_are_pictures(built) -> None:
    import matplotlib.image

    for path in built[1].glob("*.png"):
        pixels = matplotlib.image.imread(path)
        assert min(pixels.shape[:2]) > 150 and np.ptp(pixels[..., :3]) > 0.6  # ink on paper


def test_the_terminal_names_systems_and_intervals(built) -> None:
    console = Console(width=250, record=True, file=io.StringIO())
    console.print(built[3])
    terminal = console.export_text()
    assert all(name in terminal for name in SYSTEMS) and "±" in terminal and "seed 0" in terminal


def test_systems_of_other_utterances_are_refused(built, tmp_path) -> None:
    corpus, _, folders, _ = built
    write_label_results(tmp_path, results(corpus, 0.5)[:-1])
    with pytest.raises(UserError, match="were evaluated on different utterances"):
        build(tmp_path / "report", {**folders, "other": tmp_path}, PROVENANCE, resamples=20)
    assert not (tmp_path / "report").exists()


def test_one_system_of_one_sentence_has_a_page(tmp_path) -> None:
    write_label_results(tmp_path, results("helsinki", 0.5, sentences=2)[1:])
    build(tmp_path / "report", {"timing": tmp_path}, PROVENANCE, resamples=20)
    assert "explains most" not in (tmp_path / "report" / "index.html").read_text()


# What the figures draw ------------------------------------------------------------------------------------------------


def drawings(corpus: str = "helsinki", **shares: float) -> labels_page.Drawings:
    names = tuple(shares)
    return labels_page.Drawings(
        LabelTable((), names, (), LABELS[corpus]), {name: results(corpus, share) for name, share in shares.items()}
    )


def test_bars_of_a_sentence_are_the_speakers_and_marks_the_systems() -> None:
    drawn = drawings(a=0.2, b=0.9)
    found = drawn.results["a"][3]
    figure = drawn.sentence(found.id)
    for axes, (dimension, own) in zip(figure.axes, found.tracks.items(), strict=True):
        np.testing.assert_allclose([bar.get_height() for bar in axes.patches], own.reference)
        lines = {line.get_gid(): line for line in axes.get_lines() if line.get_gid()}
        for number_, name in enumerate("ab", start=1):
            said = drawn.results[name][3].tracks[dimension]
            (path,) = (line for gid, line in lines.items() if gid.startswith(f"series-{number_}-line"))
            np.testing.assert_allclose(path.get_ydata(), said.predicted)
            marks = [line for gid, line in lines.items() if gid.startswith(f"series-{number_}-marks")]
            filled = sum(
                len(line.get_ydata()) for line in marks if line.get_markerfacecolor() == line.get_markeredgecolor()
            )
            assert filled == (said.decisions["three_way"][1] > 0).sum()
    written = [text.get_text() for text in figure.texts]
    classes = found.tracks["boundary"].decisions["three_way"][0]
    assert [word for word in written if word in {"|", "‖"}] == [("|", "‖")[c - 1] for c in classes if c]
    assert [word for word in written if word not in {"|", "‖"}] == [token for token in found.tokens if token]


def test_a_long_sentence_is_broken_into_lines_and_loses_no_word() -> None:
    drawn = drawings(a=0.5)
    found = drawn.results["a"][-1]
    figure = drawn.sentence(found.id)
    assert len(figure.axes) > 2 and figure.get_figwidth() < 12
    for place, own in enumerate(found.tracks.values()):
        heights = [bar.get_height() for axes in figure.axes[place::2] for bar in axes.patches]
        np.testing.assert_allclose(heights, own.reference)
    assert sum(text.get_text() == "word" for text in figure.texts) == 60


def test_distributions_hold_every_token_and_tell_both_spreads() -> None:
    draw = np.random.default_rng(0)
    reference = np.append(draw.normal(0, 1, 999), 50.0)  # beyond the last bin
    tokens = {"flat": Pooled(reference, 0.1 * reference), "same": Pooled(reference, reference)}
    figure = labels_figures.distributions(tokens, figures.styles(list(tokens)), "value")
    for axes, item in zip(figure.axes, tokens.values(), strict=True):
        measured, predicted = (patch.get_data().values for patch in axes.patches)
        assert measured.sum() == pytest.approx(1) and predicted.sum() == pytest.approx(1)
        assert axes.texts[0].get_text() == f"SD {item.predicted.std():.2f} of {reference.std():.2f}"
        assert axes.get_ylim()[1] > max(measured.max(), predicted.max())


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=60))
def test_calibration_is_the_mean_of_what_was_measured_by_tenths(rows: list[tuple[float, float]]) -> None:
    tokens = Pooled(*(np.array(column) for column in zip(*rows, strict=True)))
    found = calibrated(tokens)
    assert len(found) == min(10, len(rows)) and (np.diff(found[:, 0]) >= -1e-9).all()
    assert (found[:, 2] <= found[:, 3]).all()
    if len(rows) % len(found) == 0:  # tenths of equal size: their means' mean is the mean
        np.testing.assert_allclose(found[:, :2].mean(0), [tokens.predicted.mean(), tokens.reference.mean()], atol=1e-9)


def test_who_predicts_what_was_measured_lies_on_the_line() -> None:
    values = np.random.default_rng(0).normal(size=500)
    found = calibrated(Pooled(values, values))
    np.testing.assert_allclose(found[:, 0], found[:, 1])


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["timing, a.b=['phones']", "timing, a.b=['bert', 'tags']"], ["phones", "bert, tags"]),
        (["a, x=['b']", "a, x=b"], ["['b']", "b"]),
        (["camp", "camp_bert"], ["camp", "camp_bert"]),
        (["a, x=1, y=1", "a, x=1, y=2"], ["1", "2"]),
        (["a, x=1", "a, z=2"], ["x=1", "z=2"]),
        (["alone, x=1"], ["alone, x=1"]),
    ],
)
def test_short_names_tell_systems_apart(names: list[str], short: list[str]) -> None:
    assert short_names(names) == short


def test_every_dimension_of_every_corpus_has_its_words() -> None:
    dimensions = {name for names in LABELS.values() for name in names}
    assert dimensions <= set(labels_page.AXES) and dimensions <= set(labels_page.HEADINGS) <= set(MEANINGS)
