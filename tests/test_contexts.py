"""Contexts of stage two: a BERT that is trained along, messages over graphs, the sentences around, classes."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import torch
from label_corpora import helsinki_corpus
from lightning import LightningDataModule
from random_batches import BERT, PHONES, text_item, texts
from test_models import SIZES
from test_training import killed, same
from tiny_bert import LAYERS, LONGEST, batch_of, save_tiny, tiny_model
from torch.utils.data import DataLoader

from data_modules.batches import NO_CLASS
from data_modules.collate import SamplerItem, sampler_batch, text_batch
from data_modules.corpora.contract import Corpus, Utterance, silent
from data_modules.corpora.order import PLACES, Place, libritts_place, ljspeech_place, with_neighbours
from data_modules.loaders import BucketSampler
from data_modules.store import TextSpecification
from data_modules.text.analysis import TextAnalyser
from data_modules.text.bert import Bert
from prosody_tts.config import LABELS, ORDERED, Experiment, OptimConfig, RunConfig, SamplerConfig, TextConfig, load
from prosody_tts.errors import UserError
from prosody_tts.evaluation.decisions import DETECTION, THREE_WAY, TWO_WAY
from prosody_tts.files import read_json
from prosody_tts.nn.classes import ClassHead
from prosody_tts.nn.context import Contexts, TunedStates
from prosody_tts.nn.context.graph import MESSAGES
from prosody_tts.parameters import count
from prosody_tts.pipeline import RESULT, folder, plan, run_stage
from prosody_tts.speaking.system import System
from prosody_tts.stages.fit import BEST, CHECKPOINT, fit, load_checkpoint
from prosody_tts.stages.sampler import SamplerStage
from prosody_tts.synthesis import load_sampler
from prosody_tts.systems import build_contexts, build_sampler


def sampler_of(**settings: Any) -> Experiment:
    small = {"width": 16, "recurrent": 16, **settings}
    return replace(Experiment(), units="word", sampler=SamplerConfig(**small))


def contexts(**settings: Any) -> Contexts:
    experiment = sampler_of(**settings)
    model = tiny_model() if experiment.tunes_bert else None
    torch.manual_seed(0)
    return build_contexts(experiment, SIZES, model)


VARIANTS = [
    *({"contexts": ["graph"], "graph": name} for name in MESSAGES),
    *({"contexts": ["bert"], "bert": "tuned", "bert_tuned": layers} for layers in (None, 1, LAYERS)),
    {"contexts": ["phones", "bert", "tags", "graph"], "bert": "tuned", "graph": "gatv2"},
]


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_every_variant_of_a_context_keeps_the_contract(settings: dict[str, Any]) -> None:
    """States [B, W, D], the same alone and in company, and a gradient for all that is trained."""
    encoder = contexts(**settings).eval()
    generator = torch.Generator().manual_seed(0)
    items = [text_item(str(row), words, generator) for row, words in enumerate([2, 6, 4])]
    together = encoder(batch_of(items))
    assert together.shape == (3, 13, 16 * len(settings["contexts"]))
    for row, item in enumerate(items):
        alone = encoder(batch_of([item]))[0]
        torch.testing.assert_close(together[row, : len(alone)], alone, atol=1e-5, rtol=1e-4)
    encoder.train()(batch_of(items)).square().mean().backward()
    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.abs().sum() > 0] == []
    tuned = encoder.tuned
    if tuned is not None:
        fixed = [name for name, p in encoder.named_parameters() if not p.requires_grad]
        layers = settings.get("bert_tuned")
        assert bool(fixed) == (layers is not None)
        own = sum("encoder.layer" in name for name in trained) / len(list(tuned.model.encoder.layer[0].parameters()))
        assert own == (LAYERS if layers is None else layers)


def test_messages_are_those_that_settings_know() -> None:
    assert set(MESSAGES) == set(get_args(get_type_hints(SamplerConfig)["graph"]))


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_go_as_far_as_there_are_passes(name: str) -> None:
    """In a chain of words each pass carries a node's label one edge on, both ways, before the BiLSTM reads."""
    torch.manual_seed(0)
    encoder = build_contexts(sampler_of(contexts=["graph"], graph=name, passes=2), SIZES).eval().encoders["graph"]
    encoder.recurrent = torch.nn.Identity()  # type: ignore[assignment]
    encoder.recurrent.forward = lambda states, lengths: states  # type: ignore[method-assign, assignment]
    text = texts([7])
    text.edges = torch.tensor([[[place, place + 1] for place in range(6)]])
    text.edge_lengths = torch.tensor([6])
    before = encoder(text)[0]
    text.node_labels[0, 3] = (text.node_labels[0, 3] + 1) % 9
    moved = (encoder(text)[0] - before).abs().sum(1) > 1e-6
    assert moved[1::2].tolist() == [False, True, True, True, True, True, False]


