"""The wheel is the whole program: outside a checkout it has its experiments, its sweeps and every file it reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from prosody_tts.config import ROOT

BUILT = ("prosody_tts", "data_modules", "experiments", "sweeps")
BESIDE = ("pyproject.toml", "setup.py", "MANIFEST.in", "LICENSE", "README.md")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout stays as it is, and without a network."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in BUILT:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(made), str(source)], check=True, capture_output=True)
    (path,) = made.glob("prosody_tts-*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("prosody_tts", "data_modules"):
        files = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*") if path.is_file()}
        missing = {str(path) for path in files if "__pycache__" not in path.parts} - names
        assert not missing
    for folder in ("experiments", "sweeps"):
        files = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.yaml")}
        assert {f"prosody_tts/shipped/{path}" for path in files} <= names


@pytest.mark.slow
def test_the_wheel_runs_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site, here = tmp_path / "site", tmp_path / "here"
    zipfile.ZipFile(wheel).extractall(site)
    here.mkdir()
    # Somebody's own repository around it is not the program's.
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    code = (
        "import sys\n"
        "from prosody_tts import cli, pipeline\n"
        "from prosody_tts.config import ROOT\n"
        f"assert str(ROOT).startswith({str(site)!r}), ROOT\n"
        "assert pipeline.git_commit() == 'unknown'\n"
        "sys.exit(cli.run(['sweep', 'paper_tables', 'size=smoke', '--dry-run']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "9 points" in done.stdout and "23 stages serve" in done.stdout
