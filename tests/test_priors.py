"""Priors keep their contract, agree with closed forms, and recover what a mean cannot: both of two renditions."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from prosody_tts.config import SamplerConfig
from prosody_tts.nn.priors import PRIORS, Known, Prior
from prosody_tts.nn.priors.low_rank import LowRankGaussian
from prosody_tts.nn.priors.paths import Straight, Variance, solve
from prosody_tts.nn.priors.tokens import Codebooks
from prosody_tts.nn.reference import Posterior
from prosody_tts.systems import build_prior

CONTEXT = 6
#: Lengths of the sentences and dimensions of the vectors: utterance, word and phone units.
SHAPES = {"utterance": ([1, 1, 1], 16), "word": ([3, 7, 5], 3), "phone": ([12, 4, 9], 1)}
#: Priors by their name in the registry, and the low-rank Gaussian beside Kathaka's.
KINDS = {**{name: {} for name in PRIORS}, "gaussian, rank 2": {"rank": 2, "kl_direction": "posterior_sampler"}}
CASES = list(itertools.product(KINDS, SHAPES))


def prior(kind: str, latent: int, context: int = CONTEXT, **changes: object) -> Prior:
    torch.manual_seed(0)
    settings = {"recurrent": 16, "dropout": 0.0, "codes": 6, "codebooks": 2, "denoiser_layers": 2, **KINDS[kind]}
    built = build_prior(SamplerConfig(prior=kind.partition(",")[0], **{**settings, **changes}), context, latent)
    built.prepare(torch.randn(200, latent, generator=torch.Generator().manual_seed(0)), seed=0)
    return built


@dataclass
class Sentences:
    context: Tensor
    vectors: Tensor
    mask: Tensor
    exists: Tensor

    def posterior(self, exists: bool = False) -> Posterior:
        return Posterior(self.vectors, torch.full_like(self.vectors, 0.1), self.exists if exists else None)

    def row(self, row: int) -> Sentences:
        units = int(self.mask[row].sum())
        return Sentences(*(x[row : row + 1, :units] for x in (self.context, self.vectors, self.mask, self.exists)))


def sentences(shape: str) -> Sentences:
    lengths, latent = SHAPES[shape]
    generator = torch.Generator().manual_seed(1)
    units = max(lengths)
    mask = torch.arange(units) < torch.tensor(lengths)[:, None]
    return Sentences(
        torch.randn(len(lengths), units, CONTEXT, generator=generator),
        torch.randn(len(lengths), units, latent, generator=generator),
        mask,
        torch.rand(len(lengths), units, latent, generator=generator) < 0.7,
    )


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_a_loss_is_a_number_that_reaches_every_parameter(kind, shape):
    data, model = sentences(shape), prior(kind, SHAPES[shape][1])
    torch.manual_seed(1)
    loss = model.loss(data.context, data.posterior(), data.mask)
    assert loss.shape == () and torch.isfinite(loss)
    loss.backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    # An utterance has nothing before its only unit: zeros are heard there, and remembered.
    idle = (
        {name for name in still if "prenet.0.weight" in name or "weight_hh" in name} if shape == "utterance" else set()
    )
    assert still == idle


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_what_stands_in_the_padding_changes_nothing(kind, shape):
    data, model = sentences(shape), prior(kind, SHAPES[shape][1]).eval()
    junk = ~data.mask[:, :, None] * 100.0
    other = Sentences(data.context + junk, data.vectors - junk, data.mask, data.exists)
    losses = [model.loss(d.context, d.posterior(), d.mask, seeded()) for d in (data, other)]
    torch.testing.assert_close(*losses)
    draws = [model.sample(d.context, d.mask, 1.0, seeded()) for d in (data, other)]
    torch.testing.assert_close(*draws)
    assert not draws[0][~data.mask].any()
    for row in range(len(data.mask)):
        alone = data.row(row)
        units = alone.mask.shape[1]
        middle = model.sample(data.context, data.mask, 0.0)[row, :units]
        torch.testing.assert_close(middle, model.sample(alone.context, alone.mask, 0.0)[0], atol=1e-4, rtol=1e-4)
        if model.likelihood:
            together = model.log_likelihood(data.context, data.vectors, data.mask)[row]
            own = model.log_likelihood(alone.context, alone.vectors, alone.mask)[0]
            torch.testing.assert_close(together, own, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_draws_depend_on_their_seed_and_a_temperature_of_zero_on_none(kind, shape):
    data, model = sentences(shape), prior(kind, SHAPES[shape][1]).eval()
    one, same, other = (model.sample(data.context, data.mask, 1.0, seeded(seed)) for seed in (1, 1, 2))
    assert one.shape == data.vectors.shape
    assert torch.equal(one, same) and not torch.equal(one, other)
    middles = [model.sample(data.context, data.mask, 0.0, seeded(seed)) for seed in (1, 2)]
    assert torch.equal(*middles)
    losses = [model.loss(data.context, data.posterior(), data.mask, seeded(3)) for _ in range(2)]
    assert torch.equal(*losses)


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_known_units_come_back_as_they_are(kind, shape):
    data, model = sentences(shape), prior(kind, SHAPES[shape][1]).eval()
    where = torch.zeros_like(data.mask)
    where[:, 0] = True
    for temperature in (0.0, 1.0):
        drawn = model.sample(data.context, data.mask, temperature, seeded(), Known(data.vectors, where))
        assert torch.equal(drawn[:, 0], data.vectors[:, 0])
        free = model.sample(data.context, data.mask, temperature, seeded())
        assert torch.isfinite(drawn).all()
        heard = not torch.allclose(drawn[:, 1:], free[:, 1:])
        # Untrained, what a code is told of the one before rarely makes it another.
        assert heard == (model.fixes != "alone" and shape != "utterance") or kind == "tokens"


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_what_does_not_exist_is_left_out(kind, shape):
    data, model = sentences(shape), prior(kind, SHAPES[shape][1]).eval()
    data.exists[0, 0] = False  # a unit without any dimension
    junk = torch.where(data.exists, 0.0, 50.0)
    losses, nats = [], []
    for vectors in (data.vectors, data.vectors + junk):
        posterior = Posterior(vectors * data.exists, torch.zeros_like(vectors), data.exists)
        losses.append(model.loss(data.context, posterior, data.mask, seeded()))
        if model.likelihood:
            nats.append(model.log_likelihood(data.context, vectors, data.mask, data.exists))
    assert torch.isfinite(losses[0]) and torch.equal(*losses)
    if nats:
        assert torch.isfinite(nats[0]).all() and torch.equal(*nats)
    model.train().loss(data.context, posterior, data.mask).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_priors_without_a_likelihood_say_so():
    data = sentences("word")
    for kind in KINDS:
        model = prior(kind, 3).eval()
        if not model.likelihood:
            with pytest.raises(NotImplementedError):
                model.log_likelihood(data.context, data.vectors, data.mask)


# Gaussians ----------------------------------------------------------------------------------------------------------


def low_rank(rank: int, dtype: torch.dtype = torch.float64) -> LowRankGaussian:
    generator = torch.Generator().manual_seed(2)
    mean = torch.randn(2, 4, 3, generator=generator, dtype=dtype)
    scale = 0.3 + torch.rand(2, 4, 3, generator=generator, dtype=dtype)
    factor = torch.randn(2, 4, 3, rank, generator=generator, dtype=dtype)
    there = torch.rand(2, 4, 3, generator=generator) < 0.8
    there[1, 3] = False  # padding
    return LowRankGaussian(mean, scale, factor, there)


def dense(gaussian: LowRankGaussian, row: int) -> tuple[MultivariateNormal, Tensor]:
    """The distribution of a sentence's numbers that count, and which they are of all."""
    there = gaussian.there[row].flatten()
    factor = gaussian.factor[row].flatten(0, 1)[there]
    covariance = factor @ factor.T + gaussian.scale[row].flatten()[there].square().diag()
    return MultivariateNormal(gaussian.mean[row].flatten()[there], covariance), there


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_low_rank_gaussians_agree_with_torch_distributions(rank):
    gaussian = low_rank(rank)
    generator = torch.Generator().manual_seed(3)
    mean = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    scale = 0.2 + torch.rand(2, 4, 3, generator=generator, dtype=torch.float64)
    for row in range(2):
        expected, there = dense(gaussian, row)
        target_mean, target_scale = mean[row].flatten()[there], scale[row].flatten()[there]
        target = MultivariateNormal(target_mean, target_scale.square().diag())
        torch.testing.assert_close(gaussian.kl_to(mean, scale)[row], kl_divergence(expected, target))
        torch.testing.assert_close(gaussian.kl_from(mean, scale)[row], kl_divergence(target, expected))
        torch.testing.assert_close(gaussian.log_density(mean)[row], expected.log_prob(target_mean))


