"""While a sweep runs one sees how its points stand and how long it will go on; afterwards what failed, and why."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from scripted import runner, stage

from prosody_tts.board import Outcome
from prosody_tts.config import Experiment, load
from prosody_tts.display import Live, Plain, points_table, remaining
from prosody_tts.files import write_json
from prosody_tts.pipeline import RESULT, SETTINGS, Stage, folder, plan
from prosody_tts.schedule import run_all
from prosody_tts.sweeps import estimate, run_sweep
from prosody_tts.sweeps.estimate import History, makespan, missing_seconds
from prosody_tts.sweeps.failures import failures
from prosody_tts.sweeps.standing import Standing


def finish(item: Stage, seconds: float, **settings: str) -> None:
    place = folder(item)
    place.mkdir(parents=True)
    write_json(place / RESULT, {"kind": item.kind, "label": item.label, "seconds": seconds, "metrics": {}})
    write_json(place / SETTINGS, {"corpus": "testbed", "size": "demo", **settings})


def test_a_stage_will_take_as_long_as_its_like_took(tmp_path: Path) -> None:
    for number, seconds in enumerate((10.0, 30.0, 50.0)):
        finish(stage(tmp_path, "acoustic", f"a{number}", "of words"), seconds)
    finish(stage(tmp_path, "acoustic", "b", "of phones"), 200.0)
    finish(stage(tmp_path, "acoustic", "c", "of words"), 9.0, corpus="allison")
    finish(stage(tmp_path, "acoustic", "d", "of words"), 1.0, size="smoke")
    (tmp_path / "acoustic" / "a0" / SETTINGS).write_text("{")
    history = History(tmp_path)
    assert history.expected(stage(tmp_path, "acoustic", "new", "of words")) == 40.0, "the damaged one says nothing"
    assert history.expected(stage(tmp_path, "acoustic", "new", "of utterances")) == 50.0, "any of the corpus and size"
    assert history.expected(stage(tmp_path, "sampler", "new")) is None
    history.learn(stage(tmp_path, "sampler", "s"), 7.0)
    assert history.expected(stage(tmp_path, "sampler", "new", "another")) == 7.0


def test_a_plan_takes_its_longest_chain_or_the_work_of_all(tmp_path: Path) -> None:
    corpus = stage(tmp_path, "corpus", "c")
    trained = [stage(tmp_path, "acoustic", f"a{number}", needs=(corpus,)) for number in range(4)]
    last = stage(tmp_path, "evaluate", "e", needs=(trained[0],))
    stages = [corpus, *trained, last]
    seconds = {"corpus/c": 5.0, **{item.key: 10.0 for item in trained}, "evaluate/e": 20.0}
    assert makespan(stages, seconds, 1) == 65.0 == makespan(stages, seconds, 0)
    # By two: the corpus, then the chain of 30 seconds beside three of 10.
    assert makespan(stages, seconds, 2) == 35.0 == makespan(stages, seconds, 9)
    assert makespan([], {}, 2) == 0.0
    # What is done or unknown is over at once.
    assert makespan(stages, {"evaluate/e": 20.0}, 2) == 20.0
    finish(corpus, 5.0)
    known, unknown = missing_seconds(stages, History(tmp_path))
    assert known == {} and unknown == 5


def smoke(root: Path, *names: str) -> dict[str, Experiment]:
    settings = ["size=smoke", f"run.folder={root}", "run.progress=false", "run.wandb=disabled"]
    return {name: load(name, settings) for name in names}


def test_the_time_of_a_sweep_is_told_by_what_is_known(tmp_path: Path) -> None:
    experiments = smoke(tmp_path, "camp", "camp_bert")
    assert "cannot be told" in estimate(experiments)
    run_sweep({"camp": experiments["camp"]}, 0, runner=runner)
    for item in plan(experiments["camp"]):
        told = {"kind": item.kind, "label": item.label, "seconds": 60.0, "metrics": {}}
        write_json(folder(item) / RESULT, told)
        write_json(folder(item) / SETTINGS, {"corpus": "testbed", "size": "smoke"})
    # A sampler and an evaluation, one after the other.
    assert estimate(experiments, 2) == "about 2:00 by 2 processes, 2:00 of work"
    assert estimate(smoke(tmp_path, "camp")) == "nothing to run"


def points(root: Path) -> tuple[Standing, dict[str, Stage]]:
    experiments = smoke(root, "camp", "kathaka")
    stages = {item.label: item for experiment in experiments.values() for item in plan(experiment)}
    return Standing(experiments, 2), stages


def test_points_stand_as_their_stages_do(tmp_path: Path) -> None:
    standing, stages = points(tmp_path)
    assert [row.state for row in standing.rows()] == ["waiting", "waiting"]
    assert standing.left() == (None, False) and remaining(standing) == ""
    corpus = stages["corpus testbed"]
    standing.start(corpus)
    assert {(row.state, row.about) for row in standing.rows()} == {("running", "corpus testbed")}
    standing.end(Outcome(corpus, "done", 100.0))
    assert [row.stages.partition(" of ")[0] for row in standing.rows()] == ["1", "1"]
    acoustic = stages["acoustic (word, deterministic)"]
    standing.start(acoustic)
    standing.end(Outcome(acoustic, "failed", error="the loss is not finite"))
    first, second = standing.rows()
    assert (first.name, first.state, first.about) == ("camp", "failed", "the loss is not finite")
    assert (second.name, second.state) == ("kathaka", "waiting")


def test_the_table_of_points_fits_the_terminal_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    rows = points(tmp_path)[0].rows() * 30
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(points_table(rows, 5))
    lines = console.export_text().splitlines()
    assert len(lines) == 7 and lines[-1].startswith("and 55 more") and "55 waiting" in lines[-1]


@pytest.mark.parametrize("kind", [Live, Plain])
def test_a_sweep_shows_its_points_and_the_time_left(tmp_path: Path, kind: type[Live | Plain]) -> None:
    experiments = smoke(tmp_path, "camp")
    finish(stage(tmp_path, "evaluate", "before"), 3600.0, size="smoke")
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=kind is Live, width=120, height=40)
    display = kind(console, Standing(experiments, 1))
    run_all(plan(experiments["camp"]), 1, runner=runner, display=display)
    text = shown.getvalue()
    assert "sampler autoregressive" in text
    assert "more than 2:00:00 left" in text if kind is Plain else "camp" in text


def test_what_failed_is_listed_with_the_points_that_need_it_and_its_last_lines(tmp_path: Path) -> None:
    experiments = smoke(tmp_path, "camp", "camp_bert", "baseline")
    broken = next(item for item in plan(experiments["camp"]) if item.kind == "acoustic")
    log = tmp_path / "log.txt"
    log.write_text("\n".join(f"line {number}" for number in range(20)) + "\n\n")
    outcomes = [Outcome(broken, "failed", 1.0, "it broke", log=log)]
    lines = list(failures(experiments, outcomes))
    assert lines[0].startswith("2 of 3 points are not finished")
    assert broken.key in lines[1] and "camp; camp_bert" in lines[1] and "baseline" not in lines[1]
    assert [line.strip() for line in lines[2:]] == [f"line {number}" for number in range(15, 20)]
    unlogged = Outcome(broken, "failed", error="gone", log=tmp_path / "no")
    assert list(failures(experiments, [unlogged]))[-1].strip() == "gone"
    assert list(failures(experiments, [Outcome(broken, "done")])) == []
