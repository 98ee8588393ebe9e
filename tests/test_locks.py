"""A stage that several ask for at once is made once; a dead process's lock is taken over, a live one's never."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from scripted import stage

from data_modules.corpora.contract import Progress
from prosody_tts import runners
from prosody_tts.errors import UserError
from prosody_tts.pipeline import RESULT, Stage, folder, is_done, read_result, run_stage

#: So that what the test puts in the place of a stage's work is there in the processes too.
CONTEXT = multiprocessing.get_context("fork")
MADE = "made.txt"


def makes(item: Stage, place: Path, progress: Progress) -> dict[str, float]:
    with (place / MADE).open("a") as made:
        made.write(f"{os.getpid()}\n")
    return {"value": 1.0}


def hangs(item: Stage, place: Path, progress: Progress) -> dict[str, float]:
    makes(item, place, progress)
    progress(0, 1, "at work")
    threading.Event().wait()
    return {}


def ask(item: Stage, pipe: Connection) -> None:
    """Ask for a stage and tell what is heard of it."""
    pipe.send(run_stage(item, lambda done, total, what: pipe.send(what))["metrics"])


def asking(item: Stage) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=ask, args=(item, there))
    process.start()
    there.close()
    return process, here


def heard(pipe: Connection) -> list[Any]:
    """All that a process told before it ended."""
    told = []
    with suppress(EOFError):
        while True:
            told.append(pipe.recv())
    return told


def test_eight_who_ask_at_once_get_what_one_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runners.RUNNERS, "acoustic", makes)
    item = stage(tmp_path, "acoustic", "a")
    asked = [asking(item) for _ in range(8)]
    for process, _ in asked:
        process.join()
    assert [heard(pipe)[-1] for _, pipe in asked] == [{"value": 1.0}] * 8
    assert len((folder(item) / MADE).read_text().splitlines()) == 1


def test_a_lock_is_taken_over_when_its_process_has_died_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = stage(tmp_path, "acoustic", "a")
    monkeypatch.setitem(runners.RUNNERS, "acoustic", hangs)
    first, from_first = asking(item)
    assert [from_first.recv(), from_first.recv()] == ["waiting for another process", "at work"]
    monkeypatch.setitem(runners.RUNNERS, "acoustic", makes)
    second, from_second = asking(item)
    assert from_second.recv() == "waiting for another process"
    # Stopped and silent is alive.
    assert first.pid is not None
    os.kill(first.pid, signal.SIGSTOP)
    assert not from_second.poll(0.5) and second.is_alive() and not is_done(item)
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    assert from_second.recv() == {"value": 1.0}
    second.join()
    assert len((folder(item) / MADE).read_text().splitlines()) == 2 and is_done(item)


@pytest.mark.parametrize("content", ["", '{"kind": "acoustic", "metr', "[]", '{"kind": "acoustic"}'])
def test_a_damaged_result_is_told_and_not_taken_for_one(tmp_path: Path, content: str) -> None:
    item = stage(tmp_path, "acoustic", "a", "acoustic of words")
    folder(item).mkdir(parents=True)
    (folder(item) / RESULT).write_text(content)
    for reads in (lambda: read_result(item), lambda: run_stage(item, lambda *news: None)):
        with pytest.raises(
            UserError, match=r"result\.json cannot be read .*delete its folder .*acoustic of words"
        ) as told:
            reads()
        assert "\n" not in str(told.value)
    assert (folder(item) / RESULT).read_text() == content
