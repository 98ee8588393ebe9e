"""Several processes train what one would: same batches, same losses, same weights; and none is left behind."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import pytest
import torch
from offline_runs import config_of, logged, records
from random_batches import MELS, PHONES, acoustic_item
from test_training import RandomData, stage

from data_modules.collate import SamplerItem, acoustic_batch, sampler_batch
from data_modules.corpora.contract import silent
from prosody_tts.config import AcousticConfig, Experiment, OptimConfig, RunConfig, SamplerConfig, Units, load
from prosody_tts.errors import UserError
from prosody_tts.files import read_json, write_json
from prosody_tts.nn.aligner import Aligner
from prosody_tts.nn.layers import MaskedBatchNorm
from prosody_tts.nn.means import masked_mean, over_processes, processes, ratio
from prosody_tts.nn.priors import PRIORS
from prosody_tts.nn.units import length_mask
from prosody_tts.stages.acoustic import AcousticStage
from prosody_tts.stages.aligner import _lattice
from prosody_tts.stages.fit import CHECKPOINT, fit, load_checkpoint
from prosody_tts.stages.fit.ranks import Rank, companions
from prosody_tts.systems import Sizes, build_sampler
from prosody_tts.tracking import lightning_loggers

SIZES = Sizes(PHONES, MELS, 24, 3)
TWO = RunConfig(accelerator="cpu", devices=2)


def test_alone_a_mean_is_a_mean():
    values, mask = torch.arange(6.0).reshape(2, 3), torch.tensor([[True, True, False], [True, False, False]])
    assert processes() == 1
    assert masked_mean(values, mask) == (0 + 1 + 3) / 3
    assert ratio(torch.tensor(3.0), torch.tensor(0)) == 3


class Telling(AcousticStage):
    """Says what its process was told."""

    place: Path

    def on_train_start(self) -> None:
        super().on_train_start()
        told = {"epochs": self.optim.epochs, "sweep": os.environ.get("WANDB_SWEEP_ID"), "wandb": "wandb" in sys.modules}
        write_json(self.place / f"{self.global_rank}.json", told)


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path, monkeypatch):
    """Curves and weights agree to rounding, where batches and shares are uneven; so does a resumed second half.

    Both have the parameters of a sweep, and the first alone a W&B run.
    """
    records(tmp_path)  # W&B reads the environment anew
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc12345")
    optim = OptimConfig(epochs=3, ema=0.9)
    settings = ["acoustic.optim.epochs=3", f"run.folder={tmp_path}", "run.wandb=offline"]
    found, weights = [], []
    for run in (replace(TWO, devices=1), TWO):
        module, folder = stage("deterministic"), tmp_path / str(run.devices)
        module.__class__, module.place = Telling, folder
        loggers = lightning_loggers(load("camp", settings), folder, "acoustic") if run is TWO else []
        metrics = fit(module, RandomData(count=19), optim, run, 7, folder, loggers, silent, monitor="dev/mel")
        found.append(metrics)
        weights.append(load_checkpoint(folder / CHECKPOINT))
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        assert value == pytest.approx(found[1][name], rel=1e-4, abs=1e-6), name
    for part in ("state_dict", "current_model_state"):
        for name, value in weights[0][part].items():
            assert torch.allclose(value, weights[1][part][name], atol=1e-5), name
    assert processes() == 1, "afterwards this process is alone again"
    told = [read_json(tmp_path / "2" / f"{rank}.json") for rank in range(2)]
    assert told == [{"epochs": 3, "sweep": "abc12345", "wandb": rank == 0} for rank in range(2)]
    left = records(tmp_path)
    (begun,) = [record["run"] for record in left if "run" in record]
    assert begun["sweep_id"] == "abc12345" and config_of(begun)["acoustic"]["optim"]["epochs"] == 3
    assert logged(left)["acoustic/dev/mel"] == pytest.approx(found[1]["dev/mel"], rel=1e-4)


def third(*shape, **_):
    """In place of random numbers."""
    return torch.full(shape[0] if isinstance(shape[0], torch.Size) else shape, 0.3)


def losses(rank: Rank, answer: str) -> None:
    """Writes every loss of this process's share of one batch, averaged over the processes as gradients are."""
    found: dict[str, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    recordings = [acoustic_item(str(i), words, generator) for i, words in enumerate([5, 2, 9, 4, 7])]
    mine = slice(rank.number, None, rank.of)
    for name, units in itertools.product(PRIORS, get_args(Units)):
        items = []
        for recording in recordings:
            count = {"utterance": 1, "word": len(recording.word_f0), "phone": len(recording.durations)}[units]
            mean = torch.randn(count, 4, generator=generator)
            items.append(SamplerItem(recording.text, mean, 0.1 + torch.rand(count, 4, generator=generator)))
        torch.manual_seed(0)
        sampler = SamplerConfig(prior=name, contexts=["phones"], width=16, recurrent=16)  # type: ignore[arg-type]
        acoustic = AcousticConfig(latent=4)
        model = build_sampler(Experiment(units=units, acoustic=acoustic, sampler=sampler), SIZES).eval()
        # What a prior draws depends on the share; that it draws the same number everywhere does not.
        with patch.object(torch, "randn", third), patch.object(torch, "rand", third):
            found[f"{name} {units}"] = model.loss(sampler_batch(items[mine]))
    batch = acoustic_batch(recordings[mine])
    torch.manual_seed(0)
    aligner = Aligner(PHONES, MELS, 8).eval()
    found["aligner"] = aligner.loss(batch.mel, batch.frame_lengths, _lattice(batch), 0.5)
    found["surprise"] = aligner.surprise(batch.mel, batch.frame_lengths, _lattice(batch))
    found |= {f"stage one {name}": value for name, value in stage().eval().losses(batch).items()}
    mean = over_processes(torch.stack([value.detach() for value in found.values()])) / rank.of
    if rank.number == 0:
        write_json(Path(answer), dict(zip(found, mean.tolist(), strict=True)))


@pytest.mark.slow
def test_every_loss_of_a_batch_is_the_average_of_its_shares(tmp_path):
    """Whatever the shares' numbers of frames, phones and units: stage one, the aligner and every prior."""
    alone, together = tmp_path / "alone.json", tmp_path / "together.json"
    losses(Rank(), str(alone))
    with companions(2, False, losses, [str(together)]) as rank:
        losses(rank, str(together))
    assert read_json(together) == pytest.approx(read_json(alone), rel=1e-4, abs=1e-6)


def normalised(rank: Rank, answer: str) -> None:
    """Writes what a batch normalisation has learnt, and the gradient of what is before and in it, of shares alike."""
    generator = torch.Generator().manual_seed(0)
    x, lengths = torch.randn(5, 7, 3, generator=generator), torch.tensor([7, 2, 5, 4, 1])
    mask, mine = length_mask(lengths), slice(rank.number, None, rank.of)
    before, norm = torch.nn.Parameter(torch.ones(3)), MaskedBatchNorm(3).train()
    masked_mean(norm(x[mine] * before + x[mine].square(), mask[mine]).pow(3), mask[mine]).backward()
    gradients = torch.cat([before.grad, norm.weight.grad, norm.bias.grad])
    mean = over_processes(gradients) / rank.of
    if rank.number == 0:
        learnt = [*norm.running_mean.tolist(), *norm.running_variance.tolist()]
        write_json(Path(answer), [*mean.tolist(), *learnt])


@pytest.mark.slow
def test_a_batch_is_normalised_as_a_whole_by_processes_that_share_it(tmp_path):
    alone, together = tmp_path / "alone.json", tmp_path / "together.json"
    normalised(Rank(), str(alone))
    with companions(2, False, normalised, [str(together)]) as rank:
        normalised(rank, str(together))
    assert read_json(together) == pytest.approx(read_json(alone), rel=1e-4, abs=1e-6)


@pytest.mark.slow
def test_the_process_whose_share_is_spoilt_is_heard(tmp_path):
    with pytest.raises(UserError, match=r"loss is not finite at step .* utterances .*\b5\b"):
        fit(stage("deterministic"), RandomData(poison=True), OptimConfig(epochs=1), TWO, 7, tmp_path, [], silent)
    assert multiprocessing.active_children() == [] and processes() == 1


@pytest.mark.slow
def test_a_process_that_dies_fails_the_training_and_nobody_waits_for_it(tmp_path):
    def progress(done: int, total: int, what: str) -> None:
        if done == 2:
            (other,) = multiprocessing.active_children()
            other.kill()

    with pytest.raises(RuntimeError):
        fit(stage("deterministic"), RandomData(), OptimConfig(epochs=2), TWO, 7, tmp_path, [], progress)
    assert multiprocessing.active_children() == [] and processes() == 1


def dying(folder: str) -> None:
    """Train on two processes, tell the other one's number, and be killed."""

    def progress(done: int, total: int, what: str) -> None:
        print(multiprocessing.active_children()[0].pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    fit(stage("deterministic"), RandomData(), OptimConfig(epochs=2), TWO, 7, Path(folder), [], progress)


@pytest.mark.slow
def test_processes_end_with_the_first_one_however_that_ends(tmp_path):
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    command = [sys.executable, "-c", f"from test_ranks import dying; dying({str(tmp_path)!r})"]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)
    assert ended.returncode == -signal.SIGKILL
    try:
        other = os.pidfd_open(int(ended.stdout))
    except ProcessLookupError:
        return  # gone already
    try:
        assert select.select([other], [], [], 60)[0], "the other process should be gone"
    finally:
        os.close(other)
