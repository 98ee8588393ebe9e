"""LightningModule of a language model over phones, characters and codes of speech."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from data_modules.batches import LanguageBatch
from data_modules.store import Specification
from prosody_tts.config import LanguageConfig
from prosody_tts.nn.language.model import SpeechLanguageModel
from prosody_tts.stages.fit import TrainedModule


class LanguageStage(TrainedModule):
    """Wires cross-entropy and optimiser to a ``SpeechLanguageModel``; ``tokenizer`` is whose codes it speaks."""

    watched = "dev/nats"

    def __init__(
        self, model: SpeechLanguageModel, settings: LanguageConfig, specification: Specification, tokenizer: str
    ) -> None:
        super().__init__(settings.optim)
        self.model = model
        self.settings = settings
        self.specification = specification
        self.tokenizer = tokenizer

    def training_step(self, batch: LanguageBatch, batch_idx: int) -> Tensor:
        terms = self.model.losses(batch)
        self.log_epoch("train", terms, batch.ids)
        return terms["nats"]

    def validation_step(self, batch: LanguageBatch, batch_idx: int) -> None:
        self.log_epoch("dev", self.model.losses(batch), batch.ids)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = self.specification.to_dict()
        checkpoint["tokenizer"] = self.tokenizer
