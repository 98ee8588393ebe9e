"""The command line: one grammar, one sentence for a mistake, and exit statuses a script can trust."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from scripted import stage

from prosody_tts import cli
from prosody_tts.board import Outcome
from prosody_tts.command import conclude, guarded, one_file, split_arguments
from prosody_tts.errors import UserError

VERBS = ("prepare", "inspect", "train", "synthesize", "evaluate", "sweep", "reproduce", "table", "settings")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.run(list(arguments))
    return (status, *capsys.readouterr())


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run what must be refused; return its one sentence."""
    status, out, error = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert error.startswith("prosody-tts: error: ") and error.count("\n") == 1
    assert "Traceback" not in error
    return error


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    status, out, error = run(capsys, verb, "--help")
    assert (status, error) == (0, "") and f"prosody-tts {verb}" in out


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_every_verb(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    status, out, _ = run(capsys, *arguments)
    assert status == 0 and all(f"\n  {verb} " in out for verb in VERBS) and "Examples:" in out
    assert "..." not in out.replace("ARGS]...", ""), "no help line is cut short"


def test_an_unknown_verb_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown verb 'trian'; did you mean 'train'?" in mistake(capsys, "trian", "camp")


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_option_is_a_mistake(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert "--wrkers" in mistake(capsys, verb, "--wrkers", "2")


def test_options_are_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--workers" in mistake(capsys, "train", "--wrkers", "2")
    assert "valid integer" in mistake(capsys, "train", "camp", "--workers", "two")
    assert "--workers" in mistake(capsys, "train", "camp", "--workers", "-1")
    assert "--text" in mistake(capsys, "synthesize", "camp", "--text")


@pytest.mark.parametrize("verb", ["prepare", "train", "synthesize", "evaluate"])
def test_one_system_is_named(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    if verb != "prepare":  # features are the same whatever the system
        assert "name an experiment" in mistake(capsys, verb, "size=smoke")
    assert "give one file, not 2 (camp, kathaka)" in mistake(capsys, verb, "camp", "kathaka")
    assert "did you mean 'camp_bert'" in mistake(capsys, verb, "camp_brt")
    assert "unknown setting 'siez'" in mistake(capsys, verb, "camp", "siez=smoke")


@pytest.mark.parametrize("verb", ["sweep", "reproduce", "table"])
def test_a_wrong_sweep_is_a_mistake(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert "did you mean 'controls'" in mistake(capsys, verb, "control")
    assert "unknown value 'tiny' of 'size'" in mistake(capsys, verb, "controls", "size=tiny")


def test_a_sweep_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "name a sweep file" in mistake(capsys, "sweep")


def test_settings_can_be_searched(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "settings", "sampler.prior")
    assert status == 0 and "gaussian, autoregressive" in " ".join(out.split())
    assert "acoustic." not in out
    assert "sampler.prior" in mistake(capsys, "settings", "sampler.priro")


def test_synthesis_needs_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(" \n\n"))
    assert "there is no text to speak" in mistake(capsys, "synthesize", "camp", "size=smoke")
    assert "cannot read the text" in mistake(capsys, "synthesize", "camp", "--file", str(tmp_path / "none.txt"))
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    assert "cannot read the text" in mistake(capsys, "synthesize", "camp", "--file", str(tmp_path / "latin.txt"))


def test_an_oracle_cannot_speak_new_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    error = mistake(capsys, "synthesize", "camp_oracle", f"run.folder={tmp_path}", "--text", "Hello.")
    assert "camp_oracle takes its prosody from recordings" in error and list(tmp_path.iterdir()) == []


def test_texts_come_from_options_a_file_or_stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("Two.\n\n  Three. \n")
    assert cli._texts(["One."], file) == ["One.", "Two.", "Three."]
    monkeypatch.setattr(sys, "stdin", io.StringIO("Four.\nFive.\n"))
    assert cli._texts(None, None) == ["Four.", "Five."]


def test_a_table_of_nothing_says_how_to_fill_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    error = mistake(capsys, "table", "size=smoke", f"run.folder={tmp_path}")
    assert "nothing of paper_tables is finished yet" in error and "prosody-tts sweep paper_tables" in error


@pytest.mark.parametrize("verb", ["sweep", "reproduce"])
def test_a_dry_run_shows_points_and_runs_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = run(capsys, verb, "paper_tables", "--dry-run", "size=smoke", f"run.folder={tmp_path}")
    assert status == 0 and "9 points" in out and "kathaka_oracle" in out
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_that_a_stage_finds_is_told_as_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """In a worker process, and in this one."""
    for workers in ("1", "0"):
        status, out, error = run(
            capsys,
            *("prepare", "baseline", "corpus=folder", f"corpus_path={tmp_path / 'nowhere'}"),
            *(f"run.folder={tmp_path / 'runs'}", "run.progress=false", "--workers", workers),
        )
        assert (status, out) == (2, "") and "nowhere" in error and "Traceback" not in error


def test_files_and_settings_are_told_apart_by_the_equals_sign() -> None:
    files, settings = split_arguments(["experiments/camp.yaml", "size=smoke", "text.bert=a=b"])
    assert (files, settings) == (["experiments/camp.yaml"], ["size=smoke", "text.bert=a=b"])
    assert split_arguments(["experiment=experiments/camp.yaml"]) == (["experiments/camp.yaml"], [])
    assert one_file([], "default") == "default"


def outcome(root: Path, status: str, mendable: bool = False, error: str = "") -> Outcome:
    item = stage(root, "acoustic", "a", "acoustic (word)")
    return Outcome(item, status, 1.0, error, mendable, root / "log.txt")  # type: ignore[arg-type]


def test_the_exit_status_says_whose_failure_it_was(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    done, skipped = outcome(tmp_path, "done"), outcome(tmp_path, "skipped", error="needs acoustic")
    users = outcome(tmp_path, "failed", True, "metadata.csv is missing")
    ours = outcome(tmp_path, "failed", False, "ZeroDivisionError: division by zero")
    assert conclude([done]) == 0 and capsys.readouterr().err == ""
    assert conclude([done, users, users, skipped]) == 2
    error = capsys.readouterr().err
    assert error.count("metadata.csv is missing") == 1 and "1 stage was skipped" in error
    assert conclude([users, ours]) == 1
    assert f"acoustic (word) failed: ZeroDivisionError: division by zero; see {tmp_path / 'log.txt'}" in (
        capsys.readouterr().err
    )


def test_guarded_turns_what_users_cause_into_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    def raising(error: BaseException) -> int:
        raise error

    assert guarded(lambda: 0) == 0
    assert guarded(lambda: raising(UserError("corpus_path=x is no folder"))) == 2
    assert capsys.readouterr().err == "prosody-tts: error: corpus_path=x is no folder\n"
    assert guarded(lambda: raising(KeyboardInterrupt())) == 130
    assert "goes on from there" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: raising(ZeroDivisionError()))


HEAVY = (
    "torch",
    "lightning",
    "spacy",
    "transformers",
    "matplotlib",
    "wandb",
    "librosa",
    "parselmouth",
    "pandas",
    "lhotse",
)


def test_the_command_line_starts_without_heavy_libraries() -> None:
    """Help, a dry run and a mistake come at once because none of these is loaded."""
    code = (
        "import sys; from prosody_tts import cli\n"
        "for arguments in (['--help'], ['reproduce', '--dry-run', 'size=smoke'], ['settings'], ['train', 'nope']):\n"
        "    cli.run(arguments)\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_ctrl_c_during_a_run_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    """The real program, its real first stage, and the signal a terminal sends to all of its processes."""
    arguments = ["prepare", "baseline", "size=demo", f"run.folder={tmp_path}", "--workers", "1"]
    # Where tests run in the background of a shell, the interrupt is ignored from the start.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from prosody_tts import cli; "
    code += f"sys.exit(cli.run({arguments!r}))"
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    assert program.stderr is not None
    line = ""
    while "start" not in line:
        line = program.stderr.readline()
        assert line, "the program ended before it started a stage"
    os.killpg(program.pid, signal.SIGINT)
    _, error = program.communicate(timeout=60)
    assert program.returncode == 130
    assert "Traceback" not in error and "goes on from there" in error
