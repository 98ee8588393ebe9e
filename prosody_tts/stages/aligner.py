"""LightningModule of the learned aligner: durations for corpora that come without an alignment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data_modules.alignment.search import best_path
from data_modules.batches import AcousticBatch
from data_modules.store import Specification
from prosody_tts.config import OptimConfig
from prosody_tts.errors import UserError
from prosody_tts.nn.aligner import Aligner, Lattice, lattice
from prosody_tts.stages.fit import CHECKPOINT, TrainedModule, load_checkpoint

#: Share of the steps in which paths are guided towards the diagonal and pauses towards quiet frames (ours).
GUIDED = 0.3


class AlignerStage(TrainedModule):
    """Wires loss, guidance and optimiser to an ``Aligner``.

    Batches need no durations. Loss: ``Aligner.loss`` in nats per frame; on the development set ``Aligner.surprise``.
    """

    watched = "dev/surprise"

    def __init__(self, model: Aligner, optim: OptimConfig, specification: Specification) -> None:
        super().__init__(optim)
        self.model = model
        self.specification = specification

    def training_step(self, batch: AcousticBatch, batch_idx: int) -> Tensor:
        share = self.global_step / (GUIDED * self.trainer.estimated_stepping_batches)
        loss = self.model.loss(batch.mel, batch.frame_lengths, _lattice(batch), max(0.0, 1.0 - share))
        self.log_epoch("train", {"loss": loss}, batch.ids)
        return loss

    def validation_step(self, batch: AcousticBatch, batch_idx: int) -> None:
        surprise = self.model.surprise(batch.mel, batch.frame_lengths, _lattice(batch))
        self.log_epoch("dev", {"surprise": surprise}, batch.ids)

    def align(self, batch: AcousticBatch) -> Tensor:
        """Frames of every phone [B, P] on the most probable path (``align_scored``)."""
        return self.align_scored(batch)[0]

    @torch.inference_mode()
    def align_scored(self, batch: AcousticBatch) -> tuple[Tensor, list[float]]:
        """Frames of every phone [B, P] on the most probable path; each row sums to its ``frame_lengths``.

        Pauses may have none, phones have one at least. The second value [B] is the path's score per frame, in nats: the
        mean logarithm of the states' posteriors over their priors.

        Raises:
            ValueError: a clip has fewer frames than phones; names the utterance.
        """
        states = _lattice(batch)
        sizes = zip(batch.text.ids, batch.frame_lengths.tolist(), states.needed.tolist(), strict=True)
        for name, frames, needed in sizes:
            if frames < needed:
                raise ValueError(
                    f"{name} has {needed} phones but only {frames} frames; its text says more than its audio"
                )
        emissions = self.model(batch.mel, batch.frame_lengths, states)
        durations = torch.zeros_like(batch.text.phones)
        scores = []
        for row, (frames, size) in enumerate(zip(batch.frame_lengths.tolist(), states.lengths.tolist(), strict=True)):
            path, score = best_path(
                emissions[row, :frames, :size].double().cpu().numpy(),
                states.jumps[:, row, :size].double().cpu().numpy(),
                states.first[row, :size].double().cpu().numpy(),
                states.last[row, :size].double().cpu().numpy(),
            )
            phones = states.phone[row, torch.from_numpy(path).to(states.phone.device)]
            durations[row] = torch.bincount(phones, minlength=durations.shape[1])
            scores.append(score / frames)
        return durations, scores

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["specification"] = self.specification.to_dict()
        checkpoint["aligner"] = {"phones": self.model.phones, "mels": self.model.mels, "width": self.model.width}


def load_aligner(folder: Path) -> AlignerStage:
    """Rebuild a trained aligner from its folder alone, ready to ``align``.

    Raises:
        UserError: the checkpoint is missing, damaged, or another stage's.
    """
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    if "aligner" not in checkpoint:
        raise UserError(f"{folder / CHECKPOINT} is not an aligner's checkpoint; give the folder of a trained aligner")
    stage = AlignerStage(
        Aligner(**checkpoint["aligner"]), OptimConfig(), Specification.from_dict(checkpoint["specification"])
    )
    stage.load_state_dict(checkpoint["state_dict"])
    return stage.eval()


def _lattice(batch: AcousticBatch) -> Lattice:
    # Pause slots are the even tokens of the word axis.
    return lattice(batch.text.phones, batch.text.phone_to_word % 2 == 0, batch.text.phone_lengths)
