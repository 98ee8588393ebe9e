"""Finished stages shared by machines without a common folder (``run.artifacts``).

A stage's identity says what it is, so one from elsewhere is taken for the same. Nothing in it is executed: checkpoints
load ``weights_only``, everything else is text and numbers.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from data_modules.corpora.contract import Progress
from prosody_tts.attempts import LOG
from prosody_tts.config import Experiment
from prosody_tts.files import read_json, set_aside
from prosody_tts.pipeline import RESULT, Stage, folder
from prosody_tts.tracking.tracker import current, tracked, warn

#: Stages that stay at home: a corpus names recordings by where they lie on its machine.
AT_HOME = {"corpus"}
#: Type of a stage's artifact.
TYPE = "stage"


class UnfitError(Exception):
    """What a store holds under a stage's name is not that stage; says why."""


class Store(Protocol):
    """Holds the files of stages by name."""

    def fetch(self, name: str, into: Path) -> bool:
        """Lay a stage's files into an empty folder, or return false where the store has not got it.

        Raises:
            UnfitError: ``check_names`` refuses the names of its files; then nothing has been written.
        """
        ...

    def keep(self, name: str, place: Path, names: Iterable[str]) -> None:
        """Take the files of a finished stage, given by their names in its folder, which change no more."""
        ...


class WandbStore:
    """Artifacts of a W&B project: that of the run this process has open, as under an agent, else ``run.project``.

    W&B failing is told once; after that nothing more is asked of it in this process, as every question to a server out
    of reach takes its time.
    """

    _broken = False

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def fetch(self, name: str, into: Path) -> bool:
        """As ``Store``; an offline run has nobody to ask."""
        if self._experiment.run.wandb != "online" or WandbStore._broken:
            return False
        try:
            return self._fetch(name, into)
        except UnfitError:
            raise
        except Exception as error:  # whatever W&B raises, the stage is made here
            WandbStore._broken = True
            warn(error, "W&B's artifacts")
            return False

    def _fetch(self, name: str, into: Path) -> bool:
        import wandb

        run = current()
        project = (run.project if run is not None else None) or self._experiment.run.project
        api = wandb.Api()
        path = f"{project}/{name}:latest"
        if not api.artifact_exists(path, type=TYPE):
            return False
        artifact = api.artifact(path, type=TYPE)
        entries = artifact.manifest.entries
        check_names(entries)
        if any(entry.ref is not None for entry in entries.values()):
            raise UnfitError("it refers to files elsewhere")
        artifact.download(root=str(into))
        try:
            artifact.verify(root=str(into))
        except ValueError as error:
            raise UnfitError(f"it did not arrive whole ({error})") from None
        return True

    def keep(self, name: str, place: Path, names: Iterable[str]) -> None:
        """As ``Store``; W&B's own process uploads meanwhile."""
        experiment = self._experiment
        with tracked(experiment, "stage", name) as tracker:
            tracker.artifact(name, TYPE, {inner: place / inner for inner in names})


#: Makes a store, by ``run.artifacts``.
STORES: dict[str, Callable[[Experiment], Store]] = {"wandb": WandbStore}


def store_of(experiment: Experiment) -> Store | None:
    """The store that ``run.artifacts`` names, or none."""
    kind = experiment.run.artifacts
    return None if kind == "none" else STORES[kind](experiment)


def name_of(stage: Stage) -> str:
    """``<kind>-<identity>``."""
    return f"{stage.kind}-{stage.identity}"


def fetched(stage: Stage, progress: Progress) -> bool:
    """Fetch a stage that is not done, under its lock, and say whether it is there now.

    What somebody began here is replaced. It is whole or absent: fetched into a folder beside, checked, renamed.
    """
    store = store_of(stage.experiment)
    if store is None or stage.kind in AT_HOME:
        return False
    new = folder(stage).with_name(f".fetched-{stage.identity}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        progress(0, 0, "looking for it elsewhere")
        if not store.fetch(name_of(stage), new):
            return False
        _check(stage, new)
        _replace(folder(stage), new)
        return True
    except UnfitError as error:
        text = f"the artifact {name_of(stage)} is not used, as {error}; {stage.label} is made here instead"
        print(f"prosody-tts: warning: {text}", file=sys.stderr)
        return False
    finally:
        shutil.rmtree(new, ignore_errors=True)


def keep(stage: Stage) -> None:
    """Hand a stage that was made here to the store, without what it printed and without temporary files."""
    store = store_of(stage.experiment)
    if store is not None and stage.kind not in AT_HOME:
        place = folder(stage)
        files = (path for path in _inside(place) if path.is_file() and not path.is_symlink())
        names = sorted(path.relative_to(place).as_posix() for path in files)
        store.keep(name_of(stage), place, [name for name in names if _is_shared(name)])


def _is_shared(name: str) -> bool:
    return name != LOG and not any(part.startswith(".") for part in PurePosixPath(name).parts)


def check_names(names: Iterable[str]) -> None:
    """Refuse names that do not stay in a folder.

    Raises:
        UnfitError: names the first.
    """
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
            raise UnfitError(f"it holds a file called {name!r}, which leaves the stage's folder")


def _inside(place: Path) -> Iterator[Path]:
    """Everything below a folder; links are not followed."""
    for root, folders, files in os.walk(place):
        yield from (Path(root) / inner for inner in (*folders, *files))


def _check(stage: Stage, place: Path) -> None:
    """Refuse what is not this stage, finished."""
    for path in _inside(place):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise UnfitError(f"it holds {path.relative_to(place)}, which is no file")
    try:
        result: Any = read_json(place / RESULT)
    except (OSError, ValueError):
        raise UnfitError(f"it has no {RESULT}, or one that cannot be read") from None
    if not isinstance(result, dict) or not isinstance(result.get("metrics"), dict):
        raise UnfitError(f"its {RESULT} is not that of a stage")
    told = f"{result.get('kind')}/{result.get('identity')}"
    if told != stage.key:
        raise UnfitError(f"its {RESULT} says {told}, and not {stage.key}")


def _replace(target: Path, new: Path) -> None:
    """Put a folder in the place of another; what this stage prints goes on in the new one."""
    log = target / LOG
    (new / LOG).unlink(missing_ok=True)
    if log.exists():
        log.replace(new / LOG)
    away = set_aside(target) if target.exists() else None
    new.rename(target)
    if away is not None:
        shutil.rmtree(away, ignore_errors=True)
