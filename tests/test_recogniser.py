"""What the recogniser promises: padding changes nothing, and the beam search sums what greedy decoding cannot."""

from __future__ import annotations

import itertools

import pytest
import torch

from data_modules.scripts import CHARACTERS
from prosody_tts.nn.recogniser import BLANK, BeamSearch, Recogniser, encoded, greedy

CLASSES = 1 + len(CHARACTERS)


def model() -> Recogniser:
    torch.manual_seed(0)
    return Recogniser(mels=6, width=16, kernel=3, layers=1, heads=2, dropout=0.1, masked=0.2).eval()


def test_padding_changes_nothing() -> None:
    built, mel = model(), torch.randn(2, 21, 6)
    scores, steps = built(mel, torch.tensor([21, 9]))
    alone, size = built(mel[1:, :9], torch.tensor([9]))
    assert steps.tolist() == [11, 5] and size.tolist() == [5]
    torch.testing.assert_close(scores[1, :5], alone[0], atol=1e-5, rtol=1e-5)


def test_it_learns_a_sentence_by_heart_and_every_parameter_takes_part() -> None:
    built, mel, lengths = model().train(), torch.randn(2, 40, 6), torch.tensor([40, 36])
    texts = ["red boat", "a dog"]
    rows = [torch.tensor(encoded(text)) for text in texts]
    characters = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    counts = torch.tensor([len(row) for row in rows])
    built.masked = 0.0
    optimizer = torch.optim.Adam(built.parameters(), lr=5e-3)
    for _ in range(150):
        optimizer.zero_grad()
        built.loss(mel, lengths, characters, counts).backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in built.parameters())
        optimizer.step()
    built.eval()
    scores, steps = built(mel, lengths)
    assert greedy(scores, steps) == texts
    assert BeamSearch(8)(scores.detach(), steps) == texts


def test_a_masked_recording_is_heard_otherwise_only_in_training() -> None:
    built, mel, lengths = model(), torch.randn(1, 20, 6), torch.tensor([20])
    assert torch.equal(built(mel, lengths)[0], built(mel, lengths)[0])
    torch.manual_seed(0)
    assert not torch.equal(built._mask(mel, lengths), mel)


@pytest.mark.parametrize("seed", range(5))
def test_the_beam_finds_the_text_whose_paths_have_the_most_probability_together(seed: int) -> None:
    torch.manual_seed(seed)
    scores = torch.full((1, 4, CLASSES), -30.0)
    scores[0, :, [BLANK, *encoded("ab")]] = torch.randn(4, 3)
    scores = scores.log_softmax(2)
    sums: dict[str, float] = {}
    for path in itertools.product([BLANK, *encoded("ab")], repeat=4):
        joined = [c for place, c in enumerate(path) if c != BLANK and (place == 0 or c != path[place - 1])]
        text = "".join(CHARACTERS[c - 1] for c in joined)
        probability = float(torch.exp(sum(scores[0, step, c] for step, c in enumerate(path))))
        sums[text] = sums.get(text, 0.0) + probability
    assert BeamSearch(30)(scores, torch.tensor([4])) == [max(sums, key=lambda text: sums[text])]
