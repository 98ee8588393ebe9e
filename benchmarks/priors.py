"""Speed of the priors, and how near their draws come in how many steps.

    python -m benchmarks.priors [SYSTEM] [key=value …] [--draws 4] [--steps 1 2 4 8 16 32] [--split test]

The first table holds vectors a CPU-second on one thread, of demo size: sentences of 30 word units with 8 dimensions,
and one utterance vector of 64, for one sentence and for 64 at once; weights are random, as speed depends on shapes
alone. The second holds draws at temperature 1 against what they should be. With a SYSTEM, its trained sampler draws the
vectors of a split's sentences, and the truth are the recordings' (labels, of a corpus of labels); without one, every
prior is trained on the spot on sentences whose units all lie high or all low, which nothing tells:

  JSD       Jensen-Shannon divergence in bits of histograms of a fifth of a deviation, the mean over dimensions
  W1        1-Wasserstein distance in standard deviations, the mean over dimensions
  whole     spread of the sentences' mean vectors, as a share of the truth's: whether units move together
  nats      log-likelihood a unit of the truth, where the prior has one (of ``tokens``: of codes)

The last row holds half of the truth against the other half: no draws can be nearer.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_modules.sampler import SamplerData
from data_modules.vectors import VectorStore
from prosody_tts.command import one_file, split_arguments
from prosody_tts.config import Experiment, Prior, SamplerConfig, load
from prosody_tts.errors import UserError
from prosody_tts.nn.priors import PRIORS
from prosody_tts.nn.priors import Prior as PriorModule
from prosody_tts.nn.reference import Posterior
from prosody_tts.pipeline import IN_STEPS, Stage, folder, is_done, plan
from prosody_tts.runners.stores import text_of
from prosody_tts.synthesis import load_sampler
from prosody_tts.systems import build_prior

#: Channels of two contexts of demo size, as of BERT and tags.
CONTEXT = 128
#: Kind of units -> units of a sentence, dimensions of a vector.
SHAPES = {"word": (30, 8), "utterance": (1, 64)}
BATCHES = (1, 64)
#: Passes that are timed; the median counts.
PASSES = 5
#: Edges of the histograms, in standard deviations; what lies beyond is counted in the outermost.
EDGES = np.linspace(-4, 4, 41)

Floats = NDArray[np.float64]


def main() -> None:
    """Read the arguments, print the tables."""
    parser = argparse.ArgumentParser(description="Speed of priors, and quality of their draws.")
    parser.add_argument("arguments", nargs="*", metavar="SYSTEM key=value", help="a trained system, and its settings")
    parser.add_argument("--draws", type=int, default=4, help="of every sentence")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--split", choices=["dev", "test"], default="test", help="sentences of a trained system")
    parser.add_argument("--training", type=int, default=600, help="steps of training on the spot")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    files, settings = split_arguments(arguments.arguments)
    try:
        if files:
            experiment = load(one_file(files, None), [*settings, "run.accelerator=cpu"])
            qualities([*trained(experiment, arguments.split)], arguments.draws, arguments.steps)
            return
        speeds()
        print()
        qualities([toy(name, arguments.training) for name in PRIORS], arguments.draws, arguments.steps)
    except UserError as error:
        sys.exit(f"error: {error}")


# Speed --------------------------------------------------------------------------------------------------------------


def speeds() -> None:
    """Print vectors a second of every prior."""
    heads = [f"{units}, {batch} at once" for units in SHAPES for batch in BATCHES]
    print(f"{'vectors a CPU-second':<22}" + "".join(f"{head:>24}" for head in heads))
    for name in get_args(Prior):
        shown = f"{name}, {PRIORS[name].steps} steps" if name in IN_STEPS else name
        rates = [rate(name, *shape, batch) for shape in SHAPES.values() for batch in BATCHES]
        print(f"{shown:<22}" + "".join(f"{value:>24,.0f}" for value in rates))


def rate(name: Prior, units: int, latent: int, batch: int) -> float:
    """Vectors a CPU-second that a prior of random weights draws."""
    torch.manual_seed(0)
    prior = build_prior(SamplerConfig(prior=name), CONTEXT, latent).eval()
    context, mask = torch.randn(batch, units, CONTEXT), torch.ones(batch, units, dtype=torch.bool)

    def draw() -> Tensor:
        with torch.inference_mode():
            return prior.sample(context, mask)

    draw()
    return batch * units / statistics.median(seconds(draw) for _ in range(PASSES))


def seconds(work: Callable[[], Any]) -> float:
    """CPU-seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


