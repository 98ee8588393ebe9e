"""The program W&B agents call: ``python -m prosody_tts.train FILE key=value …`` trains and evaluates one system.

It works in one process, so that an agent can stop it, and logs into the agent's run where there is one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from prosody_tts.command import OK, conclude, guarded, one_file, split_arguments
from prosody_tts.config import Experiment, load
from prosody_tts.pipeline import RESULT, folder, plan, read_result, run_stage
from prosody_tts.schedule import run_all
from prosody_tts.tracking import agent_mode, show, track, under_agent


def main(argv: Sequence[str] | None = None) -> int:
    """Train and evaluate one system; return the exit status.

    Args:
        argv: an experiment's file or name, also as ``experiment=FILE``, and settings ``key=value``.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    return guarded(lambda: _train(arguments))


def _train(arguments: Sequence[str]) -> int:
    files, settings = split_arguments(arguments)
    if under_agent():
        settings = [f"run.wandb={agent_mode()}", *settings]  # a setting of the user's comes later and wins
    return train(load(one_file(files), settings))


def train(experiment: Experiment) -> int:
    """Run every stage of a system here; log its training and what was measured into one W&B run."""
    stages = plan(experiment)
    with track(experiment, "system", experiment.system) as tracker:
        outcomes = run_all(stages, 0, experiment.run.threads, runner=run_stage, progress=experiment.run.progress)
        status = conclude(outcomes)
        if status == OK:
            show(tracker, stages[-1], read_result(stages[-1])["metrics"])
            print(f"{experiment.system}: {folder(stages[-1]) / RESULT}")
    return status


if __name__ == "__main__":
    sys.exit(main())
