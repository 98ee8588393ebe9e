"""Many speakers: own statistics, own voices; with one speaker nothing is added."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile
import torch
from evaluation_data import speak
from random_batches import BERT, MELS, PHONES, acoustic_item, recordings, text_item, texts, vectors

from data_modules import espeak
from data_modules.audio import f0
from data_modules.collate import acoustic_batch, text_batch
from data_modules.collate import acoustic_item as item_of
from data_modules.corpora.contract import silent
from data_modules.corpora.folder import Folder
from data_modules.corpora.testbed import VOICES, Testbed
from data_modules.corpora.testbed import plan as plan_testbed
from data_modules.espeak import VOICE, Manner
from data_modules.store import LEAST_UTTERANCES, CorpusStore, FeatureStore, Norm, Specification
from prosody_tts import systems
from prosody_tts.cli import run
from prosody_tts.config import AcousticConfig, AudioConfig, DataConfig, Experiment, SamplerConfig, Units, load
from prosody_tts.errors import UserError
from prosody_tts.evaluation.effects import shares
from prosody_tts.evaluation.evaluate import evaluate
from prosody_tts.evaluation.metrics import METRICS, by_sentence
from prosody_tts.evaluation.results import read_results
from prosody_tts.evaluation.statistics import resample_counts
from prosody_tts.nn.priors import PRIORS
from prosody_tts.nn.reference import REFERENCES
from prosody_tts.nn.speakers import SpeakerEmbedding
from prosody_tts.pipeline import Stage, folder, plan, run_stage
from prosody_tts.runners.stores import store_of
from prosody_tts.speaking.system import Request, synthesize
from prosody_tts.synthesis import choose_speaker, load_acoustic, load_sampler
from prosody_tts.systems import Sizes, build_acoustic, build_sampler

ONE, THREE = (Sizes(PHONES, MELS, BERT, passes=2, speakers=count) for count in (1, 3))
UNITS: tuple[Units, ...] = get_args(Units)
PARAMETER = "speakers.embedding.weight"


def acoustic(sizes: Sizes, units: Units = "word", reference: str = "none"):
    settings = AcousticConfig(reference=reference, width=16, latent=4, decoder_layers=1, phone_layers=1)  # type: ignore[arg-type]
    torch.manual_seed(0)
    return build_acoustic(Experiment(units=units, acoustic=settings), sizes).eval()


def sampler(sizes: Sizes, units: Units = "word", prior: str = "gaussian"):
    settings = SamplerConfig(contexts=["phones", "bert"], prior=prior, width=16, recurrent=16)  # type: ignore[arg-type]
    torch.manual_seed(0)
    experiment = Experiment(units=units, sampler=settings, acoustic=AcousticConfig(latent=4))
    return build_sampler(experiment, sizes).eval()


# Models


@pytest.mark.parametrize("build", [acoustic, sampler])
def test_one_speaker_adds_no_parameter_and_no_random_draw(build, monkeypatch):
    several = build(THREE).state_dict()
    # What is not built draws no numbers either.
    monkeypatch.setattr(systems, "SpeakerEmbedding", lambda *_: pytest.fail("built for a single speaker"))
    single = build(ONE)
    assert set(several) - set(single.state_dict()) == {PARAMETER} and set(single.state_dict()) < set(several)
    assert not [name for name, _ in single.named_modules() if "speaker" in name]


def test_the_unknown_speaker_is_the_mean_of_the_known():
    embedding = SpeakerEmbedding(3, 5)
    found = embedding.vectors(torch.tensor([2, 0, 1, 3]))
    torch.testing.assert_close(found[1], found[[0, 2, 3]].mean(0))
    assert torch.equal(found[[2, 0, 3]], embedding.embedding.weight)


def test_states_past_the_end_stay_as_they_are():
    embedding = SpeakerEmbedding(2, 3)
    states, lengths = torch.zeros(2, 4, 3), torch.tensor([1, 4])
    added = embedding(states, lengths, torch.tensor([1, 2]))
    assert added[0, 1:].abs().sum() == 0
    assert (added[1] == embedding.embedding.weight[1]).all()


@pytest.mark.parametrize(("units", "reference"), [("word", "none"), *itertools.product(UNITS, REFERENCES)])
def test_stage_one_speaks_as_its_speaker_and_neither_padding_nor_company_matters(units, reference):
    model = acoustic(THREE, units, reference)
    generator = torch.Generator().manual_seed(0)
    items = [acoustic_item(str(row), words, generator) for row, words in enumerate([2, 6, 4])]
    voices = [1, 3, 0]
    items = [replace(item, text=replace(item.text, speaker=voice)) for item, voice in zip(items, voices, strict=True)]
    together = model(acoustic_batch(items))
    for row, item in enumerate(items):
        alone = model(acoustic_batch([item]))
        frames, phones = len(item.mel), len(item.text.phones)
        mel, own = together.rendered.decoded.mel[row, :frames], alone.rendered.decoded.mel[0]
        torch.testing.assert_close(mel, own, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(together.conditioned[row, :phones], alone.conditioned[0], atol=1e-5, rtol=1e-4)
        other = replace(item, text=replace(item.text, speaker=2))
        changed = model(acoustic_batch([other]))
        assert (changed.rendered.decoded.mel - alone.rendered.decoded.mel).abs().max() > 1e-3
        assert (changed.conditioned - alone.conditioned).abs().max() > 1e-4


@pytest.mark.parametrize(("units", "prior"), list(itertools.product(UNITS, PRIORS)))
def test_stage_two_predicts_for_its_speaker_and_neither_padding_nor_company_matters(units, prior):
    model = sampler(THREE, units, prior)
    generator = torch.Generator().manual_seed(0)
    items = [text_item(str(row), words, generator) for row, words in enumerate([2, 6, 4])]
    items = [replace(item, speaker=voice) for item, voice in zip(items, [1, 3, 0], strict=True)]
    together = model.sample(text_batch(items))
    for row, item in enumerate(items):
        alone = model.sample(text_batch([item]))[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-5, rtol=1e-4)
        other = text_batch([replace(item, speaker=2)])
        if prior == "tokens":  # the likeliest codes may be the same, but not as likely
            own, theirs = (model.log_likelihood(text, alone[None]) for text in (text_batch([item]), other))
            assert (own - theirs).abs() > 1e-5
        else:
            assert (model.sample(other)[0] - alone).abs().max() > 1e-4


def test_every_speaker_of_a_batch_is_learned_from_and_no_other():
    model = acoustic(THREE, "word", "deterministic").train()
    batch = recordings([3, 2])
    batch.text.speakers = torch.tensor([1, 3])
    rebuilt = model(batch)
    (rebuilt.rendered.decoded.mel.square().mean() + rebuilt.conditioned.square().mean()).backward()
    assert (model.speakers.embedding.weight.grad.abs().sum(1) > 0).tolist() == [True, False, True]
    stage_two = sampler(THREE).train()
    batch = vectors([3, 2], "word", latent=4)
    batch.text.speakers = torch.tensor([2, 2])
    stage_two.loss(batch).backward()
    assert (stage_two.speakers.embedding.weight.grad.abs().sum(1) > 0).tolist() == [False, True, False]


def test_a_model_of_one_speaker_does_not_look_at_the_speaker():
    model, text = sampler(ONE), texts([3, 2])
    assert torch.equal(model.sample(text), model.sample(replace(text, speakers=torch.tensor([5, 9]))))


# Statistics, on a testbed of three voices


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CAMP trained on three voices, 6 training sentences each."""
    path = tmp_path_factory.mktemp("runs")
    for stage in plan(system(path)):
        if stage.kind != "evaluate":
            run_stage(stage, silent)
    return path


