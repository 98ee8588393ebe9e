"""Stage two's draws in synthesis: the likeliest of many, and words that keep their vectors while others are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data_modules.collate import text_batch
from data_modules.store import CorpusStore
from prosody_tts import cli
from prosody_tts.config import Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.pipeline import folder, plan, run_stage
from prosody_tts.speaking.controls import Span, read_words
from prosody_tts.speaking.drawing import Drawing, check_drawing, predicted
from prosody_tts.speaking.reference import Reference, read_reference
from prosody_tts.speaking.system import System, load_system


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs")
    for stage in plan(experiment(path, "camp")):
        if stage.kind != "evaluate":
            run_stage(stage, lambda done, total, what: None)
    return path


def settings(runs: Path) -> list[str]:
    return ["size=smoke", f"run.folder={runs}", "run.accelerator=cpu", "run.progress=false"]


def experiment(runs: Path, name: str, *more: str) -> Experiment:
    return load(name, [*settings(runs), *more])


@pytest.fixture(scope="module")
def camp(runs: Path) -> System:
    return load_system("camp", *settings(runs))


@pytest.fixture(scope="module")
def utterance(runs: Path) -> tuple[str, str]:
    """Id and text of a recording."""
    corpus = CorpusStore(folder(plan(experiment(runs, "camp"))[0]))
    found = next(utterance for utterance in corpus.utterances if utterance.split == "train")
    return found.id, found.text


@pytest.fixture
def spoken(camp: System, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The vectors of what is rendered, batch by batch."""
    heard: list[torch.Tensor] = []
    speak = camp.synthesizer.speak

    def listening(text, vectors, timing=None):
        heard.append(vectors)
        return speak(text, vectors, timing)

    monkeypatch.setattr(camp.synthesizer, "speak", listening)
    return heard


def test_the_likeliest_of_many_draws_is_spoken(camp, utterance, spoken):
    text = utterance[1]
    singles = [camp.say(text, temperature=1.0, seed=seed) for seed in range(3, 8)]
    item = camp._lines(*_read(camp, text))[0].item
    drawn = [predicted(camp.synthesizer, item, 1.0, seed) for seed in range(3, 8)]
    assert all(torch.equal(one, other) for one, other in zip(drawn, spoken, strict=True))
    nats = [float(camp.synthesizer.log_likelihood(text_batch([item]), vectors)) for vectors in drawn]
    likeliest = camp.say(text, temperature=1.0, seed=3, best=5)
    assert np.array_equal(likeliest.wave, singles[int(np.argmax(nats))].wave)
    requests, scripts = _read(camp, text)
    spoken.clear()
    list(camp.speak(requests, scripts, [3, 4, 5], 1.0, best=5))
    order = np.argsort(nats)[::-1][:3]
    assert all(torch.equal(spoken[rank], drawn[place]) for rank, place in enumerate(order))


def _read(system: System, text: str):
    from prosody_tts.speaking.system import Request, read_request

    request = Request(text)
    return [request], [read_request(request, system.experiment, system.analyser)]


@pytest.mark.parametrize("copied", [False, True])
def test_words_keep_their_vectors_while_others_are_drawn(camp, utterance, spoken, copied):
    name, text = utterance
    reference = Reference(name) if copied else None
    for seed in (1, 2):
        camp.say(text, temperature=1.0, seed=seed, keep="2,4-5", reference=reference)
    camp.say(text, temperature=1.0, seed=1)
    one, other, free = spoken
    if copied:
        own = read_reference(reference, camp.experiment, camp.synthesizer, camp.analyser, text, camp.voice)
    else:
        own = predicted(camp.synthesizer, camp._lines(*_read(camp, text))[0].item)
    # The second word, and the fourth with the pause after it and the fifth, of pause, word, pause, word, ...
    kept = torch.zeros(own.shape[1], dtype=torch.bool)
    kept[[3, 7, 8, 9]] = True
    assert torch.equal(one[0, kept], own[0, kept]) and torch.equal(other[0, kept], own[0, kept])
    assert ((one != other).any(2)[0] == ~kept).all()
    assert torch.equal(one[0, :3], free[0, :3])  # an autoregressive prior hears what is known only afterwards
    assert not torch.equal(one[0, 4:7], free[0, 4:7])


def test_phones_of_a_word_keep_theirs():
    from random_batches import text_item

    from prosody_tts.speaking.drawing import units_of

    item = text_item("one", 3, torch.Generator().manual_seed(0))
    assert units_of(item, [(3, 4)], "word").tolist() == [[False] * 3 + [True] + [False] * 3]
    assert torch.equal(
        units_of(item, [(3, 4), (5, 6)], "phone")[0], (item.phone_to_word == 3) | (item.phone_to_word == 5)
    )


def test_the_command_line_keeps_words_and_ranks_draws(runs, utterance, tmp_path, capsys):
    name, text = utterance
    arguments = ["synthesize", "camp", *settings(runs), "synthesis.temperature=1", "--text", text, "--workers", "0"]
    asked = ["--samples", "2", "--best", "3", "--keep", "1-2", "--reference", name, "--out", str(tmp_path)]
    assert cli.run([*arguments, *asked]) == 0
    assert [Path(line).name for line in capsys.readouterr().out.splitlines()] == ["001.wav", "001-2.wav"]
    assert cli.run([*arguments, "--keep", "77"]) == 2
    assert "there is no word 77" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("system", "drawing", "keeps", "copies", "words"),
    [
        ("kathaka", Drawing((0,), 1.0), True, False, "--keep fixes the vectors of words"),
        ("baseline", Drawing((0,), 1.0), True, False, "baseline has no stage two"),
        ("camp_oracle", Drawing((0,), 1.0), True, True, "camp_oracle has no stage two"),
        ("camp", Drawing((0,), -1.0), False, False, "a temperature of -1 is none"),
        ("camp", Drawing((0,), 0.0, best=3), False, False, "give it above 0"),
        ("camp", Drawing((0, 1, 2), 1.0, best=2), False, False, "--best 2 leaves too few draws for --samples 3"),
        ("camp", Drawing((0,), 1.0, best=2), False, True, "--reference copies all vectors"),
        ("baseline", Drawing((0,), 1.0, best=2), False, False, "baseline has no stage two"),
        (
            "diffusion",
            Drawing((0,), 1.0, best=2),
            False,
            False,
            "--best needs likelihoods, which sampler.prior=diffusion",
        ),
    ],
)
def test_draws_that_cannot_be_made_are_refused_in_a_sentence(system, drawing, keeps, copies, words):
    with pytest.raises(UserError, match=words):
        check_drawing(load(system), drawing, keeps, copies)


def test_draws_that_can_be_made_are_not():
    for system in ("camp", "flow", "tokens", "phone"):
        check_drawing(load(system), Drawing((0, 1), 1.0, best=4), keeps=True, copies=True)
    check_drawing(load("diffusion"), Drawing((0,), 1.0), keeps=True, copies=False)
    check_drawing(load("kathaka"), Drawing((0,), 1.0, best=4), keeps=False, copies=False)


def test_words_are_read_by_number():
    assert read_words("2, 5-7") == (Span(2, 2), Span(5, 7))
    for wrong in ("", "two", "2;3", "2-", "2:pace=1"):
        with pytest.raises(UserError, match="is no list of words"):
            read_words(wrong)
    with pytest.raises(UserError, match="words count from 1"):
        read_words("0")
