"""Training is exact: same seed, same weights, interrupted or not; batches depend on seed and epoch alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import LightningDataModule
from random_batches import MELS, PHONES, acoustic_item
from torch.utils.data import DataLoader

from data_modules.collate import acoustic_batch
from data_modules.loaders import BucketSampler
from data_modules.store import Specification
from prosody_tts.config import AcousticConfig, Experiment, OptimConfig, RunConfig
from prosody_tts.errors import UserError
from prosody_tts.stages.acoustic import AcousticStage
from prosody_tts.stages.fit import CHECKPOINT, fit, load_checkpoint
from prosody_tts.systems import Sizes, build_acoustic

SPEC = Specification(tuple(map(str, range(PHONES))), (0.0,) * MELS, (1.0,) * MELS, 0.0, 1.0, 0.0, 1.0, 24, 3)


class RandomData(LightningDataModule):
    """A few random recordings."""

    def __init__(self, poison: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.items = [acoustic_item(str(i), 2 + i % 4, generator) for i in range(12)]
        if poison:
            self.items[5].mel[3] = torch.nan

    def train_dataloader(self) -> DataLoader:
        sampler = BucketSampler([len(item.mel) for item in self.items], 4, seed=3)
        return DataLoader(self.items, batch_sampler=sampler, collate_fn=acoustic_batch)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.items[:4], batch_size=4, collate_fn=acoustic_batch)


def train(folder: Path, kill_at: int | None = None, poison: bool = False) -> dict[str, torch.Tensor]:
    """Train a tiny variational stage one; kill this process without warning after ``kill_at`` steps."""
    settings = AcousticConfig(reference="variational", width=16, latent=4, decoder_layers=1, pool="fifths")
    experiment = Experiment(acoustic=settings)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    module = AcousticStage(build_acoustic(experiment, Sizes(PHONES, MELS, 24, 3)), settings, SPEC)

    def progress(done: int, total: int, what: str) -> None:
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    fit(module, RandomData(poison), OptimConfig(epochs=4), RunConfig(accelerator="cpu"), 7, folder, [], progress)
    return load_checkpoint(folder / CHECKPOINT)["state_dict"]


def test_the_same_seed_gives_the_same_weights(tmp_path):
    first, second = train(tmp_path / "a"), train(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("step", [2, 3, 4, 8, 11])
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, step):
    """Killed for real, in the middle of an epoch and at its end."""
    whole = train(tmp_path / "whole")
    script = (
        f"from pathlib import Path; from test_training import train; train(Path({str(tmp_path / 'cut')!r}), {step})"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    killed = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert killed.returncode == -signal.SIGKILL
    resumed = train(tmp_path / "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_decoders_own_frames_grow_to_their_share(tmp_path):
    settings = AcousticConfig(decoder="autoregressive", width=16, recurrent=16, own_frames=0.8, own_warmup=0.5)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = build_acoustic(Experiment(acoustic=settings), Sizes(PHONES, MELS, 24, 3))
    shares = []

    def progress(done: int, total: int, what: str) -> None:
        shares.append(model.decoder.own)

    optim, run = OptimConfig(epochs=4), RunConfig(accelerator="cpu")
    fit(AcousticStage(model, settings, SPEC), RandomData(), optim, run, 7, tmp_path, [], progress)
    assert shares == pytest.approx([0.8 * min(1, step / 6) for step in range(12)])


def test_a_loss_that_is_not_finite_names_the_batch(tmp_path):
    with pytest.raises(UserError, match=r"not finite at step .* utterances .*\b5\b"):
        train(tmp_path, poison=True)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "code"])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path, damage):
    path = tmp_path / CHECKPOINT
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        torch.save({"a": torch.zeros(1000)}, path)
        path.write_bytes(path.read_bytes()[:900])
    elif damage == "code":
        torch.save({"a": Path("/")}, path)
    with pytest.raises(UserError) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=90),
    batch=st.integers(1, 20),
    seed=st.integers(0, 5),
    epoch=st.integers(0, 5),
)
def test_batches_hold_every_utterance_once(lengths, batch, seed, epoch):
    def order() -> list[list[int]]:
        sampler = BucketSampler(lengths, batch, seed)
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        return batches

    batches = order()
    assert Counter(i for b in batches for i in b) == Counter(range(len(lengths)))
    assert all(len(b) <= batch for b in batches)
    assert order() == batches


def test_epochs_differ():
    sampler = BucketSampler(list(range(1, 60)), 5, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
