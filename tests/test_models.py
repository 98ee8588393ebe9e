"""Every module of every registry keeps its contract: shapes, gradients, padding, seeds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_batches import BERT, MELS, PHONES, acoustic_item, recordings, text_item, texts, vectors
from torch.distributions import Normal, kl_divergence

from data_modules.collate import acoustic_batch, text_batch
from prosody_tts.config import AcousticConfig, DurationConfig, Experiment, SamplerConfig, Units
from prosody_tts.nn.conditioning import CONDITIONINGS
from prosody_tts.nn.context import CONTEXTS
from prosody_tts.nn.decoders import DECODERS, POSTNETS
from prosody_tts.nn.durations import DURATIONS, to_frames
from prosody_tts.nn.layers import SentenceDropout
from prosody_tts.nn.phones import ENCODERS
from prosody_tts.nn.priors import PRIORS
from prosody_tts.nn.priors.autoregressive import AutoregressivePrior
from prosody_tts.nn.priors.gaussian import GaussianPrior
from prosody_tts.nn.reference import REFERENCES, Posterior
from prosody_tts.nn.units import POOLS, frame_to_phone, hats, length_mask, place_in_unit, spread
from prosody_tts.systems import Sizes, build_acoustic, build_contexts, build_sampler

SIZES = Sizes(phones=PHONES, mels=MELS, bert=BERT, passes=3)
UNITS: tuple[Units, ...] = get_args(Units)


def experiment(**changes: object) -> Experiment:
    """A small experiment; keys are fields of ``AcousticConfig``, ``SamplerConfig`` or ``Experiment``."""
    acoustic = {"width": 16, "decoder_layers": 2, "phone_layers": 1, "latent": 4, "recurrent": 16, "longest": 6.0}
    sampler = {"width": 16, "recurrent": 16}
    top = {}
    for name, value in changes.items():
        for fields, target in ((AcousticConfig, acoustic), (SamplerConfig, sampler), (Experiment, top)):
            if name in fields.__dataclass_fields__:
                target[name] = value
                break
        else:
            raise KeyError(name)
    return replace(Experiment(), acoustic=AcousticConfig(**acoustic), sampler=SamplerConfig(**sampler), **top)


def acoustic(units: str = "word", reference: str = "deterministic", **changes: object):
    torch.manual_seed(0)
    changes = {"pool": "last", **changes}
    return build_acoustic(experiment(units=units, reference=reference, **changes), SIZES).eval()


def everything(model, batch):
    """Every loss of stage one's terms, and every tensor it shows."""
    rebuilt = model(batch)
    rendered, decoded = rebuilt.rendered, rebuilt.rendered.decoded
    loss = decoded.mel.square().mean() + rendered.readout.square().mean()
    loss = loss + sum(draft.square().mean() for draft in decoded.drafts)
    loss = loss + sum(model.decoder.losses(decoded, batch).values())
    if model.durations is not None:
        text = batch.text
        loss = loss + model.durations.loss(rebuilt.conditioned, text.phone_lengths, text.pauses, batch.durations)
    if rebuilt.posterior is not None:
        loss = loss + rebuilt.posterior.kl().mean() + rebuilt.posterior.mean.square().mean()
    if rebuilt.contour is not None:
        loss = loss + rebuilt.contour.square().mean()
    return rebuilt, loss


STAGE_ONES = [
    *(
        {"units": u, "reference": r, "pool": "mean"}
        for u, r in [("word", "none"), *itertools.product(UNITS, REFERENCES)]
    ),
    *({"decoder": name} for name in DECODERS),
    *(
        {"decoder": name, "postnet": postnet, "postnet_layers": 3, "frames_per_step": step}
        for name in ("autoregressive", "attention")
        for step, postnet in enumerate(POSTNETS, start=1)
    ),
    *({"decoder": name, "conditioning": "concatenated"} for name in DECODERS),
    *({"encoder": name, "phone_recurrent": 2} for name in ENCODERS),
    *({"duration": DurationConfig(network=name)} for name in DURATIONS),  # type: ignore[arg-type]
    *({"conditioning": name, "units": units} for name, units in itertools.product(CONDITIONINGS, UNITS)),
]


