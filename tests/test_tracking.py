"""W&B sees what it is given, needs no account offline, and can never stop a training."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prosody_tts import tracking
from prosody_tts.config import Experiment, RunConfig, load
from prosody_tts.samples import MediaLogger
from prosody_tts.tracking import flatten, lightning_loggers, track


def offline(root: Path) -> Experiment:
    return load("camp", ["size=smoke", f"run.folder={root}", "run.wandb=offline", "run.group=controls"])


def records(root: Path) -> list[dict[str, Any]]:
    """What offline runs left, as plain data.

    W&B's client no longer ships a reader of its files: 7 bytes, then LevelDB's log format (blocks of 32 KiB; a chunk is
    checksum, length, type, data) of one protocol buffer a record.
    """
    import wandb
    from google.protobuf.json_format import MessageToDict
    from wandb.proto import wandb_internal_pb2

    wandb.teardown()  # W&B's own process writes the files, and has written them all when it has ended
    found = []
    for path in sorted(root.glob("wandb/offline-run-*/*.wandb")):
        content, place, data = path.read_bytes(), 7, b""
        while place < len(content):
            if 32768 - place % 32768 < 7:
                place += 32768 - place % 32768
            _, length, kind = struct.unpack_from("<IHB", content, place)
            data += content[place + 7 : place + 7 + length]
            place += 7 + length
            if kind in {1, 4}:  # a whole record, or the last part of one
                record = wandb_internal_pb2.Record.FromString(data)
                found.append(MessageToDict(record, preserving_proto_field_name=True))
                data = b""
    return found


def test_disabled_logging_does_not_even_load_wandb(tmp_path: Path) -> None:
    code = (
        "import sys; from prosody_tts.tracking import track; from prosody_tts.config import load\n"
        f"with track(load('camp', ['run.folder={tmp_path}']), 'system', 'camp') as tracker:\n"
        "    tracker.log({'loss': 1.0}, 1); tracker.summary({'x': 2})\n"
        "assert 'wandb' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert list(tmp_path.iterdir()) == []


def test_an_offline_run_holds_settings_values_and_summary(tmp_path: Path) -> None:
    experiment = offline(tmp_path)
    with track(experiment, "evaluate", "evaluate camp") as tracker:
        tracker.log({"acoustic/loss": 0.5}, 7)
        tracker.summary({"evaluate": {"log_f0_rmse": 0.125, "system": "camp", "undefined": float("nan")}})
    found = records(tmp_path)
    (run,) = [record["run"] for record in found if "run" in record]
    assert (run["project"], run["run_group"], run["job_type"]) == ("prosody_tts", "controls", "evaluate")
    assert (run["display_name"], sorted(run["tags"])) == ("evaluate camp", ["camp", "smoke", "testbed"])
    config = {item["key"]: json.loads(item["value_json"]) for item in run["config"]["update"]}
    assert config["sampler"]["prior"] == "autoregressive" and config["sampler"]["contexts"] == ["bert", "tags"]
    history = [item for record in found for item in record.get("history", {}).get("item", [])]
    values = {"/".join(item.get("nested_key", [])) or item.get("key"): item["value_json"] for item in history}
    assert values["acoustic/loss"] == "0.5" and values["acoustic/step"] == "7"
    summary = [item for record in found for item in record.get("summary", {}).get("update", [])]
    given = {
        "/".join(item.get("nested_key", [])) or item.get("key"): json.loads(item["value_json"]) for item in summary
    }
    assert given["evaluate/log_f0_rmse"] == 0.125 and "evaluate/undefined" not in given


def test_a_broken_wandb_warns_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb

    def broken(**settings: Any) -> None:
        raise OSError("the service did not start")

    monkeypatch.setattr(wandb, "init", broken)
    monkeypatch.setattr(tracking, "_warned", [])
    for _ in range(2):
        with track(offline(tmp_path), "evaluate", "camp") as tracker:
            tracker.log({"a/b": 1.0}, 1)
            tracker.summary({"a": 1.0})
    error = capsys.readouterr().err
    assert error.count("continuing without W&B logging: the service did not start") == 1


def test_a_wandb_that_breaks_on_the_way_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Breaking:
        def log(self, values: dict[str, float]) -> None:
            raise ConnectionError("no network")

    monkeypatch.setattr(tracking, "_warned", [])
    tracker = tracking.Tracker(Breaking())
    tracker.log({"loss": 1.0})
    tracker.log({"loss": 1.0})
    tracker.summary({"loss": 1.0})
    tracker.finish()
    assert capsys.readouterr().err.count("no network") == 1


def test_stages_log_to_csv_and_only_if_asked_to_wandb(tmp_path: Path) -> None:
    silent = Experiment(run=RunConfig(folder=str(tmp_path)))
    for step in (3, 8):
        (csv,) = lightning_loggers(silent, tmp_path / "stage", "acoustic")
        csv.log_metrics({"loss": 0.25}, step)
        csv.finalize("success")
    written = sorted((tmp_path / "stage").rglob("metrics.csv"))
    assert [path.read_text().splitlines() for path in written] == [["loss,step", "0.25,3"], ["loss,step", "0.25,8"]]
    assert len(lightning_loggers(offline(tmp_path), tmp_path, "acoustic")) == 2


def test_each_stage_of_a_process_has_its_own_run_unless_one_is_open(tmp_path: Path) -> None:
    experiment = offline(tmp_path)
    for job in ("acoustic", "sampler"):
        logger = lightning_loggers(experiment, tmp_path / job, job)[-1]
        logger.log_metrics({"loss": 0.5}, 1)
        logger.finalize("success")
    with track(experiment, "system", "camp"):
        logger = lightning_loggers(experiment, tmp_path / "both", "acoustic")[-1]
        logger.log_metrics({"loss": 0.75}, 1)
        logger.finalize("success")
    runs = [record["run"] for record in records(tmp_path) if "run" in record]
    assert sorted(run["display_name"] for run in runs) == ["camp", "camp acoustic", "camp sampler"]


def test_pictures_and_sounds_are_in_an_offline_run(tmp_path: Path) -> None:
    import soundfile
    from matplotlib.image import imsave

    imsave(tmp_path / "mel.png", [[0.0, 1.0], [1.0, 0.0]])
    soundfile.write(tmp_path / "said.wav", [0.0, 0.5, -0.5, 0.0], 16000)
    logger = lightning_loggers(offline(tmp_path), tmp_path / "stage", "acoustic")[-1]
    assert isinstance(logger, MediaLogger)
    logger.log_media({"1": tmp_path / "mel.png"}, {"1": tmp_path / "said.wav"}, 12)
    logger.finalize("success")
    history = [item for record in records(tmp_path) for item in record.get("history", {}).get("item", [])]
    values = {"/".join(item.get("nested_key", [])) or item.get("key"): item["value_json"] for item in history}
    assert values["acoustic/step"] == "12"
    assert values["acoustic/picture 1/_type"] == '"image-file"'
    assert values["acoustic/sound 1/_type"] == '"audio-file"'
    kept = [path for path in tmp_path.glob("wandb/offline-run-*/files/media/**/*") if path.is_file()]
    assert sorted(path.suffix for path in kept) == [".png", ".wav"]


def test_flatten_keeps_what_wandb_can_compare() -> None:
    nested = {"metrics": {"f0": 1.5, "none": None, "list": [1], "inf": float("inf")}, "system": "camp", "ok": True}
    assert flatten(nested) == {"metrics/f0": 1.5, "system": "camp", "ok": True}
