"""Promises of the metrics: what is measured on speech, and one figure a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
from evaluation_data import HOP, speak
from hypothesis import given, settings
from hypothesis import strategies as st

from prosody_tts.errors import UserError
from prosody_tts.evaluation import measure
from prosody_tts.evaluation.measure import TokenMeasures, measure_speech, warp
from prosody_tts.evaluation.metrics import METRICS, by_sentence
from prosody_tts.evaluation.results import RESULTS, UtteranceResult, read_results, write_results
from prosody_tts.evaluation.summary import summarise
from prosody_tts.report.table import Table

NAN = float("nan")


def result(system: dict, reference: dict, tokens: tuple[str, ...], name: str = "u", **more) -> UtteranceResult:
    def measures(values: dict) -> TokenMeasures:
        width = len(tokens)
        full = {"log_f0": [5.0] * width, "energy": [0.0] * width, "duration": [0.1] * width, **values}
        return TokenMeasures(**{key: np.array(value, dtype=float) for key, value in full.items()})

    return UtteranceResult(
        id=name,
        sentence="s",
        text=" ".join(tokens),
        tokens=tokens,
        reference=measures(reference),
        system=measures(system),
        mel_l1=0.5,
        mcd=4.0,
        audio="audio/u.wav",
        **more,
    )


def test_tokens_are_measured_over_their_own_frames() -> None:
    f0 = np.array([0, 0, 100, 100, 100, 0, 200, 200, 0], dtype=float)
    energy = np.arange(9, dtype=float)
    measures = measure_speech(np.zeros((9, 80)), f0, energy, [2, 4, 0, 3], HOP)
    np.testing.assert_allclose(measures.log_f0, [NAN, np.log(100), NAN, NAN])  # two voiced frames are too few
    np.testing.assert_allclose(measures.energy, [0.5, 3.5, NAN, 7.0])
    np.testing.assert_allclose(measures.duration, np.array([2, 4, 0, 3]) * HOP)


def test_log_f0_is_the_mean_of_logs_not_the_log_of_means() -> None:
    measures = measure_speech(np.zeros((4, 2)), [100, 100, 400, 400], np.zeros(4), [4], HOP)
    assert measures.log_f0[0] == pytest.approx(np.log(200))


@pytest.mark.parametrize("durations", [[2, 3], [2, 5]])
def test_durations_that_do_not_sum_to_the_frames_are_refused(durations: list[int]) -> None:
    with pytest.raises(ValueError, match="frames"):
        measure_speech(np.zeros((6, 2)), np.zeros(6), np.zeros(6), durations, HOP)


DURATIONS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(DURATIONS)
def test_warp_keeps_to_the_phone_and_to_order(pairs: list[tuple[int, int]]) -> None:
    system, reference = np.array(pairs).T
    if system.sum() == 0:
        with pytest.raises(ValueError, match="no frames"):
            warp(system, reference)
        return
    index = warp(system, reference)
    assert len(index) == reference.sum()
    assert np.all(np.diff(index) >= 0)
    phone = np.repeat(np.arange(len(system)), system)
    for at, own in zip(index, np.repeat(np.arange(len(reference)), reference), strict=True):
        assert 0 <= at < system.sum()
        assert system[own] == 0 or phone[at] == own


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any))
def test_equal_durations_warp_to_themselves(durations: list[int]) -> None:
    np.testing.assert_array_equal(warp(durations, durations), np.arange(sum(durations)))


def test_warp_is_linear_inside_a_phone_and_lends_neighbours_frames() -> None:
    np.testing.assert_array_equal(warp([4], [2]), [1, 3])
    np.testing.assert_array_equal(warp([2, 2], [4, 2]), [0, 0, 1, 1, 2, 3])
    np.testing.assert_array_equal(warp([2, 0, 3], [1, 2, 3]), [1, 2, 2, 2, 3, 4])
    np.testing.assert_array_equal(warp([3, 0], [3, 2]), [0, 1, 2, 2, 2])
    with pytest.raises(ValueError, match="phones"):
        warp([1, 2], [3])


def test_mcd_is_the_usual_constant_times_the_distance_of_c1_to_c13() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(7, 80)), rng.normal(size=(9, 80))
    index = np.array([0, 1, 3, 4, 6, 7, 8])
    ours = measure.mcd(one, other, index)
    c = scipy.fft.dct(one - other[index], type=2, norm="ortho", axis=1)[:, 1:14]
    assert ours == pytest.approx(6.141851463713754 * np.mean(np.sqrt(np.sum(c**2, axis=1))))
    assert measure.mel_l1(one, other, index) == pytest.approx(np.abs(one - other[index]).mean())
    # Loudness alone is c0 alone: it moves the mel distance and not the MCD.
    assert measure.mcd(one, one + 0.7, np.arange(7)) == pytest.approx(0.0, abs=1e-12)
    assert measure.mel_l1(one, one + 0.7, np.arange(7)) == pytest.approx(0.7)


def test_results_survive_the_way_to_disk(tmp_path) -> None:
    results = speak(0.5, 0.2, 0.05, sentences=3, renditions=2)
    write_results(tmp_path, results)
    text = (tmp_path / RESULTS).read_text()
    assert "NaN" not in text and "null" in text
    back = read_results(tmp_path)
    assert [item.to_dict() for item in back] == [json.loads(line) for line in text.splitlines()]
    np.testing.assert_array_equal(back[0].system.log_f0, results[0].system.log_f0)
    assert by_sentence(back) == by_sentence(results)


@pytest.mark.parametrize("text", ['{"id": "a"}\n', "not json\n", '{"id":\n'])
def test_a_broken_line_is_named(tmp_path, text: str) -> None:
    write_results(tmp_path, speak(1, 1, 0, sentences=1, renditions=1))
    with (tmp_path / RESULTS).open("a") as stream:
        stream.write(text)
    with pytest.raises(UserError, match=rf"line 2 of .*{RESULTS}"):
        read_results(tmp_path)


def test_a_missing_evaluation_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        read_results(tmp_path / "nowhere")


def test_measures_of_another_sentence_are_refused() -> None:
    good = result({}, {}, ("", "a", ""))
    with pytest.raises(ValueError, match="tokens"):
        replace(good, tokens=("", "a", "", "b", ""))


def test_pauses_do_not_count_for_f0_energy_and_word_durations() -> None:
    tokens = ("", "a", "", "b", "")
    system = {"log_f0": [9, 5.1, 9, 4.9, 9], "energy": [9, 1, 9, 1, 9], "duration": [9, 0.2, 9, 0.3, 9]}
    reference = {"log_f0": [0, 5, 0, 5, 0], "energy": [0, 0, 0, 0, 0], "duration": [0, 0.1, 0.5, 0.3, 0]}
    values = {name: metric.of(result(system, reference, tokens)) for name, metric in METRICS.items()}
    assert values["log_f0_rmse"] == pytest.approx(0.1)
    assert values["energy_rmse"] == pytest.approx(1.0)
    assert values["duration_rmse"] == pytest.approx(1000 * np.sqrt(0.01 / 2))
    assert values["log_duration_rmse"] == pytest.approx(np.sqrt(np.log(2) ** 2 / 2))
    assert values["pause_rmse"] == pytest.approx(8500.0)  # the pause between the words, not the silence around
    assert values["log_f0_rmse_readout"] is None and values["log_f0_rmse_mean"] is None


def test_unvoiced_words_are_left_out_on_both_sides() -> None:
    tokens = ("", "a", "", "b", "", "c", "")
    one = result({"log_f0": [0, NAN, 0, 5.2, 0, 5, 0]}, {"log_f0": [0, 5, 0, 5, 0, NAN, 0]}, tokens)
    assert METRICS["log_f0_rmse"].of(one) == pytest.approx(0.2)
    silent = result({"log_f0": [NAN] * 7}, {}, tokens)
    assert METRICS["log_f0_rmse"].of(silent) is None


def test_correlation_needs_three_words_and_gives_a_monotone_nothing() -> None:
    tokens = ("", "a", "", "b", "", "c", "", "d", "")
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 9))
    of = METRICS["log_f0_correlation"].of
    assert of(result({"log_f0": a}, {"log_f0": b}, tokens)) == pytest.approx(np.corrcoef(a[1::2], b[1::2])[0, 1])
    assert of(result({"log_f0": [5.0] * 9}, {"log_f0": b}, tokens)) == 0.0
    assert of(result({"log_f0": a}, {"log_f0": [5.0] * 9}, tokens)) is None
    few = np.where(np.arange(9) < 5, a, NAN)
    assert of(result({"log_f0": few}, {"log_f0": b}, tokens)) is None


def test_error_to_the_mean_rendition_forgives_what_the_text_cannot_know() -> None:
    tokens = ("", "a", "", "b", "")
    high, low = {"log_f0": [0, 5.2, 0, 5.0, 0]}, {"log_f0": [0, 4.8, 0, 4.6, 0]}
    mean = {"log_f0": [0, 5.0, 0, 4.8, 0]}
    both = [result(mean, high, tokens, "r0"), result(mean, low, tokens, "r1")]
    values = by_sentence(both)
    assert values["log_f0_rmse_mean"]["s"] == pytest.approx(0.0, abs=1e-12)
    assert values["log_f0_rmse"]["s"] == pytest.approx(0.2)
    # An oracle follows each rendition; its own mean is what counts.
    oracle = [result(high, high, tokens, "r0"), result(low, low, tokens, "r1")]
    assert by_sentence(oracle)["log_f0_rmse_mean"]["s"] == pytest.approx(0.0, abs=1e-12)
    assert "s" not in by_sentence(both[:1])["log_f0_rmse_mean"]


def test_rmse_over_renditions_is_a_root_of_the_mean_square() -> None:
    tokens = ("", "a", "")
    near, far = {"log_f0": [0, 5.3, 0]}, {"log_f0": [0, 5.4, 0]}
    both = [result(near, {}, tokens, "r0"), result(far, {}, tokens, "r1")]
    assert by_sentence(both)["log_f0_rmse"]["s"] == pytest.approx(np.sqrt((0.09 + 0.16) / 2))
    shifted = [replace(both[0], mcd=2.0), both[1]]
    assert by_sentence(shifted)["mcd"]["s"] == pytest.approx(3.0)


def test_failures_are_of_systems_that_attend_and_a_sentence_counts_once() -> None:
    plain = speak(0.5, 0.0, 0.02, sentences=4, renditions=2)
    assert not by_sentence(plain)["attention_failures"]
    verdicts = {"s000": "skip", "s002": "no_stop"}
    attending = [replace(item, attention=verdicts.get(item.sentence, "sound")) for item in plain]
    values = by_sentence(attending)["attention_failures"]
    assert values == {"s000": 1.0, "s001": 0.0, "s002": 1.0, "s003": 0.0}
    table = Table.of(summarise({"baseline": plain, "s2s": attending}, resamples=20))
    assert "attention_failures" in table.main
    assert table.cell("s2s", "attention_failures").value == 0.5 and table.cell("baseline", "attention_failures") is None
    assert "attention_failures" not in Table.of(summarise({"baseline": plain}, resamples=20)).main


def test_what_an_attention_did_is_kept_with_the_results(tmp_path: Path) -> None:
    plain = speak(0.5, 0.0, 0.02, sentences=2, renditions=1)
    written = [replace(plain[0], attention="repeat"), plain[1]]
    write_results(tmp_path, written)
    assert [result.attention for result in read_results(tmp_path)] == ["repeat", None]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_perfect_speech_gets_the_perfect_value_of_every_metric(seed: int) -> None:
    results = [
        replace(item, system=item.reference, mel_l1=0.0, mcd=0.0, readout=None, attention="sound", heard=item.text)
        for item in speak(1, 1, 0.05, seed=seed, sentences=3, renditions=2)
    ]
    results = [replace(item, cut=False) for item in results]
    for name, values in by_sentence(results).items():
        if METRICS[name].source == "audio":
            assert values and all(value == pytest.approx(METRICS[name].perfect) for value in values.values()), name


def test_every_metric_says_what_it_is() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name and metric.label and metric.definition.endswith(".")
