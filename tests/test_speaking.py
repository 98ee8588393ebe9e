"""What is asked of a trained system is done: pace, pauses, phones, recordings to copy; and what was done is told."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from corpus_trees import folder as corpus_folder
from hypothesis import given
from hypothesis import strategies as st

import prosody_tts
from data_modules.alignment.export import write_textgrids
from data_modules.store import FeatureStore
from data_modules.vectors import VectorStore
from prosody_tts.cli import run
from prosody_tts.config import Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.nn.durations import at_pace
from prosody_tts.pipeline import folder, plan, run_stage
from prosody_tts.speaking.controls import Control, Span, read_control
from prosody_tts.speaking.reference import Reference, read_reference
from prosody_tts.speaking.spoken import Spoken
from prosody_tts.speaking.system import Request, System, load_system
from prosody_tts.synthesis import choose_device

TEXT = "The happy farmer opened the door. My teacher saw the garden."


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Systems of both units on the testbed, and stage one of words on recordings that an aligner had to align."""
    path = tmp_path_factory.mktemp("runs")
    corpus_folder(path / "corpus")
    for name, corpus, kinds in (
        ("camp", "testbed", {"evaluate"}),
        ("kathaka", "testbed", {"evaluate"}),
        ("camp", "folder", {"evaluate", "sampler"}),
    ):
        for stage in plan(experiment(path, name, corpus)):
            if stage.kind not in kinds:
                run_stage(stage, lambda done, total, what: None)
    return path


def settings(runs: Path, corpus: str = "testbed") -> list[str]:
    own = [] if corpus == "testbed" else [f"corpus={corpus}", f"corpus_path={runs / 'corpus'}", "data.dev_share=0.2"]
    return ["size=smoke", f"run.folder={runs}", "run.accelerator=cpu", "run.progress=false", *own]


def experiment(runs: Path, name: str, corpus: str = "testbed", *more: str) -> Experiment:
    return load(name, [*settings(runs, corpus), *more])


def store_of(found: Experiment) -> FeatureStore:
    at = {stage.kind: folder(stage) for stage in plan(found)}
    return FeatureStore(at["corpus"], at["text"], at["audio"], at["alignment"] / "durations.json")


@pytest.fixture(scope="module")
def camp(runs: Path) -> System:
    return load_system("camp", *settings(runs))


@pytest.fixture(scope="module")
def kathaka(runs: Path) -> System:
    return load_system("kathaka", *settings(runs))


def words(spoken: Spoken) -> list[dict]:
    return [word for sentence in spoken.to_dict()["sentences"] for word in sentence["words"]]


def frames(spoken: Spoken) -> list[int]:
    return [sum(phone["frames"] for phone in word["phones"]) for word in words(spoken)]


