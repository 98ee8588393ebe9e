"""Promises of the statistics: the intervals, tests and gaps are those of independent sources."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import scipy.stats
from evaluation_data import plain, speak
from hypothesis import given
from hypothesis import strategies as st

from prosody_tts.errors import UserError
from prosody_tts.evaluation import statistics
from prosody_tts.evaluation.metrics import by_sentence
from prosody_tts.evaluation.summary import COLUMNS, summarise
from prosody_tts.report.papers import GAP_CLOSED, MUSHRA, ORACLES, oracle_of


@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_the_interval_is_scipys_percentile_bootstrap(confidence: float) -> None:
    values = np.random.default_rng(3).gamma(2.0, size=40)
    counts = statistics.resample_counts(40, 3000, seed=7)
    ours = statistics.percentile_interval(statistics.means(values, counts), confidence)
    theirs = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=3000,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(7),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_a_paired_gap_is_scipys_bootstrap_of_the_ratio() -> None:
    rng = np.random.default_rng(5)
    lower = rng.normal(0.14, 0.02, 30)
    system, upper = lower - rng.normal(0.03, 0.01, 30), rng.normal(0.02, 0.005, 30)
    counts = statistics.resample_counts(30, 2000, seed=1)
    sides = [(float(v.mean()), statistics.means(v, counts)) for v in (system, lower, upper)]
    gap = statistics.gap_with_interval(*sides, sign=-1, confidence=0.95)
    theirs = scipy.stats.bootstrap(
        (system, lower, upper),
        lambda s, low, up, axis: 100 * (s.mean(axis) - low.mean(axis)) / (up.mean(axis) - low.mean(axis)),
        paired=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(1),
        vectorized=True,
    ).confidence_interval
    assert (gap.interval.low, gap.interval.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    assert gap.value == pytest.approx(100 * (system.mean() - lower.mean()) / (upper.mean() - lower.mean()))


def test_gaps_of_camps_printed_means_are_camps_printed_gaps() -> None:
    lower, camp, oracle, natural = (
        MUSHRA[name].value for name in ("baseline", "camp_bert", "camp_oracle", "recording")
    )
    assert float(statistics.gap_closed(camp, lower, natural)) == pytest.approx(26.0, abs=0.05)
    assert float(statistics.gap_closed(oracle, lower, natural)) == pytest.approx(69.2, abs=0.05)
    assert float(statistics.gap_closed(camp, lower, oracle)) == pytest.approx(37.6, abs=0.05)
    assert GAP_CLOSED["camp_bert"].value == round(float(statistics.gap_closed(camp, lower, natural)))


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.1, 5))
def test_a_gap_does_not_depend_on_scale_sign_or_origin(system: float, lower: float, gap: float) -> None:
    upper = lower + gap
    value = float(statistics.gap_closed(system, lower, upper))
    assert float(statistics.gap_closed(-system, -lower, -upper)) == pytest.approx(value)
    assert float(statistics.gap_closed(3 * system + 1, 3 * lower + 1, 3 * upper + 1)) == pytest.approx(value, abs=1e-6)
    assert float(statistics.gap_closed(lower, lower, upper)) == 0.0
    assert float(statistics.gap_closed(upper, lower, upper)) == pytest.approx(100.0)


def test_there_is_no_share_of_a_gap_that_is_not_there() -> None:
    assert np.isnan(statistics.gap_closed(1.0, 2.0, 2.0))
    counts = statistics.resample_counts(20, 500, seed=0)
    noise = np.random.default_rng(0).normal(size=(3, 20))
    noise -= noise.mean(axis=1, keepdims=True)
    system, lower, upper = (
        (float(m), statistics.means(v + m, counts)) for v, m in zip(noise, (0.0, 0.0, 0.05), strict=True)
    )
    unsure = statistics.gap_with_interval(system, lower, upper, sign=1, confidence=0.95)
    assert unsure.value is not None and unsure.interval == statistics.UNKNOWN
    assert statistics.gap_with_interval(system, upper, lower, sign=1, confidence=0.95).value is None


def test_missing_sentences_are_left_out_of_means_and_of_nothing_else() -> None:
    values = np.array([1.0, np.nan, 3.0, 5.0])
    counts = np.array([[1, 1, 1, 1], [2, 0, 0, 2], [0, 4, 0, 0.0]])
    np.testing.assert_allclose(statistics.means(values, counts), [3.0, 3.0, np.nan])


def test_wilcoxon_is_scipys_over_the_pairs_that_are_whole() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 25))
    b[3] = np.nan
    keep = ~np.isnan(b)
    assert statistics.wilcoxon(a, b) == pytest.approx(scipy.stats.wilcoxon(a[keep], b[keep]).pvalue)
    assert statistics.wilcoxon(a, a) == 1.0
    assert statistics.wilcoxon(a[:5], b[:5]) is None


def test_holm_is_rs_p_adjust() -> None:
    # R 4: p.adjust(c(.01, .02, .03, .04, .05), "holm") and p.adjust(c(.04, .01, .5), "holm")
    assert statistics.holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert statistics.holm([0.04, None, 0.01, 0.5]) == pytest.approx([0.08, None, 0.03, 0.5])
    assert statistics.holm([]) == []


def test_oracles_are_found_by_the_longest_prefix() -> None:
    assert oracle_of("kathaka_graph") == "kathaka_oracle"
    assert oracle_of("camp") == "camp_oracle"
    assert oracle_of("camp_oracle") is None
    assert oracle_of("campanile") is None
    assert oracle_of("baseline") is None
    assert oracle_of("camp_x", {**ORACLES, "camp_x": "x_oracle"}) == "x_oracle"


SYSTEMS = {
    "baseline": speak(0.0, 0.0, 0.05, 1),
    "kathaka": speak(0.5, 0.0, 0.03, 2),
    "kathaka_oracle": speak(0.9, 0.8, 0.02, 3),
    "copy_synthesis": speak(1.0, 1.0, 0.005, 4, readout=False),
}


def rows_of(systems, **more):
    return {(row.system, row.metric): row for row in summarise(systems, resamples=200, **more)}


@cache
def base_rows():
    """Rows of the systems as they are, which many a test asks for."""
    return rows_of(SYSTEMS)


def test_rows_carry_value_interval_gap_test_and_paper() -> None:
    rows = base_rows()
    row = rows["kathaka", "log_f0_rmse_mean"]
    base, top = rows["baseline", "log_f0_rmse_mean"], rows["copy_synthesis", "log_f0_rmse_mean"]
    oracle = rows["kathaka_oracle", "log_f0_rmse_mean"]
    assert row.low < row.value < row.high and row.n == 24
    assert row.gap_closed == pytest.approx(100 * (row.value - base.value) / (top.value - base.value))
    assert row.gap_low < row.gap_closed < row.gap_high
    assert row.gap_to_oracle == pytest.approx(100 * (row.value - base.value) / (oracle.value - base.value))
    assert row.p < 0.001 and row.paper == 13.2 and "2011.02252" in row.paper_source
    assert base.gap_closed is None and base.p is None and top.gap_closed is None and oracle.gap_to_oracle is None
    # Nothing vocodes a read-out head: the recordings themselves are its upper bound.
    read, below = rows["kathaka", "log_f0_rmse_mean_readout"], rows["baseline", "log_f0_rmse_mean_readout"]
    assert read.gap_closed == pytest.approx(100 * (1 - read.value / below.value))
    assert ("copy_synthesis", "log_f0_rmse_mean_readout") not in rows
    assert {row.metric for row in rows.values()} <= set(COLUMNS)


def test_without_copy_synthesis_the_recordings_are_the_upper_bound() -> None:
    rows = rows_of({name: SYSTEMS[name] for name in ("baseline", "kathaka")})
    row, base = rows["kathaka", "log_f0_correlation"], rows["baseline", "log_f0_correlation"]
    assert row.gap_closed == pytest.approx(100 * (row.value - base.value) / (1 - base.value))


def test_without_the_lower_bound_there_are_values_and_no_gaps() -> None:
    rows = rows_of({"kathaka": SYSTEMS["kathaka"]})
    assert all(row.gap_closed is None and row.p is None for row in rows.values())
    assert rows["kathaka", "mcd"].value > 0


def test_rows_are_the_same_for_the_same_seed_and_do_not_depend_on_other_systems() -> None:
    two = {name: SYSTEMS[name] for name in ("baseline", "kathaka_oracle", "copy_synthesis")}
    whole, part = rows_of(SYSTEMS, seed=3), rows_of(two, seed=3)
    assert part == rows_of(two, seed=3)
    assert part != rows_of(two, seed=4)
    one, other = (rows["kathaka_oracle", "mcd"] for rows in (whole, part))
    assert (one.value, one.low, one.gap_low) == (other.value, other.low, other.gap_low)


def test_the_order_of_utterances_does_not_matter() -> None:
    turned = {name: list(reversed(results)) for name, results in SYSTEMS.items()}
    assert rows_of(turned) == base_rows()


def test_systems_evaluated_on_other_utterances_are_refused() -> None:
    with pytest.raises(UserError, match="s023_r3"):
        summarise({"baseline": SYSTEMS["baseline"], "kathaka": SYSTEMS["kathaka"][:-1]})
    with pytest.raises(UserError, match="twice"):
        summarise({"baseline": [*SYSTEMS["baseline"], SYSTEMS["baseline"][0]]})
    with pytest.raises(UserError, match="kathaka"):
        summarise({"baseline": SYSTEMS["baseline"], "kathaka": []})
    with pytest.raises(UserError, match="nothing"):
        summarise({})


def test_corpora_without_renditions_and_plans_have_rows_too() -> None:
    single = {name: plain([r for r in results if r.id.endswith("r0")]) for name, results in SYSTEMS.items()}
    metrics = {metric for _, metric in rows_of(single)}
    assert "log_f0_rmse" in metrics and "log_f0_rmse_mean" not in metrics
    assert not any(name.startswith("effect_") for name in metrics)


def test_a_single_sentence_has_a_value_and_no_interval() -> None:
    single = {name: results[:4] for name, results in SYSTEMS.items()}
    row = rows_of(single)["kathaka", "mcd"]
    assert row.value > 0 and row.low is None and row.p is None


def test_seeds_of_a_system_are_averaged_sentence_by_sentence() -> None:
    seeds = [speak(0.5, 0.0, 0.03, seed) for seed in (2, 5, 9)]
    alone = [rows_of({"kathaka": results})["kathaka", "mcd"] for results in seeds]
    pooled = rows_of({**SYSTEMS, "kathaka": seeds[0]}, repeats={"kathaka": seeds[1:]})
    row, effect = pooled["kathaka", "mcd"], pooled["kathaka", "effect_sentiment"]
    assert (row.seeds, row.n, effect.seeds, pooled["baseline", "mcd"].seeds) == (3, 24, 3, 1)
    values = [one.value for one in alone]
    assert row.value == pytest.approx(np.mean(values)) and row.seed_sd == pytest.approx(np.std(values, ddof=1))
    each = [by_sentence(results)["log_f0_rmse"] for results in seeds]
    vector = np.array([np.mean([one[sentence] for one in each]) for sentence in each[0]])
    counts = statistics.resample_counts(24, 200, 0)
    expected = statistics.percentile_interval(statistics.means(vector, counts), 0.95)
    found = pooled["kathaka", "log_f0_rmse"]
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.gap_closed is not None and found.p is not None
    # More seeds are no more sentences: the interval narrows by what the seeds' noise was, not by the root of three.
    assert pooled["baseline", "mcd"] == base_rows()["baseline", "mcd"]


def test_seeds_evaluated_on_other_utterances_are_refused() -> None:
    with pytest.raises(UserError, match="seed 2"):
        summarise(SYSTEMS, resamples=20, repeats={"kathaka": [SYSTEMS["kathaka"][:-1]]})
