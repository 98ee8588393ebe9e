"""One W&B run: opened, written to, closed; whatever fails is told once, and work goes on without it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prosody_tts.config import Experiment, to_plain
from prosody_tts.files import flat

#: Set by a W&B agent for the program it starts.
SWEEP_VARIABLE = "WANDB_SWEEP_ID"
#: By which a user turns all of W&B off, or offline.
MODE_VARIABLE = "WANDB_MODE"


class Tracker:
    """One W&B run, or none: then every call does nothing."""

    def __init__(self, run: Any = None) -> None:
        """Wrap ``run``, what ``wandb.init`` returned."""
        self._run = run

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Log values; with ``step``, against a step axis of their own (the part of their names before ``/``)."""
        values = dict(values)
        if step is not None:
            for axis in {name.partition("/")[0] for name in values}:
                values[f"{axis}/step"] = step
                self._try("define_metric", f"{axis}/*", step_metric=f"{axis}/step")
        self._try("log", values)

    @property
    def on(self) -> bool:
        """Whether anything that is logged arrives."""
        return self._run is not None

    @property
    def project(self) -> str | None:
        """Entity and project of the run, which are the sweep's under an agent; none where nothing is open."""
        return None if self._run is None else f"{self._run.entity}/{self._run.project}"

    def media(self, pictures: Mapping[str, Path], sounds: Mapping[str, Path], step: int | None = None) -> None:
        """Log picture and sound files, as ``log`` does."""
        if self._run is not None:
            with self._guard():
                import wandb

                shown = {name: wandb.Image(str(path)) for name, path in pictures.items()}
                heard = {name: wandb.Audio(str(path)) for name, path in sounds.items()}
                self.log({**shown, **heard}, step)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Log a table; a cell is text, a number or none."""
        if self._run is not None:
            with self._guard():
                import wandb

                self.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})

    def artifact(self, name: str, kind: str, files: Mapping[str, Path]) -> None:
        """Upload files that do not change any more, by their names within the artifact; they are not copied before."""
        if self._run is not None:
            with self._guard():
                import wandb

                artifact = wandb.Artifact(name, type=kind)
                for inner, path in files.items():
                    # An offline run names the file, and may be sent from another folder.
                    artifact.add_file(str(path.resolve()), name=inner, policy="immutable", skip_cache=True)
                self._run.log_artifact(artifact)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Set the numbers by which runs are compared; nested ones become ``outer/inner``."""
        if self._run is not None:
            self._try("log", {})  # a run without history would not keep its summary
            with self._guard():
                self._run.summary.update(flatten(values))

    def finish(self) -> None:
        """End the run."""
        self._try("finish")
        self._run = None

    def _try(self, method: str, *arguments: Any, **options: Any) -> None:
        if self._run is not None:
            with self._guard():
                getattr(self._run, method)(*arguments, **options)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever W&B raises, training goes on
            self._run = None
            warn(error)


#: The run that ``track`` has open in this process; a stage trained meanwhile logs into it.
_open: list[Tracker] = []


@contextmanager
def track(
    experiment: Experiment, job_type: str, name: str, config: Mapping[str, Any] | None = None
) -> Iterator[Tracker]:
    """Open a W&B run as ``run.wandb``, ``run.project`` and ``run.group`` say, and close it at the end.

    Args:
        experiment: the settings; its system, corpus and size become tags.
        job_type: the kind of work, such as ``evaluate``.
        name: what the run is called.
        config: plain settings to keep with the run; by default the whole experiment.
    """
    tracker = start(experiment, job_type, name, to_plain(experiment) if config is None else dict(config))
    _open.append(tracker)
    try:
        yield tracker
    finally:
        _open.remove(tracker)
        tracker.finish()


@contextmanager
def tracked(experiment: Experiment, job_type: str, name: str) -> Iterator[Tracker]:
    """The run that this process has open, or else one of its own, as ``track`` opens it."""
    if _open:
        yield _open[-1]
    else:
        with track(experiment, job_type, name) as tracker:
            yield tracker


def current() -> Tracker | None:
    """The run that ``track`` has open in this process."""
    return _open[-1] if _open else None


def start(experiment: Experiment, job_type: str, name: str, config: dict[str, Any]) -> Tracker:
    """Open a run that the caller finishes; without W&B, a tracker that does nothing."""
    settings = experiment.run
    if settings.wandb == "disabled":
        return Tracker()
    try:
        import wandb

        Path(settings.folder).mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=settings.project,
            group=settings.group,
            job_type=job_type,
            name=name,
            config=config,
            tags=[experiment.system, experiment.corpus, experiment.size],
            dir=settings.folder,
            mode=settings.wandb,
            # Never the process's one global run: a worker trains many stages.
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        return Tracker(run)
    except Exception as error:  # whatever W&B raises, training goes on
        warn(error)
        return Tracker()


#: What has been said to go on without.
_warned: list[str] = []


def warn(error: Exception, without: str = "W&B logging") -> None:
    """Say once a process that W&B does not work, and what is done without."""
    if without not in _warned:
        _warned.append(without)
        text = " ".join(str(error).split())
        print(f"prosody-tts: warning: continuing without {without}: {text}", file=sys.stderr)


def under_agent() -> bool:
    """Whether a W&B agent started this program."""
    return bool(os.environ.get(SWEEP_VARIABLE))


def agent_mode() -> str:
    """The ``run.wandb`` of a program that an agent started: online, unless ``WANDB_MODE`` says otherwise."""
    mode = os.environ.get(MODE_VARIABLE, "").lower()
    return {"offline": "offline", "dryrun": "offline", "disabled": "disabled"}.get(mode, "online")


def flatten(values: Mapping[str, Any]) -> dict[str, float | str | bool]:
    """Turn nested results into ``outer/inner`` names; keeps finite numbers, strings and truth values."""
    return {
        name: value
        for name, value in flat(values).items()
        if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))
    }
