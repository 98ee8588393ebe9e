"""Plans on a local Ray: a file of tests that ``test_clusters`` runs in a process of its own."""

from __future__ import annotations

import dataclasses
import importlib
import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from scripted import order, runner, stage
from test_clusters import chains, finish

from prosody_tts.attempts import LOG
from prosody_tts.board import Outcome
from prosody_tts.clusters.ray import run_on_ray
from prosody_tts.clusters.ray_cluster import connected
from prosody_tts.clusters.ray_worker import Terms, do
from prosody_tts.config import Experiment, RunConfig
from prosody_tts.display import Display, Plain
from prosody_tts.errors import UserError
from prosody_tts.pipeline import VERSIONS, Stage, folder


@pytest.mark.parametrize("address", ["{free}", "ray://{free}", "no machine:6379", "nonsense"])
def test_a_cluster_that_is_not_there_is_told_at_once(address: str) -> None:
    """Before the others: a connection that is there would be used."""
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = f"127.0.0.1:{server.getsockname()[1]}"
    asked = address.format(free=free)
    with (
        pytest.raises(UserError, match=rf"cannot use the Ray cluster at '{asked}' \(.*; give HOST:PORT of"),
        connected(asked),
    ):
        pytest.fail("there is one")


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """A Ray of this machine, whose workers can import the scripted stages; without the extra there is none."""
    pytest.importorskip("ray")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *([before] if before else [])])
    try:
        with connected("local"):
            yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def on_ray(stages: list[Stage], **more: Any) -> dict[str, Outcome]:
    outcomes = run_on_ray(stages, "local", **{"runner": runner, "progress": False, **more})
    assert [outcome.stage for outcome in outcomes] == stages
    return {outcome.stage.key: outcome for outcome in outcomes}


def test_ray_runs_every_stage_once_after_what_it_needs_and_shows_it(local_ray: None, tmp_path: Path) -> None:
    stages, stream = chains(tmp_path, "print"), io.StringIO()
    finish(stages[0])
    shown = Plain(Console(file=stream, width=200))
    outcomes = on_ray(stages, display=shown)
    assert [outcomes[item.key].status for item in stages] == ["reused", "done", "done", "done", "done"]
    assert sorted(order(tmp_path)) == ["acoustic/a1", "acoustic/a2", "evaluate/e1", "evaluate/e2"]
    assert "a C library speaks" in (folder(stages[1]) / LOG).read_text()
    lines = stream.getvalue().splitlines()
    assert sum(line.startswith("start") for line in lines) == 4 and lines[-1].endswith("[stage 5 of 5]")
    assert not list(tmp_path.glob(".ray-*"))


def test_on_ray_the_longest_chain_starts_first(local_ray: None, tmp_path: Path) -> None:
    import ray

    run = RunConfig(folder=str(tmp_path), threads=int(ray.cluster_resources()["CPU"]))
    short = [stage(tmp_path, "evaluate", f"short{number}") for number in range(2)]
    acoustic = stage(tmp_path, "acoustic", "long")
    stages = [*short, acoustic, stage(tmp_path, "evaluate", "long", needs=(acoustic,))]
    stages = [dataclasses.replace(item, experiment=Experiment(run=run)) for item in stages]
    on_ray(stages)
    assert order(tmp_path)[0] == "acoustic/long"


@pytest.mark.parametrize(
    ("does", "mendable", "said"),
    [
        ("user", True, "acoustic.width=0 must be at least 1"),
        ("crash", False, "ZeroDivisionError: the loss divided by zero"),
        ("kill", False, "the worker died"),
    ],
)
def test_on_ray_a_failure_stops_only_what_needs_it(
    local_ray: None, tmp_path: Path, does: str, mendable: bool, said: str
) -> None:
    stages = chains(tmp_path, does)
    outcomes = on_ray(stages)
    assert [outcomes[item.key].status for item in stages] == ["done", "failed", "skipped", "done", "done"]
    failed = outcomes["acoustic/a1"]
    assert failed.mendable == mendable and said in failed.error and "\n" not in failed.error
    assert order(tmp_path).count("acoustic/a1") == 1, "nothing is tried again"


def test_a_machine_that_cannot_run_stages_says_so_in_a_sentence(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nowhere.py").write_text("def work(stage, progress):\n    return {}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    unknown = importlib.import_module("nowhere").work
    found = on_ray([stage(tmp_path, "corpus", "a")], runner=unknown)["corpus/a"]
    assert found.mendable and "cannot import the code (ModuleNotFoundError: No module named 'nowhere')" in found.error
    terms = Terms(tmp_path / "gone", VERSIONS, tmp_path, 1)
    failure = do(stage(tmp_path, "corpus", "b"), (runner, terms, None))
    assert failure is not None and failure.mendable and f"does not see run.folder={tmp_path};" in failure.error
    (tmp_path / "gone").touch()
    failure = do(stage(tmp_path, "corpus", "b"), (runner, dataclasses.replace(terms, versions={"corpus": 0}), None))
    assert failure is not None and failure.mendable and "another version of prosody_tts" in failure.error
    assert not (tmp_path / "order.txt").exists()


def test_interrupting_ends_the_tasks_on_ray(local_ray: None, tmp_path: Path) -> None:
    class Impatient(Display):
        def refresh(self) -> None:
            if (tmp_path / "order.txt").exists():
                raise KeyboardInterrupt

    stages = chains(tmp_path, "hang")
    finish(stages[0])
    with pytest.raises(KeyboardInterrupt):
        on_ray(stages[:2], display=Impatient())
    (line,) = (tmp_path / "order.txt").read_text().splitlines()
    status = Path(f"/proc/{line.split()[1]}/stat")
    for _ in range(1_000_000):  # it has been told; that it is gone is a moment later
        if not status.exists() or status.read_text().split()[2] == "Z":
            return
    pytest.fail("the worker is still there")
