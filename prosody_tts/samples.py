"""Pictures and sound while stage one trains: how it renders a few development utterances."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from data_modules.acoustic import AcousticData
from data_modules.batches import AcousticBatch
from data_modules.collate import acoustic_batch
from prosody_tts.files import atomic
from prosody_tts.nn.vocoders import Vocoder
from prosody_tts.stages.acoustic import AcousticStage
from prosody_tts.synthesis import write_wave

#: Utterances that are drawn and spoken.
SHOWN = 3


@runtime_checkable
class MediaLogger(Protocol):
    """A Lightning logger that takes pictures and sounds, files by name."""

    def log_media(self, pictures: Mapping[str, Path], sounds: Mapping[str, Path], step: int) -> None:
        """Log files against a step."""
        ...


class Samples(Callback):
    """Every ``every`` epochs renders the same development utterances with their recordings' vectors and durations.

    Writes ``folder/epoch-NNN/K.png``, the mel above the recording's, and ``K.wav``, and hands both to the loggers that
    take them. The weights are those that are validated. Nothing here changes what is learned.
    """

    def __init__(self, data: AcousticData, vocoder: Vocoder, sample_rate: int, folder: Path, every: int) -> None:
        self.data = data
        self.vocoder = vocoder
        self.sample_rate = sample_rate
        self.folder = folder
        self.every = every

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, AcousticStage)
        epoch = trainer.current_epoch + 1
        if epoch % self.every:
            return
        names = self.data.store.ids("dev")
        batch = acoustic_batch([self.data.item(name) for name in names[:SHOWN]])
        pictures, sounds = self._render(pl_module, batch, self.folder / f"epoch-{epoch:03d}")
        for logger in trainer.loggers:
            if isinstance(logger, MediaLogger):
                logger.log_media(pictures, sounds, trainer.global_step)

    def _render(
        self, module: AcousticStage, batch: AcousticBatch, folder: Path
    ) -> tuple[dict[str, Path], dict[str, Path]]:
        """Write pictures and sounds; both by the number of the utterance."""
        mean, scale = torch.tensor(self.data.spec.mel_mean), torch.tensor(self.data.spec.mel_scale)
        rendered = module.model(batch.to(module.device)).rendered.decoded.mel.float().cpu() * scale + mean
        recorded = batch.mel * scale + mean
        waves = self.vocoder(rendered, batch.frame_lengths)
        lengths, samples = batch.frame_lengths.tolist(), self.vocoder.samples(batch.frame_lengths).tolist()
        pictures, sounds = {}, {}
        for row, (name, frames, size) in enumerate(zip(batch.text.ids, lengths, samples, strict=True)):
            pictures[str(row + 1)], sounds[str(row + 1)] = folder / f"{row + 1}.png", folder / f"{row + 1}.wav"
            write_wave(folder / f"{row + 1}.wav", waves[row, :size].numpy(), self.sample_rate)
            mels = {"rendered": rendered[row, :frames].numpy(), "recorded": recorded[row, :frames].numpy()}
            draw_mels(folder / f"{row + 1}.png", name, mels)
        return pictures, sounds


def draw_mels(path: Path, title: str, mels: Mapping[str, NDArray[np.float32]]) -> None:
    """Draw log-mels [T, M] of the same frames above each other in the same colours."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.2 * len(mels)), layout="constrained")
    low, high = min(mel.min() for mel in mels.values()), max(mel.max() for mel in mels.values())
    for axes, (name, mel) in zip(figure.subplots(len(mels), squeeze=False)[:, 0], mels.items(), strict=True):
        axes.imshow(mel.T, origin="lower", aspect="auto", interpolation="nearest", vmin=low, vmax=high)
        axes.set(ylabel=f"{name}\nmel channel")
    axes.set(xlabel="frame")
    figure.suptitle(title, fontsize="medium")
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