# Quality ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sentences:
    """Sentences that a prior draws, in batches: context [B, U, C], true vectors [B, U, D], mask [B, U], exists."""

    name: str
    prior: PriorModule
    batches: list[tuple[Tensor, Tensor, Tensor, Tensor]]


def qualities(found: Sequence[Sentences], draws: int, steps: Sequence[int]) -> None:
    """Print how near draws of each prior come, in every number of steps where it draws in steps."""
    print(f"{'draws':<28}{'JSD':>8}{'W1':>8}{'whole':>8}{'nats':>9}{'vectors/s':>12}")
    for sentences in found:
        for count in steps if sentences.name in IN_STEPS else [0]:
            sentences.prior.steps = count
            shown = f"{sentences.name}, {count} steps" if count else sentences.name
            tell(shown, *compare(sentences, draws))
    truth, middles = pooled(found[0], [vectors for _, vectors, _, _ in found[0].batches])
    halves = [truth[:, 0::2], truth[:, 1::2]]
    tell("the truth, by halves", distances(*halves), spread(middles[0::2]) / spread(middles[1::2]), None, None)


def tell(name: str, near: tuple[float, float], whole: float, nats: float | None, speed: float | None) -> None:
    """Print a row."""
    likelihood = "-" if nats is None else f"{nats:.2f}"
    fast = "-" if speed is None else f"{speed:,.0f}"
    print(f"{name:<28}{near[0]:>8.4f}{near[1]:>8.3f}{whole:>8.2f}{likelihood:>9}{fast:>12}", flush=True)


@torch.inference_mode()
def compare(sentences: Sentences, draws: int) -> tuple[tuple[float, float], float, float | None, float]:
    """Distances of draws from the truth, their spread as a whole, nats a unit, and vectors a CPU-second."""
    generator = torch.Generator().manual_seed(0)
    found: list[list[Tensor]] = []
    start = time.process_time()
    for _ in range(draws):
        found.append([sentences.prior.sample(c, mask, 1.0, generator) for c, _, mask, _ in sentences.batches])
    units = sum(int(mask.sum()) for _, _, mask, _ in sentences.batches)
    speed = draws * units / (time.process_time() - start)
    truth, middles = pooled(sentences, [vectors for _, vectors, _, _ in sentences.batches])
    parts = [pooled(sentences, each) for each in found]
    drawn = np.concatenate([part[0] for part in parts], axis=1)
    nats = None
    if sentences.prior.likelihood:
        each = [sentences.prior.log_likelihood(c, x, mask, there).sum() for c, x, mask, there in sentences.batches]
        nats = float(torch.stack(each).sum()) / units
    whole = float(np.mean([spread(part[1]) for part in parts])) / spread(middles)
    return distances(drawn, truth), whole, nats, speed


def pooled(sentences: Sentences, vectors: Sequence[Tensor]) -> tuple[Floats, Floats]:
    """All units' vectors [D, N], NaN where they do not exist, and the sentences' mean vectors [S, D]."""
    rows, middles = [], []
    for (_, _, mask, exists), batch in zip(sentences.batches, vectors, strict=True):
        values = torch.where(exists & mask[:, :, None], batch, torch.nan).double()
        rows.append(values[mask].numpy())
        middles.append(values.nanmean(1).numpy())
    return np.concatenate(rows).T, np.concatenate(middles)


