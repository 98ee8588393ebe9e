"""LightningModule of the recogniser: mels to characters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from data_modules.batches import HeardBatch
from data_modules.store import Specification
from prosody_tts.config import RecogniserConfig
from prosody_tts.nn.means import over_processes
from prosody_tts.nn.recogniser import Recogniser, greedy
from prosody_tts.stages.fit import TrainedModule


class RecogniserStage(TrainedModule):
    """Wires connectionist temporal classification and the optimiser to a ``Recogniser``.

    ``dev/cer`` is the share of characters that greedy decoding gets wrong on the development split.
    """

    watched = "dev/cer"

    def __init__(self, model: Recogniser, settings: RecogniserConfig, specification: Specification) -> None:
        super().__init__(settings.optim)
        self.model = model
        self.settings = settings
        self.specification = specification
        self._counts = torch.zeros(2)

    def training_step(self, batch: HeardBatch, batch_idx: int) -> Tensor:
        loss = self._loss(batch)
        self.log_epoch("train", {"loss": loss}, batch.ids)
        return loss

    def validation_step(self, batch: HeardBatch, batch_idx: int) -> None:
        from jiwer import process_characters

        self.log_epoch("dev", {"loss": self._loss(batch)}, batch.ids)
        heard = greedy(*self.model(batch.mel, batch.frame_lengths))
        for written, text in zip(batch.texts, heard, strict=True):
            output = process_characters(written, text)
            wrong = output.substitutions + output.deletions + output.insertions
            self._counts += torch.tensor([wrong, len(written)])

    def on_validation_epoch_end(self) -> None:
        """Log the error rate of the whole split."""
        wrong, count = over_processes(self._counts)
        self.log("dev/cer", wrong / count.clamp(min=1))
        self._counts.zero_()

    def _loss(self, batch: HeardBatch) -> Tensor:
        return self.model.loss(batch.mel, batch.frame_lengths, batch.characters, batch.character_lengths)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = self.specification.to_dict()
