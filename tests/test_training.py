"""Training is exact: same seed, same weights, interrupted or not; batches depend on seed and epoch alone."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

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
from prosody_tts.stages.fit import BEST, CHECKPOINT, fit, load_checkpoint
from prosody_tts.stages.fit.checkpoints import WholeCheckpoints
from prosody_tts.systems import Sizes, build_acoustic

SPEC = Specification(tuple(map(str, range(PHONES))), (0.0,) * MELS, (1.0,) * MELS, 0.0, 1.0, 0.0, 1.0, 24, 3)


class RandomData(LightningDataModule):
    """A few random recordings."""

    def __init__(self, poison: bool = False, batch: int = 4, count: int = 12) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.batch = batch
        self.items = [acoustic_item(str(i), 2 + i % 4, generator) for i in range(count)]
        if poison:
            self.items[5].mel[3] = torch.nan

    def loader(self, items: list[Any], shuffle: bool) -> DataLoader:
        sampler = BucketSampler([len(item.mel) for item in items], self.batch, seed=3, shuffle=shuffle)
        return DataLoader(items, batch_sampler=sampler, collate_fn=acoustic_batch)

    def train_dataloader(self) -> DataLoader:
        return self.loader(self.items, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self.loader(self.items[:5], shuffle=False)


def stage(reference: Literal["variational", "deterministic"] = "variational") -> AcousticStage:
    """A tiny stage one, always the same."""
    settings = AcousticConfig(reference=reference, width=16, latent=4, decoder_layers=1, pool="fifths")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return AcousticStage(build_acoustic(Experiment(acoustic=settings), Sizes(PHONES, MELS, 24, 3)), settings, SPEC)


def train(
    folder: Path,
    kill_at: int | None = None,
    poison: bool = False,
    optim: OptimConfig | None = None,
    run: RunConfig | None = None,
) -> dict[str, torch.Tensor]:
    """Train a tiny variational stage one; kill this process without warning after ``kill_at`` steps."""
    module = stage()

    def progress(done: int, total: int, what: str) -> None:
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    run = run or RunConfig(accelerator="cpu")
    fit(module, RandomData(poison), optim or OptimConfig(epochs=4), run, 7, folder, [], progress)
    kept = load_checkpoint(folder / CHECKPOINT)["state_dict"]
    assert all(torch.equal(kept[name], value) for name, value in module.state_dict().items())
    return kept


def test_the_same_seed_gives_the_same_weights(tmp_path):
    first, second = train(tmp_path / "a"), train(tmp_path / "b")
    assert all(torch.equal(first[name], second[name]) for name in first)


def killed(train: Callable[[], Any]) -> bool:
    """Run a training in a copy of this process; whether it was killed, and did not end before."""
    child = os.fork()
    if child == 0:
        train()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {-signal.SIGKILL, 0}
    return status != 0


@pytest.mark.parametrize("step", [2, 3, 4, 8, 11])
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, step):
    """Killed for real, in the middle of an epoch and at its end."""
    whole = train(tmp_path / "whole")
    assert killed(lambda: train(tmp_path / "cut", step))
    resumed = train(tmp_path / "cut")
    assert same(whole, resumed)


#: Everything that has a state of its own: averaged weights, patience, checkpoints within epochs.
STATEFUL = OptimConfig(epochs=30, learning_rate=0.1, final_rate=1.0, ema=0.5, patience=2)


def train_statefully(folder: Path, die: Callable[[str, int], bool] = lambda hook, count: False) -> dict[str, Any]:
    """Train with every state there is and a checkpoint every two of an epoch's five steps; metrics and weights.

    ``die(hook, count)`` is asked at the ``count``-th time that a file is written, before and after, and at every step.
    """
    counts: Counter[str] = Counter()

    def reach(hook: str) -> None:
        counts[hook] += 1
        if die(hook, counts[hook]):
            os.kill(os.getpid(), signal.SIGKILL)

    save = WholeCheckpoints.save_checkpoint

    def killing_save(*arguments: Any, **options: Any) -> None:
        reach("before writing")
        save(*arguments, **options)
        reach("after writing")

    module, data = stage(), RandomData(batch=4, count=18)
    run = RunConfig(accelerator="cpu", checkpoint_steps=2, checkpoint_minutes=None)
    WholeCheckpoints.save_checkpoint = killing_save  # type: ignore[method-assign]
    try:
        told = lambda *news: reach("step")  # noqa: E731
        metrics = fit(module, data, STATEFUL, run, 7, folder, [], told, monitor="dev/mel")
    finally:
        WholeCheckpoints.save_checkpoint = save  # type: ignore[method-assign]
    return {"metrics": metrics, "last": load_checkpoint(folder / CHECKPOINT), "best": load_checkpoint(folder / BEST)}


def same(one: Any, other: Any) -> bool:
    """Whether nested plain data and tensors are alike to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def test_killed_at_ten_moments_a_run_ends_in_the_same_weights_metrics_and_optimiser(tmp_path):
    """Ten processes go on from each other's files; each is killed for real, at a moment drawn by chance."""
    whole = train_statefully(tmp_path / "whole")
    assert whole["last"]["place"]["epoch"] < STATEFUL.epochs, "patience should end this training early"
    moments = random.Random(5)
    for _ in range(10):
        moment = moments.choice(["step", "before writing", "after writing"]), moments.randint(1, 4)
        assert killed(lambda moment=moment: train_statefully(tmp_path / "cut", lambda *now: now == moment))
    resumed = train_statefully(tmp_path / "cut")
    for kept in ("last", "best"):
        for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
            assert same(whole[kept][part], resumed[kept][part]), (kept, part)
    assert whole["metrics"] == resumed["metrics"]
    assert whole["last"]["place"] == resumed["last"]["place"]


def test_a_finished_training_is_not_trained_again(tmp_path):
    first = train_statefully(tmp_path)
    again = train_statefully(tmp_path, die=lambda hook, count: hook == "step")
    assert first["metrics"] == again["metrics"] and same(first["last"]["state_dict"], again["last"]["state_dict"])


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