# BERT that is trained along -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("bert") / "tiny")


def analyser(tiny: Path, **settings: Any) -> TextAnalyser:
    return TextAnalyser(Experiment(text=TextConfig(pronouncer="cmudict", bert=str(tiny), **settings)))


TEXTS = ["Oh, no!", "The dog ran home, and it did not stop.", " ".join(["It ran, and ran."] * 8)]


@pytest.mark.parametrize("layer", [1, 2, -1])
def test_before_the_first_step_a_trained_bert_says_what_the_cache_holds(tiny: Path, layer: int) -> None:
    """Short texts, texts with windows, and layers left out alike."""
    made = analyser(tiny, bert_layer=layer)
    sentences = made.analyse(TEXTS)
    assert len(sentences[2].pieces) > 2 * LONGEST
    spec = TextSpecification(("<pad>", "<unk>"), BERT, 3)
    from data_modules.collate import text_item as item_of

    items = [
        item_of(str(row), sentence, states, spec, "", made.bert.reader)
        for row, (sentence, states) in enumerate(zip(sentences, made.states(sentences), strict=True))
    ]
    text = text_batch(items)
    states = TunedStates(made.bert.trainable()).eval()(text)
    torch.testing.assert_close(states, text.bert, atol=1e-5, rtol=1e-4)


def test_what_is_fixed_has_no_dropout_and_what_is_trained_has() -> None:
    generator = torch.Generator().manual_seed(0)
    text = batch_of([text_item("0", 5, generator)])
    states = TunedStates(tiny_model(), 1).train()
    below = states.model.encoder.layer[-2]
    seen: list[torch.Tensor] = []
    below.register_forward_hook(lambda module, given, out: seen.append(out if torch.is_tensor(out) else out[0]))
    drawn = [states(text) for _ in range(2)]
    assert torch.equal(*seen) and not torch.equal(*drawn)


