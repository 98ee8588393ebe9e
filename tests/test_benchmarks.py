"""Benchmarks run, and measure what they say they do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import acoustic, language, peers, training
from data_modules.store import Specification
from prosody_tts.config import OptimConfig, load
from prosody_tts.systems import build_acoustic

SIZES = acoustic.SIZES
SPEC = Specification(
    inventory=tuple(map(str, range(SIZES.phones))),
    mel_mean=(0.0,) * SIZES.mels,
    mel_scale=(1.0,) * SIZES.mels,
    f0_mean=5.0,
    f0_scale=0.2,
    energy_mean=0.0,
    energy_scale=1.0,
    bert=SIZES.bert,
    passes=SIZES.passes,
)


def test_a_training_is_timed_after_its_first_epoch() -> None:
    experiment = load("camp", ["size=smoke"])
    data = training.Utterances([30, 45, 60, 40], experiment)
    speed, before, loss = training.measure(experiment, data, {"ema": 0.9})
    assert speed > 0 and before > 0 and math.isfinite(loss)


def test_operations_count_recurrent_layers_and_grow_with_the_batch() -> None:
    experiment = load("camp", ["size=smoke"])
    model = build_acoustic(experiment, SIZES).train()
    small, large = (acoustic.random_batch(torch.Generator().manual_seed(0), count) for count in (1, 4))
    counted = acoustic.operations(model, small)
    per_frame = counted / int(small.frame_lengths.sum())
    assert acoustic.operations(model, large) / int(large.frame_lengths.sum()) == pytest.approx(per_frame, rel=0.15)
    lstms = [module for module in model.modules() if isinstance(module, torch.nn.LSTM)]
    assert lstms and counted > acoustic.TRAINING * 8 * min(lstm.hidden_size**2 for lstm in lstms) * 2
    seconds, limit = acoustic.step_seconds(model, small, 1, bf16=False)
    assert seconds > 0 and limit > counted / seconds * 1e-3


def test_a_peer_is_told_durations_f0_and_energy_and_nothing_of_the_mel() -> None:
    torch.manual_seed(0)
    stage = peers.PeerStage(peers.peer(16, SPEC), SPEC, OptimConfig()).eval()
    batch = acoustic.random_batch(torch.Generator().manual_seed(0), 2)
    with torch.inference_mode():
        said = stage.rebuild(batch)
        assert said.shape == batch.mel.shape
        assert torch.equal(stage.rebuild(replace(batch, mel=batch.mel + 1)), said)
        for changed in (replace(batch, log_f0=batch.log_f0 + batch.voiced), replace(batch, energy=batch.energy + 1)):
            assert not torch.allclose(stage.rebuild(changed), said)


def test_our_row_beside_a_peer_is_not_told_the_f0_of_frames() -> None:
    experiment = load("baseline", ["size=smoke"])
    torch.manual_seed(0)
    stage = peers.OwnStage(build_acoustic(experiment, SIZES), experiment.acoustic, SPEC).eval()
    batch = acoustic.random_batch(torch.Generator().manual_seed(0), 2)
    with torch.inference_mode():
        said = stage.rebuild(batch)
        assert torch.equal(stage.rebuild(replace(batch, log_f0=batch.log_f0 + batch.voiced)), said)
        rebuilt = stage.model(batch).rendered.decoded.mel
    assert not torch.allclose(rebuilt, said)


def test_a_language_model_is_timed_both_ways_and_its_guards_are_counted(tmp_path: Path) -> None:
    experiment = load("speech_lm", ["size=smoke", f"run.folder={tmp_path}"])
    columns = language.speeds(experiment, [4, 8], 1)
    ways = [f"{done}, {how}" for how in ("cached", "not cached") for done in ("said", "written")]
    assert [column.name for column in columns] == [*ways, "trained"]
    assert all(rate > 0 and math.isfinite(rate) for column in columns for rate in column.rates)
    (untrained,) = language.guards(experiment, 4)
    assert untrained["model"] == "untrained" and 0 <= untrained["speak"] <= 1 and 0 <= untrained["recognise"] <= 1
    model = language.random_model(experiment)
    language.endless(model)
    texts, codes = [language.random_text(6, 0)], [language.random_codes(model, 6, 0)]
    assert language.cut(model, experiment, texts, codes) == {"speak": 1.0, "recognise": 1.0}


def test_growth_is_the_exponent_of_length() -> None:
    square = language.Column("said", "s", (10, 20, 40), (1.0, 2.0, 4.0), (0.1, 0.4, 1.6))
    assert square.exponent == pytest.approx(2) and square.rates == pytest.approx([10, 5, 2.5])
    assert math.isnan(language.Column("said", "s", (10,), (1.0,), (0.1,)).exponent)
