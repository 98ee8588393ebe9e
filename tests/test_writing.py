"""What a language model that recognises promises: what it writes is its own, ends, and can be learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_batches import MELS, PHONES, text_item

from data_modules.codes import owners
from data_modules.collate import padded
from data_modules.language import LanguageItem, language_batch
from data_modules.scripts import (
    CHARACTERS,
    CONTINUE,
    END,
    FIRST_CHARACTER,
    NONE,
    PAD,
    SPEECH,
    TEXT,
    WRITE,
    Script,
    continuing,
    read,
    recognising,
    speaking,
    spelled,
    writing,
)
from prosody_tts.config import Experiment, LanguageConfig, load
from prosody_tts.errors import UserError
from prosody_tts.nn.language.generate import Choice, speak
from prosody_tts.nn.language.model import SpeechLanguageModel
from prosody_tts.nn.language.transcribe import Written, write
from prosody_tts.systems import Sizes, build_language

BOOKS, SIZE = 2, 27
LIKELIEST = Choice(temperature=0.0)


def model(**changes: object) -> SpeechLanguageModel:
    torch.manual_seed(0)
    settings = replace(LanguageConfig(width=16, layers=2, heads=2, context_width=8), **changes)
    experiment = replace(Experiment(), language=settings)
    return build_language(experiment, Sizes(PHONES, MELS, 24, 3), BOOKS, SIZE).eval()


def recordings(*sizes: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(0, SIZE, (size, BOOKS), generator=generator) for size in sizes]


def written(built: SpeechLanguageModel, codes: list[torch.Tensor], longest: int = 3, **how: object) -> Written:
    lengths = torch.tensor([len(row) for row in codes])
    choice = how.pop("choice", LIKELIEST)
    return write(built, padded(codes), lengths, choice, longest, **how)  # type: ignore[arg-type]


def item(task: str, seed: int) -> LanguageItem:
    generator = torch.Generator().manual_seed(seed)
    text = text_item(str(seed), 2, generator)
    placed = owners(torch.randint(2, 9, text.phones.shape, generator=generator).tolist(), 4)
    codes = torch.randint(0, SIZE, (len(placed), BOOKS), generator=generator)
    scripts: dict[str, Script] = {
        "speak": speaking(text.phones.tolist(), placed, interleaved=True),
        "recognise": recognising(len(codes), spelled(["a", "boat"])),
        "write": writing(spelled(["red", "boats"])),
        "continue": continuing(len(codes)),
    }
    return LanguageItem(text, scripts[task], codes)


TASKS = ("speak", "recognise", "write", "continue")


def test_text_alone_and_speech_alone_are_said_whole_and_end() -> None:
    text, speech = writing(spelled(["a", "b"])), continuing(2)
    assert text.symbols.tolist()[:2] == [WRITE, TEXT] and speech.symbols.tolist() == [CONTINUE, SPEECH, NONE, NONE, END]
    assert read(text.symbols.tolist()) == "a b" and int(text.symbols[-1]) == END
    assert text.said.tolist() == [False] * 2 + [True] * 4 and speech.said.tolist() == [False] * 2 + [True] * 3
    assert speech.segments.tolist() == [NONE, NONE, 0, 1, NONE] and set(text.segments.tolist()) == {NONE}


@pytest.mark.parametrize("contexts", [[], ["bert"]])
def test_padding_and_neighbours_of_other_tasks_change_no_likelihood(contexts: list[str]) -> None:
    built, items = model(contexts=contexts), [item(task, seed) for seed, task in enumerate(TASKS)]
    together = built(language_batch(items))
    for row, one in enumerate(items):
        alone = built(language_batch([one]))
        torch.testing.assert_close(together[row, : alone.shape[1]], alone[0], atol=1e-5, rtol=1e-4)


def test_a_mixed_batch_weighs_every_element_of_every_task_alike() -> None:
    built, items = model(), [item(task, seed) for seed, task in enumerate(TASKS)]
    counts = [int(one.script.said.sum()) for one in items]
    alone = [float(built.losses(language_batch([one]))["nats"].detach()) for one in items]
    mean = sum(nats * count for nats, count in zip(alone, counts, strict=True)) / sum(counts)
    assert float(built.losses(language_batch(items))["nats"].detach()) == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("task", ["recognise", "write"])
def test_what_is_written_depends_on_nothing_that_is_known_of_the_text(task: str) -> None:
    built, one = model(contexts=["bert", "tags"]), item(task, 0)
    other = replace(one, text=text_item("other", 3, torch.Generator().manual_seed(9)))
    torch.testing.assert_close(built(language_batch([one])), built(language_batch([other])))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_recording_is_written_alike_whatever_its_neighbours(temperature: float) -> None:
    built, codes, choice = model(), recordings(5, 2, 9), Choice(temperature=temperature)
    together = written(built, codes, choice=choice, seeds=[4, 5, 6])
    for row, one in enumerate(codes):
        alone = written(built, [one], choice=choice, seeds=[4 + row])
        size = int(alone.lengths[0])
        assert int(together.lengths[row]) == size and bool(together.cut[row]) == bool(alone.cut[0])
        assert torch.equal(together.symbols[row, :size], alone.symbols[0])
        assert set(together.symbols[row, size:].tolist()) <= {PAD}


def test_what_pads_a_recording_is_not_heard() -> None:
    built, codes = model(), recordings(6, 3)
    silent, noisy = padded(codes), padded(codes)
    noisy[1, 3:] = 7
    found = [write(built, rows, torch.tensor([6, 3]), LIKELIEST, 2).symbols for rows in (silent, noisy)]
    assert torch.equal(*found)


def test_cached_writing_writes_what_reading_everything_again_writes() -> None:
    built, codes = model(), recordings(5, 2)
    with_cache, without = written(built, codes), written(built, codes, cached=False)
    assert torch.equal(with_cache.symbols, without.symbols) and torch.equal(with_cache.cut, without.cut)
    assert int(with_cache.lengths.max()) > 0


def test_it_writes_the_likeliest_of_what_its_likelihoods_say() -> None:
    """Character by character, as reading the finished text at once scores it."""
    built, (codes,) = model(), recordings(4)
    found = written(built, [codes]).symbols[0].tolist()
    script = recognising(len(codes), found)
    batch = language_batch([LanguageItem(text_item("0", 1, torch.Generator()), script, codes)])
    scores = built.head.first(built(batch)[0])
    inside = scores[len(codes) + 1 : len(codes) + 1 + len(found), FIRST_CHARACTER : FIRST_CHARACTER + len(CHARACTERS)]
    assert (inside.argmax(1) + FIRST_CHARACTER).tolist() == found


@pytest.mark.parametrize("bias", [-50.0, 50.0])
def test_writing_ends_whatever_the_model_wants(bias: float) -> None:
    built = model()
    with torch.no_grad():
        built.head.front.bias[END] = bias
    found = written(built, recordings(5, 2), longest=3)
    if bias > 0:
        assert found.lengths.tolist() == [0, 0] and not found.cut.any() and found.texts() == ["", ""]
    else:
        assert found.lengths.tolist() == [15, 6] and found.cut.all()


def test_words_are_one_blank_apart() -> None:
    symbols = torch.tensor([spelled([" a ", "  boat "]), [*spelled(["a"]), *[PAD] * 10]])
    assert Written(symbols, torch.tensor([11, 1]), torch.zeros(2, dtype=torch.bool)).texts() == ["a boat", "a"]


def test_one_model_learns_to_write_what_codes_say_and_to_say_what_is_written() -> None:
    """A code is a letter: it is written as that letter and said of a phone of the same number."""
    built, letters, steps = model(width=32, dropout=0.0, forgotten=0.0).train(), 6, 300
    optimizer = torch.optim.Adam(built.parameters(), lr=1e-2)
    rate = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    generator = torch.Generator().manual_seed(0)

    def sentence(size: int) -> tuple[torch.Tensor, list[LanguageItem]]:
        said = torch.randint(3, 3 + letters, (size,), generator=generator)
        codes = said[:, None].expand(-1, BOOKS).contiguous()
        text = replace(text_item("0", 1, generator), phones=said, phone_to_word=torch.zeros_like(said))
        says = speaking(said.tolist(), list(range(size)), interleaved=True)
        writes = recognising(size, [FIRST_CHARACTER + letter for letter in said.tolist()])
        return codes, [LanguageItem(text, says, codes), LanguageItem(text, writes, codes)]

    for step in range(steps):
        optimizer.zero_grad()
        mixed = language_batch([one for _ in range(8) for one in sentence(2 + step % 3)[1]])
        built.losses(mixed)["nats"].backward()
        optimizer.step()
        rate.step()
    built.eval()
    right = spoken = 0
    for _ in range(20):
        codes, (says, _) = sentence(4)
        found = written(built, [codes])
        right += found.symbols[0].tolist() == [FIRST_CHARACTER + letter for letter in codes[:, 0].tolist()]
        said = speak(built, language_batch([says]).text, LIKELIEST, 4, True)
        spoken += said.codes.shape[1] == 4 and bool((said.codes[0] == codes).all())
    assert right >= 18 and spoken >= 18, (right, spoken)


@pytest.mark.parametrize(
    ("system", "settings", "sentence"),
    [
        ("asr_on_recordings", ["recogniser.model=language"], "is for systems with a language model"),
        ("spectrum_oracle", ["recogniser.model=language", "recogniser.hears=recordings"], "has none"),
        ("speech_lm_hears", ["language.tasks=[speak]"], "needs a language model that recognises"),
        ("speech_lm_hears", ["recogniser.hears=both"], "is trained on the codes of all recordings"),
        ("speech_lm_hears", ["recogniser.hears=nothing"], "is trained on the codes of all recordings"),
        ("hearing_lm", ["recogniser.recordings=10"], "leave recogniser.recordings out"),
        ("hearing_lm", ["recogniser.model=ctc"], "language.tasks must hold speak"),
        ("speech_lm", ["language.tasks=[recognise,write]"], "language.tasks must hold speak"),
        ("speech_lm", ["language.tasks=[speak,write,write]"], "must name each task once"),
        ("speech_lm", ["language.tasks=[speak,sing]"], "unknown value 'sing'"),
        ("speech_lm", ["language.longest_text=0"], "language.longest_text=0 must be at least 1"),
    ],
)
def test_tasks_that_do_not_fit_are_told_with_the_mend(system: str, settings: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence.replace("[", r"\[")):
        load(system, settings)
