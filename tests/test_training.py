"""Training is exact: same seed, same weights, interrupted or not; batches depend on seed and epoch alone."""

from __future__ import annotations

import math
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning import Callback, LightningDataModule
from random_batches import MELS, PHONES, acoustic_item
from torch.utils.data import DataLoader

from data_modules.collate import acoustic_batch
from data_modules.corpora.contract import silent
from data_modules.loaders import BucketSampler
from data_modules.store import Specification
from prosody_tts.config import AcousticConfig, Experiment, OptimConfig, RunConfig
from prosody_tts.errors import UserError
from prosody_tts.files import read_json
from prosody_tts.stages.acoustic import AcousticStage
from prosody_tts.stages.fit import BEST, CHECKPOINT, fit, load_checkpoint
from prosody_tts.stages.fit.checkpoints import Place, WholeCheckpoints
from prosody_tts.stages.fit.devices import has_bfloat16, precision
from prosody_tts.stages.fit.optimiser import rate_factor
from prosody_tts.stages.fit.rate import suggested
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
    settings = AcousticConfig(reference=reference, width=16, latent=4, decoder_layers=1, pool="ninths")
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


CPU = RunConfig(accelerator="cpu")
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


def test_a_gradient_that_is_not_finite_stops_before_the_step_and_names_the_batch(tmp_path):
    module = stage()
    module.model.readout.weight.register_hook(lambda gradient: gradient * float("nan"))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(UserError, match=r"gradient is not finite at step 0 on the utterances \d+, \d+"):
        fit(module, RandomData(), OptimConfig(epochs=1), CPU, 7, tmp_path, [], silent)
    assert same(before, dict(module.state_dict()))


def test_averaged_weights_are_validated_kept_and_used(tmp_path):
    """The raw weights are those of a training without averaging; the kept ones follow from them step by step."""
    optim = OptimConfig(epochs=2)
    raw, path = [dict(stage().state_dict())], tmp_path / "averaged"
    module = stage()

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *arguments: Any) -> None:
            raw.append({name: value.clone() for name, value in pl_module.state_dict().items()})

    metrics = fit(module, RandomData(), replace(optim, ema=0.5), CPU, 7, path, [], silent, callbacks=[Watch()])
    plain = train(tmp_path / "plain", optim=optim)
    assert same(plain, load_checkpoint(path / CHECKPOINT)["current_model_state"])
    for name in plain:
        average = raw[1][name]
        for count, later in enumerate(raw[2:], start=1):
            average = average.lerp(later[name], 1 - min(0.5, (1 + count) / (10 + count)))
        assert torch.allclose(average, module.state_dict()[name], atol=1e-6)
    with torch.no_grad():
        terms = [module.eval().losses(batch)["mel"] * len(batch.text.ids) for batch in RandomData().val_dataloader()]
    assert metrics["dev/mel"] == pytest.approx(float(sum(terms)) / 5, abs=1e-6)


def test_brain_floats_train_and_are_told(tmp_path):
    if not has_bfloat16(CPU):
        with pytest.raises(UserError, match="does not multiply in bfloat16"):
            precision(OptimConfig(precision="bf16"), CPU)
        pytest.skip("this CPU does not multiply in bfloat16")
    losses = {}
    for name in ("float32", "bf16"):
        optim = OptimConfig(epochs=3, precision=name)  # type: ignore[arg-type]
        losses[name] = fit(stage(), RandomData(), optim, CPU, 7, tmp_path / name, [], silent)
    assert [losses[name]["precision_bits"] for name in losses] == [32.0, 16.0]
    assert losses["bf16"]["dev/mel"] != losses["float32"]["dev/mel"]
    assert losses["bf16"]["dev/mel"] == pytest.approx(losses["float32"]["dev/mel"], rel=0.05)
    weights = load_checkpoint(tmp_path / "bf16" / CHECKPOINT)["state_dict"].values()
    assert {weight.dtype for weight in weights} <= {torch.float32, torch.int64}
    assert precision(OptimConfig(), CPU) == "32-true"


def test_patience_ends_a_training_that_no_longer_improves(tmp_path):
    """At a rate that changes no weight, no epoch is better than the first."""
    optim = OptimConfig(epochs=9, learning_rate=1e-30, patience=2)
    fit(stage("deterministic"), RandomData(), optim, CPU, 7, tmp_path, [], silent)
    place = Place.read(tmp_path / CHECKPOINT)
    assert place is not None and (place.epoch, place.finished) == (3, True)


def test_processes_that_prepare_batches_change_nothing(tmp_path):
    plain = train(tmp_path / "plain", optim=OptimConfig(epochs=2))
    run = RunConfig(accelerator="cpu", loader_workers=1)
    assert killed(lambda: train(tmp_path / "helped", kill_at=4, optim=OptimConfig(epochs=2), run=run))
    assert same(plain, train(tmp_path / "helped", optim=OptimConfig(epochs=2), run=run))