def system(runs: Path, *more: str) -> Experiment:
    data = ["data.train_sentences=18", "data.dev_sentences=3", "data.test_sentences=3", "data.speakers=3"]
    return load("camp", ["size=smoke", *data, f"run.folder={runs}", "run.accelerator=cpu", *more])


def stage_of(runs: Path, kind: str) -> Stage:
    return [stage for stage in plan(system(runs)) if stage.kind == kind][-1]


def with_speakers(runs: Path, name: str, relabel) -> FeatureStore:
    """The features with other speakers, ``relabel(utterance) -> speaker``."""
    corpus = folder(stage_of(runs, "corpus"))
    edited = corpus.parent / name
    shutil.copytree(corpus, edited, dirs_exist_ok=True)
    found = CorpusStore(corpus)
    CorpusStore.write(edited, [replace(u, speaker=relabel(u)) for u in found.utterances], found.faults)
    alignment = folder(stage_of(runs, "alignment")) / "durations.json"
    return FeatureStore(edited, folder(stage_of(runs, "text")), folder(stage_of(runs, "audio")), alignment)


def logs(store: FeatureStore, names: list[str]) -> np.ndarray:
    """Log F0 of all voiced frames, measured apart from the code under test."""
    return np.array([np.log(float(value)) for name in names for value in store.recording(name).f0 if value > 0])


