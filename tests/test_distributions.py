"""Distances between distributions are scipy's, and say of known worlds what is known of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_data import speak
from hypothesis import given
from hypothesis import strategies as st
from scipy import spatial, stats

from prosody_tts.evaluation import distributions, statistics
from prosody_tts.evaluation.distributions import GRIDS, Grid, Pair
from prosody_tts.evaluation.results import Drawn, UtteranceResult
from prosody_tts.evaluation.summary import summarise
from prosody_tts.evaluation.variation import VARIATIONS, variations

GRID = Grid(-1.0, 1.0, 0.1)
ON_GRID = st.lists(st.integers(6, GRID.size - 7), min_size=1, max_size=40)


def sums(recorded: np.ndarray, said: np.ndarray, grid: Grid = GRID) -> np.ndarray:
    return np.concatenate([grid.counts(recorded), grid.counts(said)])


@given(ON_GRID, ON_GRID)
def test_the_divergence_is_scipys_between_kernel_densities(one: list[int], other: list[int]) -> None:
    a, b = (GRID.centres[places] for places in (one, other))
    places = GRID.low + GRID.step * np.arange(-6, GRID.size + 6)
    densities = []
    for values in (a, b):
        # scipy's estimator needs a spread of its own; a sum of normal densities is the same without.
        density = stats.norm.pdf(places[:, None], values, GRID.bandwidth).mean(axis=1)
        densities.append(density / density.sum())
    expected = spatial.distance.jensenshannon(*densities, base=2) ** 2
    # Kernels are cut off at three bandwidths.
    assert distributions.jensen_shannon(sums(a, b), GRID) == pytest.approx(expected, abs=5e-3)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=9), st.lists(st.floats(-3, 3), min_size=1, max_size=9))
def test_the_divergence_lies_between_nothing_and_one_bit_wherever(one: list[float], other: list[float]) -> None:
    for grid in GRIDS.values():
        found = float(distributions.jensen_shannon(sums(np.array(one), np.array(other), grid), grid))
        assert 0 <= found <= 1 + 1e-9


def test_the_density_is_scipys_kernel_estimate() -> None:
    values = GRID.centres[np.random.default_rng(0).integers(8, GRID.size - 8, 60)]
    kernel = stats.gaussian_kde(values, bw_method=GRID.bandwidth / values.std(ddof=1))
    places = GRID.low + GRID.step * np.arange(-6, GRID.size + 6)
    expected = kernel(places) * GRID.step
    np.testing.assert_allclose(GRID.density(GRID.counts(values)), expected, atol=1e-4)


@given(ON_GRID, ON_GRID)
def test_the_distance_is_scipys(one: list[int], other: list[int]) -> None:
    a, b = (GRID.centres[places] for places in (one, other))
    expected = stats.wasserstein_distance(a, b)
    assert distributions.wasserstein(sums(a, b), GRID) == pytest.approx(expected, abs=1e-9)


def test_spreads_are_numpys_and_leave_out_what_is_not_there() -> None:
    draw = np.random.default_rng(0)
    said = draw.normal(size=(7, 9))
    said[:, 3] = np.nan
    pair = Pair(draw.normal(size=(2, 9)), said)
    found = {
        name: float(one.value(one.sums(pair, GRID), GRID))
        for name, one in {**distributions.STATISTICS, "diversity": distributions.DIVERSITY}.items()
    }
    assert found["sd"] == pytest.approx(np.nanstd(said))
    assert found["delta_sd"] == pytest.approx(np.nanstd(np.diff(said, axis=1)))
    kept = np.delete(said, 3, axis=1)
    assert found["diversity"] == pytest.approx(kept.std(axis=0, ddof=1).mean())


def test_the_same_distribution_is_at_no_distance_up_to_sampling() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(0, 0.3, 20000), draw.normal(0, 0.3, 20000)
    assert distributions.jensen_shannon(sums(a, b), GRID) < 1e-3
    assert distributions.wasserstein(sums(a, b), GRID) < 0.01
    assert distributions.jensen_shannon(sums(a, a), GRID) == 0


@pytest.mark.parametrize(("apart", "expected"), [(0.0, 0.0), (5.0, 1.0)])
def test_a_spike_beside_a_spike(apart: float, expected: float) -> None:
    grid = Grid(-10.0, 10.0, 0.1)
    found = distributions.jensen_shannon(sums(np.zeros(3), np.full(5, apart), grid), grid)
    assert found == pytest.approx(expected, abs=1e-9)
    assert distributions.wasserstein(sums(np.zeros(3), np.full(5, apart), grid), grid) == pytest.approx(apart)


def test_one_of_two_clusters_has_the_known_value() -> None:
    """Half of the mass in common: with m = (p + q) / 2, JSD = 3/4 log2(4/3) for p of both and q of one cluster."""
    grid = Grid(-10.0, 10.0, 0.1)
    found = distributions.jensen_shannon(sums(np.array([-5.0, 5.0]), np.array([5.0]), grid), grid)
    expected = 0.5 * (0.5 * 1 + 0.5 * np.log2(0.5 / 0.75)) + 0.5 * np.log2(1 / 0.75)
    assert found == pytest.approx(expected, abs=1e-9)


# Of speech ------------------------------------------------------------------------------------------------------------


def drawing(kind: str, samples: int = 40) -> list[UtteranceResult]:
    """A regression's speech (the text's effects, no random ones) that draws what renditions are, or something else."""
    results = speak(share=1.0, random=0.0, noise=0.0)
    rng = np.random.default_rng(3)
    drawn: dict[str, Drawn] = {}
    for result in results:
        if result.sentence not in drawn:
            own = [other for other in results if other.sentence == result.sentence]
            drawn[result.sentence] = _draws(kind, own, samples, rng)
    return [replace(result, draws=drawn[result.sentence]) for result in results]


def _draws(kind: str, own: list[UtteranceResult], samples: int, rng: np.random.Generator) -> Drawn:
    recorded = np.stack([one.reference.log_f0 for one in own])
    duration = np.tile(own[0].reference.duration, (samples, 1))
    if kind == "renditions":
        return Drawn(recorded[rng.integers(0, len(own), samples)], duration)
    if kind == "words":  # each word by itself: the right marginals, no common register and no choice of one accent
        picks = rng.integers(0, len(own), (samples, recorded.shape[1]))
        return Drawn(np.take_along_axis(recorded, picks, axis=0), duration)
    return Drawn(np.tile(recorded.mean(axis=0), (samples, 1)), duration)


def shares(kind: str) -> dict[str, float]:
    results = drawing(kind)
    counts = statistics.resample_counts(24, 50, 0)
    return {name: found.value for name, found in variations(results, counts).items()}


def test_draws_from_the_recordings_are_told_from_the_mean_and_from_words_alone() -> None:
    true, words, mean = shares("renditions"), shares("words"), shares("mean")
    for name in ("register", "accent"):
        assert true[f"{name}_jsd"] == words[f"{name}_jsd"] > 0.5  # a spike between two clusters
        assert true[f"{name}_jsd_share"] < 1 / 6
        assert words[f"{name}_jsd_share"] > 2 * true[f"{name}_jsd_share"]
        assert mean[f"{name}_jsd_share"] == pytest.approx(1, abs=0.02)
        assert true[f"{name}_sd_drawn"] == pytest.approx(true[f"{name}_sd_human"], rel=0.1)
    # Word by word the distribution is the recordings' either way: it is the sequence that tells them apart.
    assert words["log_f0_jsd_drawn"] < 0.02 and true["log_f0_jsd_drawn"] < 0.02
    assert words["log_f0_delta_sd_drawn"] > 1.3 * true["log_f0_delta_sd_drawn"]
    assert mean["log_f0_diversity"] == 0 < true["log_f0_diversity"]


def test_what_no_text_tells_is_known_of_planted_corpora_alone_and_draws_of_those_who_draw() -> None:
    plain = [replace(result, factors={}) for result in speak(share=1.0, random=1.0, noise=0.0)]
    found = set(variations(plain, statistics.resample_counts(24, 10, 0)))
    assert not any(name.startswith(("register", "accent")) or "drawn" in name for name in found)
    assert {"log_f0_jsd", "log_duration_sd", "pause_wasserstein"} <= found


def test_what_has_no_readout_is_compared_by_what_is_heard_though_some_words_are_not() -> None:
    """A language model's draws are tracked on their audio, in which words may have no F0."""
    rng = np.random.default_rng(5)

    def heard(result: UtteranceResult) -> UtteranceResult:
        assert result.draws is not None
        holes = rng.random(result.draws.log_f0.shape) < 0.1
        log_f0 = np.where(holes, np.nan, result.draws.log_f0)
        return replace(result, readout=None, draws=Drawn(log_f0, result.draws.duration))

    counts = statistics.resample_counts(24, 5, 0)
    found = {name: one.value for name, one in variations(list(map(heard, drawing("renditions"))), counts).items()}
    for name in ("register", "accent"):
        assert found[f"{name}_jsd_drawn"] < 0.15 < 0.5 < found[f"{name}_jsd"]
        assert found[f"{name}_sd_drawn"] == pytest.approx(found[f"{name}_sd_human"], rel=0.15)
    assert found["log_f0_jsd_drawn"] < 0.02 and found["log_f0_diversity"] > 0
    # Without draws nothing is known of what has no read-out head: it may be a recording through a vocoder.
    vocoded = [replace(result, readout=None) for result in speak(share=1.0, random=1.0, noise=0.0)]
    assert variations(vocoded, counts) == {}


