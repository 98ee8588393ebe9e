"""What ``prosody-tts sweep`` does with ``--only``, ``--slurm`` and ``--ray``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from prosody_tts.board import Outcome
from prosody_tts.clusters.parts import check_written_beforehand, choose, in_shared_folder
from prosody_tts.clusters.slurm import Scripts, write_scripts
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError
from prosody_tts.pipeline import plan_all
from prosody_tts.schedule import run_all
from prosody_tts.sweeping import Sweeping


def check_alone(options: Mapping[str, object]) -> None:
    """Refuse options together that each say what becomes of a plan.

    Raises:
        UserError: several are given.
    """
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise UserError(f"give one of {', '.join(options)}, not {' and '.join(given)}")


def run_only(sweeping: Sweeping, keys: Sequence[str], workers: int | None) -> list[Outcome]:
    """Run some stages of a sweep's plan by their keys; see ``parts.choose``."""
    experiments = _fixed(sweeping, "--only")
    run = next(iter(experiments.values())).run
    stages = choose(plan_all(list(experiments.values())), keys)
    return run_all(stages, run.workers if workers is None else workers, run.threads, progress=run.progress)


def write_slurm(sweeping: Sweeping, folder: Path) -> str:
    """Write a sweep's Slurm scripts into a folder; return what to tell of it."""
    experiments = in_shared_folder(_fixed(sweeping, "--slurm"))
    run = next(iter(experiments.values())).run
    shared = f"run.folder={json.dumps(run.folder, ensure_ascii=False)}"  # a YAML string, whatever letters it has
    others = [setting for setting in sweeping.overrides if not setting.startswith("run.folder=")]
    words = [str(sweeping.sweep.path.absolute()), *others, shared, "--seed", str(sweeping.seed)]
    scripts = Scripts(sweeping.name, words, Path.cwd(), folder.absolute(), run)
    submit, count = write_scripts(scripts, plan_all(list(experiments.values())))
    return f"{count} stage{'' if count == 1 else 's'} to run: bash {submit}"


def run_ray(sweeping: Sweeping, address: str) -> list[Outcome]:
    """Run a sweep's stages on a Ray cluster; see ``ray.run_on_ray``."""
    from prosody_tts.clusters.ray import run_on_ray

    experiments = in_shared_folder(_fixed(sweeping, "--ray"))
    progress = next(iter(experiments.values())).run.progress
    return run_on_ray(plan_all(list(experiments.values())), address, progress=progress)


def _fixed(sweeping: Sweeping, option: str) -> dict[str, Experiment]:
    """The points of a sweep that are known beforehand."""
    check_written_beforehand(sweeping.sweep, option)
    return sweeping.experiments()