@pytest.mark.parametrize("rank", [0, 2])
def test_units_are_drawn_by_the_exact_conditional_of_those_that_are_known(rank):
    one = low_rank(rank)
    rows = 40_000
    repeated = [x[:1].expand(rows, *x.shape[1:]) for x in (one.mean, one.scale, one.factor)]
    gaussian = LowRankGaussian(*repeated, torch.ones(rows, 4, 3, dtype=torch.bool))
    where = torch.tensor([False, True, False, True])
    values = torch.randn(4, 3, generator=seeded(4), dtype=torch.float64)
    known = Known(values.expand(rows, 4, 3), where.expand(rows, 4))

    factor = one.factor[0].flatten(0, 1)
    covariance = factor @ factor.T + one.scale[0].flatten().square().diag()
    given = where.repeat_interleave(3)
    gain = covariance[~given][:, given] @ torch.linalg.inv(covariance[given][:, given])
    mean = one.mean[0].flatten()[~given] + gain @ (values.flatten() - one.mean[0].flatten())[given]
    left = covariance[~given][:, ~given] - gain @ covariance[given][:, ~given]

    middle = gaussian.draw(0.0, seeded(), known)[0].flatten()[~given]
    torch.testing.assert_close(middle, mean)
    drawn = gaussian.draw(1.0, seeded(), known).flatten(1)[:, ~given]
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.03, rtol=0.0)
    torch.testing.assert_close(torch.cov(drawn.T), left, atol=0.1, rtol=0.03)