def test_the_rate_found_is_used_shown_and_found_again(tmp_path):
    optim = OptimConfig(epochs=1, find_rate=True)
    first = fit(stage(), RandomData(), optim, CPU, 7, tmp_path / "a", [], silent)
    again = fit(stage(), RandomData(), optim, CPU, 7, tmp_path / "b", [], silent)
    given = train(tmp_path / "given", optim=OptimConfig(epochs=1, learning_rate=first["learning_rate"]))
    assert first == again and 1e-6 < first["learning_rate"] < 1
    assert same(given, load_checkpoint(tmp_path / "a" / CHECKPOINT)["state_dict"])
    curve = read_json(tmp_path / "a" / "rate.json")
    assert curve["suggested"] == first["learning_rate"] and len(curve["rates"]) == len(curve["losses"]) > 10
    assert (tmp_path / "a" / "rate.png").read_bytes().startswith(b"\x89PNG")


def test_the_suggested_rate_is_where_the_loss_falls_fastest():
    rates = [10 ** (-6 + i / 20) for i in range(100)]
    losses = [2 - 1 / (1 + math.exp(-(i - 50) / 3)) for i in range(100)]
    chosen = suggested(rates, losses)
    assert rates[50] <= chosen <= rates[62], "smoothing looks back some ten steps"
    with pytest.raises(UserError, match="find_rate found no rate"):
        suggested(rates, [1.0 + i for i in range(100)])


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        # arXiv 2301.11446: a tenth to the whole in 10,000 steps, then exponentially from 10,000 to 100,000.
        (
            {"decay": "window", "warmup_steps": 10000, "warmup_start": 0.1, "final_rate": 0.01},
            {0: 0.10009, 4999: 0.55, 9999: 1.0, 55000: 0.1, 100000: 0.01, 400000: 0.01},
        ),
        # CAMP, section 3: 0.98, here after every one of 50 epochs of 10,000 steps.
        ({"decay": "epochs", "epochs": 50, "warmup": 0.0}, {0: 1.0, 9999: 1.0, 10000: 0.98, 499999: 0.98**49}),
        ({"warmup": 0.1, "final_rate": 0.25}, {0: 1 / 50000, 24999: 0.5, 250000: 0.5, 500000: 0.25}),
    ],
)
def test_rates_rise_and_fall_as_the_papers_say(settings, shares):
    for step, share in shares.items():
        assert rate_factor(OptimConfig(**settings), step, 500000) == pytest.approx(share, rel=2e-4)


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


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=90),
    batch=st.integers(2, 20),
    ranks=st.integers(2, 5),
    epoch=st.integers(0, 3),
)
def test_processes_share_the_batches_of_one(lengths, batch, ranks, epoch):
    """In the same order; each utterance once, but in batches smaller than there are processes, which all get whole."""
    whole = BucketSampler(lengths, batch, seed=1)
    whole.set_epoch(epoch)
    shares = []
    for rank in range(ranks):
        sampler = BucketSampler(lengths, batch, seed=1)
        sampler.share(rank, ranks)
        sampler.set_epoch(epoch)
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler) == len(whole)
    for together, *parts in zip(whole, *shares, strict=True):
        if len(together) < ranks:
            assert all(part == together for part in parts)
        else:
            assert Counter(i for part in parts for i in part) == Counter(together) and all(parts)
    sizes = [len(together) for together in whole]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 90), batch=st.integers(1, 20), done=st.integers(0, 90), epoch=st.integers(0, 3))
def test_a_resumed_epoch_goes_on_where_it_was_left_and_the_next_is_whole(count, batch, done, epoch):
    sampler, resumed = BucketSampler(range(count), batch, seed=2), BucketSampler(range(count), batch, seed=2)
    resumed.resume(epoch, done)
    for following in (epoch, epoch + 1):
        sampler.set_epoch(following)
        resumed.set_epoch(following)
        assert list(resumed) == list(sampler)[done if following == epoch else 0 :]


@pytest.mark.parametrize("batch", [8, 20, 32])
def test_less_than_a_twentieth_of_the_frames_pads(batch):
    """Lengths as LJSpeech has them: 1 to 10 seconds, most of them long (a beta distribution fitted by eye)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lengths = (80 + 720 * torch.distributions.Beta(3.0, 1.6).sample((4000,))).long().tolist()
    sampler = BucketSampler(lengths, batch, seed=0)
    assert sampler.padding() < 0.05
    random_order = BucketSampler(lengths, batch, seed=0, chunk=1)
    assert random_order.padding() > 0.15


def test_a_small_corpus_meets_other_neighbours_in_every_epoch():
    """Were everything sorted, the same utterances would make the same batches."""
    sampler = BucketSampler([10 * i for i in range(200)], 8, seed=0)
    first = {frozenset(batch) for batch in sampler}
    sampler.set_epoch(1)
    assert not first & {frozenset(batch) for batch in sampler}


def test_epochs_differ():
    sampler = BucketSampler(list(range(1, 60)), 5, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
