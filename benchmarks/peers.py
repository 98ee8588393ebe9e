"""Stage one beside FastSpeech 2's design, at equal steps: python -m benchmarks.peers [EXPERIMENT ...] [key=value ...].

Trains each on the same batches of a corpus that ``prosody-tts prepare`` has prepared (the testbed, by default), with
the same loop, for ``--epochs`` passes, and measures the development split's mel with the recording's durations. The
peer is transformers' ``FastSpeech2ConformerModel`` as FastSpeech 2 has it (arXiv 2006.04558, section 2.2 and appendix
A): blocks of self-attention and convolutions without the conformer's own, of ``--width`` channels, told the recording's
F0 and energy of every phone. ``phones`` is our default with what it is told as vectors (``explicit``, units=phone);
``baseline`` is told neither. Each learns from its own loss, the peer at ``--rate``; where harmonics stand in the mel
that is measured, the models say themselves. Frames a second are of steps alone, by processor time of one core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import FastSpeech2ConformerConfig, FastSpeech2ConformerModel

from data_modules.acoustic import AcousticData
from data_modules.batches import AcousticBatch
from data_modules.corpora.contract import silent
from data_modules.store import Specification
from prosody_tts.config import OptimConfig, RunConfig, load
from prosody_tts.nn.means import masked_mean
from prosody_tts.nn.units import frame_to_phone, length_mask, pool_mean
from prosody_tts.pipeline import plan
from prosody_tts.runners.stores import store_of
from prosody_tts.stages.acoustic import AcousticStage
from prosody_tts.stages.fit import TrainedModule, fit
from prosody_tts.systems import Sizes, build_acoustic

#: What each row of ours is: an experiment and its settings.
OURS = {"baseline": ("baseline", []), "phones": ("explicit", ["units=phone"])}
#: FastSpeech 2's blocks (appendix A): layers of the encoder and of the decoder, heads, and the channels between a
#: block's convolutions, as a multiple of its width. They are 9 and 1 wide there; two of 5 have as many weights.
LAYERS, HEADS, WIDER, KERNEL = 4, 2, 4, 5


class PeerStage(TrainedModule):
    """FastSpeech 2's design in this project's loop."""

    watched = "dev/mel"

    def __init__(self, model: FastSpeech2ConformerModel, spec: Specification, optim: OptimConfig) -> None:
        super().__init__(optim)
        self.model = model
        self.spec = spec

    def told(self, batch: AcousticBatch) -> dict[str, Tensor]:
        """The batch as the class wants it: F0 and energy are phones' means, [B, P, 1]."""
        frames = length_mask(batch.frame_lengths, batch.mel.shape[1])
        phone, count = frame_to_phone(batch.durations, batch.mel.shape[1]), batch.durations.shape[1]
        f0 = (batch.log_f0 - self.spec.f0_mean) / self.spec.f0_scale
        return {
            "input_ids": batch.text.phones,
            "attention_mask": length_mask(batch.text.phone_lengths, count).long(),
            "spectrogram_labels": batch.mel.masked_fill(~frames[:, :, None], -100.0),
            "duration_labels": batch.durations,
            "pitch_labels": pool_mean(f0[:, :, None], phone, batch.voiced & frames, count),
            "energy_labels": pool_mean(batch.energy[:, :, None], phone, frames, count),
        }

    def training_step(self, batch: AcousticBatch, batch_idx: int) -> Tensor:
        loss: Tensor = self.model(**self.told(batch)).loss
        self.log_epoch("train", {"loss": loss}, batch.ids)
        return loss

    def validation_step(self, batch: AcousticBatch, batch_idx: int) -> None:
        self.log_epoch("dev", {"mel": distance(self.rebuild(batch), batch)}, batch.ids)

    def rebuild(self, batch: AcousticBatch) -> Tensor:
        """The mel [B, T, M] for what the recording's text, durations, F0 and energy are."""
        # Of the whole model this flag decides only whether it is told or predicts; dropout follows the parts'.
        self.model.training = True
        said: Tensor = self.model(**self.told(batch)).spectrogram
        self.model.training = False
        return said


class OwnStage(AcousticStage):
    """Stage one, which rebuilds without the F0 of the recording's frames."""

    def rebuild(self, batch: AcousticBatch) -> Tensor:
        """The mel [B, T, M] for the recording's text, durations and vectors, if there are any."""
        text, states = batch.text, self.model.states(batch.text)
        posterior = self.model.encode(batch, states)
        vectors = None if posterior is None else posterior.mean
        return self.model.decode(text, self.model.condition(text, states, vectors), batch.durations).decoded.mel