def test_an_autoregressive_likelihood_is_that_of_its_draws():
    data, model = sentences("word"), prior("autoregressive", 3).eval()
    model.spread.copy_(torch.tensor([0.5, 1.0, 2.0]))
    expected = torch.zeros(3)
    for unit in range(7):
        before = (torch.arange(7) < unit).expand(3, 7)
        middle = model.sample(data.context, data.mask, 0.0, known=Known(data.vectors, before))[:, unit]
        each = Normal(middle, model.spread).log_prob(data.vectors[:, unit]).sum(1)
        expected += torch.where(data.mask[:, unit], each, 0.0)
    torch.testing.assert_close(model.log_likelihood(data.context, data.vectors, data.mask), expected)


# Densities and probabilities ----------------------------------------------------------------------------------------


def test_a_flows_density_integrates_to_one():
    """Of the first unit, and of the second given the first; the splines bent well away from where they begin."""
    model = prior("flow", 1).eval().double()
    with torch.no_grad():
        for parameter in model.flow.parameters():
            parameter.mul_(3)
    grid = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    context = torch.randn(1, 2, CONTEXT, generator=seeded()).double().expand(len(grid), -1, -1)
    with torch.inference_mode():
        first = model.log_likelihood(context[:, :1], grid[:, None, None], torch.ones(len(grid), 1, dtype=torch.bool))
        pairs = torch.stack([torch.full_like(grid, 0.7), grid], dim=1)[:, :, None]
        both = model.log_likelihood(context, pairs, torch.ones(len(grid), 2, dtype=torch.bool))
        of_first = torch.exp(first[(grid - 0.7).abs().argmin()])
    assert first.exp().max() > 0.5  # no mere standard normal
    assert torch.trapezoid(first.exp(), grid) == pytest.approx(1, abs=1e-3)
    assert torch.trapezoid(both.exp(), grid) == pytest.approx(float(of_first), rel=0.01)


