"""Plans run to their end whatever fails on the way, and nothing is done twice."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from scripted import order, runner, stage

from prosody_tts import attempts
from prosody_tts.attempts import LOG
from prosody_tts.board import Outcome
from prosody_tts.config import RunConfig
from prosody_tts.display import Live, Pace, Plain, clock, make_display
from prosody_tts.files import read_json
from prosody_tts.gpus import gpus_for, share, visible_gpus
from prosody_tts.pipeline import RESULT, Stage, folder, is_done
from prosody_tts.schedule import run_all

COUNTS = (0, 1, 2)


def run(stages: list[Stage], workers: int) -> dict[str, Outcome]:
    outcomes = run_all(stages, workers, runner=runner, progress=False)
    assert [outcome.stage for outcome in outcomes] == stages
    assert multiprocessing.active_children() == []
    return {outcome.stage.key: outcome for outcome in outcomes}


def diamond(root: Path, middle: str = "work") -> list[Stage]:
    corpus = stage(root, "corpus", "c")
    acoustic = stage(root, "acoustic", "a", middle, (corpus,))
    aligner = stage(root, "aligner", "b", "work", (corpus,))
    return [corpus, acoustic, aligner, stage(root, "evaluate", "e", "work", (acoustic, aligner))]


@pytest.mark.parametrize("workers", COUNTS)
def test_every_stage_runs_once_after_what_it_needs(tmp_path: Path, workers: int) -> None:
    outcomes = run(diamond(tmp_path), workers)
    assert {outcome.status for outcome in outcomes.values()} == {"done"}
    assert sorted(order(tmp_path)) == ["acoustic/a", "aligner/b", "corpus/c", "evaluate/e"]


@pytest.mark.parametrize("workers", COUNTS)
def test_what_is_done_is_left_alone(tmp_path: Path, workers: int) -> None:
    stages = diamond(tmp_path)
    run(stages[:2], workers)
    outcomes = run(stages, workers)
    assert [outcomes[item.key].status for item in stages] == ["reused", "reused", "done", "done"]
    assert order(tmp_path).count("corpus/c") == 1


@pytest.mark.parametrize("workers", COUNTS)
@pytest.mark.parametrize("middle", ["user", "crash"])
def test_a_failure_stops_only_what_needs_it(tmp_path: Path, workers: int, middle: str) -> None:
    stages = diamond(tmp_path, middle)
    outcomes = run(stages, workers)
    assert [outcomes[item.key].status for item in stages] == ["done", "failed", "done", "skipped"]
    failed = outcomes["acoustic/a"]
    assert failed.mendable == (middle == "user")
    assert failed.log is not None and ("Traceback" in failed.log.read_text()) == (middle == "crash")
    expected = "acoustic.width=0 must be at least 1" if middle == "user" else "ZeroDivisionError: the loss divided"
    assert expected in failed.error
    assert middle in outcomes["evaluate/e"].error


def test_failed_stages_run_again_when_asked_again(tmp_path: Path) -> None:
    run(diamond(tmp_path, "crash"), 1)
    outcomes = run(diamond(tmp_path), 1)
    assert [outcomes[key].status for key in outcomes] == ["reused", "done", "reused", "done"]


@pytest.mark.parametrize(("does", "cause"), [("kill", "signal 9"), ("exit", "status 3")])
def test_a_dead_worker_is_noticed_and_replaced(tmp_path: Path, does: str, cause: str) -> None:
    stages = [stage(tmp_path, "acoustic", "dies", does), stage(tmp_path, "evaluate", "lives")]
    outcomes = run(stages, 1)
    assert outcomes["acoustic/dies"].status == "failed" and cause in outcomes["acoustic/dies"].error
    assert outcomes["evaluate/lives"].status == "done"
    pids = {line.split()[1] for line in (tmp_path / "order.txt").read_text().splitlines()}
    assert len(pids) == 2 and str(os.getpid()) not in pids


def test_one_worker_runs_many_stages(tmp_path: Path) -> None:
    run([stage(tmp_path, "sampler", f"s{number}") for number in range(6)], 1)
    assert len({line.split()[1] for line in (tmp_path / "order.txt").read_text().splitlines()}) == 1


def test_the_longest_chain_starts_first(tmp_path: Path) -> None:
    short = [stage(tmp_path, "evaluate", f"short{number}") for number in range(3)]
    acoustic = stage(tmp_path, "acoustic", "long")
    sampler = stage(tmp_path, "sampler", "long", needs=(acoustic,))
    run([*short, acoustic, sampler, stage(tmp_path, "evaluate", "long", needs=(sampler,))], 1)
    assert order(tmp_path)[:2] == ["acoustic/long", "sampler/long"]


def test_what_a_stage_prints_goes_to_its_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    item = stage(tmp_path, "acoustic", "a", "print")
    run([item], 1)
    assert sorted((folder(item) / LOG).read_text().splitlines()) == ["a C library speaks", "a library speaks"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("threads", [1, 2])
def test_workers_have_the_threads_asked_for(tmp_path: Path, threads: int) -> None:
    item = stage(tmp_path, "acoustic", "a", "threads")
    before = dict(os.environ)
    run_all([item], 1, threads, runner=runner, progress=False)
    assert read_json(folder(item) / "threads.json") == threads
    assert dict(os.environ) == before


def test_interrupting_ends_the_workers_and_keeps_what_is_done(tmp_path: Path) -> None:
    first = stage(tmp_path, "corpus", "first")
    stages = [
        first,
        stage(tmp_path, "acoustic", "a", "hang", (first,)),
        stage(tmp_path, "aligner", "b", "interrupt", (first,)),
    ]
    # Where tests run in the background of a shell, the interrupt is ignored from the start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_all(stages, 2, runner=runner, progress=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert multiprocessing.active_children() == []
    assert [is_done(item) for item in stages] == [True, False, False]


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; from scripted import runner, stage\n"
        "from prosody_tts.schedule import run_all\n"
        "run_all([stage(Path(sys.argv[1]), 'acoustic', 'a', 'hang')], 1, runner=runner, progress=False)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)])
    try:
        while not (tmp_path / "order.txt").exists():
            assert parent.poll() is None
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    worker = int((tmp_path / "order.txt").read_text().split()[1])
    for _ in range(10_000_000):
        status = Path(f"/proc/{worker}/stat")
        if not status.exists() or status.read_text().split()[2] == "Z":
            return
    pytest.fail("the worker is still there")


def test_an_empty_plan_is_done() -> None:
    assert run_all([], 2, runner=runner, progress=False) == []


def plain(width: int = 200) -> tuple[Plain, io.StringIO]:
    stream = io.StringIO()
    shown = make_display(True, Console(file=stream, width=width))
    assert isinstance(shown, Plain)
    return shown, stream


def test_logs_get_a_line_for_each_stage_that_starts_and_ends(tmp_path: Path) -> None:
    shown, stream = plain()
    stages = diamond(tmp_path, "user [what]")
    run_all(stages[:1], 1, runner=runner, progress=False)
    run_all(stages, 1, runner=runner, display=shown)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "1 of 4 stages are there already"
    assert sum(line.startswith("start") for line in lines) == 2
    assert any("user [what]: acoustic.width=0 must be at least 1" in line for line in lines)
    assert lines[-1].endswith("[stage 4 of 4]")


def test_a_long_stage_tells_logs_its_rate_and_time_left_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, stream = plain()
    now = [0.0]
    monkeypatch.setattr("prosody_tts.display.time.monotonic", lambda: now[0])
    item = stage(tmp_path, "acoustic", "a", "word vectors")
    shown.start(item)
    for done in range(0, 1001):
        now[0] = done * 0.1
        shown.update(item, done, 2000, "epoch 1 of 2")
    lines = stream.getvalue().splitlines()[1:]
    assert len(lines) == 5
    assert lines[-1].strip() == "word vectors: epoch 1 of 2, 1000 of 2000, 10/s, 1:40 left"


def test_a_terminal_gets_bars(tmp_path: Path) -> None:
    stream = io.StringIO()
    shown = make_display(True, Console(file=stream, force_terminal=True, width=160))
    assert isinstance(shown, Live)
    run_all(diamond(tmp_path, "crash"), 2, runner=runner, display=shown)
    text = stream.getvalue()
    assert "4 of 4" in text and "crash: ZeroDivisionError" in text
    assert shown.tasks == {}


def test_pace_counts_from_where_work_was_resumed() -> None:
    pace = Pace()
    pace.update(900, 1000, "epoch 9", 0.0)
    assert pace.rate is None and pace.left is None
    pace.update(910, 1000, "epoch 9", 2.0)
    pace.update(920, 1000, "epoch 10", 4.0)
    assert pace.rate == pytest.approx(5.0) and pace.left == pytest.approx(16.0)
    pace.update(1, 50, "vectors", 5.0)
    assert pace.rate is None and str(pace) == "vectors, 1 of 50"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (7325, "2:02:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_progress_is_thinned_but_never_loses_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, int, str]] = []
    monkeypatch.setattr(attempts.time, "monotonic", lambda: 1.0)
    progress = attempts.throttled(lambda *news: said.append(news))
    for done in range(1, 101):
        progress(done, 100, "items")
    assert said == [(1, 100, "items"), (100, 100, "items")]


def test_results_are_what_the_runner_wrote(tmp_path: Path) -> None:
    stages = diamond(tmp_path)
    run(stages, 2)
    assert all(read_json(folder(item) / RESULT)["metrics"] == {"value": 1} for item in stages)


@pytest.mark.parametrize(
    ("gpus", "devices", "shares"),
    [
        (4, 1, ["0", "1", "2", "3", "0"]),
        (4, 2, ["01", "23", "01"]),
        (3, 2, ["01", "20", "12"]),
        (1, 2, ["0", "0"]),
        (0, 2, ["", ""]),
    ],
)
def test_workers_have_gpus_of_their_own_round_robin(gpus: int, devices: int, shares: list[str]) -> None:
    names = [str(number) for number in range(gpus)]
    assert ["".join(share(names, devices, place)) for place in range(len(shares))] == shares


@pytest.mark.parametrize(
    ("told", "found"), [("3,1", ["3", "1"]), ("GPU-5a, 2", ["GPU-5a", "2"]), ("", []), ("-1", []), ("0,-1,2", ["0"])]
)
def test_gpus_are_those_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, found: list[str]
) -> None:
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "driver" / name).mkdir(parents=True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", told)
    assert visible_gpus(tmp_path / "driver", tmp_path) == found
    assert gpus_for(RunConfig()) == found and gpus_for(RunConfig(accelerator="cpu")) == []


@pytest.mark.parametrize(("known", "given", "found"), [(2, 2, ["0", "1"]), (2, 1, ["0"]), (0, 0, [])])
def test_gpus_are_those_of_the_driver_that_the_container_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: int, given: int, found: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for number in range(known):
        (tmp_path / "driver" / f"0000:0{number}:00.0").mkdir(parents=True)
    for name in ("nvidiactl", "nvidia-uvm", "null", *(f"nvidia{number}" for number in range(given))):
        (tmp_path / name).touch()
    assert visible_gpus(tmp_path / "driver", tmp_path) == found


def seen_gpus(item: Stage) -> str | None:
    gpus: str | None = read_json(folder(item) / "gpus.json")
    return gpus


def test_each_worker_sees_its_own_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    stages = [stage(tmp_path, "sampler", name, "gpus") for name in ("one", "other")]
    run(stages, 2)
    assert [seen_gpus(item) for item in stages] == ["5", "7"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,7"


def test_a_dead_workers_gpu_goes_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    after = stage(tmp_path, "sampler", "after", "gpus")
    run([stage(tmp_path, "acoustic", "dies", "kill"), after], 1)
    assert seen_gpus(after) == "5"
