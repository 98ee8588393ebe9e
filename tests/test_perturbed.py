"""Recordings at other speeds: stage one hears them, and nothing is measured on them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_modules.acoustic import AcousticData
from data_modules.audio import f0, read_audio
from data_modules.corpora.contract import PhoneTime, Utterance, silent
from data_modules.corpora.perturbed import original, perturbed
from data_modules.store import FeatureStore
from prosody_tts.config import AudioConfig, load
from prosody_tts.errors import UserError
from prosody_tts.files import read_json
from prosody_tts.pipeline import folder, plan, run_stage


def test_a_faster_recording_is_shorter_and_higher_by_as_much(tmp_path: Path) -> None:
    rate, hertz = 16000, 150
    time = np.arange(2 * rate) / rate
    wave = 0.2 * np.sum([np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 12)], axis=0)
    soundfile.write(tmp_path / "a.wav", wave, rate)
    for speed in (0.9, 1.1):
        played = read_audio(tmp_path / "a.wav", rate, speed=speed)
        assert len(played) == pytest.approx(len(wave) / speed, abs=2)
        track = f0(played, AudioConfig())
        assert np.median(track[track > 0]) == pytest.approx(hertz * speed, rel=0.01)


def test_only_training_recordings_are_copied_and_their_phone_times_with_them() -> None:
    phones = (PhoneTime("sil", 0.0, 0.2, -1), PhoneTime("AH0", 0.2, 0.44, 0))
    told = [Utterance("a", "s", "a", "a.wav", "train", phones=phones), Utterance("b", "t", "b", "b.wav", "test")]
    (copy,) = perturbed(told, [1.25])
    assert (copy.id, original(copy.id), copy.split, copy.speed) == ("a@1.25", "a", "perturbed", 1.25)
    assert [(p.start, p.end) for p in copy.phones or ()] == [(0.0, 0.16), (0.16, pytest.approx(0.352))]
    assert perturbed(told, []) == ()


def test_copies_are_aligned_as_their_originals_and_belong_to_no_split_that_is_measured(tmp_path: Path) -> None:
    sizes = ["data.train_sentences=4", "data.dev_sentences=1", "data.test_sentences=1", "data.renditions=1"]
    experiment = load("baseline", ["size=smoke", *sizes, "data.speeds=[0.8]", f"run.folder={tmp_path}"])
    stages = {stage.kind: stage for stage in plan(experiment)}
    for kind in ("corpus", "text", "audio", "alignment"):
        run_stage(stages[kind], silent)
    store = FeatureStore(
        *(folder(stages[k]) for k in ("corpus", "text", "audio")), folder(stages["alignment"]) / "durations.json"
    )
    copies = store.ids("perturbed")
    assert [original(name) for name in copies] == store.ids("train") and len(copies) == 4
    assert len(store.ids("train", "dev", "test")) == len(store.corpus.recorded) == 6
    assert read_json(folder(stages["alignment"]) / "result.json")["metrics"]["aligned"] == 6
    served = {}
    for mode in ("none", "perturbed", "repeated"):
        data = AcousticData(store, store.specification(), 3, 0, mode)
        served[mode] = Counter(name for batch in data.train_dataloader() for name in batch.text.ids)
    plain = store.ids("train")
    assert served["none"] == Counter(plain)
    assert served["perturbed"] == Counter([*plain, *copies]) and served["repeated"] == Counter([*plain, *plain])
    assert store.durations is not None
    for name in copies:
        slow, plain = (np.cumsum(store.durations[which]) for which in (name, original(name)))
        assert slow[-1] == store.frames(name)
        # Boundaries lie midway between frames, each rounded by half a frame at most; the last takes what is left.
        assert np.abs((slow[:-1] - 0.5) - (plain[:-1] - 0.5) / 0.8).max() <= 1.3


@pytest.mark.parametrize("speeds", ["[1]", "[0.1]", "[3]"])
def test_speeds_that_make_no_sense_are_refused(speeds: str) -> None:
    with pytest.raises(UserError, match=r"data\.speeds"):
        load("baseline", [f"data.speeds={speeds}"])
