"""Reference encoders: every hearing below every head, the explicit one against loops, what posteriors cost."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_batches import BERT, MELS, PHONES, acoustic_item, recordings
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from data_modules.collate import acoustic_batch
from prosody_tts.config import EXPLICIT, AcousticConfig, Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.nn.layers import MaskedBatchNorm
from prosody_tts.nn.reference import HEADS, HEARINGS, ExplicitReference, Heard
from prosody_tts.nn.reference.explicit import fill
from prosody_tts.nn.reference.gst import CHANNELS, GstHearing
from prosody_tts.nn.units import length_mask
from prosody_tts.pipeline import plan
from prosody_tts.stages.acoustic import (
    active_dimensions,
    collapse_warning,
    kl_weight,
    kl_with_free_bits,
    watch,
)
from prosody_tts.systems import Sizes, build_acoustic

SIZES = Sizes(phones=PHONES, mels=MELS, bert=BERT, passes=3, f0_mean=5.1, f0_scale=0.4)
#: Every hearing with the units it can serve.
HEARD = [(name, units) for name in HEARINGS for units in ("utterance", "word", "phone")]
HEARD = [(name, units) for name, units in HEARD if name != "gst" or units == "utterance"]


def model_of(units: str, reference: str, **changes: object):
    torch.manual_seed(0)
    small = AcousticConfig(width=16, decoder_layers=1, phone_layers=1, latent=4, reference=reference, frames_per_step=1)
    small = replace(small, **{"pool": "mean", **changes})
    return build_acoustic(replace(Experiment(), units=units, acoustic=small), SIZES)


def hearing_of(name: str, units: str, reference: str = "variational", **changes: object):
    return model_of(units, reference, hearing=name, reference_phones=name != "gst", **changes)


@pytest.mark.parametrize(("heard", "reference"), list(itertools.product(HEARD, HEADS)), ids=str)
def test_every_hearing_goes_with_every_head(heard, reference):
    name, units = heard
    model = hearing_of(name, units, reference).train()
    batch = recordings([3, 1, 40])
    posterior = model.encode(batch)
    assert posterior.mean.shape == (3, int(batch.text.unit_lengths(units).max()), 4)
    assert (posterior.scale is None) == (reference == "deterministic")
    (posterior.mean.square().mean() + posterior.kl().mean()).backward()
    missing = [n for n, p in model.reference.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


@pytest.mark.parametrize(("name", "units"), HEARD)
@pytest.mark.parametrize("pool", ["ends", "last"])
def test_a_hearing_hears_no_neighbour(name, units, pool):
    model = hearing_of(name, units, pool=pool).eval()
    generator = torch.Generator().manual_seed(0)
    items = [acoustic_item(str(row), words, generator) for row, words in enumerate([2, 30, 9])]
    together = model.encode(acoustic_batch(items)).mean
    for row, item in enumerate(items):
        alone = model.encode(acoustic_batch([item])).mean[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", HEARINGS)
def test_more_padding_changes_nothing_in_training_either(name):
    """Batch normalisation would take its statistics from padding too."""
    batch, more = recordings([4, 12, 7]), recordings([4, 12, 7])
    for field in ("mel", "log_f0", "voiced", "energy"):
        value = getattr(more, field)
        setattr(more, field, torch.cat([value, value.new_zeros(len(value), 77, *value.shape[2:])], dim=1))
    tight, loose = (hearing_of(name, "utterance").train() for _ in range(2))
    torch.testing.assert_close(tight.encode(batch).mean, loose.encode(more).mean, atol=1e-5, rtol=1e-4)
    for one, other in zip(tight.reference.buffers(), loose.reference.buffers(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_masked_batch_normalisation_is_torchs_on_what_is_there(lengths, seed):
    if sum(lengths) < 3:
        return
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(length, 3, generator=generator) for length in lengths]
    ours, theirs = MaskedBatchNorm(3), nn.BatchNorm1d(3)
    mask = length_mask(torch.tensor(lengths))
    for _ in range(2):
        padded = pad_sequence(rows, batch_first=True) + 9 * ~mask[:, :, None]
        found, expected = ours(padded, mask), theirs(torch.cat(rows))
        torch.testing.assert_close(found[mask], expected, atol=1e-5, rtol=1e-4)
        assert not found[~mask].any()
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(torch.cat(rows)[None], mask[mask][None])[0], theirs(torch.cat(rows)))


def test_kathakas_hearing_is_the_published_stack():
    """Skerry-Ryan et al.: six 3 by 3 convolutions of stride 2, batch normalisation, ReLU; the GRU's last state."""
    torch.manual_seed(1)
    hearing = GstHearing(80).eval()
    assert CHANNELS == (32, 32, 64, 64, 128, 128) and hearing.recurrent.input_size == 2 * 128
    for norm in hearing.norms:
        norm.running_mean.normal_(), norm.running_variance.uniform_(0.5, 2)
    mel = torch.randn(1, 150, 80)
    image = mel[:, None]
    for convolution, norm in zip(hearing.convolutions, hearing.norms, strict=True):
        image = nn.functional.conv2d(image, convolution.weight, stride=2, padding=1)
        image = nn.functional.batch_norm(image, norm.running_mean, norm.running_variance, norm.weight, norm.bias).relu()
    assert image.shape == (1, 128, 3, 2)
    expected = hearing.recurrent(torch.cat([image[:, channel] for channel in range(128)], dim=2))[1][0]
    found = hearing(heard_of(mel, [150], [[150]]))
    torch.testing.assert_close(found[:, 0], expected, atol=1e-5, rtol=1e-4)


