"""What ``prosody-tts sweep`` does with ``--only``, ``--slurm`` and ``--ray``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from prosody_tts.board import Outcome
from prosody_tts.clusters.parts import check_written_beforehand, choose, in_shared_folder
from prosody_tts.clusters.slurm import Scripts, write_scripts
from prosody_tts.command import one_file, split_arguments
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError
from prosody_tts.pipeline import plan_all
from prosody_tts.schedule import run_all
from prosody_tts.sweeps import experiments_of, load_sweep, to_slug


def check_alone(options: Mapping[str, object]) -> None:
    """Refuse options together that each say what becomes of a plan.

    Raises:
        UserError: several are given.
    """
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise UserError(f"give one of {', '.join(options)}, not {' and '.join(given)}")


def run_only(arguments: Sequence[str], keys: Sequence[str], workers: int | None, seed: int) -> list[Outcome]:
    """Run some stages of a sweep's plan by their keys; see ``parts.choose``."""
    experiments = _fixed(arguments, seed, "--only")
    run = next(iter(experiments.values())).run
    stages = choose(plan_all(list(experiments.values())), keys)
    return run_all(stages, run.workers if workers is None else workers, run.threads, progress=run.progress)


def write_slurm(arguments: Sequence[str], folder: Path, seed: int) -> str:
    """Write a sweep's Slurm scripts into a folder; return what to tell of it."""
    experiments = in_shared_folder(_fixed(arguments, seed, "--slurm"))
    files, settings = split_arguments(arguments)
    sweep = load_sweep(one_file(files))
    run = next(iter(experiments.values())).run
    shared = f"run.folder={json.dumps(run.folder, ensure_ascii=False)}"  # a YAML string, whatever letters it has
    others = [setting for setting in settings if not setting.startswith("run.folder=")]
    words = [str(sweep.path.absolute()), *others, shared, "--seed", str(seed)]
    scripts = Scripts(to_slug(sweep.name), words, Path.cwd(), folder.absolute(), run)
    submit, count = write_scripts(scripts, plan_all(list(experiments.values())))
    return f"{count} stage{'' if count == 1 else 's'} to run: bash {submit}"


def run_ray(arguments: Sequence[str], address: str, seed: int) -> list[Outcome]:
    """Run a sweep's stages on a Ray cluster; see ``ray.run_on_ray``."""
    from prosody_tts.clusters.ray import run_on_ray

    experiments = in_shared_folder(_fixed(arguments, seed, "--ray"))
    progress = next(iter(experiments.values())).run.progress
    return run_on_ray(plan_all(list(experiments.values())), address, progress=progress)


def _fixed(arguments: Sequence[str], seed: int, option: str) -> dict[str, Experiment]:
    """The points of a sweep that are known beforehand."""
    files, settings = split_arguments(arguments)
    if not files:
        raise UserError("name a sweep file, such as sweeps/paper_tables.yaml")
    sweep = load_sweep(one_file(files))
    check_written_beforehand(sweep, option)
    return {name: experiment for name, (_, experiment) in experiments_of(sweep, settings, seed).items()}
