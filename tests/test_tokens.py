"""From times to frames: sums hold, boundaries do not drift, means are means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.corpora.contract import PhoneTime
from data_modules.text.sentence import PAUSE, ParseGraph, Sentence, Word
from data_modules.tokens import exact_durations, token_durations, token_log_f0, token_means


def sentence(words: list[int]) -> Sentence:
    """A sentence of words with so many phones each."""
    phones, index = [PAUSE], [0]
    for i, count in enumerate(words):
        phones += [f"p{i}{j}" for j in range(count)] + [PAUSE]
        index += [2 * i + 1] * count + [2 * i + 2]
    width = 1 + 2 * len(words)
    return Sentence(
        text="x",
        words=tuple(Word("x", 0, 1) for _ in words),
        phones=tuple(phones),
        phone_to_word=tuple(index),
        tags={},
        pieces=(0,),
        piece_spans=((0, 1),) * width,
        graph=ParseGraph((0,), (), (0,) * width, 0),
    )


@given(words=st.lists(st.integers(1, 4), min_size=1, max_size=6), data=st.data())
def test_durations_sum_to_frames_and_boundaries_do_not_drift(words, data):
    parsed, hop = sentence(words), 0.0125
    times, clock, ends = [], 0.0, []
    for label, token in zip(parsed.phones, parsed.phone_to_word, strict=True):
        absent = label == PAUSE and data.draw(st.booleans())
        length = 0.0 if absent else data.draw(st.floats(0.005, 0.3))
        if not absent:
            times.append(PhoneTime(label, clock, clock + length, -1 if label == PAUSE else (token - 1) // 2))
        clock += length
        ends.append(clock)
    frames = 1 + int(clock / hop)
    durations = exact_durations(parsed.phones, times, frames, hop)
    assert sum(durations) == frames and min(durations) >= 0
    # Frame t is centred t * hop into the clip, so a boundary lies midway between two centres.
    bounds = (np.cumsum(durations)[:-1] - 0.5) * hop
    assert np.abs(bounds - np.array(ends[:-1])).max() <= hop / 2 + 1e-9 if len(bounds) else True


def test_timed_phones_of_another_sentence_are_refused():
    parsed = sentence([1])
    with pytest.raises(ValueError, match="'q' where 'p00'"):
        exact_durations(parsed.phones, [PhoneTime("q", 0, 1, 0)], 80, 0.0125)
    with pytest.raises(ValueError, match="left over"):
        exact_durations(parsed.phones, [PhoneTime("p00", 0, 1, 0), PhoneTime("p01", 1, 2, 0)], 80, 0.0125)


@given(durations=st.lists(st.integers(0, 6), min_size=1, max_size=8), data=st.data())
def test_means_over_tokens_agree_with_a_loop(durations, data):
    total = sum(durations)
    values = np.array(data.draw(st.lists(st.floats(-5, 5), min_size=total, max_size=total)))
    valid = np.array(data.draw(st.lists(st.booleans(), min_size=total, max_size=total)), bool)
    got = token_means(values, np.array(durations), valid, least=2)
    start = 0
    for token, length in enumerate(durations):
        part = values[start : start + length][valid[start : start + length]]
        start += length
        if len(part) < 2:
            assert np.isnan(got[token])
        else:
            assert got[token] == pytest.approx(part.mean(), abs=1e-9)


def test_log_f0_is_of_voiced_frames_only():
    f0 = np.array([0, 100, 200, 0, 100, 0, 0, 0, 0, 0], float)
    means = token_log_f0(f0, np.array([5, 5]))
    assert means[0] == pytest.approx((2 * np.log(100) + np.log(200)) / 3)
    assert np.isnan(means[1])


def test_token_durations_add_up_phones():
    assert token_durations(sentence([2, 1]), [1, 2, 3, 0, 4, 5]).tolist() == [1, 5, 0, 4, 5]
