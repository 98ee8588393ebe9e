"""How recognisers are scored: by hand, pooled over words, and with words that were never heard apart."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from prosody_tts.errors import UserError
from prosody_tts.evaluation.recognition import Errors, Transcript, rates, read_transcripts
from prosody_tts.report import recognition_build
from prosody_tts.report.provenance import Provenance


def transcript(said: str, heard: str, unseen: str = "", name: str = "u") -> Transcript:
    words = tuple(said.split())
    return Transcript(name, name, words, tuple(heard.split()), tuple(word in unseen.split() for word in words))


def test_errors_are_counted_as_by_hand() -> None:
    # "red" becomes "bed", "came" is left out, "now" is put in before "the".
    found = Errors.of(transcript("the red boat came home", "now the bed boat home", unseen="red home"))
    assert (found.words, found.wrong) == (5, 3)
    assert (found.unseen, found.wrong_unseen) == (2, 1)
    # r to b; "came " left out; "now " put in.
    assert (found.characters, found.wrong_characters) == (22, 1 + 5 + 4)
    nothing = Errors.of(transcript("the red boat", ""))
    assert (nothing.wrong, nothing.wrong_characters) == (3, 12)


def test_rates_pool_words_and_are_unknown_where_nothing_counts() -> None:
    sums = Errors.of(transcript("a b", "a b")).row() + Errors.of(transcript("c", "d")).row()
    found = rates(sums)
    assert float(found["wer"]) == pytest.approx(1 / 3)
    assert np.isnan(found["unseen_missed"])


def written(folder: Path, heard: list[str]) -> Path:
    said = [
        "the red boat came home",
        "a dog ran",
        "the boat ran",
        "a red dog",
        "home came the dog",
        "red boats ran",
        "a a",
    ]
    folder.mkdir()
    lines = [
        transcript(one, other, "boats dog", f"u{i}") for i, (one, other) in enumerate(zip(said, heard, strict=True))
    ]
    (folder / "utterances.jsonl").write_text("".join(json.dumps(asdict(one)) + "\n" for one in lines))
    return folder


def test_a_report_says_who_hears_better_and_what_each_heard(tmp_path: Path) -> None:
    well = written(tmp_path / "well", ["the red boat came home", "a dog ran", "the boat ran", "a red", *["x"] * 3])
    badly = written(tmp_path / "badly", ["<b>", "x", "the", "x", "x", "y y y y", "z"])
    provenance = Provenance(corpus="testbed", split="test", seed=0, vocoder="", commit="0" * 40)
    out = tmp_path / "report"
    shown = recognition_build.build(out, {"well": well, "badly": badly}, provenance, resamples=200)
    table = {(row["system"], row["metric"]): row for row in json.loads((out / "table.json").read_text())}
    assert table["well", "wer"]["value"] == pytest.approx((1 + 4 + 3 + 2) / 23)
    assert table["well", "wer"]["low"] < table["well", "wer"]["value"] < table["well", "wer"]["high"]
    assert table["well", "wer"]["value"] < table["badly", "wer"]["value"]
    page = (out / "index.html").read_text()
    assert "&lt;b&gt;" in page and "<u>dog</u>" in page and "<b></" not in page
    console = Console(width=160, record=True, file=(tmp_path / "shown").open("w"))
    console.print(shown)
    assert "well" in console.export_text()
    console.print(recognition_build.show(out, provenance))


def test_broken_or_unlike_transcripts_are_told(tmp_path: Path) -> None:
    one = written(tmp_path / "one", ["x"] * 7)
    (tmp_path / "other").mkdir()
    lines = (one / "utterances.jsonl").read_text().splitlines()
    (tmp_path / "other" / "utterances.jsonl").write_text("\n".join(lines[:3]))
    provenance = Provenance(corpus="testbed", split="test", seed=0, vocoder="", commit=None)
    with pytest.raises(UserError, match="were tested on different utterances"):
        recognition_build.build(tmp_path / "out", {"one": one, "other": tmp_path / "other"}, provenance)
    (tmp_path / "other" / "utterances.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="holds what is no transcript"):
        read_transcripts(tmp_path / "other")
    with pytest.raises(UserError, match="evaluate the system first"):
        read_transcripts(tmp_path)