def test_a_flows_draws_have_its_likelihood():
    """The mean of the negative log-likelihood of draws is the entropy: the base's, less the log-determinant's mean."""
    model = prior("flow", 3).eval()
    context = torch.randn(1, 2, CONTEXT, generator=seeded()).expand(500, -1, -1)
    mask = torch.ones(500, 2, dtype=torch.bool)
    with torch.inference_mode():
        drawn = model.sample(context, mask, 1.0, seeded(1))
        noise = torch.randn(500, 2, 3, generator=seeded(1))
        back = model.flow(model.narrow(model.history(context, drawn))).transform(drawn)
    torch.testing.assert_close(back, noise, atol=1e-3, rtol=1e-3)


def test_token_probabilities_sum_to_one():
    model = prior("tokens", 2, codes=3).eval()
    codes = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    vectors = model.codebooks.sums(codes)[:, -1]
    # A sum may lie nearer to another first code than to its own: those are not asked for by their sum.
    assert len({tuple(code) for code in model.codebooks.encode(vectors).tolist()}) >= 7
    context = torch.randn(1, 1, CONTEXT, generator=seeded()).expand(9, -1, -1)
    sums = model.codebooks.sums(codes[:, None])
    with torch.inference_mode():
        states = model.history(context, torch.zeros(9, 1, 2))
        nats = sum(
            model.logits(states, book, sums[:, :, book]).log_softmax(2).gather(2, codes[:, None, book, None])[:, 0, 0]
            for book in range(2)
        )
    assert nats.exp().sum() == pytest.approx(1, abs=1e-5)
    asked = (model.codebooks.encode(vectors) == codes).all(1)
    found = model.log_likelihood(context, vectors[:, None], torch.ones(9, 1, dtype=torch.bool))
    torch.testing.assert_close(found[asked], nats[asked])


def test_codebooks_of_few_vectors_hold_each_once():
    vectors = torch.tensor([[0.0, 1.0], [2.0, 0.0], [5.0, 5.0]])
    books = Codebooks(codebooks=2, codes=8, latent=2)
    books.fit(vectors.repeat(4, 1), seed=0)
    assert books.used.tolist() == [3, 1]
    codes = books.encode(vectors)
    assert codes.unique(dim=0).shape == (3, 2)
    torch.testing.assert_close(books.sums(codes)[:, -1], vectors)


def test_a_second_codebook_quantises_what_the_first_left():
    vectors = torch.randn(2000, 4, generator=seeded())
    errors = []
    for count in (1, 2, 3):
        books = Codebooks(codebooks=count, codes=16, latent=4)
        books.fit(vectors, seed=0)
        errors.append(float((books.sums(books.encode(vectors))[:, -1] - vectors).square().mean()))
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


# Paths from noise ---------------------------------------------------------------------------------------------------


def exact_variance(mean: float, scale: float):
    """What a perfect network says of N(mean, scale^2) with noise."""

    def network(scaled: Tensor, told: Tensor) -> Tensor:
        level = (4 * told).exp()[:, None, None]
        x = scaled * (1 + level.square()).sqrt()
        clean = (scale**2 * x + level.square() * mean) / (scale**2 + level.square())
        return (clean - x / (1 + level.square())) * (1 + level.square()).sqrt() / level

    return network


