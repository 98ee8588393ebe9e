"""A stage made on one machine is used on another: whole or not at all, and only if it is what its name says."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import scripted
from offline_runs import records

from data_modules.corpora.contract import Progress, silent
from prosody_tts.config import Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.files import read_json, write_json
from prosody_tts.pipeline import RESULT, Stage, folder, plan, run_stage
from prosody_tts.runners import RUNNERS
from prosody_tts.tracking import artifacts, track, tracker
from prosody_tts.tracking.artifacts import LOG, UnfitError, WandbStore, check_names, store_of


class TarStore:
    """Stages as archives in a folder; what an archive holds is laid down as it is, links and all."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.asked: list[str] = []

    def fetch(self, name: str, into: Path) -> bool:
        self.asked.append(name)
        path = self.place / f"{name}.tar"
        if not path.exists():
            return False
        with tarfile.open(path) as archive:
            check_names(archive.getnames())
            archive.extractall(into, filter="fully_trusted")
        return True

    def keep(self, name: str, place: Path, names: Iterable[str]) -> None:
        self.place.mkdir(exist_ok=True)
        with tarfile.open(self.place / f"{name}.tar", "w") as archive:
            for inner in names:
                archive.add(place / inner, inner)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TarStore:
    """What ``run.artifacts=wandb`` uses in this test."""
    store = TarStore(tmp_path / "store")
    monkeypatch.setitem(artifacts.STORES, "wandb", lambda experiment: store)
    return store


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stages that were made, not fetched; their kind is ``acoustic`` or ``corpus``."""
    found: list[str] = []

    def make(stage: Stage, place: Path, progress: Progress) -> dict[str, Any]:
        found.append(stage.key)
        (place / "metrics").mkdir(exist_ok=True)
        (place / "last.ckpt").write_bytes(b"weights")
        (place / "metrics" / "metrics.csv").write_text("loss\n0.5\n")
        (place / ".last-half").write_bytes(b"temporary")
        (place / LOG).write_text("said on one machine\n")
        return {"loss": 0.5}

    for kind in ("acoustic", "corpus"):
        monkeypatch.setitem(RUNNERS, kind, make)
    return found


def shared(root: Path, kind: str = "acoustic", wandb: str = "online") -> Stage:
    stage = scripted.stage(root, kind, "abc")
    stage.experiment.run.artifacts = "wandb"
    stage.experiment.run.wandb = wandb  # type: ignore[assignment]
    return stage


def names(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def test_a_stage_made_elsewhere_is_not_made_again(tmp_path: Path, store: TarStore, made: list[str]) -> None:
    here, there = shared(tmp_path / "here"), shared(tmp_path / "there")
    result = run_stage(here, silent)
    assert run_stage(there, silent) == result and made == ["acoustic/abc"]
    assert names(folder(there)) == ["last.ckpt", "metrics/metrics.csv", RESULT, "settings.json"]
    for name in names(folder(there)):
        assert (folder(there) / name).read_bytes() == (folder(here) / name).read_bytes()
    assert sorted(path.name for path in folder(there).parent.iterdir()) == ["abc", "abc.lock"]
    run_stage(here, silent)
    assert store.asked == ["acoustic-abc"] * 2, "what is on disk is not asked for"


def test_a_training_that_was_begun_gives_way_and_its_log_goes_on(
    tmp_path: Path, store: TarStore, made: list[str]
) -> None:
    run_stage(shared(tmp_path / "here"), silent)
    there = shared(tmp_path / "there")
    folder(there).mkdir(parents=True)
    (folder(there) / "best.ckpt").write_bytes(b"half trained")
    with (folder(there) / LOG).open("a") as log:
        print("before", file=log, flush=True)
        run_stage(there, silent)
        print("after", file=log)
    assert (folder(there) / LOG).read_text() == "before\nafter\n"
    assert not (folder(there) / "best.ckpt").exists() and made == ["acoustic/abc"]


def test_processes_that_share_a_folder_fetch_once(tmp_path: Path, store: TarStore, made: list[str]) -> None:
    run_stage(shared(tmp_path / "here"), silent)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: run_stage(shared(tmp_path / "there"), silent), range(4)))
    assert all(result == results[0] for result in results)
    assert store.asked == ["acoustic-abc"] * 2 and made == ["acoustic/abc"]


def test_a_corpus_stays_at_home(tmp_path: Path, store: TarStore, made: list[str]) -> None:
    """It names recordings by where they lie."""
    for place in ("here", "there"):
        run_stage(shared(tmp_path / place, "corpus"), silent)
    assert made == ["corpus/abc"] * 2 and store.asked == [] and not store.place.exists()


def test_without_the_setting_nobody_is_asked(tmp_path: Path, store: TarStore, made: list[str]) -> None:
    stage = shared(tmp_path)
    stage.experiment.run.artifacts = "none"
    run_stage(stage, silent)
    assert store.asked == [] and not store.place.exists()


RIGHT = {"kind": "acoustic", "identity": "abc", "metrics": {}}


def member(name: str, content: bytes = b"", link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    if link:
        info.type, info.linkname = tarfile.SYMTYPE, link
    return info, content


def result(**changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    return member(RESULT, json.dumps({**RIGHT, **changes}).encode())


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([result(), member("../../escaped", b"x")], "a file called '../../escaped', which leaves"),
        ([result(), member("/escaped", b"x")], "a file called '/escaped', which leaves"),
        ([result(), member("last.ckpt", link="/etc/passwd")], "it holds last.ckpt, which is no file"),
        ([result(), member("metrics", link="..")], "it holds metrics, which is no file"),
        ([result(identity="abd")], "its result.json says acoustic/abd, and not acoustic/abc"),
        ([result(kind="sampler")], "its result.json says sampler/abc, and not acoustic/abc"),
        ([result(metrics=None)], "its result.json is not that of a stage"),
        ([member(RESULT, b"[]")], "its result.json is not that of a stage"),
        ([member(RESULT, b'{"kind": "acou')], "it has no result.json, or one that cannot be read"),
        ([member("last.ckpt", b"weights")], "it has no result.json, or one that cannot be read"),
    ],
)
def test_what_is_not_the_stage_is_refused_and_made_here(
    members: list[tuple[tarfile.TarInfo, bytes]],
    why: str,
    tmp_path: Path,
    store: TarStore,
    made: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    store.place.mkdir()
    with tarfile.open(store.place / "acoustic-abc.tar", "w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    stage = shared(tmp_path / "runs")
    run_stage(stage, silent)
    assert made == ["acoustic/abc"] and (folder(stage) / "last.ckpt").read_bytes() == b"weights"
    error = capsys.readouterr().err
    assert error.startswith("prosody-tts: warning: the artifact acoustic-abc is not used, as it")
    assert why in error and error.endswith("work is made here instead\n") and error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "store"], "nothing lies outside"
    assert sorted(path.name for path in folder(stage).parent.iterdir()) == ["abc", "abc.lock"]
    # What was made instead takes its place.
    shutil.rmtree(tmp_path / "runs")
    run_stage(stage, silent)
    assert made == ["acoustic/abc"]


class Server:
    """In place of ``wandb.Api``, which needs one: holds an artifact that W&B's own class describes."""

    def __init__(self, artifact: Any, place: Path) -> None:
        self.manifest, self.place, self.paths = artifact.manifest, place, [""]

    def artifact_exists(self, path: str, type: str) -> bool:
        self.paths.append(path)
        return True

    def artifact(self, path: str, type: str) -> Server:
        return self

    def download(self, root: str) -> None:
        shutil.copytree(self.place, root, dirs_exist_ok=True)

    def verify(self, root: str) -> None:
        for name, entry in self.manifest.entries.items():
            if (Path(root) / name).stat().st_size != entry.size:
                raise ValueError(f"Digest mismatch for file: {name}")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    import wandb

    place = tmp_path / "uploaded"
    write_json(place / RESULT, RIGHT)
    artifact = wandb.Artifact("acoustic-abc", type="stage")
    artifact.add_file(str(place / RESULT), policy="immutable", skip_cache=True)
    server = Server(artifact, place)
    monkeypatch.setattr(wandb, "Api", lambda: server)
    monkeypatch.setattr(WandbStore, "_broken", False)
    return server


