"""Figures of codes: purity by hand, and a table in which they stand beside what was measured on speech."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_data import speak
from rich.console import Console
from test_report import PROVENANCE, hum

from data_modules.codes import CodeStore
from prosody_tts.evaluation.codes import CODES, figures, purities, purity
from prosody_tts.evaluation.results import write_results
from prosody_tts.evaluation.summary import COLUMNS, summarise
from prosody_tts.report.build import build
from prosody_tts.report.grids import markdown
from prosody_tts.report.table import Table, notes, tables


def test_purity_is_that_of_a_case_by_hand() -> None:
    # Code 1 is mostly a, code 2 always b; of the held-out segments two are what their code says, one is not, and one
    # has a code that was never met.
    training = [(1, "a"), (1, "a"), (1, "b"), (2, "b")]
    assert purity(training, [(1, "a"), (1, "b"), (2, "b"), (3, "a")]) == pytest.approx(2 / 4)
    # On one and the same side it is HuBERT's: three of four.
    assert purity(training, training) == pytest.approx(3 / 4)
    assert np.isnan(purity(training, []))


class Store:
    """What is read of a corpus: splits, phones and durations of its recordings."""

    def __init__(self, recordings: dict[str, tuple[str, list[str], list[int]]]) -> None:
        self._recordings = recordings
        self.durations = {name: durations for name, (_, _, durations) in recordings.items()}
        self.text = self

    def ids(self, split: str) -> list[str]:
        return [name for name, (of, _, _) in self._recordings.items() if of == split]

    def sentence(self, name: str) -> Store:
        self.phones = self._recordings[name][1]
        return self


def test_a_segment_is_of_the_phone_in_which_its_middle_lies(tmp_path: Path) -> None:
    # Segments of two frames, whose middles are frames 0, 2 and 4: phones a, a, b; then b, a.
    store = Store({"t": ("train", ["a", "b"], [3, 3]), "h": ("test", ["b", "a"], [2, 2])})
    codes = [np.array([[0, 0], [0, 1], [1, 0]], np.int32), np.array([[1, 1], [0, 1]], np.int32)]
    CodeStore.write(tmp_path, ["t", "h"], codes, segment=2, codebooks=2, size=2)
    found = purities(store, CodeStore(tmp_path), ["h"])  # type: ignore[arg-type]
    # First codes 1 and 0 are b and a in training too; (1, 1) was never met, (0, 1) was a.
    assert found == {"purity_first": 1.0, "purity_all": 0.5}


RESULTS = {
    "tokenizer": {"codes_per_second": 40.0, "bits_per_second": 360.0, "used": 0.9, "perplexity": 300.0, "mel": 0.2},
    "evaluate": {"purity_first": 0.4, "purity_all": 0.6, "mel_l1": 0.3},
}


def test_figures_are_read_from_the_stages_that_have_them() -> None:
    assert figures(RESULTS) == {
        "codes_per_second": 40.0,
        "bits_per_second": 360.0,
        "codes_used": 0.9,
        "code_perplexity": 300.0,
        "purity_first": 0.4,
        "purity_all": 0.6,
    }
    assert figures({"evaluate": {"mel_l1": 0.3}}) == {}


def test_figures_of_codes_are_rows_without_intervals_and_seeds_are_pooled() -> None:
    systems = {"baseline": speak(0.0, 0.0, 0.05), "spectrum_lm": speak(0.5, 0.0, 0.03, readout=False)}
    repeats = {"spectrum_lm": [speak(0.5, 0.0, 0.03, seed=1, readout=False)]}
    told = {"baseline": [{}], "spectrum_lm": [figures(RESULTS), {**figures(RESULTS), "code_perplexity": 310.0}]}
    rows = {(row.system, row.metric): row for row in summarise(systems, resamples=50, repeats=repeats, codes=told)}
    perplexity = rows["spectrum_lm", "code_perplexity"]
    assert (perplexity.value, perplexity.low, perplexity.n, perplexity.seeds) == (305.0, None, 0, 2)
    assert perplexity.seed_sd == pytest.approx(50**0.5)
    assert perplexity.gap_closed is None and perplexity.p is None
    assert not any(system == "baseline" and metric in CODES for system, metric in rows)


def test_tokenizers_have_a_table_of_their_own_with_what_each_column_means(tmp_path: Path) -> None:
    systems = {}
    for name, share in {"copy_synthesis": 1.0, "spectrum_oracle": 0.9, "spectrum_lm": 0.5}.items():
        results = speak(share, 0.0, 0.02, sentences=3, renditions=2, readout=False)
        systems[name] = tmp_path / name
        write_results(systems[name], results)
        for result in results:
            assert result.contour is not None
            hum(systems[name] / result.audio, result.contour.system_f0)
    codes = {"spectrum_oracle": [figures(RESULTS)], "spectrum_lm": [figures(RESULTS)]}
    shown = build(tmp_path / "report", systems, None, PROVENANCE, resamples=20, examples=1, codes=codes)
    console = Console(width=300, record=True, file=(tmp_path / "shown").open("w"))
    console.print(shown)
    text, page = console.export_text(), (tmp_path / "report" / "index.html").read_text()
    in_markdown = (tmp_path / "report" / "table.md").read_text()
    for one in CODES.values():
        assert one.label in text and one.label in page and one.label in in_markdown
        assert one.definition.split(".")[0] in page.replace("&#39;", "'") and one.definition in in_markdown
    assert (
        "Acoustic tokenizers" in text
        and '<section id="tokenizers">' in page
        and "## Acoustic tokenizers" in in_markdown
    )
    rows = json.loads((tmp_path / "report" / "table.json").read_text())
    assert {row["system"] for row in rows if row["metric"] == "purity_all"} == {"spectrum_oracle", "spectrum_lm"}


def test_tables_without_codes_have_no_such_part() -> None:
    table = Table.of(summarise({"baseline": speak(0.0, 0.0, 0.05)}, resamples=20))
    assert table.coded() == [] and table.tokenizers() == []
    assert (
        "tokenizers" not in markdown(tables(table, PROVENANCE)) and len(notes(table, PROVENANCE)) == len(table.main) + 3
    )
    assert set(CODES) <= set(COLUMNS)
