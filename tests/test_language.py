"""What a language model over codes promises: likelihoods that padding cannot change, and an end to every sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_batches import MELS, PHONES, text_item

from data_modules.batches import LanguageBatch
from data_modules.codes import owners
from data_modules.collate import text_batch
from data_modules.language import LanguageItem, language_batch
from data_modules.scripts import (
    END,
    FIRST_PHONE,
    NEXT,
    NONE,
    SPEAK,
    SPEECH,
    read,
    recognising,
    speaking,
    spelled,
)
from prosody_tts.config import Experiment, LanguageConfig
from prosody_tts.nn.language.generate import Choice, narrowed, speak
from prosody_tts.nn.language.heads import HEADS
from prosody_tts.nn.language.model import SpeechLanguageModel
from prosody_tts.systems import Sizes, build_language

BOOKS, SIZE, BERT = 3, 11, 24
ORDERS = ("interleaved", "prefix")


def model(head: str = "depth", **changes: object) -> SpeechLanguageModel:
    torch.manual_seed(0)
    settings = replace(LanguageConfig(head=head, width=16, layers=2, heads=2, context_width=8), **changes)
    experiment = replace(Experiment(), language=settings)
    return build_language(experiment, Sizes(PHONES, MELS, BERT, 3), BOOKS, SIZE).eval()


def item(words: int, seed: int, order: str = "interleaved") -> LanguageItem:
    generator = torch.Generator().manual_seed(seed)
    text = text_item(str(seed), words, generator)
    durations = torch.randint(0, 9, text.phones.shape, generator=generator)
    durations[1] = 5
    placed = owners(durations.tolist(), 4)
    codes = torch.randint(0, SIZE, (len(placed), BOOKS), generator=generator)
    return LanguageItem(text, speaking(text.phones.tolist(), placed, order == "interleaved"), codes)


def batch(sizes: list[int], order: str = "interleaved") -> LanguageBatch:
    return language_batch([item(words, seed, order) for seed, words in enumerate(sizes)])


@given(durations=st.lists(st.integers(0, 12), min_size=1, max_size=9).filter(sum), segment=st.integers(1, 8))
def test_segments_belong_to_the_phone_their_middle_frame_lies_in(durations: list[int], segment: int) -> None:
    phone_of = [phone for phone, frames in enumerate(durations) for _ in range(frames)]
    expected = []
    for start in range(0, len(phone_of), segment):
        frames = phone_of[start : start + segment]
        expected.append(frames[(len(frames) - 1) // 2])
    assert owners(durations, segment) == expected


def test_an_interleaved_script_says_every_phone_again_before_its_segments() -> None:
    script = speaking([5, 9, 7], [0, 0, 2], interleaved=True)
    five, nine, seven = FIRST_PHONE + 5, FIRST_PHONE + 9, FIRST_PHONE + 7
    assert script.symbols.tolist() == [SPEAK, five, nine, seven, SPEECH, five, NONE, NONE, nine, seven, NONE, END]
    assert script.segments.tolist() == [NONE] * 6 + [0, 1] + [NONE] * 2 + [2, NONE]
    assert script.phones.tolist() == [NONE, 0, 1, 2, NONE, 0, NONE, NONE, 1, 2, NONE, NONE]
    # The first phone is read and not guessed; what comes after a phone's last segment is "next", whichever that is.
    assert script.said.tolist() == [False] * 6 + [True] * 6
    assert script.targets.tolist()[6:] == [NONE, NONE, NEXT, NEXT, NONE, NEXT]


def test_a_recognising_script_writes_what_was_said() -> None:
    script = recognising(2, spelled(["It’s", "GREAT,"]))
    said = script.symbols[script.said].tolist()
    assert read(said) == "it's great"
    assert said[-1] == END and script.segments.tolist()[1:3] == [0, 1]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("head", sorted(HEADS))
def test_padding_and_neighbours_change_no_likelihood(head: str, order: str) -> None:
    built, items = model(head), [item(words, seed, order) for seed, words in enumerate([3, 1, 2])]
    together = built(language_batch(items))
    for row, one in enumerate(items):
        alone = built(language_batch([one]))
        torch.testing.assert_close(together[row, : alone.shape[1]], alone[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("head", sorted(HEADS))
def test_the_loss_is_the_nats_of_what_is_said_and_reaches_every_parameter(head: str) -> None:
    built = model(head, dropout=0.0, forgotten=0.0, contexts=["bert", "tags"]).train()
    data = batch([3, 2])
    terms = built.losses(data)
    terms["nats"].backward()
    idle = {name for name, parameter in built.named_parameters() if parameter.grad is None}
    # transformers' own table of tokens is not read: elements come as vectors.
    assert idle <= {"transformer.embed_tokens.weight"}
    built.eval()
    hidden, total, count = built(data), 0.0, 0
    for row in range(2):
        for place in range(1, int(data.lengths[row])):
            if not data.said[row, place]:
                continue
            before, target = hidden[row, place - 1][None], int(data.targets[row, place])
            codes = data.codes[row, place][None]
            first = normalised(built, before)
            if target == NONE:
                total -= float(first[0, built.symbols + codes[0, 0]])
                rest = built.head.rest(before, codes)
                total -= sum(float(rest[0, book, codes[0, book + 1]]) for book in range(BOOKS - 1))
            else:
                total -= float(first[0, target])
            count += 1
    assert float(built.losses(data)["nats"].detach()) == pytest.approx(total / count, rel=1e-4)


def normalised(built: SpeechLanguageModel, hidden: torch.Tensor) -> torch.Tensor:
    scores = built.head.first(hidden)
    assert float(scores.exp().sum().detach()) == pytest.approx(1, abs=1e-5)
    return scores


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("head", sorted(HEADS))
def test_cached_speaking_says_what_reading_everything_again_says(head: str, order: str) -> None:
    built, text = model(head, contexts=["bert"]), batch([3, 1]).text
    choice = Choice(temperature=0.0)
    with_cache = speak(built, text, choice, 3, order == "interleaved")
    without = speak(built, text, choice, 3, order == "interleaved", cached=False)
    assert torch.equal(with_cache.codes, without.codes)
    assert torch.equal(with_cache.owners, without.owners)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("head", sorted(HEADS))
@pytest.mark.parametrize("order", ORDERS)
def test_a_sentence_is_said_alike_whatever_its_neighbours(order: str, head: str, temperature: float) -> None:
    built = model(head, contexts=["bert"])
    texts = [item(words, seed).text for seed, words in enumerate([3, 1, 2])]
    choice = Choice(temperature=temperature)
    together = speak(built, text_batch(texts), choice, 3, order == "interleaved", [4, 5, 6])
    for row, one in enumerate(texts):
        alone = speak(built, text_batch([one]), choice, 3, order == "interleaved", [4 + row])
        size = int(alone.lengths[0])
        assert int(together.lengths[row]) == size
        assert torch.equal(together.codes[row, :size], alone.codes[0])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bias", [-50.0, 50.0])
def test_speaking_ends_whatever_the_model_wants(order: str, bias: float) -> None:
    built = model()
    with torch.no_grad():
        built.head.front.bias[: built.symbols] = bias
    text = batch([3, 2]).text
    said = speak(built, text, Choice(), 2, order == "interleaved", [0, 1])
    if bias > 0:
        assert said.lengths.tolist() == [0, 0] and not said.cut.any()
    else:
        assert said.lengths.tolist() == (2 * text.phone_lengths).tolist() and said.cut.all()
        if order == "interleaved":
            for row, size in enumerate(said.lengths.tolist()):
                assert said.owners[row, :size].tolist() == [place for place in range(size // 2) for _ in (0, 1)]


def test_the_same_seed_says_the_same_and_a_guard_forbids_repeating() -> None:
    built, text = model(), batch([3, 2]).text
    first, again, other = (speak(built, text, Choice(), 4, True, [seed, seed + 1]).codes for seed in (1, 1, 5))
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.equal(first, other)
    with torch.no_grad():
        built.head.front.bias[: built.symbols] = -50.0
        built.head.front.bias[built.symbols + 4] = 50.0
    stuck = speak(built, text, Choice(temperature=0.0), 4, True).codes[0, :, 0].tolist()
    free = speak(built, text, Choice(temperature=0.0, repeats=2), 4, True).codes[0, :, 0].tolist()
    assert set(stuck) == {4}
    runs = [len(run) for run in "".join("x" if code == 4 else " " for code in free).split()]
    assert max(runs) == 2


def test_top_k_and_top_p_keep_the_likeliest() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    assert narrowed(scores, 2, 1.0).isfinite().tolist() == [[True, True, False, False]]
    assert narrowed(scores, 0, 0.75).isfinite().tolist() == [[True, True, False, False]]
    assert narrowed(scores, 0, 0.1).isfinite().tolist() == [[True, False, False, False]]