def exact_straight(mean: float, scale: float):
    def network(scaled: Tensor, told: Tensor) -> Tensor:
        share = (told / 4)[:, None, None]
        x = scaled * ((1 - share).square() + share.square()).sqrt()
        variance = (share * scale).square() + (1 - share).square()
        return mean + (share * scale**2 - (1 - share)) / variance * (x - share * mean)

    return network


PATHS = [(Variance(), exact_variance), (Straight(), exact_straight)]


@pytest.mark.parametrize(("path", "exact"), PATHS, ids=["variance", "straight"])
def test_with_a_perfect_network_draws_are_those_of_the_distribution(path, exact):
    """Noise ends where the distribution has it, n -> mean + scale n, the nearer the more steps."""
    noise = torch.linspace(-2, 2, 5)[:, None, None]
    errors = []
    for steps in (4, 16, 64):
        drawn = solve(path, exact(0.5, 0.4), noise, steps)
        errors.append(float((drawn - (0.5 + 0.4 * noise)).abs().max()))
        assert drawn[2].item() == pytest.approx(0.5, abs=0.05)
    # What is left is the start's: of ten deviations of noise the distribution's own are not told apart.
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.03


@pytest.mark.parametrize(("path", "exact"), PATHS, ids=["variance", "straight"])
def test_a_perfect_network_has_the_least_error(path, exact):
    vectors = 0.5 + 0.4 * torch.randn(4000, 1, 1, generator=seeded())
    noise = torch.randn(4000, 1, 1, generator=seeded(1))
    levels = path.levels(torch.rand(4000, generator=seeded(2)))
    best = path.error(exact(0.5, 0.4), vectors, noise, levels).mean()
    for mean, scale in ((0.3, 0.4), (0.7, 0.4), (0.5, 0.3), (0.5, 0.5)):
        assert path.error(exact(mean, scale), vectors, noise, levels).mean() > best
    assert torch.isfinite(path.levels(torch.tensor([0.0, 1.0]))).all()


# One text, two renditions -------------------------------------------------------------------------------------------

UNITS = 5


