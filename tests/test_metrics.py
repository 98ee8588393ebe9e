"""Promises of the metrics: what is measured on speech, and one figure a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import scipy.stats
from evaluation_data import HOP, speak
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_score, r2_score, recall_score

from prosody_tts.errors import UserError
from prosody_tts.evaluation import measure
from prosody_tts.evaluation.measure import TokenMeasures, measure_speech, token_starts, warp
from prosody_tts.evaluation.metrics import METRICS, by_sentence, overall
from prosody_tts.evaluation.results import RESULTS, Contour, Phones, UtteranceResult, read_results, write_results
from prosody_tts.evaluation.statistics import resample_counts
from prosody_tts.evaluation.summary import summarise
from prosody_tts.evaluation.variation import variations
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


def spoken_again(item: UtteranceResult) -> dict:
    """The recording's contour, phones and a pause as the system's."""
    assert item.contour is not None and item.phones is not None
    contour = replace(item.contour, system_f0=item.contour.reference_f0, system_starts=item.contour.reference_starts)
    duration = item.reference.duration.copy()
    duration[2] = 0.2
    measures = replace(item.reference, duration=duration)
    phones = replace(item.phones, system=item.phones.reference)
    best = {name: 5.0 for name in METRICS if name.startswith("dnsmos")}
    return {"contour": contour, "phones": phones, "reference": measures, "system": measures, "quality": best}


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_perfect_speech_gets_the_perfect_value_of_every_metric(seed: int) -> None:
    results = [
        replace(item, system=item.reference, mel_l1=0.0, mcd=0.0, readout=None, attention="sound", heard=item.text)
        for item in speak(1, 1, 0.05, seed=seed, sentences=3, renditions=2)
    ]
    results = [replace(item, cut=False, **spoken_again(item)) for item in results]
    for name, values in by_sentence(results).items():
        if METRICS[name].source == "audio":
            assert values and all(value == pytest.approx(METRICS[name].perfect) for value in values.values()), name


def test_every_metric_says_what_it_is() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name and metric.label and metric.definition.endswith(".")


def heard(recorded: list[float], said: list[float], spans: tuple[list[int], list[int]]) -> UtteranceResult:
    """One utterance whose F0 in Hz is given by frames, its tokens lasting so many frames in both."""
    tokens = tuple("a" if place % 2 else "" for place in range(len(spans[0])))
    durations = {side: np.array(span) * HOP for side, span in zip(("reference", "system"), spans, strict=True)}
    contour = Contour(HOP, np.array(recorded), np.array(said), *(token_starts(span, HOP) for span in spans))
    return result({"duration": durations["system"]}, {"duration": durations["reference"]}, tokens, contour=contour)


def test_errors_of_frames_are_those_of_the_definition() -> None:
    """arXiv 1803.09047, section 4.2, counted by hand: 10 frames, of which 5 are voiced in both."""
    recorded = [0, 0, 100, 100, 100, 100, 100, 100, 0, 0]
    said = [0, 90, 100, 119, 121, 80, 79, 0, 0, 50]
    one = heard(recorded, said, ([1, 8, 1], [1, 8, 1]))
    values = {name: METRICS[name].of(one) for name in ("gpe", "vde", "ffe")}
    # 121 and 79 are more than a fifth off; one frame lost its voice, two got one.
    assert values == pytest.approx({"gpe": 2 / 5, "vde": 3 / 10, "ffe": 5 / 10})
    logs = np.log(np.array([100, 119, 121, 80, 79]) / 100)
    assert METRICS["frame_log_f0_rmse"].of(one) == pytest.approx(np.sqrt(np.mean(logs**2)))
    assert METRICS["frame_log_f0_correlation"].of(one) is None  # a recording that does not move


@given(st.integers(0, 10**6))
def test_frames_agree_with_scipy_and_are_free_of_how_long_words_last(seed: int) -> None:
    rng = np.random.default_rng(seed)
    f0 = np.where(rng.random(24) < 0.7, rng.uniform(80, 300, 24), 0.0)
    other = np.where(rng.random(24) < 0.7, rng.uniform(80, 300, 24), 0.0)
    one = heard(list(f0), list(other), ([4, 16, 4], [4, 16, 4]))
    both = (f0 > 0) & (other > 0)
    if both.sum() >= 3:
        expected = scipy.stats.pearsonr(np.log(f0[both]), np.log(other[both])).statistic
        assert METRICS["frame_log_f0_correlation"].of(one) == pytest.approx(expected)
    # The same said twice as slowly is the same.
    slow = heard(list(f0), list(np.repeat(other, 2)), ([4, 16, 4], [8, 32, 8]))
    for name in ("gpe", "vde", "ffe", "frame_log_f0_rmse"):
        assert METRICS[name].of(slow) == METRICS[name].of(one)


def test_a_table_counts_frames_and_pauses_of_all_sentences_together() -> None:
    short = replace(heard([100] * 4, [200] * 4, ([1, 2, 1], [1, 2, 1])), id="a", sentence="a")
    long = replace(heard([100] * 12, [100] * 12, ([1, 10, 1], [1, 10, 1])), id="b", sentence="b")
    assert overall([short, long])["gpe"] == pytest.approx(4 / 16)


def paused(recorded: list[float], said: list[float], name: str) -> UtteranceResult:
    """An utterance with pauses of so many seconds between its words."""

    def durations(gaps: list[float]) -> list[float]:
        return [0.1, *(value for gap in gaps for value in (0.3, gap)), 0.3, 0.2]

    tokens = ("", *(part for _ in recorded for part in ("a", "")), "a", "")
    return replace(
        result({"duration": durations(said)}, {"duration": durations(recorded)}, tokens, name), sentence=name
    )


def test_pauses_are_told_as_sklearn_tells_them() -> None:
    pairs = [([0.2, 0.0, 0.04, 0.3], [0.1, 0.06, 0.0, 0.0]), ([0.0, 0.5], [0.0, 0.05]), ([0.0], [0.3])]
    results = [paused(*pair, name=str(place)) for place, pair in enumerate(pairs)]
    truth, told = (np.concatenate([np.array(pair[side]) >= 0.05 for pair in pairs]) for side in (0, 1))
    found = overall(results)
    assert found["pause_precision"] == pytest.approx(precision_score(truth, told))
    assert found["pause_recall"] == pytest.approx(recall_score(truth, told))
    # Of a sentence without pauses there is no share.
    assert METRICS["pause_precision"].of(paused([0.2], [0.0], "x")) is None


def test_rates_ends_and_phones_are_measured() -> None:
    one = paused([0.0], [0.4], "x")
    assert METRICS["rate_error"].of(one) == 0 and METRICS["end_rmse"].of(one) == 0
    slow = result({"duration": [0.1, 0.6, 0.5]}, {"duration": [0.1, 0.3, 0.2]}, ("", "a", ""))
    assert METRICS["rate_error"].of(slow) == pytest.approx(np.log(2))
    assert METRICS["end_rmse"].of(slow) == pytest.approx(300)
    sides = [
        TokenMeasures(np.full(4, NAN), np.zeros(4), np.array(values))
        for values in ([0.1, 0.2, 0.3, 0.1], [0.3, 0.2, 0.1, 0.9])
    ]
    phones = Phones((True, True, True, False), *sides)
    assert METRICS["phone_duration_rmse"].of(replace(slow, phones=phones)) == pytest.approx(1000 * np.sqrt(0.08 / 3))
    assert METRICS["phone_duration_rmse"].of(slow) is None


def test_durations_are_explained_as_sklearn_says() -> None:
    results = speak(0.6, 0.1, 0.05)
    counts = resample_counts(24, 50, 0)
    found = variations(results, counts)
    for name, side in (("phone_duration_r2", "phones"), ("pause_r2", "slots"), ("end_r2", "end")):
        truth, told = [], []
        for one in results:
            assert one.phones is not None
            if side == "phones":
                spoken = np.array(one.phones.spoken)
                truth.append(one.phones.reference.duration[spoken])
                told.append(one.phones.system.duration[spoken])
            else:
                slots = [-1] if side == "end" else range(one.words[0] + 1, one.words[-1], 2)
                truth.append(one.reference.duration[list(slots)])
                told.append(one.system.duration[list(slots)])
        flat = np.concatenate(truth)
        if np.ptp(flat) == 0:
            assert name not in found  # pauses that never differ have no variance to explain
        else:
            assert found[name].value == pytest.approx(r2_score(flat, np.concatenate(told)))
    assert {"phone_log_f0_jsd", "phone_energy_wasserstein", "phone_log_duration_delta_sd"} <= set(found)
    logs = [
        np.log(side.duration[np.array(one.phones.spoken)])
        for one in results
        if one.phones
        for side in (one.phones.system,)
    ]
    assert found["phone_log_duration_sd"].value == pytest.approx(np.std(np.concatenate(logs)), rel=0.02)
