"""Weights & Biases logging: a convenience beside ``result.json``, from which every table is made.

``run.wandb=offline`` needs neither server nor account. Nothing here can stop a training: the first failure is told
once, and logging goes on without W&B.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_modules.corpora.contract import Progress
from prosody_tts.config import Experiment, to_plain
from prosody_tts.files import flat
from prosody_tts.pipeline import Stage, run_stage

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

#: Set by a W&B agent for the program it starts.
SWEEP_VARIABLE = "WANDB_SWEEP_ID"


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

    def media(self, pictures: Mapping[str, Path], sounds: Mapping[str, Path], step: int) -> None:
        """Log picture and sound files against a step axis, as ``log`` does."""
        if self._run is not None:
            with self._guard():
                import wandb

                shown = {name: wandb.Image(str(path)) for name, path in pictures.items()}
                heard = {name: wandb.Audio(str(path)) for name, path in sounds.items()}
                self.log({**shown, **heard}, step)

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
            _warn(error)


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
    tracker = _start(experiment, job_type, name, to_plain(experiment) if config is None else dict(config))
    _open.append(tracker)
    try:
        yield tracker
    finally:
        _open.remove(tracker)
        tracker.finish()


def _start(experiment: Experiment, job_type: str, name: str, config: dict[str, Any]) -> Tracker:
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
        _warn(error)
        return Tracker()


_warned: list[str] = []


def _warn(error: Exception) -> None:
    """Say once a process that W&B does not work."""
    if not _warned:
        _warned.append(str(error))
        text = " ".join(str(error).split())
        print(f"prosody-tts: warning: continuing without W&B logging: {text}", file=sys.stderr)


def run_tracked(stage: Stage, progress: Progress) -> dict[str, Any]:
    """Run a stage; what an evaluation measured becomes the summary of a W&B run."""
    result = run_stage(stage, progress)
    if stage.kind == "evaluate" and stage.experiment.run.wandb != "disabled":
        with track(stage.experiment, "evaluate", stage.label) as tracker:
            tracker.summary({"evaluate": result["metrics"]})
    return result


def under_agent() -> bool:
    """Whether a W&B agent started this program."""
    return bool(os.environ.get(SWEEP_VARIABLE))


def flatten(values: Mapping[str, Any]) -> dict[str, float | str | bool]:
    """Turn nested results into ``outer/inner`` names; keeps finite numbers, strings and truth values."""
    return {
        name: value
        for name, value in flat(values).items()
        if isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))
    }


def lightning_loggers(experiment: Experiment, folder: Path, job_type: str) -> list[Logger]:
    """Loggers of one stage's training: ``metrics/version_N/metrics.csv`` in its folder, and W&B if it is on.

    Each time a training is taken up again it writes a new version. Inside ``track`` the training logs into the open
    W&B run, else into a run of its own.
    """
    from lightning.pytorch.loggers import CSVLogger

    loggers: list[Logger] = [CSVLogger(folder, name="metrics")]
    if experiment.run.wandb != "disabled":
        loggers.append(_wandb_logger(experiment, job_type))
    return loggers


def _wandb_logger(experiment: Experiment, job_type: str) -> Logger:
    from lightning.pytorch.loggers import Logger
    from lightning.pytorch.utilities import rank_zero_only

    class TrackerLogger(Logger):
        """Lightning's view of a ``Tracker``.

        Lightning's own W&B logger writes into whatever run the process has open, and leaves its run open.
        """

        def __init__(self) -> None:
            super().__init__()
            self._shared = _open[-1] if _open else None
            self._own: Tracker | None = None

        @property
        def name(self) -> str:
            return job_type

        @property
        def version(self) -> str:
            return ""

        def log_hyperparams(self, *arguments: Any, **options: Any) -> None:
            """The settings are the run's config already."""

        def _tracker(self) -> Tracker:
            if self._shared is None and self._own is None:
                name = f"{experiment.system} {job_type}"
                self._own = _start(experiment, job_type, name, to_plain(experiment))
            tracker = self._shared or self._own
            assert tracker is not None
            return tracker

        @rank_zero_only
        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            self._tracker().log({f"{job_type}/{key}": value for key, value in metrics.items()}, step)

        @rank_zero_only
        def log_media(self, pictures: Mapping[str, Path], sounds: Mapping[str, Path], step: int) -> None:
            """Pictures and sounds of a training (``samples.MediaLogger``)."""
            drawn = {f"{job_type}/picture {name}": path for name, path in pictures.items()}
            spoken = {f"{job_type}/sound {name}": path for name, path in sounds.items()}
            self._tracker().media(drawn, spoken, step)

        @rank_zero_only
        def finalize(self, status: str) -> None:
            if self._own is not None:
                self._own.finish()

    return TrackerLogger()
