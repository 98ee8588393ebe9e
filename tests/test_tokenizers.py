"""What acoustic tokenizers promise: integers that padding cannot change, and mels that come back."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_batches import MELS, PHONES, acoustic_item, recordings

from data_modules.collate import acoustic_batch
from prosody_tts.config import Experiment, TokenizerConfig
from prosody_tts.nn.tokenizers import QUANTIZERS, BinnedTokenizer, Tokenizer, perplexity
from prosody_tts.nn.tokenizers.quantizers import balanced_levels
from prosody_tts.systems import Sizes, build_tokenizer

KINDS = {
    "vq": TokenizerConfig(quantizer="vq", width=16, layers=1, decoder_layers=1, codes=16, codebooks=1),
    "residual": TokenizerConfig(quantizer="vq", width=16, layers=1, decoder_layers=1, codes=16, codebooks=3),
    "fsq": TokenizerConfig(quantizer="fsq", width=16, layers=1, decoder_layers=1, codes=64, codebooks=2),
    "binned": TokenizerConfig(kind="binned", codes=16),
}


def tokenizer(kind: str, **changes: object) -> Tokenizer:
    torch.manual_seed(0)
    experiment = replace(Experiment(), tokenizer=replace(KINDS[kind], **changes))
    return build_tokenizer(experiment, Sizes(PHONES, MELS, 8, 3)).eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("segment", [1, 4, 8])
def test_codes_are_whole_numbers_below_the_size_and_make_mels_of_the_right_length(kind: str, segment: int) -> None:
    model, batch = tokenizer(kind, segment=segment), recordings([3, 1, 2])
    found = model(batch.mel, batch.frame_lengths)
    assert found.lengths.tolist() == [math.ceil(frames / segment) for frames in batch.frame_lengths.tolist()]
    assert found.codes.shape == (3, int(found.lengths.max()), model.codebooks)
    assert int(found.codes.min()) >= 0 and int(found.codes.max()) < model.size
    assert found.decoded.mel.shape == batch.mel.shape
    assert torch.equal(found.codes, model.encode(batch.mel, batch.frame_lengths))
    again = model.decode(found.codes, batch.frame_lengths).mel
    torch.testing.assert_close(again, found.decoded.mel, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@given(words=st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_padding_changes_neither_codes_nor_mels(kind: str, words: list[int]) -> None:
    model = tokenizer(kind)
    generator = torch.Generator().manual_seed(1)
    items = [acoustic_item(str(i), size, generator) for i, size in enumerate(words)]
    together = acoustic_batch(items)
    found = model(together.mel, together.frame_lengths)
    for row, item in enumerate(items):
        alone = model(item.mel[None], torch.tensor([len(item.mel)]))
        size = int(alone.lengths[0])
        assert torch.equal(found.codes[row, :size], alone.codes[0])
        assert not found.codes[row, size:].any()
        torch.testing.assert_close(found.decoded.mel[row, : len(item.mel)], alone.decoded.mel[0], atol=1e-5, rtol=1e-4)
        assert not found.decoded.mel[row, len(item.mel) :].any()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"binned"}))
def test_every_parameter_learns_and_overfitting_finds_the_recording(kind: str) -> None:
    model, batch = tokenizer(kind).train(), recordings([2, 2], seed=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        found = model(batch.mel, batch.frame_lengths, batch)
        loss = (found.decoded.mel - batch.mel).abs().mean() + 0.25 * found.commitment
        loss = loss + 0.1 * model.decoder.losses(found.decoded, batch)["source"]
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("kind", sorted(QUANTIZERS))
def test_vectors_of_codes_are_those_that_were_quantised(kind: str) -> None:
    torch.manual_seed(0)
    quantizer = QUANTIZERS[kind](6, 2, 32).eval()
    rows = torch.randn(40, 6)
    found = quantizer(rows)
    torch.testing.assert_close(quantizer.vectors(found.codes), found.vectors, atol=1e-5, rtol=1e-5)
    again = quantizer(rows)
    assert torch.equal(found.codes, again.codes)


def test_bins_are_as_wide_as_said() -> None:
    model = BinnedTokenizer(2, 2, 4)
    model.low.copy_(torch.tensor([0.0, -1.0]))
    model.high.copy_(torch.tensor([4.0, 1.0]))
    mel = torch.tensor([[[0.2, -0.9], [0.6, -0.9], [9.0, 0.1]]])
    codes = model.encode(mel, torch.tensor([3]))
    # Means .4 and -.9, then the last frame alone, beyond the range in the first channel.
    assert codes.tolist() == [[[0, 0], [3, 2]]]
    assert model.decode(codes, torch.tensor([3])).mel[0].tolist() == [[0.5, -0.75], [0.5, -0.75], [3.5, 0.25]]


def test_perplexity_counts_codes_in_equal_use() -> None:
    assert perplexity([5, 5, 5, 5, 0]) == pytest.approx(4)
    assert perplexity([9, 0]) == pytest.approx(1)


@given(size=st.integers(8, 5000))
def test_levels_multiply_to_about_the_size(size: int) -> None:
    levels = balanced_levels(size)
    assert all(2 < level <= 8 for level in levels)
    assert 0.3 < math.prod(levels) / size < 3