def test_every_speaker_has_statistics_of_its_own(runs):
    store = store_of(stage_of(runs, "acoustic"))
    spec = store.specification()
    assert spec.speakers == tuple(sorted(VOICES[:3]))
    for speaker, index in spec.speaker_ids.items():
        own = logs(store, [name for name in store.ids("train") if store.speaker(name) == speaker])
        assert spec.norm(index)[:2] == pytest.approx((own.mean(), own.std()))
    everything = logs(store, store.ids("train"))
    assert spec.norm(0)[:2] == (spec.f0_mean, spec.f0_scale) == pytest.approx((everything.mean(), everything.std()))
    assert Specification.from_dict(spec.to_dict()) == spec


def test_word_f0_and_energy_are_normalised_by_their_own_speaker(runs):
    store = store_of(stage_of(runs, "acoustic"))
    spec = store.specification()
    for name in store.ids("test"):
        recording = store.recording(name)
        item = item_of(recording, spec)
        assert item.text.speaker == spec.speaker_ids[recording.utterance.speaker]
        norm, (log_f0, energy, _) = spec.norm(item.text.speaker), recording.word_measures()
        back = item.word_f0.double().numpy() * norm.f0_scale + norm.f0_mean
        np.testing.assert_allclose(back[~np.isnan(log_f0)], log_f0[~np.isnan(log_f0)], atol=1e-5)
        back = item.word_energy.double().numpy() * norm.energy_scale + norm.energy_mean
        np.testing.assert_allclose(back[~np.isnan(energy)], energy[~np.isnan(energy)], atol=1e-5)


def test_one_speaker_is_normalised_by_the_pooled_statistics_to_the_bit(runs):
    named, unnamed = (with_speakers(runs, f"all-{name}", lambda _, name=name: name) for name in ("x", ""))
    spec = named.specification()
    assert spec.speakers == ("x",) and spec.norm(1) == spec.norm(0)
    for name in named.ids("test"):
        one, other = item_of(named.recording(name), spec), item_of(unnamed.recording(name), unnamed.specification())
        assert torch.equal(one.word_f0, other.word_f0) and torch.equal(one.word_energy, other.word_energy)


def test_a_speaker_of_few_utterances_has_the_pooled_statistics(runs):
    names = store_of(stage_of(runs, "acoustic")).ids("train")
    for count in (LEAST_UTTERANCES - 1, LEAST_UTTERANCES):
        few = set(names[:count])
        spec = with_speakers(runs, f"few-{count}", lambda u, few=few: "rare" if u.id in few else "many").specification()
        assert (spec.norm(spec.speaker_ids["rare"]) == spec.norm(0)) == (count < LEAST_UTTERANCES)
        assert spec.norm(spec.speaker_ids["many"]) != spec.norm(0)


def test_who_was_not_trained_on_is_unknown(runs):
    store = with_speakers(runs, "held-out", lambda u: u.speaker if u.split == "train" else "stranger")
    spec = store.specification()
    assert "stranger" not in spec.speakers
    assert {item_of(store.recording(name), spec).text.speaker for name in store.ids("test")} == {0}


# Synthesis and evaluation


def test_both_checkpoints_carry_the_speakers(runs):
    stage = stage_of(runs, "acoustic")
    _, one = load_acoustic(folder(stage))
    model, two = load_sampler(folder(stage_of(runs, "sampler")), stage.identity)
    assert one == two == store_of(stage).specification()
    assert model.state_dict()[PARAMETER].shape[0] == 3