@pytest.mark.parametrize("changes", STAGE_ONES, ids=str)
def test_stage_one_gives_shapes_and_gradients_to_every_parameter(changes):
    # A backward pass has nothing behind it at an utterance's last frame; the mean hears all of it.
    model = acoustic(**{"pool": "mean", **changes}).train()
    batch = recordings([3, 1, 5])
    rebuilt, loss = everything(model, batch)
    assert rebuilt.rendered.decoded.mel.shape == batch.mel.shape
    assert rebuilt.rendered.readout.shape == (3, 11, 2)
    if rebuilt.posterior is not None:
        latent = experiment(**changes).latent
        assert rebuilt.posterior.mean.shape == (3, int(batch.text.unit_lengths(model.units).max()), latent)
    loss.backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []


@pytest.mark.parametrize(
    "changes", [*STAGE_ONES, *({"pool": p, "units": u} for u, p in itertools.product(UNITS, POOLS))]
)
def test_padding_changes_nothing_in_stage_one(changes):
    model = acoustic(**changes)
    together = recordings([2, 6, 4])
    rebuilt, _ = everything(model, together)
    generator = torch.Generator().manual_seed(0)
    items = [acoustic_item(str(i), words, generator) for i, words in enumerate([2, 6, 4])]
    for row, item in enumerate(items):
        alone, _ = everything(model, acoustic_batch([item]))
        frames, phones, tokens = item.mel.shape[0], len(item.text.phones), len(item.text.word_to_node)
        pairs = [
            (rebuilt.rendered.decoded.mel[row, :frames], alone.rendered.decoded.mel[0]),
            (rebuilt.rendered.readout[row, :tokens], alone.rendered.readout[0]),
            (rebuilt.conditioned[row, :phones], alone.conditioned[0]),
        ]
        if alone.posterior is not None:
            units_here = alone.posterior.mean.shape[1]
            pairs += [
                (rebuilt.posterior.mean[row, :units_here], alone.posterior.mean[0]),
                (rebuilt.contour[row, :tokens], alone.contour[0]),
            ]
        for padded, bare in pairs:
            torch.testing.assert_close(padded, bare, atol=1e-5, rtol=1e-4)


ALONE = [
    *({"decoder": name} for name in DECODERS),
    *({"decoder": name, "prenet_always": False} for name in ("autoregressive", "attention")),
    *(
        {"decoder": name, "postnet": postnet, "postnet_layers": 2, "frames_per_step": 3}
        for name, postnet in itertools.product(("autoregressive", "attention"), POSTNETS)
    ),
    *({"encoder": name} for name in ENCODERS),
]


@pytest.mark.parametrize("changes", ALONE, ids=str)
def test_stage_one_speaks_without_a_recording_whatever_stands_beside(changes):
    """Durations and mel of a sentence are the same alone and in company."""
    model = acoustic(reference="none", **changes)
    generator = torch.Generator().manual_seed(0)
    items = [text_item(str(i), words, generator) for i, words in enumerate([2, 6, 4])]
    together = spoken(model, text_batch(items))
    assert not together.mel[~length_mask(together.lengths, together.mel.shape[1])].any()
    for row, item in enumerate(items):
        alone = spoken(model, text_batch([item]))
        assert alone.lengths[0] == together.lengths[row] == together.durations[row].sum()
        torch.testing.assert_close(together.durations[row, : len(item.phones)], alone.durations[0])
        torch.testing.assert_close(together.mel[row, : alone.mel.shape[1]], alone.mel[0], atol=1e-5, rtol=1e-4)