def heard_of(mel: torch.Tensor, lengths: list[int], frames: list[list[int]], **more: torch.Tensor) -> Heard:
    """A batch whose units last ``frames``; F0, energy and phones are given or plain."""
    units = [torch.repeat_interleave(torch.arange(len(row)), torch.tensor(row)) for row in frames]
    plain = torch.zeros(mel.shape[:2])
    phones = pad_sequence([torch.ones(len(row), dtype=torch.long) for row in frames], batch_first=True)
    given = {"log_f0": plain, "voiced": plain.bool(), "energy": plain, "phones": phones, **more}
    return Heard(
        mel=mel,
        states=torch.zeros(*mel.shape[:2], 0),
        frame_to_unit=pad_sequence(units, batch_first=True),
        lengths=torch.tensor(lengths),
        **given,
    )


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.one_of(st.none(), st.floats(-3, 3, width=32)), min_size=1, max_size=9))
def test_gaps_are_filled_as_numpy_interpolates(values):
    known = [place for place, value in enumerate(values) if value is not None]
    given_values = torch.tensor([[0.5 if value is None else value for value in values]])
    filled = fill(given_values, torch.tensor([[value is not None for value in values]]))
    expected = np.interp(range(len(values)), known, [values[p] for p in known]) if known else np.zeros(len(values))
    np.testing.assert_allclose(filled[0].numpy(), expected, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=3),
    share=st.sampled_from([0.0, 0.4, 1.0]),
    seed=st.integers(0, 99),
)
@pytest.mark.parametrize("units", ["word", "phone", "utterance"])
def test_explicit_vectors_are_what_a_loop_measures(units, rows, share, seed):
    rows = [row if sum(row) else [*row[:-1], 2] for row in rows]
    rng = np.random.default_rng(seed)
    if units == "utterance":
        rows = [[sum(row)] for row in rows]
    lengths = [sum(row) for row in rows]
    f0, energy = rng.normal(5, 0.3, (len(rows), max(lengths))), rng.normal(size=(len(rows), max(lengths)))
    voiced = rng.random(f0.shape) < share
    phones = [rng.integers(1, 5, len(row)) for row in rows]
    encoder = ExplicitReference(units, 5.1, 0.4)
    found = encoder(
        heard_of(
            torch.zeros(len(rows), max(lengths), MELS),
            lengths,
            rows,
            log_f0=torch.tensor(np.where(voiced, f0, 0.0)).float(),
            voiced=torch.tensor(voiced),
            energy=torch.tensor(energy).float(),
            phones=pad_sequence([torch.tensor(row) for row in phones], batch_first=True),
        )
    ).mean
    assert found.shape[2] == len(EXPLICIT[units]) and not list(encoder.parameters())
    for b, row in enumerate(rows):
        normal = (f0[b] - 5.1) / 0.4
        loop = utterance_loop if units == "utterance" else units_loop
        expected = loop(row, normal, voiced[b], energy[b], phones[b])
        np.testing.assert_allclose(found[b, : len(row)].numpy(), expected, atol=2e-4)
        assert not found[b, len(row) :].any()


def units_loop(row, f0, voiced, energy, phones):
    made, start = np.zeros((len(row), 4)), 0
    for u, length in enumerate(row):
        part = slice(start, start + length)
        start += length
        heard = f0[part][voiced[part]]
        made[u] = (
            heard.mean() if len(heard) else np.nan,
            voiced[part].mean() if length else 0,
            energy[part].mean() if length else np.nan,
            np.log1p(length / phones[u]),
        )
    for column in (0, 2):
        known = np.flatnonzero(~np.isnan(made[:, column]))
        made[:, column] = np.interp(range(len(row)), known, made[known, column]) if len(known) else 0.0
    return made


def utterance_loop(row, f0, voiced, energy, phones):
    (length,), made = row, []
    for values, inside in ((f0[:length], voiced[:length]), (energy[:length], np.ones(length, bool))):
        own, place = values[inside], np.arange(length)[inside] / length
        rise = np.polyfit(place, own, 1)[0] if len(own) > 1 else 0.0
        made += [own.mean(), np.ptp(np.percentile(own, [5, 95])), rise] if len(own) else [0.0, 0.0, 0.0]
    return [[*made, np.log1p(length / phones[0])]]