def test_who_follows_the_recording_has_its_register() -> None:
    rows = {
        (row.system, row.metric): row
        for row in summarise({"baseline": speak(1.0, 0.0, 0.0), "word_oracle": speak(1.0, 1.0, 0.0)}, resamples=200)
    }
    low, high = rows["baseline", "register_jsd"], rows["word_oracle", "register_jsd"]
    assert high.value < 0.05 < 0.5 < low.value
    assert low.low is not None and high.high is not None and high.high < low.low
    assert high.gap_closed is not None and high.gap_closed > 90
    assert rows["word_oracle", "register_sd"].gap_closed is None  # a spread has no perfect value


def test_intervals_are_of_sentences() -> None:
    results = drawing("renditions")
    counts = statistics.resample_counts(24, 3, 0)
    found = variations(results, counts)
    groups = sorted({result.sentence for result in results})
    for row in range(3):
        # A resample is the corpus with each sentence as often as it was drawn.
        again = [
            replace(result, id=f"{result.id}_{copy}", sentence=f"{result.sentence}_{copy}")
            for place, name in enumerate(groups)
            for copy in range(int(counts[row, place]))
            for result in results
            if result.sentence == name
        ]
        whole = variations(again, np.ones((1, len({one.sentence for one in again}))))
        for name, share in whole.items():
            assert found[name].replicates[row] == pytest.approx(share.value, rel=1e-9, abs=1e-9), name


def test_every_figure_says_what_it_is() -> None:
    assert set(GRIDS) >= {"log_f0", "log_duration", "pause", "register", "accent"}
    for one in VARIATIONS.values():
        assert "{" not in one.definition and one.definition.endswith((".", ")."))