def distance(said: Tensor, batch: AcousticBatch) -> Tensor:
    """Mean L1 of normalised mels over the recording's frames."""
    return masked_mean((said - batch.mel).abs(), length_mask(batch.frame_lengths, batch.mel.shape[1]))


class Clock(Callback):
    """Processor seconds and recorded frames of training steps, without the first, which sets things up."""

    def __init__(self) -> None:
        self.seconds, self.frames, self._start = 0.0, 0, 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._start = time.process_time()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step > 1:
            self.seconds += time.process_time() - self._start
            self.frames += int(batch.frame_lengths.sum())


def main() -> None:
    """Read the arguments, train, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("arguments", nargs="*", metavar="ROW key=value", help=f"{', '.join(OURS)}, peer; settings")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the training split")
    parser.add_argument("--width", type=int, default=256, help="channels of the peer (FastSpeech 2: 256)")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate of the peer")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    settings = [item for item in arguments.arguments if "=" in item]
    rows = [item for item in arguments.arguments if "=" not in item] or [*OURS, "peer"]
    table = Table("model", "told of prosody", "parameters", "steps", "frames/s", "mel L1, normalised")
    for row in rows:
        name, more = OURS.get(row, ("baseline", []))
        experiment = load(name, [*more, *settings])
        optim = replace(experiment.acoustic.optim, epochs=arguments.epochs)
        store = store_of(next(stage for stage in plan(experiment) if stage.kind == "acoustic"))
        spec = store.specification()
        data = AcousticData(store, spec, optim.batch, experiment.seed)
        torch.manual_seed(experiment.seed)
        if row == "peer":
            optim = replace(optim, learning_rate=arguments.rate)
            module: PeerStage | OwnStage = PeerStage(peer(arguments.width, spec), spec, optim)
        else:
            settings_of = replace(experiment.acoustic, optim=optim)
            module = OwnStage(build_acoustic(experiment, Sizes.of(spec)), settings_of, spec)
        clock = train(module, data, optim, experiment.seed)
        table.add_row(
            row if row != "peer" else f"FastSpeech 2's design, {arguments.width} wide",
            "nothing" if row == "baseline" else "F0, energy of phones" + (", pace" if row == "phones" else ""),
            f"{sum(p.numel() for p in module.parameters()) / 1e6:.2f} M",
            str(arguments.epochs * len(data.train_dataloader())),
            f"{clock.frames / clock.seconds:.0f}",
            f"{error(module, data):.4f}",
        )
        Console(width=120).print(table)


def peer(width: int, spec: Specification) -> FastSpeech2ConformerModel:
    """FastSpeech 2's design of so many channels."""
    config = FastSpeech2ConformerConfig(
        hidden_size=width,
        vocab_size=len(spec.inventory),
        num_mel_bins=len(spec.mel_mean),
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_num_attention_heads=HEADS,
        decoder_num_attention_heads=HEADS,
        encoder_linear_units=WIDER * width,
        decoder_linear_units=WIDER * width,
        positionwise_conv_kernel_size=KERNEL,
        use_macaron_style_in_conformer=False,
        use_cnn_in_conformer=False,
    )
    model = FastSpeech2ConformerModel(config)
    for layer in (*model.encoder.conformer_layers, *model.decoder.conformer_layers):
        layer.conv_module = None  # the class forgets it where the conformer's convolution is left out
    return model


def train(module: TrainedModule, data: AcousticData, optim: OptimConfig, seed: int) -> Clock:
    """Train in a folder that is thrown away, and tell how fast."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as place:
        run = RunConfig(accelerator="cpu", progress=False)
        fit(module, data, optim, run, seed, Path(place), [], silent, callbacks=[clock])
    return clock


@torch.inference_mode()
def error(module: PeerStage | OwnStage, data: AcousticData) -> float:
    """Mean distance of the development split's mels, of every frame the same weight."""
    module.eval()
    batches = list(data.val_dataloader())
    frames = torch.tensor([float(batch.frame_lengths.sum()) for batch in batches])
    missed = torch.stack([distance(module.rebuild(batch), batch) for batch in batches])
    return float((missed * frames).sum() / frames.sum())


if __name__ == "__main__":
    main()