def spread(middles: Floats) -> float:
    """Root mean square over dimensions of the standard deviation over sentences [S, D]."""
    return float(np.sqrt(np.nanvar(middles, axis=0).mean()))


def distances(drawn: Floats, truth: Floats) -> tuple[float, float]:
    """Jensen-Shannon divergence and 1-Wasserstein distance of [D, N] and [D, M], means over dimensions."""
    from scipy.stats import wasserstein_distance

    pairs = [(a[~np.isnan(a)], b[~np.isnan(b)]) for a, b in zip(drawn, truth, strict=True)]
    return (
        float(np.mean([divergence(a, b) for a, b in pairs])),
        float(np.mean([wasserstein_distance(a, b) for a, b in pairs])),
    )


def divergence(a: Floats, b: Floats) -> float:
    """Jensen-Shannon divergence in bits of histograms."""
    p, q = (np.histogram(x.clip(EDGES[0], EDGES[-1]), EDGES)[0] / len(x) for x in (a, b))
    middle = (p + q) / 2
    return float(sum(np.sum(x[x > 0] * np.log2(x[x > 0] / middle[x > 0])) for x in (p, q))) / 2


# What is drawn ------------------------------------------------------------------------------------------------------


def trained(experiment: Experiment, split: str) -> Iterator[Sentences]:
    """The sentences of a split with the sampler that a system has trained."""
    stages = {stage.kind: stage for stage in plan(experiment)}
    if "sampler" not in stages or not is_done(stages["sampler"]):
        raise UserError(f"{experiment.system} has no trained sampler in {experiment.run.folder}; train it first")
    stage: Stage = stages["sampler"]
    source = "labels" if "labels" in stage.inputs else "acoustic"
    model, spec = load_sampler(folder(stage), stage.inputs[source])
    store = text_of(stage)
    data = SamplerData(store, VectorStore(stage.input(source)), spec, 64, 0)
    batches = []
    for batch in data.loader(store.ids(split), shuffle=False):  # type: ignore[arg-type]
        with torch.inference_mode():
            context, mask = model.context(batch.text)
        exists = mask[:, :, None].expand_as(batch.mean) if batch.exists is None else batch.exists
        batches.append((context, model.normalise(batch.mean) * mask[:, :, None], mask, exists))
    yield Sentences(experiment.sampler.prior, model.prior, batches)


def renditions(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Sentences of ten units that all lie high or all low, about what the context tells."""
    register = torch.where(torch.rand(count, 1, 1, generator=generator) < 0.3, 1.0, -1.0)
    context = torch.randn(count, 10, 8, generator=generator)
    noise = 0.2 * torch.randn(count, 10, 8, generator=generator)
    weights = torch.linspace(-1, 1, 8)
    vectors = 0.9 * register * weights.sign() + 0.3 * context + noise
    return context, vectors, torch.ones(count, 10, dtype=torch.bool)


def toy(name: Prior, steps: int) -> Sentences:
    """A prior trained on such sentences, with more of them to draw."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    settings = SamplerConfig(prior=name, recurrent=64, dropout=0.0, kl_direction="posterior_sampler")
    prior = build_prior(settings, 8, 8)
    prior.prepare(renditions(2000, generator)[1].flatten(0, 1), 0)
    optimiser = torch.optim.Adam(prior.parameters(), 2e-3)
    for _ in range(steps):
        context, vectors, mask = renditions(64, generator)
        optimiser.zero_grad()
        prior.loss(context, Posterior(vectors, None), mask).backward()
        optimiser.step()
    context, vectors, mask = renditions(500, generator)
    return Sentences(name, prior.eval(), [(context, vectors, mask, mask[:, :, None].expand_as(vectors))])


if __name__ == "__main__":
    main()
