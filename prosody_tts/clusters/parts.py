"""A plan in parts that other machines do: single stages by their keys, and levels of dependence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from prosody_tts.attempts import LOG
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError
from prosody_tts.pipeline import Stage, folder, is_done
from prosody_tts.sweeps import Sweep


def check_written_beforehand(sweep: Sweep, option: str) -> None:
    """Refuse a sweep whose points depend on what others measured.

    Raises:
        UserError: its method is a search.
    """
    if sweep.method == "bayes":
        raise UserError(
            f"{sweep.path} has method: bayes, whose points are not known beforehand; leave out {option}, or use grid "
            "or random"
        )


def in_shared_folder(experiments: Mapping[str, Experiment]) -> dict[str, Experiment]:
    """The same experiments with the absolute path of their folder of runs, which means the same on every machine."""
    return {
        name: replace(one, run=replace(one.run, folder=str(Path(one.run.folder).absolute())))
        for name, one in experiments.items()
    }


def choose(stages: Sequence[Stage], keys: Sequence[str]) -> list[Stage]:
    """The stages of a plan with these keys, in the plan's order.

    Raises:
        UserError: the plan has no such stage, or one needs what is neither done nor among them.
    """
    known = {stage.key: stage for stage in stages}
    for key in keys:
        if key not in known:
            raise UserError(
                f"the sweep has no stage {key}: the code or the settings have changed since its key was written; "
                "write the scripts again, or see --dry-run for the keys"
            )
    chosen = [stage for stage in stages if stage.key in keys]
    for stage in chosen:
        if is_done(stage):
            continue
        for need in stage.needs:
            if need not in keys and not is_done(known[need]):
                raise UserError(
                    f"{stage.label} ({stage.key}) needs {known[need].label}, which is not done; run it with "
                    f"--only {need}, or see {folder(known[need]) / LOG} if it failed"
                )
    return chosen


def levels(stages: Sequence[Stage]) -> list[list[Stage]]:
    """What is left of a plan, in levels: a stage needs only what is done or stands in an earlier level.

    Stages of a level keep the plan's order.
    """
    depth: dict[str, int] = {}
    found: list[list[Stage]] = []
    for stage in stages:  # a plan names a stage after those that it needs
        if is_done(stage):
            continue
        level = depth[stage.key] = max((depth[need] + 1 for need in stage.needs if need in depth), default=0)
        if level == len(found):
            found.append([])
        found[level].append(stage)
    return found
