"""Pairs of systems: scipy's test, Holm's adjustment, letters that say the same as the matrix."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from prosody_tts.evaluation.label_metrics import compare_labels
from prosody_tts.evaluation.labels import Track
from prosody_tts.evaluation.pairs import Pair, cell, compare, letters


def errors(seed: int = 0, sentences: int = 40) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    base = draw.gamma(2.0, 1.0, sentences)
    return {
        name: base + shift + 0.2 * draw.normal(size=sentences) for name, shift in (("a", 0.0), ("b", 0.05), ("c", 1.0))
    }


def test_pairs_are_scipys_with_holms_adjustment() -> None:
    found = errors()
    named = list(combinations(found, 2))
    raw = np.array([stats.wilcoxon(found[one], found[other]).pvalue for one, other in named])
    order = np.argsort(raw)
    expected = np.empty(3)
    expected[order] = np.minimum(np.maximum.accumulate(raw[order] * np.array([3, 2, 1])), 1)
    pairs = compare("m", found)
    assert [(pair.one, pair.other) for pair in pairs] == named
    np.testing.assert_allclose([pair.p for pair in pairs], expected)
    for pair in pairs:
        difference = found[pair.one] - found[pair.other]
        ranks = stats.rankdata(np.abs(difference))
        assert pair.better == (pair.one if ranks[difference < 0].sum() >= ranks[difference > 0].sum() else pair.other)
        assert pair.share == pytest.approx((difference < 0).mean()) and pair.n == 40


def test_sentences_without_the_metric_do_not_count() -> None:
    found = errors()
    holes = {name: np.append(values, np.nan) for name, values in found.items()}
    assert compare("m", holes) == compare("m", found)
    few = {name: values[:5] for name, values in found.items()}
    assert all(pair.p is None and not pair.differ for pair in compare("m", few))
    same = compare("m", {"a": found["a"], "b": found["a"]})[0]
    assert same.p == 1 and not same.differ


@given(st.integers(2, 6).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.booleans(), min_size=n * (n - 1) // 2))))
def test_letters_say_what_the_pairs_say(drawn: tuple[int, list[bool]]) -> None:
    size, flags = drawn
    names = [f"s{place}" for place in range(size)]
    pairs = [
        Pair("m", one, other, 0.01 if differ else 0.5, one, 0.6, 20)
        for (one, other), differ in zip(combinations(names, 2), flags, strict=False)
    ]
    found = letters(names, pairs)
    assert all(found.values())
    for pair in pairs:
        assert bool(set(found[pair.one]) & set(found[pair.other])) != pair.differ
    columns = [{name for name in names if letter in found[name]} for letter in sorted(set("".join(found.values())))]
    assert not any(one < other for one in columns for other in columns)  # no letter more than is needed


def test_a_cell_is_read_from_its_line() -> None:
    pairs = [Pair("m", "a", "b", 0.0004, "a", 0.9, 20), Pair("m", "a", "c", 0.4, "c", 0.5, 20)]
    assert cell("a", "b", pairs) == "▲ < .001" and cell("b", "a", pairs) == "▼ < .001"
    assert cell("a", "c", pairs) == cell("c", "a", pairs) == "= .400"
    assert cell("a", "a", pairs) == ""


def test_seeds_are_pooled_before_sentences_are_compared() -> None:
    """Two seeds that are wrong on different sentences are one system that is half as wrong on all."""

    def run(shift: np.ndarray) -> dict[str, list[dict[str, Track]]]:
        empty = np.arange(3)
        return {
            f"s{place}": [{"timing": Track(empty, np.zeros(3), np.full(3, value), {})}]
            for place, value in enumerate(shift)
        }

    one, other = np.tile([2.0, 0.0], 10), np.tile([0.0, 2.0], 10)
    systems = {"pooled": [run(one), run(other)], "steady": [run(np.full(20, 1.5)), run(np.full(20, 1.5))]}
    (pair,) = [pair for pair in compare_labels(systems) if pair.metric == "timing_r2"]
    assert pair.better == "pooled" and pair.share == 1.0 and pair.differ  # 2 against 2.25 squared