def test_free_bits_are_free_of_dimensions_and_of_units():
    nats = torch.tensor([[0.1, 2.0], [0.3, 0.0]], requires_grad=True)
    # Mean nats of the dimensions: 0.2 and 1.0; of the units: 2.1 and 0.3.
    assert float(kl_with_free_bits(nats, 0.0, "dimension")) == pytest.approx(1.2)
    assert float(kl_with_free_bits(nats, 0.5, "dimension")) == pytest.approx(0.5 + 1.0)
    assert float(kl_with_free_bits(nats, 0.5, "unit")) == pytest.approx((2.1 + 0.5) / 2)
    kl_with_free_bits(nats, 0.5, "dimension").backward()
    assert nats.grad.tolist() == [[0.0, 0.5], [0.0, 0.5]]
    nats.grad = None
    kl_with_free_bits(nats, 0.5, "unit").backward()
    assert nats.grad.tolist() == [[0.5, 0.5], [0.0, 0.0]]


def test_the_divergence_counts_every_so_many_steps_and_is_annealed():
    """Zhang et al.: every 100 steps before step 15,000, every 400 after."""
    zhang = AcousticConfig(kl=1.0, kl_warmup=0.0, kl_every=100, kl_every_later=400)
    counted = [step for step in range(14800, 16000) if kl_weight(zhang, step, 20000) == 1.0]
    assert counted == [14800, 14900, 15200, 15600]
    config = AcousticConfig(kl=0.5, kl_warmup=0.5, kl_every=10)
    weights = [kl_weight(config, step, 400) for step in (0, 5, 10, 11, 100, 400)]
    assert weights == pytest.approx([0.0, 0.0, 0.5 * 10 / 200, 0.0, 0.25, 0.5])
    plain = AcousticConfig(kl=0.5, kl_warmup=0.5)
    assert [kl_weight(plain, step, 400) for step in (1, 7, 300)] == pytest.approx([0.5 / 200, 3.5 / 200, 0.5])


def test_a_collapsed_posterior_is_told():
    means = torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.05], [0.0, 1.0, 0.0]])
    assert active_dimensions(means) == 1
    nats = torch.tensor([[0.0, 0.3, 0.0], [0.0, 0.6, 0.0], [0.0, 0.3, 0.0]])
    found = watch(means, nats)
    assert found == {
        "active_dimensions": 1,
        "kl_nats": pytest.approx(0.4),
        "kl_nats_dimension": pytest.approx(0.4 / 3),
        "kl_nats_each": [0.0, pytest.approx(0.4), 0.0],
    }
    assert "1 of 3 dimensions" in collapse_warning(means, nats, variational=True)
    moving = means * torch.tensor([1.0, 1.0, 9.0])
    assert collapse_warning(moving, nats, variational=True) is None
    assert "0.04 nats" in collapse_warning(moving, nats / 10, variational=True)
    # Vectors without a prior have no scale: the third dimension moves little, and may say much.
    assert collapse_warning(means, 0 * nats, variational=False) is None
    assert "1 of 2" in collapse_warning(means[:, :2], 0 * nats[:, :2], variational=False)
    assert collapse_warning(means[:, 1:2], 0 * nats[:, 1:2], variational=False) is None


def test_a_single_vector_is_not_active():
    assert active_dimensions(torch.ones(1, 3)) == 0


def test_settings_of_the_reference_encoder_are_checked():
    for settings_of, match in (
        (["acoustic.hearing=gst", "acoustic.reference_phones=false"], "units=word"),
        (["acoustic.hearing=gst", "units=utterance"], "mel alone"),
        (["acoustic.kl_free=-1"], "kl_free"),
        (["acoustic.kl_every=0"], "kl_every"),
        (["acoustic.kl_every_later=0"], "kl_every_later"),
    ):
        with pytest.raises(UserError, match=match):
            load("camp", settings_of)


def test_explicit_vectors_say_their_own_size_and_depend_on_no_encoder():
    experiment = load("explicit", ["acoustic.latent=3"])
    assert experiment.latent == 4 and load("explicit", ["units=utterance"]).latent == 7

    def identity(*more: str) -> str:
        return next(stage.identity for stage in plan(load("explicit", more)) if stage.kind == "acoustic")

    assert identity() == identity("acoustic.latent=3", "acoustic.hearing=camp", "acoustic.pool=mean", "acoustic.kl=1")
    assert identity() != identity("units=phone")


def test_designs_have_the_papers_own_encoders():
    for name, hearing in (("kathaka", "gst"), ("camp", "camp"), ("word", "gated"), ("phone", "gated")):
        experiment = load(name, ["design=paper"])
        assert experiment.acoustic.hearing == hearing
        assert load(name).acoustic.hearing == "convolutional"
