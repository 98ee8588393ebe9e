"""Probes find what was planted in vectors, and nothing in noise; swaps are measured as least squares has it."""

from __future__ import annotations

import numpy as np
import pytest

from prosody_tts.config import load
from prosody_tts.errors import UserError
from prosody_tts.evaluation.probes import Probed, Words, probe
from prosody_tts.evaluation.swaps import MEASURED, Changes, moved
from prosody_tts.report.probes import check_probes, scatter, terminal

PHONES = ("a", "b", "c", "d")


def words(sentences: int, seed: int, planted: bool) -> Words:
    """Words of one to three phones; their vectors hold the first phone and the F0, or noise of the same kind."""
    rng = np.random.default_rng(seed)
    size = 8 * sentences
    first = rng.integers(0, 4, size)
    phones = tuple((PHONES[one], *rng.choice(PHONES, rng.integers(0, 3))) for one in first)
    measures = rng.normal((4.7, -3.0, -1.5), (0.2, 0.5, 0.3), (size, 3))
    measures[rng.random(size) < 0.1, 0] = np.nan
    held = np.eye(4)[first] if planted else np.eye(4)[rng.integers(0, 4, size)]
    f0 = np.nan_to_num((measures[:, 0] - 4.7) / 0.2) if planted else rng.normal(size=size)
    vectors = np.column_stack([held, f0]) @ np.random.default_rng(0).normal(size=(5, 6))
    vectors += 0.05 * rng.normal(size=vectors.shape)
    return Words(vectors, measures, phones, np.repeat(np.arange(sentences), 8))


def probed(planted: bool) -> dict[tuple[str, str], Probed]:
    rows = probe(words(120, 1, planted), words(40, 2, planted), "vectors", resamples=200)
    return {(row.target, row.kind): row for row in rows}


def test_probes_find_what_was_planted():
    found = probed(planted=True)
    for kind in ("linear", "mlp"):
        first, f0 = found["first_phone", kind], found["log_f0", kind]
        assert first.value > 0.95 and first.low > first.chance + 0.5
        assert (first.words, first.sentences) == (320, 40)
        assert f0.value > 0.9 and f0.low < f0.value < f0.high and 250 < f0.words < 320
        assert abs(found["energy", kind].value) < 0.15
    # A phone is in a word by its first place, which the vector knows, or by another, which it does not.
    assert 0.65 < found["phones", "linear"].value < 0.95


def test_probes_are_at_chance_on_noise():
    found = probed(planted=False)
    for (target, kind), row in found.items():
        tolerance = 0.15 if (row.metric, kind) == ("r2", "mlp") else 0.08
        assert abs(row.value - row.chance) < tolerance, (target, kind, row)


def test_measures_in_place_of_vectors_tell_what_they_betray():
    rows = words(60, 3, planted=True)
    plain = rows.measured()
    assert plain.vectors.shape == (480, 4) and np.isfinite(plain.vectors).all()
    assert (plain.vectors[:, 3] == np.isnan(rows.measures[:, 0])).all()


def test_rare_phones_are_not_probed():
    few = words(2, 4, planted=True)
    assert {row.target for row in probe(few, few, "vectors", resamples=20)} == {"log_f0", "energy", "log_duration"}


def test_what_moves_is_the_least_squares_slope_through_zero():
    rng = np.random.default_rng(0)
    recorded = rng.normal(size=(400, 4))
    spoken = recorded * (0.5, 1.0, 0.0, -0.2) + 0.1 * rng.normal(size=(400, 4))
    recorded[:7, 0] = np.nan
    rows = moved({"all": Changes(recorded, spoken, np.repeat(np.arange(40), 10))}, resamples=300)
    assert [row.measure for row in rows] == list(MEASURED) and {row.sentences for row in rows} == {40}
    for place, row in enumerate(rows):
        sound = np.isfinite(recorded[:, place])
        x, y = recorded[sound, place], spoken[sound, place]
        slope = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
        assert row.slope == pytest.approx(slope) and row.words == sound.sum()
        assert row.slope_low < row.slope < row.slope_high
        assert row.correlation == pytest.approx(x @ y / np.sqrt((x @ x) * (y @ y)))
    figure = scatter(Changes(recorded, spoken, np.repeat(np.arange(40), 10)), rows)
    assert len(figure.axes) == 3
    terminal("camp", [], rows)


def test_a_system_that_never_changes_moves_nothing():
    recorded = np.ones((6, 4))
    rows = moved({"kept": Changes(recorded, np.zeros((6, 4)), np.repeat([0, 1], 3))}, resamples=20)
    assert {(row.slope, row.correlation, row.which) for row in rows} == {(0.0, 0.0, "kept")}


@pytest.mark.parametrize("name", ["baseline", "kathaka", "phone"])
def test_systems_without_word_vectors_are_refused(name):
    with pytest.raises(UserError, match="units=word"):
        check_probes(load(name))
