"""LightningModule of stage two: predict vectors from text."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from data_modules.batches import SamplerBatch
from data_modules.store import AnySpecification
from prosody_tts.config import SamplerConfig
from prosody_tts.nn.means import masked_mean
from prosody_tts.nn.sampler import SamplerModel
from prosody_tts.nn.units import length_mask
from prosody_tts.stages.fit import TrainedModule


class SamplerStage(TrainedModule):
    """Wires the prior's loss and the optimiser to a ``SamplerModel``.

    ``acoustic`` is the identity of the stage that wrote the vectors: stage one, or a corpus's labels. Classes are
    watched where every dimension has some; else the prior says by which metric the best epoch is known.
    """

    def __init__(
        self, model: SamplerModel, settings: SamplerConfig, specification: AnySpecification, acoustic: str
    ) -> None:
        super().__init__(settings.optim)
        self.watched = model.prior.watched
        self.model = model
        self.settings = settings
        self.specification = specification
        self.acoustic = acoustic
        if model.classes is not None and all(model.classes.counts):
            self.watched = "dev/class_error"

    def groups(self) -> list[dict[str, Any]]:
        """BERT, where it is trained along, has a peak rate of its own."""
        bert = self.model.contexts.tuned
        if bert is None:
            return super().groups()
        own = [parameter for parameter in bert.parameters() if parameter.requires_grad]
        known = {id(parameter) for parameter in bert.parameters()}
        rest = [parameter for parameter in self.parameters() if id(parameter) not in known]
        return [{"params": rest}, {"params": own, "lr": self.settings.bert_rate}]

    def training_step(self, batch: SamplerBatch, batch_idx: int) -> Tensor:
        loss = self.model.loss(batch)
        self.log_epoch("train", {"loss": loss}, batch.ids)
        return loss

    def validation_step(self, batch: SamplerBatch, batch_idx: int) -> None:
        predicted = self.model.sample(batch.text)
        mask = length_mask(batch.unit_lengths, batch.mean.shape[1])
        if batch.exists is not None:
            mask = batch.exists
        error = masked_mean(((predicted - batch.mean) / self.model.scale).square(), mask)
        # A batch has the same noise in every epoch, so that losses of epochs can be compared.
        generator = torch.Generator(batch.mean.device).manual_seed(batch_idx)
        terms = {"loss": self.model.loss(batch, generator), "vector_mse": error}
        if self.model.classes is not None and batch.classes is not None:
            terms["class_error"] = self.model.classes.error(self.model.context(batch.text)[0], batch.classes)
        self.log_epoch("dev", terms, batch.ids)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = self.specification.to_dict()
        checkpoint["acoustic"] = self.acoustic
        bert = self.model.contexts.tuned
        if bert is not None:
            checkpoint["bert"] = bert.config
