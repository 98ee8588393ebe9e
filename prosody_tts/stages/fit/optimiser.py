"""What all trained modules share, the optimiser, and how its rate rises and falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning import LightningModule
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from prosody_tts.config import OptimConfig
from prosody_tts.nn.means import total


class TrainedModule(LightningModule):
    """A LightningModule whose optimisation is settings: what ``fit`` trains.

    Attributes:
        optim: the optimisation.
        watched: the metric of the development split by which ``optim.patience`` stops; smaller is better.
    """

    watched: str

    def __init__(self, optim: OptimConfig) -> None:
        super().__init__()
        self.optim = optim

    def configure_optimizers(self) -> Any:
        return adam(self, self.optim)

    def groups(self) -> list[dict[str, Any]]:
        """Groups of parameters: ``params`` and, where it is not ``optim``'s, their peak rate ``lr``."""
        return [{"params": list(self.parameters())}]

    def log_epoch(self, split: str, terms: Mapping[str, Tensor], ids: Sequence[str]) -> None:
        """Log terms of a batch as ``split/name``, averaged over the epoch's utterances on all processes."""
        values = {f"{split}/{name}": value.detach() for name, value in terms.items()}
        self.log_dict(values, on_step=False, on_epoch=True, sync_dist=True, batch_size=total(len(ids)))


def adam(module: TrainedModule, settings: OptimConfig) -> tuple[list[Optimizer], list[dict[str, Any]]]:
    """AdamW at the rate of ``rate_factor``, step by step; every group rises to its own peak and falls from it alike."""
    optimizer = AdamW(module.groups(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay)
    total = int(module.trainer.estimated_stepping_batches)

    def factor(step: int) -> float:
        return rate_factor(settings, step, total)

    return [optimizer], [{"scheduler": LambdaLR(optimizer, factor), "interval": "step"}]


def rate_factor(settings: OptimConfig, step: int, total: int) -> float:
    """Share of the peak rate at ``step``, from 0, of ``total``: warm-up, and under it the decay."""
    warmup = settings.warmup_steps or max(1, round(settings.warmup * total))
    rising = settings.warmup_start + (1 - settings.warmup_start) * (step + 1) / warmup
    return min(rising, _decayed(settings, step, total))


def _decayed(settings: OptimConfig, step: int, total: int) -> float:
    match settings.decay:
        case "whole":
            return settings.final_rate ** (step / total)
        case "epochs":
            return settings.decay_factor ** (step * settings.epochs // total)
        case "window":
            first, last = settings.decay_from, settings.decay_until
            return settings.final_rate ** (min(max(step - first, 0), last - first) / (last - first))