def test_a_stage_comes_from_the_runs_project(tmp_path: Path, server: Server, made: list[str]) -> None:
    stage = shared(tmp_path)
    stage.experiment.run.project = "voices"
    assert run_stage(stage, silent) == RIGHT and made == []
    assert server.paths[-1] == "voices/acoustic-abc:latest"


def test_an_artifact_that_refers_to_other_files_is_refused(tmp_path: Path, server: Server) -> None:
    """W&B would fetch whatever a reference names, from this machine too."""
    import wandb

    artifact = wandb.Artifact("acoustic-abc", type="stage")
    artifact.add_reference(f"file://{tmp_path / 'uploaded' / RESULT}", name=RESULT)
    server.manifest = artifact.manifest
    with pytest.raises(UnfitError, match="refers to files elsewhere"):
        WandbStore(shared(tmp_path).experiment).fetch("acoustic-abc", tmp_path)
    assert not (tmp_path / RESULT).exists()


def test_an_artifact_that_did_not_arrive_whole_is_refused(tmp_path: Path, server: Server) -> None:
    (server.place / RESULT).write_text("{")
    with pytest.raises(UnfitError, match=r"did not arrive whole \(Digest mismatch for file: result.json\)"):
        WandbStore(shared(tmp_path).experiment).fetch("acoustic-abc", tmp_path / "new")


