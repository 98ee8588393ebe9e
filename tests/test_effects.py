"""Promises of the effects: what was planted is found, and no more than a system recovers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_data import PLANTED, plain, speak

from prosody_tts.evaluation.effects import EFFECTS, shares
from prosody_tts.evaluation.results import by_renditions
from prosody_tts.evaluation.statistics import percentile_interval, resample_counts

COUNTS = resample_counts(24, 300, seed=0)
OF_TEXT = {
    effect.column(source) for effect in EFFECTS.values() if effect.kind != "rendition" for source in effect.sources
}
RANDOM = {f"effect_{name}{end}" for name in ("accent", "register") for end in ("", "_readout")}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("random", [0.0, 1.0])
def test_the_share_that_was_planted_is_found(share: float, random: float) -> None:
    found = shares(speak(share, random, noise=0.0), COUNTS)
    assert set(found) == OF_TEXT | RANDOM
    for name in OF_TEXT:
        assert found[name].value == pytest.approx(share, abs=0.08), name
    for name in RANDOM:
        assert found[name].value == pytest.approx(random, abs=0.02), name


def test_intervals_cover_the_planted_share_under_noise() -> None:
    covered = []
    for seed in range(6):
        found = shares(speak(0.6, 0.0, noise=0.05, seed=seed), COUNTS)
        for name in OF_TEXT:
            ends = percentile_interval(found[name].replicates, 0.95)
            covered.append(ends.low <= 0.6 <= ends.high)
    assert np.mean(covered) > 0.85


def test_the_opposite_effect_is_negative() -> None:
    assert shares(speak(-0.5, 0.0, noise=0.0), COUNTS)["effect_compound"].value == pytest.approx(-0.5, abs=0.05)


def test_a_replicate_is_the_share_of_the_sentences_drawn() -> None:
    results = speak(0.5, 0.5, noise=0.05)
    groups = list(by_renditions(results).values())
    counts = resample_counts(24, 1, seed=4)
    drawn = [
        replace(result, sentence=f"{result.sentence}-{copy}", id=f"{result.id}-{copy}")
        for group, count in zip(groups, counts[0], strict=True)
        for copy in range(int(count))
        for result in group
    ]
    again = shares(drawn, np.ones((1, int(counts.sum()))))
    for name, share in shares(results, counts, confidence=0.0).items():
        if EFFECTS[name.removeprefix("effect_").removesuffix("_readout")].kind == "contrast":
            continue  # standardised by the spread of the sentences at hand
        assert share.replicates[0] == pytest.approx(again[name].value, abs=0.05), name


def test_the_whole_sample_drawn_once_is_the_value() -> None:
    for name, share in shares(speak(0.5, 0.5, noise=0.05), np.ones((1, 24))).items():
        assert share.replicates[0] == pytest.approx(share.value), name


def test_corpora_that_plant_nothing_have_no_effects() -> None:
    assert shares(plain(speak(1, 1, 0.0)), COUNTS) == {}


def test_an_effect_the_recordings_do_not_show_has_no_share() -> None:
    rng = np.random.default_rng(8)
    results = []
    for result in speak(1, 1, 0.02):
        words = dict(result.factors["words"])
        words["compound"] = rng.integers(0, 2, len(words["compound"])).tolist()
        results.append(replace(result, factors={**result.factors, "words": words}))
    assert "effect_compound" not in shares(results, COUNTS)
    assert "effect_final" in shares(results, COUNTS)


def test_systems_without_a_read_out_head_have_shares_on_audio_only() -> None:
    found = shares(speak(1, 1, 0.0, readout=False), COUNTS)
    assert found and not any(name.endswith("_readout") for name in found)


def test_every_effect_of_the_fixture_is_measured() -> None:
    assert set(PLANTED) | {"sentiment", "accent", "register"} == set(EFFECTS)
