"""Draws are a sentence's own: the same beside whatever others, kept as they were drawn, and of the right system."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_data import speak
from label_corpora import timing_corpus
from random_batches import BERT, PHONES, text_item

from data_modules.text.sentence import PAUSE, ParseGraph, Sentence, Word
from prosody_tts.config import AudioConfig, Experiment, load
from prosody_tts.evaluation import labels as label_results
from prosody_tts.evaluation.draws import draw, sounded
from prosody_tts.evaluation.kept_draws import Draws, write_draws
from prosody_tts.evaluation.label_metrics import METRICS
from prosody_tts.evaluation.labels import read_label_results
from prosody_tts.evaluation.results import read_results, write_results
from prosody_tts.files import read_json
from prosody_tts.pipeline import RESULT, folder, plan, run_stage
from prosody_tts.schedule import run_all
from prosody_tts.synthesis import Speech, seed_of
from prosody_tts.systems import Sizes, build_sampler


def sampler() -> torch.nn.Module:
    torch.manual_seed(0)
    experiment = Experiment(units="word", vectors="predicted")
    experiment.acoustic.reference = "deterministic"
    return build_sampler(experiment, Sizes(phones=PHONES, mels=12, bert=BERT, passes=3)).eval()


def test_a_sentences_draws_are_the_same_whatever_is_drawn_before() -> None:
    model, generator = sampler(), torch.Generator().manual_seed(0)
    items = [text_item(f"s{place}", 3 + place, generator) for place in range(3)]
    first = {item.id: draw(model, item, 4, seed=0) for item in items}
    torch.rand(7)
    for item in reversed(items):
        torch.testing.assert_close(draw(model, item, 4, seed=0), first[item.id], rtol=0, atol=0)
    one = first["s0"]
    assert one.shape[:2] == (4, 7) and (one[0] != one[1]).any()
    assert not torch.equal(draw(model, items[0], 4, seed=1), one)
    assert seed_of("s0", 0) != seed_of("s1", 0)


def test_draws_come_back_as_they_were_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    results = speak(1.0, 0.0, 0.0, sentences=3)
    drawn = {one.sentence: rng.normal(size=(len(one.tokens), 5, 2)).astype(np.float32) for one in results}
    write_results(tmp_path, results)
    assert all(one.draws is None for one in read_results(tmp_path)) and not Draws(tmp_path)
    write_draws(tmp_path, drawn, {one.id: one.sentence for one in results})
    for one in read_results(tmp_path):
        assert one.draws is not None
        np.testing.assert_array_equal(one.draws.log_f0, drawn[one.sentence][:, :, 0].T)
        np.testing.assert_array_equal(one.draws.duration, drawn[one.sentence][:, :, 1].T)
    assert (tmp_path / "draws.npy").stat().st_size < 2 * sum(rows.nbytes for rows in drawn.values())


def test_draws_of_codes_are_measured_as_they_sound() -> None:
    audio, spoken = AudioConfig(), sentence(("dog", "ran"))
    # A word of one phone between pauses, and another: 110 and 220 Hz, then 220 and silence.
    frames = np.array([10, 30, 10, 40, 10])
    tones = [hum([(10, 0), (30, 110), (10, 0), (40, 220), (10, 0)], audio), hum([(10, 0), (30, 220), (60, 0)], audio)]
    blank = np.full(5, np.nan)
    said = [Speech(tone, np.zeros((100, audio.mels), np.float32), frames, blank, blank) for tone in tones]
    found = sounded(spoken, said, audio)
    assert found.shape == (5, 2, 2)
    np.testing.assert_allclose(np.exp(found[[1, 3], 0, 0]), [110, 220], rtol=0.02)
    assert np.exp(found[1, 1, 0]) == pytest.approx(220, rel=0.02) and np.isnan(found[3, 1, 0])
    assert np.isnan(found[[0, 2, 4], :, 0]).all()  # pauses
    np.testing.assert_allclose(found[:, 0, 1], frames * 0.0125)


def sentence(words: tuple[str, ...]) -> Sentence:
    """Words of one phone each, pauses between and around them."""
    phones = (PAUSE, *(part for word in words for part in (word, PAUSE)))
    return Sentence(
        text=" ".join(words),
        words=tuple(Word(word, 0, 1) for word in words),
        phones=phones,
        phone_to_word=tuple(range(len(phones))),
        tags={},
        pieces=(0,),
        piece_spans=((0, 1),) * len(phones),
        graph=ParseGraph((0,), (), (0,) * len(phones), 0),
    )


def hum(parts: list[tuple[int, int]], audio: AudioConfig) -> np.ndarray:
    """Frames of harmonic sound, 0 Hz for silence."""
    hertz = np.repeat([f0 for _, f0 in parts], [frames * audio.hop for frames, _ in parts]).astype(float)
    phase = 2 * np.pi * np.cumsum(hertz) / audio.sample_rate
    wave = np.where(hertz > 0, sum(np.sin(k * phase) / k for k in range(1, 6)), 0.0)
    return (0.2 * wave).astype(np.float32)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Path]:
    """A system trained for a step on a small corpus of timing, and its evaluation with draws."""
    root = tmp_path_factory.mktemp("draws")
    settings = [f"corpus_path={timing_corpus(root)}", f"run.folder={root / 'runs'}", "text.pronouncer=espeak"]
    settings += ["size=smoke", "run.progress=false", "evaluation.samples=6", "sampler.contexts=[phones]"]
    experiment = load("timing", settings)
    outcomes = run_all(plan(experiment), 0, runner=run_stage, progress=False)
    assert {outcome.status for outcome in outcomes} == {"done"}, [outcome.error for outcome in outcomes]
    return experiment, folder(plan(experiment)[-1])


def test_an_evaluation_of_labels_draws_every_sentence(evaluated: tuple[Experiment, Path]) -> None:
    _, place = evaluated
    metrics = read_json(place / RESULT)["metrics"]
    assert {"timing_jsd", "timing_jsd_drawn", "pause_sd_drawn", "duration_jsd_share", "duration_r2"} <= set(metrics)
    assert all(metrics[f"{name}_diversity"] > 0 for name in ("timing", "pause", "duration"))
    for result in read_label_results(place):
        for track in result.tracks.values():
            assert track.draws is not None and track.draws.shape == (6, len(track.places))
            assert np.isfinite(track.draws).all() and np.ptp(track.draws, axis=0).min() > 0


def test_a_duration_is_a_timing_and_what_its_phones_last(evaluated: tuple[Experiment, Path]) -> None:
    experiment, place = evaluated
    from prosody_tts.runners.stores import text_of

    store = text_of(plan(experiment)[-1])
    for result in read_label_results(place):
        timing, duration = result.tracks["timing"], result.tracks["duration"]
        expected = label_results.log_durations(store.utterances[result.id])
        np.testing.assert_allclose(duration.reference, expected)
        for one, other in ((timing.reference, duration.reference), (timing.predicted, duration.predicted)):
            np.testing.assert_allclose(other - one, duration.reference - timing.reference, atol=1e-6)
    assert "duration" in {metric.dimension for metric in METRICS.values()}


def test_without_draws_there_are_none_and_the_rest_is_the_same(evaluated: tuple[Experiment, Path]) -> None:
    experiment, place = evaluated
    plain = replace(experiment, evaluation=replace(experiment.evaluation, samples=0))
    run_all(plan(plain), 0, runner=run_stage, progress=False)
    other = folder(plan(plain)[-1])
    assert other != place and not (other / "draws.npy").exists()
    drawn, flat = (read_json(one / RESULT)["metrics"] for one in (place, other))
    assert set(flat) < set(drawn) and all(drawn[name] == value for name, value in flat.items())
    assert not any("drawn" in name or "share" in name for name in flat)
