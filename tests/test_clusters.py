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
from prosody_tts.clusters.slurm import MOST_TASKS, Scripts, write_scripts
from prosody_tts.config import Experiment, RunConfig
from prosody_tts.errors import UserError
from prosody_tts.files import read_json, write_json
from prosody_tts.pipeline import RESULT, Stage, folder, is_done, plan, plan_all, run_stage
from prosody_tts.sweeps import experiments_of, load_sweep, run_sweep

FAKE_SBATCH = Path(__file__).with_name("fake_sbatch.py")


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


def submitted(place: Path) -> list[str]:
    """Run ``submit.sh`` with an ``sbatch`` that does at once what it is given; the tasks' ``job number status``."""
    programs = place / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "tasks.txt").unlink(missing_ok=True)
    (programs / "sbatch").write_text(f"#!{sys.executable} -S\n{FAKE_SBATCH.read_text()}")
    (programs / "sbatch").chmod(0o755)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    done = subprocess.run([place / "submit.sh"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (programs / "tasks.txt").read_text().splitlines()


def test_slurm_makes_the_same_table_and_a_failure_stops_only_what_needs_it(
    small: Small, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs, place = tmp_path / "the runs", tmp_path / "the scripts"
    samplers = [item for item in small.prepared(runs) if item.kind == "sampler"]
    assert cli.run(["sweep", *small.words(runs), "--slurm", str(place)]) == 0
    assert capfd.readouterr().out == f"4 stages to run: bash {place / 'submit.sh'}\n"
    folder(samplers[0]).parent.mkdir()
    folder(samplers[0]).write_text("in the way")
    assert submitted(place) == ["1 1 1", "1 2 0", "2 1 2", "2 2 0", "3 0 0"]
    told = (place / "logs" / "level_2_1-2_1.txt").read_text()
    assert told.count("\n") == 1 and f"which is not done; run it with --only {samplers[0].key}" in told
    tables = [next((at / "reports").glob("two-seeds-*/table.json")) for at in (runs,)]
    assert len(read_json(tables[0])) > 0

    folder(samplers[0]).unlink()
    times = {path: path.stat().st_mtime_ns for path in runs.glob(f"*/*/{RESULT}")}
    assert submitted(place) == ["1 1 0", "1 2 0", "2 1 0", "2 2 0", "3 0 0"]
    assert len(times) == 5 and all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert small.metrics(runs) == small.metrics(small.root / "runs")
    assert cli.run(["table", *small.words(small.root / "runs")]) == 0
    shown = capfd.readouterr().out.partition("page:")[0]
    assert (place / "logs" / "table-3.txt").read_text().partition("page:")[0] == shown
    assert json.loads(tables[0].read_text()) == read_json(next(small.root.glob("runs/reports/two-seeds-*/table.json")))