def renditions(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sentences whose units all lie high or all low, which no context tells, about what the context tells."""
    register = torch.where(torch.rand(count, 1, 1, generator=generator) < 0.5, -1.0, 1.0)
    context = torch.randn(count, UNITS, 4, generator=generator)
    noise = 0.15 * torch.randn(count, UNITS, 2, generator=generator)
    return context, 0.9 * register * torch.tensor([1.0, -1.0]) + 0.3 * context[:, :, :2] + noise


@dataclass
class Drawn:
    """First dimensions [B, U] of draws and of the truth, less what the context tells."""

    model: Prior
    drawn: Tensor
    truth: Tensor


@pytest.fixture(scope="module")
def trained():
    """Kind -> a prior trained on two renditions, and what it draws."""
    kept: dict[str, Drawn] = {}

    def train(kind: str) -> Drawn:
        if kind in kept:
            return kept[kind]
        generator = seeded(1)
        more = {"kl_direction": "posterior_sampler"} if kind == "gaussian" else {}
        model = prior(kind, 2, context=4, recurrent=32, own=0.0, codes=16, **more)
        model.prepare(renditions(2000, generator)[1].flatten(0, 1), seed=0)
        optimiser = torch.optim.Adam(model.parameters(), 4e-3)
        for _ in range(300):
            context, vectors = renditions(32, generator)
            optimiser.zero_grad()
            model.loss(context, Posterior(vectors, None), torch.ones(32, UNITS, dtype=torch.bool)).backward()
            optimiser.step()
        model.eval()
        context, vectors = renditions(1000, generator)
        told = 0.3 * context[:, :, 0]
        with torch.inference_mode():
            drawn = model.sample(context, torch.ones(1000, UNITS, dtype=torch.bool), 1.0, generator)
        kept[kind] = Drawn(model, drawn[:, :, 0] - told, vectors[:, :, 0] - told)
        return kept[kind]

    return train


def divergence(drawn: Tensor, truth: Tensor) -> float:
    """Jensen-Shannon divergence in bits of two histograms of a tenth of a deviation."""
    edges = np.linspace(-2.5, 2.5, 51)
    p, q = (np.histogram(x.flatten().numpy().clip(-2.49, 2.49), edges)[0] / x.numel() for x in (drawn, truth))
    middle = (p + q) / 2
    one, other = (float(np.sum(x[x > 0] * np.log2(x[x > 0] / middle[x > 0]))) for x in (p, q))
    return (one + other) / 2


@pytest.mark.parametrize("kind", ["flow", "diffusion", "flow_matching", "tokens"])
def test_both_renditions_are_drawn_and_all_units_of_a_sentence_in_one(trained, kind):
    found = trained(kind)
    high = found.drawn > 0
    assert 0.35 < float(high[:, 0].float().mean()) < 0.65
    agree = float((high == high[:, :1]).all(1).float().mean())
    assert agree > 0.93
    regression = min(divergence(trained(name).drawn, found.truth) for name in ("autoregressive", "gaussian"))
    assert divergence(found.drawn, found.truth) < regression / 3


def test_a_low_rank_gaussian_moves_all_units_together(trained):
    agree = {
        kind: float(torch.corrcoef(trained(kind).drawn.T)[0, UNITS - 1]) for kind in ("gaussian", "gaussian, rank 2")
    }
    truth = float(torch.corrcoef(trained("gaussian").truth.T)[0, UNITS - 1])
    assert abs(agree["gaussian"]) < 0.15 and agree["gaussian, rank 2"] > truth - 0.1


@pytest.mark.parametrize("kind", ["gaussian, rank 2", "flow", "diffusion", "flow_matching", "tokens"])
def test_units_are_drawn_in_the_rendition_of_one_that_is_known(trained, kind):
    model, generator = trained(kind).model, seeded(7)
    place = UNITS // 2 if model.fixes == "all" else 0
    context, vectors = renditions(400, generator)
    where = (torch.arange(UNITS) == place).expand(400, UNITS)
    mask = torch.ones(400, UNITS, dtype=torch.bool)
    with torch.inference_mode():
        drawn = model.sample(context, mask, 1.0, generator, Known(vectors, where))
    told = 0.3 * context[:, :, 0]
    high, wanted = (drawn[:, :, 0] - told > 0), (vectors[:, :, 0] - told > 0)
    assert float((high == wanted).all(1).float().mean()) > 0.75


@pytest.mark.parametrize("kind", ["gaussian, rank 2", "flow", "tokens"])
def test_likelihood_prefers_a_sentence_in_one_rendition_to_a_mixed_one(trained, kind):
    model = trained(kind).model
    context, vectors = renditions(200, seeded(8))
    mask = torch.ones(200, UNITS, dtype=torch.bool)
    told = 0.3 * context[:, :, :2]
    turned = vectors.clone()
    turned[:, 3] = 2 * told[:, 3] - turned[:, 3]  # the other rendition of one unit
    with torch.inference_mode():
        better = model.log_likelihood(context, vectors, mask) > model.log_likelihood(context, turned, mask)
    assert float(better.float().mean()) > 0.9


def test_few_steps_suffice_and_one_does_not(trained):
    for kind in ("diffusion", "flow_matching"):
        found = trained(kind)
        context, vectors = renditions(1000, seeded(9))
        told = 0.3 * context[:, :, 0]
        far = {}
        for steps in (1, 8):
            found.model.steps = steps
            with torch.inference_mode():
                drawn = found.model.sample(context, torch.ones(1000, UNITS, dtype=torch.bool), 1.0, seeded(9))
            far[steps] = divergence(drawn[:, :, 0] - told, vectors[:, :, 0] - told)
        assert far[8] < 0.5 * far[1], (kind, far)
        assert math.isfinite(far[1])
