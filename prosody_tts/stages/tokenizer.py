"""LightningModule of the acoustic tokenizer: mels to integers and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from data_modules.batches import AcousticBatch
from data_modules.store import Specification
from prosody_tts.config import TokenizerConfig
from prosody_tts.nn.means import gathered, masked_mean
from prosody_tts.nn.tokenizers import Tokenised, Tokenizer, perplexity
from prosody_tts.nn.units import length_mask
from prosody_tts.stages.fit import TrainedModule


class TokenizerStage(TrainedModule):
    """Wires losses and optimiser to a ``Tokenizer``.

    Loss: L1 of the normalised mel, the decoder's own losses (the harmonic decoder's F0 and voicing), and the weighted
    distance of what was quantised from its codes (the VQ-VAE's commitment, arXiv 1711.00937, equation 3).
    """

    watched = "dev/mel"

    def __init__(self, model: Tokenizer, settings: TokenizerConfig, specification: Specification) -> None:
        super().__init__(settings.optim)
        self.model = model
        self.settings = settings
        self.specification = specification
        self._used: list[Tensor] = []

    def training_step(self, batch: AcousticBatch, batch_idx: int) -> Tensor:
        terms = self._terms(self.model(batch.mel, batch.frame_lengths, batch), batch)
        loss = terms["mel"] + self.settings.commitment * terms["commitment"]
        if "source" in terms:
            loss = loss + self.settings.source_weight * terms["source"]
        self.log_epoch("train", {"loss": loss, **terms}, batch.ids)
        return loss

    def validation_step(self, batch: AcousticBatch, batch_idx: int) -> None:
        heard = self.model(batch.mel, batch.frame_lengths, None)
        self.log_epoch("dev", self._terms(heard, batch), batch.ids)
        self._used.append(heard.codes[length_mask(heard.lengths, heard.codes.shape[1])])

    def _terms(self, heard: Tokenised, batch: AcousticBatch) -> dict[str, Tensor]:
        """Every term, un-weighted."""
        frames = length_mask(batch.frame_lengths, batch.mel.shape[1])
        terms = {"mel": masked_mean((heard.decoded.mel - batch.mel).abs(), frames)}
        if heard.commitment is not None:
            terms["commitment"] = heard.commitment
            terms |= self.model.decoder.losses(heard.decoded, batch)  # type: ignore[union-attr, operator]
        return terms

    def on_validation_epoch_end(self) -> None:
        """Log how many codes are in use."""
        codes = gathered(torch.cat(self._used))
        self._used.clear()
        self.log("dev/perplexity", mean_perplexity(codes, self.model.size))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = self.specification.to_dict()


def mean_perplexity(codes: Tensor, size: int) -> float:
    """Codes in effective use, the mean over codebooks, of codes [N, Q] below ``size``."""
    counts = [torch.bincount(book, minlength=size) for book in codes.T]
    return sum(map(perplexity, counts)) / len(counts)
