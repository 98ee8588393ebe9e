"""Lightning's loggers of a stage's training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prosody_tts.config import Experiment, to_plain
from prosody_tts.tracking.tracker import Tracker, current, start

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


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
            self._shared = current()
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
                self._own = start(experiment, job_type, name, to_plain(experiment))
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
