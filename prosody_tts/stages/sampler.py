"""LightningModule of stage two: predict vectors from text."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule
from torch import Tensor

from data_modules.batches import SamplerBatch
from data_modules.store import AnySpecification
from prosody_tts.config import SamplerConfig
from prosody_tts.nn.sampler import SamplerModel
from prosody_tts.nn.units import length_mask
from prosody_tts.stages.fit import adam


class SamplerStage(LightningModule):
    """Wires the prior's loss and the optimiser to a ``SamplerModel``.

    ``acoustic`` is the identity of the stage that wrote the vectors: stage one, or a corpus's labels.
    """

    def __init__(
        self, model: SamplerModel, settings: SamplerConfig, specification: AnySpecification, acoustic: str
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.specification = specification
        self.acoustic = acoustic

    def training_step(self, batch: SamplerBatch, batch_idx: int) -> Tensor:
        loss = self.model.loss(batch)
        self.log("train/loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.text.ids))
        return loss

    def validation_step(self, batch: SamplerBatch, batch_idx: int) -> None:
        predicted = self.model.sample(batch.text)
        mask = length_mask(batch.unit_lengths, batch.mean.shape[1])
        if batch.exists is not None:
            mask = batch.exists
        error = ((predicted - batch.mean) / self.model.scale)[mask].square().mean()
        values = {"dev/loss": self.model.loss(batch), "dev/vector_mse": error}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(batch.text.ids))

    def configure_optimizers(self) -> Any:
        return adam(self, self.settings.optim)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = self.specification.to_dict()
        checkpoint["acoustic"] = self.acoustic
