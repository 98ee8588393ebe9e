"""How every stage is trained: one Trainer, whole checkpoints, exact resume, one process or several."""

from __future__ import annotations

from prosody_tts.stages.fit.checkpoints import BEST, CHECKPOINT, load_checkpoint
from prosody_tts.stages.fit.optimiser import TrainedModule, adam
from prosody_tts.stages.fit.train import fit

__all__ = ["BEST", "CHECKPOINT", "TrainedModule", "adam", "fit", "load_checkpoint"]