def spoken(model, text):
    conditioned = model.condition(text, model.states(text), None)
    durations = (
        None if model.durations is None else model.durations.frames(conditioned, text.phone_lengths, text.pauses)
    )
    with torch.inference_mode():
        return model.decode(text, conditioned, durations).decoded


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_context_gives_states_and_ignores_padding(name):
    torch.manual_seed(0)
    encoder = build_contexts(experiment(contexts=[name]), SIZES)
    together = encoder.eval()(texts([2, 6, 4]))
    assert together.shape == (3, 13, 16)
    generator = torch.Generator().manual_seed(0)
    for row, words in enumerate([2, 6, 4]):
        alone = encoder(text_batch([text_item(str(row), words, generator)]))[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-5, rtol=1e-4)
    encoder.train()(texts([2, 6, 4])).square().mean().backward()
    assert [n for n, p in encoder.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(("units", "prior"), list(itertools.product(UNITS, PRIORS)))
def test_a_prior_keeps_its_contract(units, prior):
    torch.manual_seed(0)
    model = build_sampler(experiment(units=units, prior=prior, contexts=["phones", "bert", "tags", "graph"]), SIZES)
    batch = vectors([3, 5, 1], units, latent=4)
    loss = model.loss(batch)
    assert loss.ndim == 0 and torch.isfinite(loss)
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    model.eval()
    drawn = [model.sample(batch.text, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert drawn[0].shape == batch.mean.shape
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    mask = length_mask(batch.unit_lengths, batch.mean.shape[1])
    assert drawn[0][~mask].abs().sum() == 0
    means = [model.sample(batch.text, 0.0, torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    assert torch.equal(*means)


@pytest.mark.parametrize("prior", PRIORS)
def test_a_prior_learns_what_its_context_knows(prior):
    """Vectors that are a function of BERT states are predicted; the mean is a poor second."""
    torch.manual_seed(0)
    model = build_sampler(experiment(units="word", prior=prior, contexts=["bert"], dropout=0.0), SIZES)
    batch = vectors([6] * 12, "word", latent=4)
    batch.mean.copy_(batch.text.bert[:, :, :4])
    batch.scale.fill_(0.1)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(400):
        optimiser.zero_grad()
        model.loss(batch).backward()
        optimiser.step()
    model.eval()
    with torch.inference_mode():
        error = (model.sample(batch.text) - batch.mean).square().mean()
    assert error < 0.25 * batch.mean.square().mean()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=7), min_size=1, max_size=4),
    pool=st.sampled_from(sorted(POOLS)),
    seed=st.integers(0, 99),
)
def test_pooling_agrees_with_a_loop(rows, pool, seed):
    """Unit by unit in numpy, units without frames included."""
    rows = [row if sum(row) else [*row[:-1], 1] for row in rows]
    units = max(len(row) for row in rows)
    durations = torch.tensor([row + [0] * (units - len(row)) for row in rows])
    lengths = durations.sum(1)
    frames = int(lengths.max())
    states = torch.randn(len(rows), frames, 3, generator=torch.Generator().manual_seed(seed))
    index = frame_to_phone(durations, frames)
    how, factor = POOLS[pool]
    got = how(states, index, length_mask(lengths, frames), units)
    assert got.shape == (len(rows), units, 3 * factor)
    for b, row in enumerate(rows):
        start = 0
        for u, length in enumerate(row):
            part = states[b, start : start + length].numpy()
            start += length
            if length == 0:
                assert got[b, u].abs().sum() == 0
                continue
            ninths = [part[[i for i in range(length) if i * 9 // length == k]] for k in range(9)]
            means = [ninth.mean(0) if len(ninth) else np.zeros(3) for ninth in ninths]
            expected = {
                "mean": part.mean(0),
                "last": part[-1],
                "middle": states[b, (2 * start - length - 1) // 2].numpy(),
                "ends": np.concatenate([part[0], part[-1]]),
                "ninths": np.concatenate([part.mean(0), *means]),
            }[pool]
            np.testing.assert_allclose(got[b, u].numpy(), expected, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(durations=st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_frames_follow_durations(durations):
    total = sum(durations)
    if total == 0:
        return
    index = frame_to_phone(torch.tensor([durations]), total)[0]
    assert index.tolist() == np.repeat(np.arange(len(durations)), durations).tolist()


def test_spread_copies_each_units_vector():
    states = torch.arange(6.0).reshape(1, 3, 2)
    assert spread(states, torch.tensor([[2, 0, 0, 1]])).tolist() == [[[4, 5], [0, 1], [0, 1], [2, 3]]]


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.floats(-1.0, 50.0), min_size=1, max_size=20), data=st.data())
def test_rounded_durations_keep_the_total(values, data):
    pauses = torch.tensor([data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))])
    predicted = torch.tensor([values])
    frames = to_frames(predicted, pauses, torch.tensor([len(values)]))
    assert (frames[~pauses] >= 1).all() and (frames >= 0).all()
    exact = predicted.double().clamp(min=0)
    exact = torch.where(pauses & (exact < 0.5), 0.0, exact)
    lifted = (~pauses & (exact < 1)).sum()
    assert abs(int(frames.sum()) - float(exact.sum())) <= 0.5 + int(lifted)


def test_kl_agrees_with_torch_distributions():
    torch.manual_seed(0)
    mean, scale = torch.randn(2, 5), torch.rand(2, 5) + 0.1
    standard = kl_divergence(Normal(mean, scale), Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(Posterior(mean[None], scale[None]).kl()[0], standard)


def test_the_printed_direction_seeks_the_mode_and_the_other_covers_the_spread():
    """Two renditions of one text, far apart: KL(sampler || posterior) stays narrow, the other direction widens."""
    spreads = {}
    for direction in ("sampler_posterior", "posterior_sampler"):
        torch.manual_seed(0)
        prior = GaussianPrior(context=1, latent=1, recurrent=8, dropout=0.0, direction=direction)
        context, mask = torch.ones(2, 1, 1), torch.ones(2, 1, dtype=torch.bool)
        posterior = Posterior(torch.tensor([[[-1.0]], [[1.0]]]), torch.full((2, 1, 1), 0.1))
        optimiser = torch.optim.Adam(prior.parameters(), 0.02)
        for _ in range(400):
            optimiser.zero_grad()
            prior.loss(context, posterior, mask).backward()
            optimiser.step()
        spreads[direction] = float(prior.distribution(context, mask).scale[0, 0, 0].detach())
    # The optima are the harmonic mean of the variances, .1, and the spread of the mixture, sqrt(1 + .01).
    assert spreads["sampler_posterior"] == pytest.approx(0.1, abs=0.02)
    assert spreads["posterior_sampler"] == pytest.approx(1.005, abs=0.05)


def test_dropout_spares_or_takes_a_channel_for_a_whole_sentence():
    torch.manual_seed(0)
    dropped = SentenceDropout(0.4)(torch.ones(200, 7, 50))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert abs(dropped.mean().item() - 1) < 0.02 and abs((dropped == 0).float().mean().item() - 0.4) < 0.02
    assert torch.equal(SentenceDropout(0.4).eval()(dropped), dropped)


def test_where_text_leaves_two_registers_the_huber_prior_takes_their_mean():
    """Seven utterances of ten are low, three high, and nothing tells which: the mean is -0.4."""
    torch.manual_seed(0)
    prior = AutoregressivePrior(context=2, latent=1, recurrent=8, dropout=0.0, own=1.0, threshold=4.0)
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.01)
    register = torch.where(torch.arange(10) < 7, -1.0, 1.0)
    target = Posterior(register[:, None, None].expand(10, 3, 1), None)
    context, mask = torch.ones(10, 3, 2), torch.ones(10, 3, dtype=torch.bool)
    for _ in range(300):
        optimizer.zero_grad()
        prior.loss(context, target, mask).backward()
        optimizer.step()
    drawn = prior.eval().sample(context, mask, temperature=0.0)
    assert torch.allclose(drawn, torch.full_like(drawn, -0.4), atol=0.05)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_a_place_in_a_unit_runs_from_its_start_to_its_end_and_hats_sum_to_one(sizes):
    index = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))[None]
    place = place_in_unit(index, torch.ones_like(index, dtype=torch.bool), len(sizes))
    expected = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
    np.testing.assert_allclose(place[0].numpy(), expected, rtol=1e-6)
    basis = hats(place, 5)
    np.testing.assert_allclose(basis.sum(2).numpy(), 1, rtol=1e-5)
    np.testing.assert_allclose((basis * torch.linspace(0, 1, 5)).sum(2).numpy(), place.numpy(), atol=1e-6)
