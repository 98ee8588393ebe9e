"""A clock that is set while work goes on changes no result, no duration and no decision."""

from __future__ import annotations

import ast
import itertools
import os
import time
from pathlib import Path

import pytest
from scripted import stage

from data_modules.corpora.contract import Progress
from data_modules.corpora.screening import CONTENTS, content_digest
from prosody_tts import runners
from prosody_tts.attempts import throttled
from prosody_tts.config import ROOT
from prosody_tts.files import read_json
from prosody_tts.pipeline import Stage, run_stage

DAY = 86_400


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set a day back, and a day forward, whenever it is read."""
    jumps, now = itertools.cycle((-DAY, DAY)), time.time
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
    monkeypatch.setattr(time, "time_ns", lambda: int((now() + next(jumps)) * 1e9))


def test_a_stage_takes_as_long_as_it_takes(tmp_path: Path, jumping: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int, str]] = []

    def works(item: Stage, place: Path, progress: Progress) -> dict[str, float]:
        for done in range(1, 4):
            progress(done, 3, "at work")
        return {"value": 1.0}

    monkeypatch.setitem(runners.RUNNERS, "acoustic", works)
    result = run_stage(stage(tmp_path, "acoustic", "a"), throttled(lambda *news: told.append(news)))
    assert result["metrics"] == {"value": 1.0} and 0 <= result["seconds"] < DAY / 2
    assert told[-1] == (3, 3, "at work")


@pytest.mark.parametrize("ahead", [-DAY, DAY])
def test_a_file_that_changes_is_noticed_whatever_the_clock_says(tmp_path: Path, ahead: int, jumping: None) -> None:
    path, memory = tmp_path / "a.wav", tmp_path / "runs"
    found = []
    for content in (b"one", b"two", b"two"):
        path.write_bytes(content)
        os.utime(path, (time.time() + ahead,) * 2)
        found.append(content_digest([("a.wav", path)], memory))
    assert found[0] != found[1] == found[2]
    path.unlink()
    assert not (memory / CONTENTS).exists() or all(len(entry) == 3 for entry in read_json(memory / CONTENTS).values())


def test_nothing_is_timed_by_a_clock_that_can_be_set() -> None:
    """``time.time`` and what reads it: durations are taken of ``monotonic`` and ``perf_counter``."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("prosody_tts", "data_modules")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "time" and getattr(node.value, "id", "") == "time"
    ]
    assert not found
