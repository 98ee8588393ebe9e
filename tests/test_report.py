"""Promises of the report: true to the rows, whole or absent, the same bytes again, safe with any text, alone."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from evaluation_data import WORDS, speak
from page_reading import HOSTILE, Reader, assert_alone, assert_escaped, assert_links_lead_somewhere
from rich.console import Console

from prosody_tts.errors import UserError
from prosody_tts.evaluation.results import UtteranceResult, read_results, write_results
from prosody_tts.evaluation.summary import COLUMNS, Row, summarise
from prosody_tts.report import figures, papers
from prosody_tts.report.build import build
from prosody_tts.report.grids import markdown
from prosody_tts.report.page import audio_data, choose
from prosody_tts.report.provenance import Provenance
from prosody_tts.report.table import Table, number, p_value, percent, plus_minus, tables

PROVENANCE = Provenance(
    corpus="testbed",
    split="test",
    seed=0,
    vocoder="griffin_lim",
    commit="0123456789abcdef0123",
    clean=False,
    size="smoke",
    command="prosody-tts report --all",
    notes=("2 utterances were left out.",),
)
SPEAKERS = {
    "baseline": (0.0, 0.0, 0.06),
    "kathaka": (0.5, 0.0, 0.04),
    "kathaka_oracle": (0.9, 0.8, 0.02),
    "camp_bert": (0.6, 0.0, 0.04),
    "camp_oracle": (1.0, 1.0, 0.01),
    "copy_synthesis": (1.0, 1.0, 0.005),
}


def hum(path: Path, f0: np.ndarray) -> None:
    """Speech-like sound that follows an F0 contour of 12.5 ms frames, 16 kHz."""
    frequency = np.repeat(f0, 200)
    phase = 2 * np.pi * np.cumsum(frequency) / 16000
    wave = np.where(frequency > 0, sum(np.sin(k * phase) / k for k in range(1, 6)), 0.0) * 0.2
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, 16000, subtype="PCM_16")


def evaluate(root: Path, sentences: int = 6) -> dict[str, Path]:
    """Evaluations of a few systems on disk, as the evaluation stage leaves them, and the recordings beside them."""
    folders = {}
    for seed, (name, (share, random, noise)) in enumerate(SPEAKERS.items()):
        results = speak(share, random, noise, seed, sentences, 2, readout=name != "copy_synthesis")
        results = [hostile(result) if result.sentence == "s000" else result for result in results]
        folders[name] = root / "evaluate" / name
        write_results(folders[name], results)
        for result in results:
            assert result.contour is not None
            hum(folders[name] / result.audio, result.contour.system_f0)
            hum(root / "recordings" / f"{result.id}.wav", result.contour.reference_f0)
    return folders


def hostile(result: UtteranceResult) -> UtteranceResult:
    words = HOSTILE.split(" ")[: len(result.words)]
    tokens = ("", *(part for word in words for part in (word, "")))
    assert len(tokens) == len(result.tokens)
    return replace(result, text=HOSTILE, tokens=tokens)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    folders = evaluate(root)
    shown = build(root / "report", folders, root / "recordings", PROVENANCE, resamples=200, examples=3)
    return root, folders, shown


@pytest.fixture(scope="module")
def page(built) -> str:
    return (built[0] / "report" / "index.html").read_text()


@pytest.fixture(scope="module")
def read(page) -> Reader:
    return Reader(page)


def test_table_json_holds_the_rows(built) -> None:
    root, folders, _ = built
    rows = json.loads((root / "report" / "table.json").read_text())
    expected = summarise({name: read_results(folder) for name, folder in folders.items()}, resamples=200)
    assert [Row.from_dict(row) for row in rows] == expected
    assert {"system", "metric", "value", "low", "high", "n", "gap_closed", "paper"} <= set(rows[0])
    assert {row["system"] for row in rows} == set(SPEAKERS)
    assert json.loads((root / "report" / "provenance.json").read_text())["commit"] == PROVENANCE.commit


def test_the_same_inputs_give_the_same_bytes(built, tmp_path) -> None:
    root, folders, _ = built
    build(tmp_path, folders, root / "recordings", PROVENANCE, resamples=200, examples=3)
    names = sorted(path.name for path in (root / "report").iterdir())
    assert names == [
        "contour.png",
        "gaps.png",
        "index.html",
        "metrics.png",
        "pairs.json",
        "provenance.json",
        "table.csv",
        "table.json",
        "table.md",
        "table.tex",
    ]
    for name in names:
        assert (tmp_path / name).read_bytes() == (root / "report" / name).read_bytes(), name


def test_a_build_that_fails_leaves_the_page_as_it_was(built, tmp_path) -> None:
    root, folders, _ = built
    broken = {**folders, "kathaka": tmp_path / "kathaka"}
    write_results(broken["kathaka"], read_results(folders["kathaka"]))
    before = (root / "report" / "index.html").read_bytes()
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "kathaka" / "audio"))):
        build(root / "report", broken, root / "recordings", PROVENANCE, resamples=200, examples=3)
    assert (root / "report" / "index.html").read_bytes() == before
    assert not list((root / "report").glob(".*"))


def test_a_missing_recording_is_named(built, tmp_path) -> None:
    with pytest.raises(UserError, match="s000_r0"):
        build(tmp_path / "report", built[1], tmp_path, PROVENANCE, resamples=50)


def test_the_page_asks_the_network_for_nothing(page, read) -> None:
    assert_alone(page, read)


def test_texts_of_the_corpus_are_text(page, read) -> None:
    assert_escaped(page, read)
    # The words of the figure too, dollars not taken for mathematics.
    assert {"$5", "$6"} & set(read.words)


def test_links_within_the_page_lead_somewhere_and_ids_are_unique(page, read) -> None:
    assert_links_lead_somewhere(page, read)


def test_every_voice_can_be_heard_as_it_was_written(built, read) -> None:
    root, folders, _ = built
    audios = read.all("audio")
    assert len(audios) == 3 * (len(SPEAKERS) + 1)
    assert all("controls" in audio for audio in audios)  # before the script runs, and without it
    chosen = choose(read_results(folders["baseline"]), 3)
    paths = [root / "recordings" / f"{chosen[0]}.wav"]
    paths += [folder / "audio" / f"{chosen[0]}.wav" for folder in folders.values()]
    for path, audio in zip(paths, audios, strict=False):
        kind, _, data = str(audio["src"]).partition(";base64,")
        assert kind == "data:audio/flac"
        wave, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="int16")
        truth, expected = soundfile.read(path, dtype="int16")
        assert rate == expected
        np.testing.assert_array_equal(wave, truth)


def test_the_page_says_what_the_table_says(built, read) -> None:
    rows = {(row["system"], row["metric"]): row for row in json.loads((built[0] / "report" / "table.json").read_text())}
    words = {word.strip() for word in read.words}
    for system in SPEAKERS:
        assert system in words
        assert number(rows[system, "log_f0_rmse_mean"]["value"]) in words
    assert percent(rows["kathaka", "log_f0_rmse_mean"]["gap_closed"]) in words
    for shown in ("13.2\u00a0%", "26\u00a0±\u00a07\u00a0%", "69\u00a0±\u00a06\u00a0%", "29.19\u00a0%"):
        assert shown in words
    assert any("tree with uncommitted changes" in word for word in words)
    assert {COLUMNS[metric].definition for _, metric in rows} <= words


def test_contours_of_unticked_voices_start_hidden(page, read) -> None:
    boxes = [box for box in read.all("input")]
    ticked = {str(box["value"]) for box in boxes if "checked" in box}
    assert 0 < len(ticked) < len(boxes) / 3
    for attributes in read.all("g"):
        kinds = str(attributes.get("class", "")).split()
        if "series" in kinds:
            assert ("off" in kinds) == (kinds[1] not in ticked), kinds
    assert "s0" in ticked  # the recording


def test_figures_are_pictures(built) -> None:
    import matplotlib.image

    for name in ("metrics.png", "gaps.png", "contour.png"):
        pixels = matplotlib.image.imread(built[0] / "report" / name)
        assert min(pixels.shape[:2]) > 300
        assert np.ptp(pixels[..., :3]) > 0.8  # ink on paper


def test_a_contour_stands_over_the_words_of_the_recording() -> None:
    result = speak(0.5, 0.0, 0.05, sentences=1, renditions=1)[0]
    contour = result.contour
    assert contour is not None
    figure = figures.contours({"kathaka": result}, figures.styles(["kathaka"]))
    axes = figure.axes[0]
    lines = {line.get_gid(): line for line in axes.get_lines() if line.get_gid()}
    system = lines["series-1-line"]
    x, y = np.asarray(system.get_xdata()), np.asarray(system.get_ydata())
    for word in result.words:
        inside = (x >= contour.reference_starts[word]) & (x < contour.reference_starts[word + 1]) & ~np.isnan(y)
        assert inside.any()
        # Each word's F0 lies around that word's own mean, though the system's word began at another time.
        assert np.nanmean(np.log(y[inside])) == pytest.approx(result.system.log_f0[word], abs=0.06)
    marks = lines["series-1-marks"]
    np.testing.assert_allclose(np.asarray(marks.get_ydata()), np.exp(result.system.log_f0[result.words]))
    assert [text.get_text() for text in axes.texts] == list(WORDS[: len(result.words)])


def test_series_differ_without_colour() -> None:
    names = [f"system_{index}" for index in range(11)]
    seen = {(style.marker, style.dash) for style in figures.styles(names).values()}
    assert len(seen) == 12


def test_terminal_and_markdown_show_systems_footers_and_papers(built) -> None:
    root, _, shown = built
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(shown)
    terminal = console.export_text()
    text = (root / "report" / "table.md").read_text()
    for system in SPEAKERS:
        assert system in terminal and f"| {system} |" in text
    for part in ("split test", "seed 0", "corpus testbed", "griffin_lim", "0123456789ab", "uncommitted", "left out"):
        assert part in terminal.replace("\n", " ") and part in text
    assert "13.2" in terminal and "13.2" in text and "2011.02252" in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    assert len(tables) >= 2
    for lines in tables:
        assert len({line.count(" | ") for line in lines}) == 1  # every line has all columns


def test_a_table_of_one_system_without_gaps_renders(tmp_path) -> None:
    folder = tmp_path / "evaluate"
    results = [replace(r, factors={}, contour=None) for r in speak(0.5, 0, 0.05, sentences=3, renditions=1)]
    write_results(folder, results)
    for result in results:
        hum(folder / result.audio, np.full(40, 120.0))
    build(tmp_path / "report", {"kathaka": folder}, None, PROVENANCE, resamples=50)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Beside the papers" not in page and "Planted effects" not in page
    assert not (tmp_path / "report" / "gaps.png").exists()


def test_numbers_read_like_numbers() -> None:
    assert [number(value) for value in (0.1361, 45.94, 4.789, 312.4, -0.0001, None)] == [
        *("0.136", "45.9", "4.79", "312", "0.000", "—")
    ]
    assert percent(-0.2) == "0\u00a0%" and percent(24.4, 17.1, 30.6) == "24\u00a0% [17,\u00a031]"
    assert p_value(0.0001) == "< .001" and p_value(0.0449) == "0.045"
    row = Row("a", "mcd", 4.789, 4.7, 4.9, 3, "dB", "lower")
    assert plus_minus(row) == "4.79 ±\u00a00.10"


def test_bars_in_texts_do_not_break_markdown() -> None:
    rows = [Row("a|b", "mcd", 4.0, None, None, 1, "dB", "lower")]
    assert "| a\\|b |" in markdown(tables(Table.of(rows), PROVENANCE))


def test_examples_are_spread_over_sentences_not_picked() -> None:
    results = speak(0, 0, 0.05, sentences=9, renditions=2)
    assert choose(results, 3) == ["s000_r0", "s004_r0", "s008_r0"]
    assert len(choose(results, 50)) == 9


def test_audio_that_is_none_is_named(tmp_path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no audio at all")
    with pytest.raises(UserError, match=r"a\.wav"):
        audio_data(tmp_path / "a.wav")


def test_the_papers_figures_name_their_source() -> None:
    tables = (papers.GAP_CLOSED, papers.GAP_TO_ORACLE, papers.MUSHRA, papers.MUSHRA_ABLATION, papers.PREFERENCE)
    assert all("arXiv 2011.0" in figure.source for table in tables for figure in table.values())
    assert {name: str(figure) for name, figure in papers.GAP_CLOSED.items()} == {
        "kathaka": "13.2",
        "kathaka_oracle": "29.19",
        "camp_bert": "26 ± 7",
        "camp_oracle": "69 ± 6",
    }
    assert [papers.MUSHRA_ABLATION[name].value for name in ("camp_syntax", "camp_bert", "camp")] == [63.9, 66.5, 66.3]


def test_the_table_is_printed_as_latex_and_read_as_numbers(built) -> None:
    root, *_ = built
    source = (root / "report" / "table.tex").read_text()
    assert source.count(r"\toprule") == source.count(r"\end{tabular}") > 1 and r"\downarrow" in source
    for block in source.split(r"\begin{tabular}{")[1:]:
        columns, _, body = block.partition("}")
        lines = [line for line in body.partition(r"\end{tabular}")[0].splitlines() if line.endswith(r"\\")]
        assert len(lines) > 1 and {line.count(" & ") + 1 for line in lines} == {len(columns)}
    with (root / "report" / "table.csv").open() as stream:
        written = list(csv.DictReader(stream))
    rows = json.loads((root / "report" / "table.json").read_text())
    assert [float(row["value"]) for row in written] == [row["value"] for row in rows]
    assert [row["low"] for row in written] == ["" if row["low"] is None else str(row["low"]) for row in rows]