# Durations


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.floats(0.25, 4)), min_size=1, max_size=20),
    st.integers(0, 3),
)
def test_pace_divides_durations_to_the_frame(phones, padding):
    """Any stretch lasts its frames over the pace within one frame; what keeps its pace keeps its frames."""
    frames = torch.tensor([[max(frames, 0 if pause else 1) for frames, pause, _ in phones] + [0] * padding])
    pauses = torch.tensor([[pause for _, pause, _ in phones] + [False] * padding])
    pace = torch.tensor([[pace for _, _, pace in phones] + [1.0] * padding], dtype=torch.float64)
    found = at_pace(frames, pace, pauses)
    assert (found[0, len(phones) :] == 0).all()
    assert torch.equal(at_pace(frames, torch.ones_like(pace), pauses), frames)
    assert (found[(frames > 0) & ~pauses] >= 1).all()
    wanted = frames / pace
    if bool((wanted[(frames > 0) & ~pauses] >= 1).all()):
        start, end = sorted((len(phones) // 3, 1 + 2 * len(phones) // 3))
        assert abs(float(found[0, start:end].sum() - wanted[0, start:end].sum())) <= 1 + 1e-6
    one = torch.where(torch.arange(pace.shape[1]) == 0, pace, 1.0)
    assert torch.equal(at_pace(frames, one, pauses)[:, 1:], frames[:, 1:])


def test_a_word_is_slowed_and_its_neighbours_are_not(camp):
    # Slow enough for no phone to be as short as a frame, which is the least it can last.
    plain, slow = camp.say(TEXT, pace=0.25), camp.say(TEXT, pace=0.25, words={3: "pace=0.5"})
    before, after = frames(plain), frames(slow)
    assert abs(after[2] - 2 * before[2]) <= 2
    assert all(abs(a - b) <= 1 for place, (a, b) in enumerate(zip(before, after, strict=True)) if place != 2)
    pace = [1.0, 1.0, 0.5] + [1.0] * 8
    twice = camp.say(TEXT, words={3: "pace=0.5"})
    once = frames(camp.say(TEXT))
    assert frames(twice) == [round(count / factor) for count, factor in zip(once, pace, strict=True)]


def test_pace_of_the_whole_holds_for_every_sentence(camp):
    plain, slow = camp.say(TEXT), camp.say(TEXT, pace=0.25)
    for one, other in zip(plain.sentences, slow.sentences, strict=True):
        assert len(other.speech.wave) > 2.5 * len(one.speech.wave)


def test_a_pause_lasts_what_is_asked(camp):
    spoken = camp.say(TEXT, words=[Span(2, 2, pause=0.5), Span(6, 6, pause=0.25), Span(8, 8, pause=0.0)])
    pauses = [word["pause_after"] for word in words(spoken)]
    assert pauses[1] == pytest.approx(0.5) and pauses[7] == 0
    # The last frame of a sentence is half one: its centre is the end.
    assert pauses[5] == pytest.approx(0.25, abs=0.013)
    start, end = words(spoken)[1]["end"], words(spoken)[2]["start"]
    quiet = spoken.wave[round((start + 0.05) * spoken.sample_rate) : round((end - 0.05) * spoken.sample_rate)]
    assert np.abs(quiet).max() < 1e-6 and np.abs(spoken.wave).max() > 1e-3
    marked = camp.say('<speak>The happy <break time="500ms"/> farmer.</speak>')
    assert words(marked)[1]["pause_after"] == pytest.approx(0.5)


def test_energy_changes_the_word_and_leaves_the_rest(camp):
    plain, loud = camp.say(TEXT), camp.say(TEXT, words={7: "energy=+6dB"})
    np.testing.assert_array_equal(plain.sentences[0].speech.wave, loud.sentences[0].speech.wave)
    assert not np.array_equal(plain.sentences[1].speech.wave, loud.sentences[1].speech.wave)


def test_controls_may_be_written_or_given_as_numbers(camp):
    one = camp.say(TEXT, pace="80%", pitch="+2st", energy="-3dB", words={1: "pace=0.5"})
    other = camp.say(TEXT, pace=0.8, pitch=2, energy=-3, words=[Span(1, 1, Control(pace=0.5))])
    np.testing.assert_array_equal(one.wave, other.wave)


# Company, temperature, phones


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_texts_rendered_together_sound_as_alone(kathaka, camp, temperature):
    texts = [TEXT, "The cat sat.", "My teacher saw the happy farmer in the garden."]
    for system in (kathaka, camp):
        requests = [Request(text, read_control(pace=0.5 + place / 4)) for place, text in enumerate(texts)]
        together = system.say_all(requests, temperature, seed=3)
        for request, spoken in zip(requests, together, strict=True):
            (alone,) = system.say_all([request], temperature, seed=3)
            assert frames(alone) == frames(spoken)
            for one, other in zip(alone.sentences, spoken.sentences, strict=True):
                np.testing.assert_allclose(one.speech.mel, other.speech.mel, atol=1e-4)


def test_seeds_draw_and_temperature_zero_does_not(kathaka):
    def mel(seed: int, temperature: float) -> np.ndarray:
        return kathaka.say("The cat sat.", seed=seed, temperature=temperature).sentences[0].speech.mel

    assert np.array_equal(mel(1, 0), mel(2, 0)) and np.array_equal(mel(1, 1), mel(1, 1))
    assert mel(1, 1).shape != mel(2, 1).shape or not np.allclose(mel(1, 1), mel(2, 1))


def test_phones_are_printed_edited_and_given_back(runs, camp, capsys):
    assert run(["synthesize", "camp", *settings(runs), "--text", TEXT, "--print-phones"]) == 0
    line = capsys.readouterr().out.strip()
    assert line.startswith("1:The = D @2 | 2:happy = h 'a p i | ") and line.count("|") == 10
    plain, same = camp.say(TEXT), camp.say(TEXT, phones=line)
    np.testing.assert_array_equal(plain.wave, same.wave)
    edited = camp.say(TEXT, phones=line.replace("h 'a p i", "h 'a p 'i: p i"))
    assert [phone["phone"] for phone in words(edited)[1]["phones"]] == ["h", "'a", "p", "'i:", "p", "i"]


# Recordings to copy


def test_an_utterance_of_the_corpus_gives_its_vectors(runs, camp, kathaka):
    for system in (camp, kathaka):
        store = store_of(system.experiment)
        name = store.ids("test")[0]
        vectors = read_reference(Reference(name), system.experiment, system.synthesizer, system.analyser, "", "")
        kept = VectorStore(next(folder(s) for s in plan(system.experiment) if s.kind == "acoustic")).mean(name)
        np.testing.assert_allclose(vectors[0].numpy(), kept, atol=1e-4)


def test_a_file_is_heard_as_the_corpus_hears_it(runs, tmp_path, camp, kathaka):
    """Utterance units need no alignment; words take a TextGrid's, or the corpus's aligner's."""
    folded = System.load(experiment(runs, "camp", "folder", "vectors=recording"))
    for system, grids in ((kathaka, False), (camp, True), (folded, False)):
        store = store_of(system.experiment)
        name = store.ids("train")[0]
        utterance = store.utterances[name]
        grid = None
        if grids:
            write_textgrids(store, tmp_path, system.experiment.audio)
            grid = next(tmp_path.rglob(f"{name}.TextGrid"))
        reference = Reference(str(store.corpus.clip(utterance)), textgrid=grid)
        found = read_reference(
            reference, system.experiment, system.synthesizer, system.analyser, utterance.text, utterance.speaker
        )
        kept = VectorStore(next(folder(s) for s in plan(system.experiment) if s.kind == "acoustic")).mean(name)
        np.testing.assert_allclose(found[0].numpy(), kept, atol=1e-3)
        spoken = system.say(utterance.text, reference=reference)
        assert len(spoken.sentences) == 1 and len(spoken.wave) > 0


def test_whole_utterances_lend_their_prosody_to_other_texts(kathaka):
    name, other = store_of(kathaka.experiment).ids("test")[0], store_of(kathaka.experiment).ids("train")[0]
    plain = kathaka.say(TEXT)
    one, two = kathaka.say(TEXT, reference=name), kathaka.say(TEXT, reference=other)
    mels = [spoken.sentences[1].speech.mel for spoken in (plain, one, two)]
    assert all(a.shape != b.shape or not np.allclose(a, b) for a, b in pairwise(mels))


def test_an_oracle_speaks_what_it_copies(runs):
    oracle = load_system("camp_oracle", *settings(runs))
    store = store_of(oracle.experiment)
    name = store.ids("test")[0]
    text = store.utterances[name].text
    assert len(oracle.say(text, reference=name).wave) > 0
    with pytest.raises(UserError, match="cannot speak new text by itself"):
        oracle.say(text)
    with pytest.raises(UserError, match=r"the recording has \d+ words and 'The cat sat.' has 3"):
        oracle.say("The cat sat.", reference=name)


@pytest.mark.parametrize(("name", "told"), [("tset-0", "neither a file nor"), ("", "words and 'The cat sat.' has 3")])
def test_a_wrong_utterance_is_told_before_a_system_is_trained(runs, capsys, name, told):
    name = name or store_of(experiment(runs, "camp")).ids("test")[0]
    arguments = ["synthesize", "camp", *settings(runs), "acoustic.latent=5", "--workers", "0", "--text", "The cat sat."]
    assert run([*arguments, "--pitch", "-2st", "--reference", name]) == 2
    assert told in capsys.readouterr().err
    untrained = experiment(runs, "camp", "testbed", "acoustic.latent=5")
    assert not any(folder(stage).exists() for stage in plan(untrained) if stage.kind == "acoustic")


def wav(path: Path, wave: np.ndarray) -> str:
    soundfile.write(path, wave, 16000, subtype="PCM_16")
    return str(path)


def test_a_recording_that_cannot_be_copied_is_one_sentence(runs, tmp_path, camp, kathaka):
    tone = 0.3 * np.sin(2 * np.pi * 150 * np.arange(16000) / 16000) * (1 + np.arange(16000) % 107 / 107)
    (tmp_path / "text.wav").write_text("no audio")
    wrong = {
        wav(tmp_path / "silent.wav", np.zeros(16000)): "is silent",
        wav(tmp_path / "short.wav", tone[:3200]): "too little to copy",
        wav(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 16000)): "no voiced frame",
        str(tmp_path / "text.wav"): "cannot be read as audio",
        str(tmp_path / "none.wav"): "there is no audio file",
        "tset-0000": "neither a file nor an utterance of corpus=testbed; the nearest",
    }
    for source, told in wrong.items():
        with pytest.raises(UserError, match=told):
            kathaka.say(TEXT, reference=source)
    sound = wav(tmp_path / "sound.wav", tone)
    with pytest.raises(UserError, match=r"has no aligner .* --textgrid FILE"):
        camp.say(TEXT, reference=sound)
    (tmp_path / "x.TextGrid").write_text("nothing")
    with pytest.raises(UserError, match=r"cannot take the TextGrid .*x.TextGrid"):
        camp.say(TEXT, reference=Reference(sound, textgrid=tmp_path / "x.TextGrid"))
    folded = System.load(experiment(runs, "camp", "folder", "vectors=recording"))
    with pytest.raises(UserError, match=r"cannot be aligned with its text: .*says more than its audio"):
        folded.say(TEXT * 4, reference=sound)


def test_a_system_without_vectors_copies_nothing(runs, capsys):
    arguments = ["synthesize", "baseline", *settings(runs), "--text", TEXT, "--reference", "test-0000"]
    assert run(arguments) == 2
    assert "baseline has no prosody vectors" in capsys.readouterr().err


# What is told and written


def test_times_follow_each_other_and_reach_the_end(camp, tmp_path):
    spoken = camp.say(TEXT, pace=0.5)
    told = spoken.to_dict()
    assert [word["number"] for word in words(spoken)] == list(range(1, 12))
    clock = 0.0
    for sentence in told["sentences"]:
        assert sentence["start"] == pytest.approx(clock, abs=1e-3)
        clock += sentence["pause_before"]
        for word in sentence["words"]:
            assert word["start"] == pytest.approx(clock, abs=1e-3)
            assert word["phones"][0]["start"] == word["start"]
            assert word["phones"][-1]["end"] == word["end"]
            clock = word["end"] + word["pause_after"]
        assert sentence["end"] == pytest.approx(clock, abs=0.013)
        clock = sentence["end"]
    wave, rate = soundfile.read(spoken.save(tmp_path / "a.wav", json=True))
    assert told["seconds"] == pytest.approx(len(wave) / rate, abs=1e-3)
    assert json.loads((tmp_path / "a.json").read_text()) == told


def test_the_command_line_writes_all_of_it(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        sys, "stdin", io.StringIO("<speak>The happy\n<break time='300ms'/> farmer. <s>Happy.</s></speak>")
    )
    asked = ["--pace", "0.6", "--pitch", "+1st", "--pitch-range", "1.2", "--energy", "+2dB", "--word", "2:pace=0.8"]
    arguments = ["synthesize", "camp", *settings(runs), *asked, "--json", "--picture", "--samples", "2"]
    assert run([*arguments, "--out", str(tmp_path), "--workers", "0"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in ("001.wav", "001-2.wav")]
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {f"001{sample}{end}" for sample in ("", "-2") for end in (".wav", ".json", ".png", "-s2.png")}
    told = json.loads((tmp_path / "001.json").read_text())
    assert told["sentences"][0]["words"][1]["pause_after"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--word", "99:pace=0.5"], "no word 99"),
        (["--word", "fast"], "no control of words"),
        (["--pace", "quick"], "pace=quick is not understood"),
        (["--energy", "+99dB"], "out of bounds"),
        (["--phones", "D @2"], "are of 1 words"),
        (["--phones", "a", "--phones", "b"], "give --phones once for each text"),
        (["--ssml"], "malformed"),
        (["--textgrid", "x.TextGrid"], "name it with --reference"),
        (["--reference", "none.wav"], "no audio file none.wav"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_trained(tmp_path, capsys, given, told):
    found = ["size=smoke", f"run.folder={tmp_path / 'runs'}", "run.accelerator=cpu"]
    assert run(["synthesize", "kathaka", *found, "--text", TEXT, "--out", str(tmp_path / "o"), *given]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1 and not list(tmp_path.iterdir())


def test_phones_that_the_corpus_never_had_are_named(camp):
    with pytest.raises(UserError, match=r"'cat' in 'The cat.' has the phone K9, which the corpus never had"):
        camp.say("The cat.", phones="D @2 | K9 'a t")


# The interface


def test_importing_the_package_is_cheap():
    code = "import sys, prosody_tts; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_three_lines_speak(runs, tmp_path):
    system = prosody_tts.load_system("camp", *settings(runs))
    path = system.say("The happy farmer opened the door.", pace=0.9).save(tmp_path / "out.wav")
    assert path.exists() and isinstance(system, prosody_tts.System)
    with pytest.raises(AttributeError, match="nothing"):
        prosody_tts.nothing  # noqa: B018


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told(runs):
    assert choose_device(experiment(runs, "camp").run).type == "cpu"
    with pytest.raises(UserError, match="no CUDA device"):
        load_system("camp", *settings(runs)[:2], "run.accelerator=gpu")
