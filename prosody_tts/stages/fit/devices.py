"""What a training's devices are, and in which numbers they multiply."""

from __future__ import annotations

from typing import Literal

import torch

from prosody_tts.config import OptimConfig, RunConfig
from prosody_tts.errors import UserError


def on_gpu(run: RunConfig) -> bool:
    """Whether trainings run on GPUs."""
    return run.accelerator != "cpu" and torch.cuda.is_available()


def has_bfloat16(run: RunConfig) -> bool:
    """Whether the devices of ``run`` multiply in bfloat16; many a CPU does not."""
    if on_gpu(run):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def precision(optim: OptimConfig, run: RunConfig) -> Literal["bf16-mixed", "32-true"]:
    """Lightning's name of ``optim.precision`` on the devices of ``run``.

    Raises:
        UserError: bf16 is asked for where there is none.
    """
    if optim.precision == "bf16" and not has_bfloat16(run):
        raise UserError(
            "optim.precision=bf16, but this device does not multiply in bfloat16; give optim.precision=auto, which "
            "takes it on a GPU that has it"
        )
    auto = optim.precision == "auto" and on_gpu(run) and has_bfloat16(run)
    return "bf16-mixed" if optim.precision == "bf16" or auto else "32-true"