def test_a_model_that_cannot_be_trained_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"text\.bert_layer=0 has no layer .* sampler\.bert=frozen"):
        Bert(str(tiny), 0).trainable()
    other = shutil.copytree(tiny, tmp_path / "other")
    (other / "config.json").write_text('{"model_type": "distilbert", "dim": 24, "n_heads": 2, "n_layers": 3}')
    with pytest.raises(UserError, match=r"sampler\.bert=tuned trains models of the types bert, .* is distilbert"):
        Bert(str(other), -1).trainable()


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("camp_bert", ["sampler.bert_tuned=0"], "sampler.bert_tuned=0 must be at least 1"),
        ("camp_bert", ["sampler.classes_weight=1"], "sampler.classes_weight=1 is for corpora of labels"),
        ("camp_bert", ["text.neighbours=1"], "text.neighbours=1 needs a corpus that knows"),
        ("prominence", ["corpus_path=x", "sampler.classes_weight=-1"], "classes_weight=-1 must not be negative"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name: str, settings: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        load(name, settings)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


class TextData(LightningDataModule):
    """A few random texts with word vectors and classes that their pieces tell."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.items = []
        for row in range(10):
            item = text_item(str(row), 2 + row % 4, generator)
            mean = torch.randn(len(item.word_to_node), 2, generator=generator)
            self.items.append((item, SamplerItem(item, mean, torch.zeros_like(mean), None, (mean > 0).to(torch.int8))))

    @staticmethod
    def collate(rows: list[Any]) -> Any:
        batch = sampler_batch([item for _, item in rows])
        batch.text = batch_of([text for text, _ in rows])
        return batch

    def train_dataloader(self) -> DataLoader:
        sampler = BucketSampler([len(text.word_to_node) for text, _ in self.items], 4, seed=3)
        return DataLoader(self.items, batch_sampler=sampler, collate_fn=self.collate)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.items[:4], batch_size=4, collate_fn=self.collate)


def stage() -> SamplerStage:
    experiment = load("prominence_tuned", ["corpus_path=x", "size=smoke", "sampler.bert_tuned=null"])
    torch.set_num_threads(1)
    model = tiny_model()
    torch.manual_seed(0)
    spec = TextSpecification(tuple(map(str, range(PHONES))), BERT, 3)
    return SamplerStage(build_sampler(experiment, SIZES, model), experiment.sampler, spec, "labels")


def train(place: Path, kill_at: int | None = None) -> dict[str, torch.Tensor]:
    def progress(done: int, total: int, what: str) -> None:
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    module, run = stage(), RunConfig(accelerator="cpu")
    fit(module, TextData(), OptimConfig(epochs=3), run, 7, place, [], progress, module.watched)
    return load_checkpoint(place / CHECKPOINT)["state_dict"]


def test_with_a_trained_bert_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole, again = train(tmp_path / "whole"), train(tmp_path / "again")
    assert same(whole, again)
    assert killed(lambda: train(tmp_path / "cut", 4))
    assert same(whole, train(tmp_path / "cut"))
    first = {f"model.contexts.encoders.bert.states.model.{n}": p for n, p in tiny_model().state_dict().items()}
    assert set(first) <= set(whole)
    assert all(not torch.equal(first[name], whole[name]) for name in first if name.endswith("weight"))


def test_bert_has_a_peak_rate_of_its_own() -> None:
    module = stage()
    rest, own = module.groups()
    assert own["lr"] == module.settings.bert_rate and "lr" not in rest
    everything = [id(p) for group in (rest, own) for p in group["params"]]
    assert len(everything) == len(set(everything)) == len(list(module.parameters()))
    assert {id(p) for p in own["params"]} == {id(p) for p in module.model.contexts.tuned.parameters()}
    assert (
        len(SamplerStage(build_sampler(sampler_of(), SIZES), SamplerConfig(), module.specification, "").groups()) == 1
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Path]:
    """A probe with a trained BERT whose package is gone, and where the BERT was."""
    place = tmp_path_factory.mktemp("probe")
    package = save_tiny(place / "package")
    settings = [f"corpus_path={helsinki_corpus(place)}", f"text.bert={package}", "text.bert_layer=-1"]
    experiment = load(
        "prominence_tuned", [*settings, f"run.folder={place / 'runs'}", "size=smoke", "text.neighbours=1"]
    )
    for part in plan(experiment):
        run_stage(part, silent)
    return experiment, package


def test_a_checkpoint_loads_without_the_package(trained: tuple[Experiment, Path]) -> None:
    experiment, package = trained
    stages = {part.kind: part for part in plan(experiment)}
    package.rename(package.with_name("gone"))
    try:
        model, _ = load_sampler(folder(stages["sampler"]), stages["labels"].identity)
    finally:
        package.with_name("gone").rename(package)
    assert model.contexts.tuned is not None
    weights = load_checkpoint(folder(stages["sampler"]) / BEST)["state_dict"]
    assert all(torch.equal(value, weights[f"model.{name}"]) for name, value in model.state_dict().items())


def test_the_probe_decides_by_classes_and_tells_what_words_alone_do(trained: tuple[Experiment, Path]) -> None:
    experiment, _ = trained
    metrics = read_json(folder(plan(experiment)[-1]) / RESULT)["metrics"]
    assert {"prominence_two_way", "prominence_three_way", "prominence_two_way_word_majority"} <= set(metrics)
    assert not [name for name in metrics if "_cut_" in name or name.startswith("boundary_two_way_word")]
    # In this corpus length alone makes words prominent, so that knowing the word is nearly everything.
    assert metrics["prominence_two_way_word_majority"] > metrics["prominence_two_way_majority"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["camp_bert", "kathaka_durations"])
def test_a_system_with_a_trained_bert_is_evaluated_and_speaks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From corpus to speech; the durations of the second are learned on draws of its stage two."""
    settings = [f"text.bert={save_tiny(tmp_path / 'package')}", "text.bert_layer=-1", f"run.folder={tmp_path / 'runs'}"]
    experiment = load(name, [*settings, "size=smoke", "sampler.bert=tuned", "sampler.contexts=[bert]"])
    for part in plan(experiment):
        run_stage(part, silent)
    system = System.load(experiment)
    # Nothing of it comes from a frozen BERT.
    monkeypatch.setattr(Bert, "model", property(lambda bert: pytest.fail("a trained BERT is stage two's own")))
    one, other = system.say("The dog ran home."), system.say("The dog ran home. It sat.")
    wave = one.sentences[0].speech.wave
    assert len(wave) > 0 and np.isfinite(wave).all()
    # Company changes nothing of a sentence.
    np.testing.assert_allclose(other.sentences[0].speech.mel, one.sentences[0].speech.mel, atol=1e-4)


# The sentences around -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "room"), [(1, 48), (2, 48), (1, 20), (3, 12)])
def test_a_sentence_keeps_its_pieces_between_its_neighbours(tiny: Path, count: int, room: int) -> None:
    made = analyser(tiny, neighbours=count)
    sentences = made.analyse(["We go.", "Oh, no!", "It is he.", "A dog ran."])
    reader = replace(made.bert.reader, longest=room)
    for row, sentence in enumerate(made.in_context(sentences)):
        reading = reader.read(sentence)
        (ids,) = reading.rows
        assert len(ids) <= room and (ids[0], ids[-1]) == (2, 3)
        assert tuple(ids[column] for _, column in reading.places) == sentence.pieces
        before = [p for s in sentences[max(row - count, 0) : row] for p in s.pieces[1:-1]]
        after = [p for s in sentences[row + 1 : row + 1 + count] for p in s.pieces[1:-1]]
        own = len(sentence.pieces) - 2
        spare, whole = room - 2 - own, len(before) + len(after)
        assert len(ids) - 2 - own == min(spare, whole)  # as much as there is room for
        behind = reading.places[1][1] - 1
        ahead = len(ids) - 2 - own - behind
        # The nearest of both sides, cut at the outside.
        assert list(ids[1 : 1 + behind]) == before[len(before) - behind :]
        assert list(ids[1 + behind + own : -1]) == after[:ahead]


def test_neighbours_change_states_only_through_attention(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without attention and places what stands around a sentence cannot be heard; with them it is."""
    made = analyser(tiny, neighbours=1, bert_layer=-1)
    alone = made.analyse(["We go.", "Oh, no!", "It is he."])
    around = made.in_context(alone)
    assert not np.allclose(made.states(alone)[1], made.states(around)[1], atol=1e-3)
    deaf = tiny_model()
    with torch.no_grad():
        deaf.embeddings.position_embeddings.weight.zero_()
        for layer in deaf.encoder.layer:
            layer.attention.output.dense.weight.zero_()
    monkeypatch.setitem(made.bert.__dict__, "model", deaf)
    np.testing.assert_allclose(made.states(alone)[1], made.states(around)[1], atol=1e-5)


def test_a_text_that_fills_the_model_has_no_neighbours(tiny: Path) -> None:
    made = analyser(tiny, neighbours=1)
    sentences = made.in_context(made.analyse(["We go.", TEXTS[2], "It is he."]))
    assert sentences[1].before and sentences[1].after
    reading = made.bert.reader.read(sentences[1])
    assert len(reading.rows) > 2
    assert tuple(reading.rows[row][column] for row, column in reading.places) == sentences[1].pieces


def book(names: list[str]) -> Corpus:
    rows = tuple(Utterance(name, name, f"text {name}", None, "train") for name in names)
    return Corpus("helsinki", Path(), rows[1:], texts={row.id: row.text for row in rows})


def test_neighbours_are_the_nearest_of_the_chapter_in_its_order() -> None:
    names = ["1_2_000003_000000", "1_2_000010_000000", "1_2_000003_000002", "1_3_000001_000000", "odd"]
    found = {item.id: item for item in with_neighbours(book(names), libritts_place, 1).utterances}
    assert found["1_2_000003_000002"].before == ("text 1_2_000003_000000",)  # known, though it is no utterance
    assert found["1_2_000003_000002"].after == ("text 1_2_000010_000000",)
    assert found["1_3_000001_000000"].before == found["1_3_000001_000000"].after == ()
    assert found["odd"].before == found["odd"].after == ()
    two = {item.id: item for item in with_neighbours(book(names), libritts_place, 2).utterances}
    assert two["1_2_000010_000000"].before == ("text 1_2_000003_000000", "text 1_2_000003_000002")
    again = Utterance.from_dict(two["1_2_000010_000000"].to_dict())
    assert again == two["1_2_000010_000000"]


def test_names_tell_places() -> None:
    assert set(PLACES) == set(ORDERED)
    assert ljspeech_place("LJ001-0012") == Place("LJ001", (12,)) and ljspeech_place("LJ001-0012-2") is None
    assert libritts_place("1272_128104_000003_000001") == Place("1272_128104", (3, 1))
    assert libritts_place("0001") is None


@pytest.mark.parametrize("corpus", LABELS)
def test_asking_for_no_neighbours_is_asking_for_the_same_corpus(corpus: str, tmp_path: Path) -> None:
    from label_corpora import timing_corpus

    path = {"helsinki": helsinki_corpus, "ljspeech_timing": timing_corpus}[corpus](tmp_path)
    settings = [f"corpus={corpus}", f"corpus_path={path}", f"run.folder={tmp_path}"]
    plain, none, one = (
        plan(load("timing", [*settings, *more]))[0].identity
        for more in ([], ["text.neighbours=0"], ["text.neighbours=1"])
    )
    assert plain == none != one


# Classes --------------------------------------------------------------------------------------------------------------


def test_classes_are_learned_where_they_are_and_nowhere_else() -> None:
    torch.manual_seed(0)
    head = ClassHead(5, 8, (3, 0, 2), 0.0, weight=0.5)
    context = torch.randn(2, 4, 5)
    classes = torch.full((2, 4, 3), NO_CLASS)
    classes[0, :2, 0] = torch.tensor([2, 0])
    classes[1, 3, 2] = 1
    first, none, last = head(context)
    assert first.shape == (2, 4, 3) and none.shape == (2, 4, 0) and last.shape == (2, 4, 2)
    expected = -(first[0, 0].log_softmax(0)[2] + first[0, 1].log_softmax(0)[0]) / 2 - last[1, 3].log_softmax(0)[1]
    torch.testing.assert_close(head.loss(context, classes), 0.5 * expected)
    wrong = [first[0, :2].argmax(1) != torch.tensor([2, 0]), last[1, 3:].argmax(1) != torch.tensor([1])]
    torch.testing.assert_close(head.error(context, classes), sum(row.float().mean() for row in wrong) / 2)
    context[1, 0] += 1.0  # no class stands there
    torch.testing.assert_close(head.loss(context, classes), 0.5 * expected)


def test_the_likeliest_class_is_chosen_and_two_ways_are_summed() -> None:
    shares = np.array([[0.4, 0.3, 0.3], [0.6, 0.2, 0.2], [0.1, 0.2, 0.7]])
    assert THREE_WAY.choose(shares).tolist() == [0, 0, 2]
    assert TWO_WAY.choose(shares).tolist() == [1, 0, 1]
    assert TWO_WAY.likeliest and THREE_WAY.likeliest and not DETECTION.likeliest  # of F1 it would be no maximum


@pytest.mark.parametrize("name", ["camp_bert", "kathaka_bert"])
def test_a_papers_design_trains_bert_along_and_its_parameters_are_counted(tiny: Path, name: str) -> None:
    """As both papers do; the default's is frozen."""
    settings = ["size=smoke", f"text.bert={tiny}", "text.bert_layer=-1", "sampler.contexts=[bert]"]
    paper, fast = load(name, [*settings, "design=paper"]), load(name, settings)
    assert paper.tunes_bert and not fast.tunes_bert
    counts = [sum(c.parameters for c in count(made) if c.stage == "sampler") for made in (paper, fast)]
    # Other BERTs' states are counted as BERT base's 768, of which the two have a norm and a projection alike.
    assert counts[0] - counts[1] == sum(p.numel() for p in tiny_model().parameters())