def test_a_text_is_spoken_in_the_voice_that_is_asked_for(runs, tmp_path):
    text = [Request("The happy farmer opened the door.")]
    waves = []
    for speaker in ("f1", "m3"):
        (path,) = synthesize(system(runs, f"synthesis.speaker={speaker}"), text, tmp_path / speaker)
        (again,) = synthesize(system(runs, f"synthesis.speaker={speaker}"), text, tmp_path / f"{speaker}-again")
        assert path.read_bytes() == again.read_bytes()
        waves.append(path.read_bytes())
    assert waves[0] != waves[1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [([], ["3 speakers", "synthesis.speaker=NAME", "Andrea, f1, m3"]), (["synthesis.speaker=andrea"], ["'Andrea'?"])],
)
def test_no_speaker_or_an_unknown_one_is_one_sentence_and_status_2(runs, tmp_path, capsys, settings, words):
    data = [f"data.{name}_sentences={count}" for name, count in (("train", 18), ("dev", 3), ("test", 3))]
    given = ["size=smoke", *data, "data.speakers=3", f"run.folder={runs}", "run.accelerator=cpu", *settings]
    assert run(["synthesize", "camp", *given, "--text", "My teacher.", "--out", str(tmp_path / "o")]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert all(word in told for word in words) and "Traceback" not in told
    assert not (tmp_path / "o").exists()


def test_the_only_speaker_need_not_be_named():
    spec = Specification(("a",), (0.0,), (1.0,), 0.0, 1.0, 0.0, 1.0, 1, 1)
    assert choose_speaker(spec, None) == ""
    assert choose_speaker(replace(spec, speakers=("ann",)), None) == "ann"
    with pytest.raises(UserError, match="only speaker has no name"):
        choose_speaker(spec, "ann")


def test_of_many_speakers_the_nearest_few_are_named():
    names = tuple(sorted(f"p{number}" for number in range(200, 400)))
    spec = Specification(("a",), (0.0,), (1.0,), 0.0, 1.0, 0.0, 1.0, 1, 1, speakers=names)
    with pytest.raises(UserError, match=r"none of this system's 200; did you mean 'p3\d\d'\?") as caught:
        choose_speaker(spec, "p3555")
    assert len(str(caught.value)) < 200
    with pytest.raises(UserError, match=r"200 speakers.*p200, p201.*\.\.\."):
        choose_speaker(spec, None)


def test_an_evaluation_speaks_every_utterance_in_its_own_voice(runs, tmp_path):
    """One rendition of each sentence is given to another speaker: each of the two gets audio of its own."""
    with_speakers(runs, "shared", lambda u: "f1" if u.id.endswith("r0") else u.speaker)
    stage = stage_of(runs, "evaluate")
    stage = replace(stage, inputs={**stage.inputs, "corpus": "shared"})
    evaluate(stage, store_of(stage), tmp_path, silent)
    results = read_results(tmp_path)
    audio: dict[str, dict[str, set[bytes]]] = {}
    for result in results:
        heard = audio.setdefault(result.sentence, {}).setdefault(result.speaker, set())
        heard.add((tmp_path / result.audio).read_bytes())
    assert all(len(heard) == 1 for speakers in audio.values() for heard in speakers.values())
    shared = [speakers for speakers in audio.values() if len(speakers) == 2]
    assert len(shared) == 2  # the third sentence is f1's in any case
    assert all(len(set.union(*speakers.values())) == 2 for speakers in shared)
    # What has hardly been trained reads out the mean, and each speaker's is its own.
    spec = store_of(stage).specification()
    for result in results:
        assert result.readout is not None
        norm = spec.norm(spec.speaker_ids[result.speaker])
        assert abs(np.nanmean(result.readout.log_f0) - norm.f0_mean) < 2 * norm.f0_scale


def test_two_speakers_of_a_sentence_are_not_averaged_as_renditions():
    results = speak(0.5, 0.0, 0.02, sentences=3, renditions=4)
    two = [replace(result, speaker="ab"[row % 2]) for row, result in enumerate(results)]
    table = by_sentence(two)
    apart = [by_sentence([result for result in two if result.speaker == name]) for name in "ab"]
    for name in METRICS:
        for sentence, value in table[name].items():
            assert value == pytest.approx(np.mean([one[name][sentence] for one in apart]))
    assert table["log_f0_rmse_mean"] != by_sentence(results)["log_f0_rmse_mean"]
    assert by_sentence([replace(result, speaker="a") for result in results]) == by_sentence(results)


def test_planted_effects_do_not_hear_the_voice():
    """Two voices an octave apart, recordings and system alike, recover the shares of two alike voices."""

    def lowered(result):
        parts = {name: getattr(result, name) for name in ("reference", "system", "readout")}
        return replace(result, **{name: replace(part, log_f0=part.log_f0 - 0.7) for name, part in parts.items()})

    results = speak(0.6, 0.3, 0.01, sentences=24, renditions=4)
    alike = [replace(result, speaker="ab"[int(result.sentence[1:]) % 2]) for result in results]
    octave = [lowered(result) if result.speaker == "b" else result for result in alike]
    counts = resample_counts(24, 50, 0)
    one, other = shares(alike, counts), shares(octave, counts)
    assert set(one) == set(other) and len(one) > 4
    for name, share in one.items():
        assert other[name].value == pytest.approx(share.value, abs=1e-6)


# Corpora


def test_the_testbed_shares_sentences_evenly_and_gives_no_voice_a_mood():
    planned = list(plan_testbed(DataConfig(train_sentences=360, speakers=3)))
    train = [item for item in planned if item.split == "train"]
    assert Counter(item.speaker for item in train) == {name: 120 for name in VOICES[:3]}
    moods = Counter((item.speaker, item.factors["utterance"]["sentiment"]) for item in train)
    assert len(moods) == 9 and min(moods.values()) > 25
    held_out: dict[str, set[str]] = {}
    for item in planned:
        held_out.setdefault(item.sentence, set()).add(item.speaker)
    assert all(len(speakers) == 1 for speakers in held_out.values())


def test_one_voice_is_the_testbed_as_it_was():
    one, three = (list(plan_testbed(DataConfig(speakers=count))) for count in (1, 3))
    assert {(item.speaker, item.clip(Path()).voice) for item in one} == {("espeak", VOICE)}
    assert [replace(item, speaker="espeak") for item in three] == one
    identities = [Testbed().identity(Experiment(data=DataConfig(speakers=count))) for count in (1, 2, 3)]
    assert "speakers" not in identities[0]
    assert {**identities[1], "speakers": 0} == {**identities[2], "speakers": 0} == {**identities[0], "speakers": 0}
    assert identities[1] != identities[2]


def test_voices_speak_the_same_phones_at_f0_of_their_own():
    """Ratios to the first voice are those the corpus's documentation gives."""
    text, manner = "The kind baker saw the garden gate, and the old men left.", Manner(pitch=50, range=45, volume=50)
    means, phones = [], []
    for voice in VOICES:
        speech = espeak.speak(text, manner, voice=f"{espeak.LANGUAGE}+{voice}")
        found = f0(speech.samples, AudioConfig(sample_rate=speech.rate, hop=speech.rate // 80))
        means.append(found[found > 0].mean())
        phones.append([event.label for event in speech.events if event.kind == "phone"])
    espeak.restart()  # the library is one for all tests of a process
    assert all(labels == phones[0] for labels in phones)
    assert [mean / means[0] for mean in means] == pytest.approx([1, 0.58, 1.36, 0.56, 1.15, 1.18], abs=0.05)


def test_more_speakers_than_voices_are_refused():
    with pytest.raises(UserError, match=rf"data.speakers=7 .* {len(VOICES)} voices"):
        plan(Experiment(data=DataConfig(speakers=7)))
    with pytest.raises(UserError, match=r"data\.speakers=0 must be at least 1"):
        load("camp", ["data.speakers=0"])


def test_a_folder_names_its_speakers_in_a_file(tmp_path):
    source = tmp_path / "source"
    (source / "wavs").mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.1, (6, 24000))
    for name, wave in zip("abcdef", noise, strict=True):
        soundfile.write(source / "wavs" / f"{name}.wav", wave, 16000)
    (source / "metadata.csv").write_text("".join(f"{name}|This is sentence {name}.\n" for name in "abcdef"))
    experiment = Experiment(corpus="folder", corpus_path=str(source), data=DataConfig(allowed_bad=0.5))
    experiment.run.folder = str(tmp_path / "runs")

    def built(name: str):
        (tmp_path / name).mkdir()
        corpus = Folder().build(experiment, tmp_path / name, silent)
        return {u.id: u.speaker for u in corpus.utterances}, {fault.item: fault.reason for fault in corpus.faults}

    before = Folder().identity(experiment)
    assert built("one") == (dict.fromkeys("abcdef", ""), {})
    (source / "speakers.csv").write_text("a|ann\nb | bob\nc|ann\nd|ann\nd|bob\nf|\n", encoding="utf-8")
    speakers, faults = built("several")
    assert speakers == {"a": "ann", "b": "bob", "c": "ann"}
    assert set(faults) == set("def") and all("speakers.csv" in reason for reason in faults.values())
    assert Folder().identity(experiment) != before
    (source / "speakers.csv").write_bytes(b"a|\xff\n")
    with pytest.raises(UserError, match=r"speakers\.csv line 1 is not UTF-8"):
        built("broken")


def test_norms_are_plain_numbers_in_a_checkpoint(tmp_path):
    norms = (Norm(5.0, 0.2, -4.0, 2.0), Norm(4.0, 0.3, -4.5, 2.1))
    spec = Specification(("a",), (0.0,), (1.0,), 4.5, 0.4, -4.2, 2.1, 1, 1, ("x", "y"), norms)
    torch.save(spec.to_dict(), tmp_path / "x.ckpt")
    assert Specification.from_dict(torch.load(tmp_path / "x.ckpt", weights_only=True)) == spec
