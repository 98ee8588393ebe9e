"""Runs are listed, pruned and compared: what is needed stays, what is worked on stays, and what differs is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_data import speak
from filelock import FileLock

from prosody_tts import ledger
from prosody_tts.cli import run
from prosody_tts.config import load
from prosody_tts.evaluation.compared import metrics_apart, settings_apart
from prosody_tts.evaluation.metrics import METRICS, by_sentence
from prosody_tts.pipeline import RESULT, plan


def stage(root: Path, kind: str, identity: str, size: int = 100, **told: object) -> Path:
    """The folder of a finished stage."""
    place = root / kind / identity
    place.mkdir(parents=True)
    (place / "weights.bin").write_bytes(b"x" * size)
    record = {"kind": kind, "identity": identity, "label": f"{kind} of a test", "system": "camp", "inputs": {}}
    (place / RESULT).write_text(json.dumps({**record, "seed": 0, "seconds": 3.5, "metrics": {}, **told}))
    return place


def test_every_stage_is_listed_with_what_made_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    stage(tmp_path, "corpus", "aaa", size=2500)
    stage(tmp_path, "acoustic", "bbb", inputs={"corpus": "aaa"}, system="kathaka", seconds=700)
    (tmp_path / "acoustic" / "ccc").mkdir()
    (tmp_path / "sampler" / "ddd").mkdir(parents=True)
    (tmp_path / "sampler" / "ddd" / RESULT).write_text('{"kind": ')
    found = ledger.entries(tmp_path)
    assert [(one.key, one.done) for one in found] == [
        ("corpus/aaa", True), ("acoustic/bbb", True), ("acoustic/ccc", False), ("sampler/ddd", False)
    ]  # fmt: skip
    assert found[1].inputs == ("corpus/aaa",) and 2500 < found[0].size < 4000
    assert run(["runs", f"run.folder={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert "4 of 4 stages" in said and "12 min" in said and said.count("unfinished") == 2 and "kathaka" in said
    assert run(["runs", f"run.folder={tmp_path}", "--kind", "acoustic", "--system", "kathaka"]) == 0
    assert "1 of 4 stages" in capsys.readouterr().out
    for wrong in (["--kind", "acustic"], ["--prune"], ["--dry-run"], ["nosuchsweep"]):
        assert run(["runs", f"run.folder={tmp_path}", *wrong]) == 2
    assert run(["runs", f"run.folder={tmp_path}/no"]) == 2


def test_what_a_table_needs_stays_and_so_does_what_somebody_works_on(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    settings = [f"run.folder={tmp_path}", "size=smoke"]
    kept = [stage(tmp_path, one.kind, one.identity) for one in plan(load("baseline", settings))[:4]]
    gone, busy = stage(tmp_path, "acoustic", "000000000000"), stage(tmp_path, "sampler", "111111111111")
    lock = FileLock(busy.with_suffix(".lock"))
    with lock:
        asked = ["runs", "granularity", *settings, "--prune"]
        assert run([*asked, "--dry-run"]) == 0 and "would remove 2 of 6" in capsys.readouterr().out
        assert gone.exists()
        assert run(asked) == 0
        said = capsys.readouterr().out
        assert "removed 1 stages" in said and "sampler/111111111111 stays" in said
    assert not gone.exists() and busy.exists() and all(place.exists() for place in kept)
    assert [path.name for path in gone.parent.iterdir() if path.is_dir()] == [
        one.name for one in kept if one.parent == gone.parent
    ]
    assert run(["runs", "granularity", *settings]) == 0
    assert capsys.readouterr().out.count("granularity") == len(kept)


def test_a_thousand_points_are_listed_and_removed(tmp_path: Path) -> None:
    for number in range(1000):
        stage(tmp_path, "evaluate", f"{number:012d}")
    assert len(ledger.entries(tmp_path)) == 1000
    assert len(ledger.prune(ledger.entries(tmp_path))[0]) == 1000
    assert not list((tmp_path / "evaluate").glob("0*/"))


def test_what_another_folder_lends_is_given_back_and_stays_there(tmp_path: Path) -> None:
    made = stage(tmp_path / "old", "evaluate", "0" * 12)
    lent = tmp_path / "new" / "evaluate" / made.name
    lent.parent.mkdir(parents=True)
    lent.symlink_to(made)
    (entry,) = ledger.entries(tmp_path / "new")
    assert ledger.prune([entry]) == ([entry], [])
    assert not lent.exists() and not lent.is_symlink() and list(made.iterdir())


def test_settings_that_differ_are_told_and_those_that_change_nothing_are_not() -> None:
    one, other = load("camp"), load("camp", ["sampler.prior=flow", "run.workers=7"])
    assert settings_apart(one, other) == [("sampler.prior", one.sampler.prior, "flow")]


def test_differences_are_paired_by_sentence() -> None:
    one, other = speak(0.5, 0.0, 0.05, seed=1), speak(0.9, 0.0, 0.05, seed=1)
    rows = {row.metric: row for row in metrics_apart(one, other, resamples=500)}
    row, tables = rows["log_f0_rmse"], [by_sentence(results)["log_f0_rmse"] for results in (one, other)]
    apart = np.array([tables[1][name] - tables[0][name] for name in tables[0]])
    assert row.difference == pytest.approx(apart.mean()) and row.n == 24
    low, high = row.interval.ends
    assert low is not None and high is not None and low < row.difference < high < 0
    assert row.p is not None and row.p < 0.05
    same = {row.metric: row for row in metrics_apart(one, one, resamples=50)}
    assert all(row.difference == 0 and row.p in (None, 1.0) for row in same.values()) and set(same) <= set(METRICS)


def test_what_cannot_be_compared_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [f"run.folder={tmp_path}", "size=smoke"]
    told = {
        ("camp", "camp"): "are the same system",
        ("camp", "asr_on_recordings"): "compare like with like",
        ("camp", "nosuch"): "no experiment file",
        ("camp", "seed=1"): "names no experiment",
        ("camp", "'"): "cannot read",
        ("camp", "kathaka"): "evaluate",
    }
    for (one, other), expected in told.items():
        assert run(["compare", one, other, *settings]) == 2
        assert expected in " ".join(capsys.readouterr().err.split())
