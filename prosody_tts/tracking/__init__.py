"""Weights & Biases: a convenience beside ``result.json``, from which every table is made.

``run.wandb=offline`` needs neither server nor account. Nothing here can stop a training: the first failure is told
once, and work goes on without W&B.
"""

from prosody_tts.tracking.evaluations import run_tracked, show
from prosody_tts.tracking.loggers import lightning_loggers
from prosody_tts.tracking.tracker import Tracker, agent_mode, flatten, track, under_agent

__all__ = ["Tracker", "agent_mode", "flatten", "lightning_loggers", "run_tracked", "show", "track", "under_agent"]
