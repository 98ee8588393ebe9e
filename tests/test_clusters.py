"""A sweep on many machines is the same sweep: by Slurm's scripts, on a Ray cluster, and a stage at a time."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from label_corpora import helsinki_corpus
from scripted import stage

from prosody_tts import cli
from prosody_tts.clusters.parts import check_written_beforehand, choose, levels
from prosody_tts.clusters.ray_cluster import Demand, demand_of, places
from prosody_tts.clusters.slurm import MOST_TASKS, Scripts, write_scripts
from prosody_tts.config import Experiment, RunConfig
from prosody_tts.errors import UserError
from prosody_tts.files import read_json, write_json
from prosody_tts.pipeline import RESULT, Stage, folder, is_done, plan, plan_all, run_stage
from prosody_tts.sweeps import experiments_of, load_sweep, run_sweep

FAKE_SBATCH = Path(__file__).with_name("fake_sbatch.py")
RAY_CASES = Path(__file__).with_name("ray_cases.py")


def finish(*stages: Stage) -> None:
    for item in stages:
        write_json(folder(item) / RESULT, {})


def chains(root: Path, does: str = "work") -> list[Stage]:
    """Two systems on one corpus, in the order of a plan."""
    corpus = stage(root, "corpus", "c")
    one = stage(root, "acoustic", "a1", does, (corpus,))
    other = stage(root, "acoustic", "a2", "work", (corpus,))
    tests = [stage(root, "evaluate", f"e{number}", "work", (item,)) for number, item in enumerate((one, other), 1)]
    return [corpus, one, tests[0], other, tests[1]]


# Parts of a plan ----------------------------------------------------------------------------------------------------


def test_a_level_needs_only_earlier_ones_and_what_is_done_is_left_out(tmp_path: Path) -> None:
    stages = chains(tmp_path)
    keys = [[item.key for item in level] for level in levels(stages)]
    assert keys == [["corpus/c"], ["acoustic/a1", "acoustic/a2"], ["evaluate/e1", "evaluate/e2"]]
    finish(stages[0], stages[1])
    keys = [[item.key for item in level] for level in levels(stages)]
    assert keys == [["evaluate/e1", "acoustic/a2"], ["evaluate/e2"]]
    finish(*stages)
    assert levels(stages) == []


def test_stages_are_chosen_by_key_once_their_needs_are_done(tmp_path: Path) -> None:
    stages = chains(tmp_path)
    assert choose(stages, ["acoustic/a2", "corpus/c"]) == [stages[0], stages[3]]
    with pytest.raises(UserError, match=r"work \(acoustic/a2\) needs work, which is not done; run it with --only corp"):
        choose(stages, ["acoustic/a2"])
    finish(stages[0])
    assert choose(stages, ["acoustic/a2"]) == [stages[3]]
    with pytest.raises(UserError, match="has no stage acoustic/a3: the code or the settings have changed"):
        choose(stages, ["acoustic/a2", "acoustic/a3"])
    shutil.rmtree(tmp_path / "corpus")
    finish(stages[3])
    assert choose(stages, ["acoustic/a2"]) == [stages[3]], "what is done needs nothing"


def test_a_search_is_not_written_beforehand() -> None:
    sweep = load_sweep("priors")
    check_written_beforehand(sweep, "--slurm")
    with pytest.raises(UserError, match="has method: bayes, whose points are not known beforehand; leave out --slurm"):
        check_written_beforehand(dataclasses.replace(sweep, method="bayes"), "--slurm")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["priors", "--only", "corpus/0", "--slurm", "x"], "give one of --dry-run, --only, --slurm, --ray, not --only"),
        (["priors", "--dry-run", "--ray", "local"], "not --dry-run and --ray"),
        (["--slurm", "x"], "name a sweep file"),
        (["priors", "--only", "corpus/0", "size=smoke"], "the sweep has no stage corpus/0"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], sentence: str
) -> None:
    assert cli.run(["sweep", *options, f"run.folder={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


# Slurm --------------------------------------------------------------------------------------------------------------


def scripts(folder: Path, **run: Any) -> Scripts:
    return Scripts("a-sweep", ["it's.yaml", "corpus_path=a b"], Path("/some where"), folder, RunConfig(**run))


def checked(*paths: Path) -> None:
    """Bash can read these scripts."""
    for path in paths:
        done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stderr == "", done.stderr


def test_scripts_ask_for_what_stages_use_and_quote_every_word(tmp_path: Path) -> None:
    place = tmp_path / "50 % \"of\" 'it' $HOME"
    submit, count = write_scripts(scripts(place, threads=3, accelerator="gpu", devices=2), chains(tmp_path))
    checked(*(place / name for name in ("stages.sbatch", "table.sbatch", "submit.sh")))
    text = (place / "stages.sbatch").read_text()
    assert count == 5 and submit == place / "submit.sh" and os.access(submit, os.X_OK)
    assert "#SBATCH --cpus-per-task=3\n#SBATCH --gres=gpu:2\n" in text and "SBATCH_PARTITION" in text
    assert "cd -- '/some where'" in text and """'it'"'"'s.yaml' 'corpus_path=a b'""" in text
    write_scripts(scripts(place, devices=2), chains(tmp_path))
    assert "gres" not in (place / "stages.sbatch").read_text()


def test_a_level_longer_than_slurms_arrays_is_split(tmp_path: Path) -> None:
    corpus = stage(tmp_path, "corpus", "c")
    many = [stage(tmp_path, "sampler", f"s{number}", needs=(corpus,)) for number in range(MOST_TASKS + 1)]
    last = stage(tmp_path, "evaluate", "e", needs=(many[-1],))
    submit, _ = write_scripts(scripts(tmp_path / "to"), [corpus, *many, last])
    checked(submit)
    lists = {path.name.partition("-")[0]: path.read_text().split() for path in (tmp_path / "to").glob("level_*.txt")}
    assert [len(lists[name]) for name in sorted(lists)] == [1, MOST_TASKS, 1, 1]
    assert lists["level_2_1"] + lists["level_2_2"] == [item.key for item in many]
    lines = {line.partition("=")[0]: line for line in submit.read_text().splitlines() if "=$(submit" in line}
    assert "--array=1-1000 " in lines["level_2_1"] and '"--dependency=afterany:${level_1_1}"' in lines["level_2_2"]
    assert '"--dependency=afterany:${level_2_1}:${level_2_2}"' in lines["level_3_1"]


def test_submitting_stops_where_slurm_refuses(tmp_path: Path) -> None:
    submit, _ = write_scripts(scripts(tmp_path / "to"), chains(tmp_path))
    (tmp_path / "sbatch").write_text('#!/bin/sh\necho "$@" >> asked\necho sbatch: error: no partition >&2\nexit 1\n')
    (tmp_path / "sbatch").chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([submit], env=path, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "sbatch: error: no partition\n")
    assert (tmp_path / "asked").read_text().count("\n") == 1


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write scripts to .*file: Not a directory|File exists; give another"):
        write_scripts(scripts(tmp_path / "file"), chains(tmp_path))


@dataclasses.dataclass
class Small:
    """A sweep of two seeds on a small corpus of labels, what it made when run as ever, and how it is asked for."""

    file: Path
    settings: list[str]
    root: Path

    def words(self, runs: Path) -> list[str]:
        return [str(self.file), *self.settings, f"run.folder={runs}"]

    def experiments(self, runs: Path) -> dict[str, Experiment]:
        named = experiments_of(load_sweep(self.file), [*self.settings, f"run.folder={runs}"])
        return {name: experiment for name, (_, experiment) in named.items()}

    def prepared(self, runs: Path) -> list[Stage]:
        """Copy the corpus, its text and labels to another folder of runs; return what is left to do."""
        for kind in ("corpus", "text", "labels"):
            shutil.copytree(self.root / "runs" / kind, runs / kind)
        return [item for item in plan_all(list(self.experiments(runs).values())) if not is_done(item)]

    def metrics(self, runs: Path) -> list[Any]:
        tests = [folder(plan(experiment)[-1]) for experiment in self.experiments(runs).values()]
        return [read_json(test / RESULT)["metrics"] for test in tests]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    root = tmp_path_factory.mktemp("small")
    parameters = {"experiment": {"value": "prominence_phones"}, "seed": {"values": [0, 1]}}
    file = root / "two seeds.yaml"
    file.write_text(yaml.safe_dump({"name": "two seeds", "method": "grid", "parameters": parameters}))
    settings = [f"corpus_path={helsinki_corpus(root)}", "size=smoke", "run.progress=false", "run.wandb=disabled"]
    made = Small(file, settings, root)
    outcomes = run_sweep(made.experiments(root / "runs"), 0, runner=run_stage)
    assert {outcome.status for outcome in outcomes} == {"done"}, [outcome.error for outcome in outcomes]
    return made


class Cluster:
    """An ``sbatch`` that keeps jobs, and what runs them: a task's script by bash, what it calls in this process.

    The scripts are written with ``python`` as their interpreter, which only says how it was called: what stages need
    is loaded here already, and would take seconds of every task.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        self.python, self.said = place / "python", place / "said"
        self._program("python", f'#!/bin/bash\nprintf \'%s\\0\' "$PWD" "$@" > {self.said}\n')
        self._program("sbatch", f"#!{sys.executable} -S\n{FAKE_SBATCH.read_text()}")

    def _program(self, name: str, text: str) -> None:
        (self.place / name).write_text(text)
        (self.place / name).chmod(0o755)

    def run(self, submit: Path, capfd: pytest.CaptureFixture[str]) -> dict[str, tuple[int, str]]:
        """Submit jobs and run them; log file of a task -> its status, and what it said."""
        jobs = self.place / "jobs.jsonl"
        jobs.unlink(missing_ok=True)
        environment = os.environ | {"PATH": f"{self.place}:{os.environ['PATH']}"}
        subprocess.run([submit], env=environment, check=True, capture_output=True)
        done = {}
        for job in map(json.loads, jobs.read_text().splitlines()):
            for task in job["tasks"] or [None]:
                log = (
                    job["output"].replace("%A", f"{job['job']}").replace("%j", f"{job['job']}").replace("%a", f"{task}")
                )
                numbered = {} if task is None else {"SLURM_ARRAY_TASK_ID": str(task)}
                done[Path(log).name] = self._task([job["script"], *job["arguments"]], numbered, capfd)
        return done

    def _task(self, words: list[str], variables: dict[str, str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
        subprocess.run(["bash", *words], cwd="/", env=os.environ | variables, check=True)
        place, *called = self.said.read_text().split("\0")[:-1]
        assert place == os.getcwd() and called[:2] == ["-m", "prosody_tts.cli"]
        if "--workers" in called:
            called[called.index("--workers") + 1] = "0"
        status = cli.run(called[2:])
        return status, "".join(capfd.readouterr())


def test_slurm_makes_the_same_table_and_a_failure_stops_only_what_needs_it(
    small: Small, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, place, cluster = tmp_path / "the runs", tmp_path / "the scripts", Cluster(tmp_path / "slurm")
    samplers = [item for item in small.prepared(runs) if item.kind == "sampler"]
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(cluster.python))
        assert cli.run(["sweep", *small.words(runs), "--slurm", str(place)]) == 0
    assert capfd.readouterr().out == f"4 stages to run: bash {place / 'submit.sh'}\n"

    folder(samplers[0]).parent.mkdir()
    folder(samplers[0]).write_text("in the way")
    done = cluster.run(place / "submit.sh", capfd)
    assert [status for status, _ in done.values()] == [1, 0, 2, 0, 0]
    assert list(done)[1:] == ["level_1_1-1_2.txt", "level_2_1-2_1.txt", "level_2_1-2_2.txt", "table-3.txt"]
    told = done["level_2_1-2_1.txt"][1]
    assert told.count("\n") == 1 and f"which is not done; run it with --only {samplers[0].key}" in told
    assert "table" in done["table-3.txt"][1], "of what is finished"

    folder(samplers[0]).unlink()
    times = {path: path.stat().st_mtime_ns for path in runs.glob(f"*/*/{RESULT}")}
    done = cluster.run(place / "submit.sh", capfd)
    assert [status for status, _ in done.values()] == [0] * 5
    assert len(times) == 5 and all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert small.metrics(runs) == small.metrics(small.root / "runs")
    assert cli.run(["table", *small.words(small.root / "runs")]) == 0
    expected, _, _ = capfd.readouterr().out.partition("page:")
    assert "prominence_phones" in expected and done["table-3.txt"][1].partition("page:")[0] == expected


# Ray ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_plans_run_on_a_local_ray() -> None:
    """In a process of its own: one that has spoken to a Ray is ended by it when that Ray dies."""
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", str(RAY_CASES)]
    done = subprocess.run(command, cwd=RAY_CASES.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "11 passed" in done.stdout and "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("run", "machines", "asked", "room"),
    [
        (RunConfig(threads=2, accelerator="cpu"), [{"CPU": 5.0, "GPU": 8.0}], Demand(2, 0), 2),
        (RunConfig(threads=2), [{"CPU": 5.0}, {"CPU": 1.0}, {"GPU": 1.0}], Demand(2, 0), 2),
        (RunConfig(), [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0}], Demand(1, 1), 2),
        (
            RunConfig(accelerator="gpu", devices=2),
            [{"CPU": 1.0, "GPU": 4.0}, {"CPU": 4.0, "GPU": 4.0}],
            Demand(1, 2),
            3,
        ),
    ],
)
def test_tasks_ask_for_what_the_settings_say(
    run: RunConfig, machines: list[dict[str, float]], asked: Demand, room: int
) -> None:
    assert demand_of(run, machines) == asked
    assert places(machines, asked) == room


def test_what_no_machine_has_is_not_waited_for() -> None:
    with pytest.raises(UserError, match=r"has 1 core and 2 GPUs for a stage; lower run.threads or run.devices, or set"):
        demand_of(RunConfig(accelerator="gpu", devices=2), [{"CPU": 4.0, "GPU": 1.0}])
    with pytest.raises(UserError, match=r"has 8 cores for a stage; lower run.threads$"):
        demand_of(RunConfig(threads=8), [{"CPU": 4.0}])


def test_without_ray_its_option_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert cli.run(["sweep", "priors", "size=smoke", f"run.folder={tmp_path}", "--ray", "local"]) == 2
    said = capsys.readouterr().err
    assert "pip install 'prosody_tts[ray]'" in said and said.count("\n") == 1