def test_a_server_out_of_reach_is_asked_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb

    asked = []

    def unreachable() -> None:
        asked.append(1)
        raise ConnectionError("no network")

    monkeypatch.setattr(wandb, "Api", unreachable)
    monkeypatch.setattr(tracker, "_warned", [])
    for _ in range(2):
        assert not artifacts.fetched(shared(tmp_path), silent)
    error = capsys.readouterr().err
    assert error == "prosody-tts: warning: continuing without W&B's artifacts: no network\n" and len(asked) == 1


@pytest.mark.parametrize("opened", [True, False])
def test_an_offline_run_holds_the_stage_to_send_later_and_asks_nobody(
    opened: bool, tmp_path: Path, server: Server, made: list[str]
) -> None:
    """In the run that is open, as an agent's, or in one of its own; the files are named where they lie."""
    stage = shared(tmp_path, wandb="offline")
    if opened:
        with track(stage.experiment, "system", "camp"):
            run_stage(stage, silent)
    else:
        run_stage(stage, silent)
    assert made == ["acoustic/abc"] and server.paths == [""]
    found = records(tmp_path)
    (run,) = [record["run"] for record in found if "run" in record]
    assert run["job_type"] == ("system" if opened else "stage")
    (artifact,) = [record["artifact"] for record in found if "artifact" in record]
    assert (artifact["type"], artifact["name"], artifact["finalize"]) == ("stage", "acoustic-abc", True)
    files = {entry["path"]: entry["local_path"] for entry in artifact["manifest"]["contents"]}
    inner = ["last.ckpt", "metrics/metrics.csv", RESULT, "settings.json"]
    assert files == {name: str(folder(stage) / name) for name in inner}
    assert read_json(folder(stage) / RESULT)["metrics"] == {"loss": 0.5}


def test_sharing_changes_no_identity_and_needs_wandb() -> None:
    sharing = load("camp", ["run.artifacts=wandb", "run.wandb=offline"])
    assert [stage.key for stage in plan(sharing)] == [stage.key for stage in plan(load("camp"))]
    assert isinstance(store_of(sharing), WandbStore) and store_of(Experiment()) is None
    with pytest.raises(UserError, match=r"run\.artifacts=wandb shares stages by W&B, and run\.wandb=disabled"):
        load("camp", ["run.artifacts=wandb"])
