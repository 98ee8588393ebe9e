"""What a training's devices are, and in which numbers they multiply."""

from __future__ import annotations

from typing import Literal

import torch

from prosody_tts.config import OptimConfig, RunConfig


def on_gpu(run: RunConfig) -> bool:
    """Whether trainings run on GPUs."""
    return run.accelerator != "cpu" and torch.cuda.is_available()


def precision(optim: OptimConfig, run: RunConfig) -> Literal["bf16-mixed", "32-true"]:
    """Lightning's name of ``optim.precision`` on the devices of ``run``."""
    able = on_gpu(run) and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if optim.precision == "bf16" or (optim.precision == "auto" and able) else "32-true"
