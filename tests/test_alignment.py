"""The aligner finds phones where they are spoken, and its search is exact."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.alignment.frames import durations_from_ends, end_times
from data_modules.alignment.search import best_path
from prosody_tts.nn.aligner import NEVER, PAUSE_COST, STATES, Aligner, Lattice, forward_backward, lattice

HOP = 0.0125

# Small sentences: True is a pause slot.
layouts = st.lists(st.booleans(), min_size=1, max_size=4).filter(lambda pauses: not all(pauses))


def layout(pauses: list[bool]) -> Lattice:
    row = torch.tensor([pauses])
    return lattice(torch.arange(1, len(pauses) + 1)[None], row, torch.tensor([len(pauses)]))


def legal_paths(pauses: list[bool], frames: int) -> list[tuple[list[int], float]]:
    """Every path through the states by the rules in words, with the cost of its pauses.

    Phones have three states in order, of which the first is never left out; a pause slot has one, or is left out.
    """
    states = [(p, s, pause) for p, pause in enumerate(pauses) for s in range(1 if pause else STATES)]
    found = []
    for used in itertools.product([False, True], repeat=len(states)):
        chosen = [i for i, use in enumerate(used) if use]
        if not all(use or pause or s > 0 for use, (_, s, pause) in zip(used, states, strict=True)):
            continue
        if not 0 < len(chosen) <= frames:
            continue
        # A pause at the very start is begun in, not entered.
        cost = PAUSE_COST * sum(states[i][2] for i in chosen[1:])
        for cuts in itertools.combinations(range(1, frames), len(chosen) - 1):
            lengths = np.diff([0, *cuts, frames])
            found.append((np.repeat(chosen, lengths).tolist(), -cost))
    return found


def emissions(frames: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (frames, size)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(layouts, st.integers(1, 6), st.integers(0, 100))
def test_the_search_equals_trying_every_path(pauses: list[bool], frames: int, seed: int) -> None:
    states = layout(pauses)
    scores = emissions(frames, int(states.lengths[0]), seed)
    paths = legal_paths(pauses, frames)
    arguments = (scores, states.jumps[:, 0].numpy(), states.first[0].numpy(), states.last[0].numpy())
    if not paths:
        assert frames < int(states.needed[0])
        with pytest.raises(ValueError, match="no path"):
            best_path(*arguments)
        return
    totals = [scores[range(frames), path].sum() + cost for path, cost in paths]
    path, total = best_path(*arguments)
    assert total == pytest.approx(max(totals), abs=1e-3)
    assert path.tolist() in [candidate for candidate, _ in paths]
    assert scores[range(frames), path].sum() <= total + PAUSE_COST * len(pauses) + 1e-3


@settings(max_examples=40, deadline=None)
@given(layouts, st.integers(1, 6), st.integers(0, 100))
def test_the_sum_and_posteriors_equal_trying_every_path(pauses: list[bool], frames: int, seed: int) -> None:
    states = layout(pauses)
    scores = emissions(frames, int(states.lengths[0]), seed)
    paths = legal_paths(pauses, frames)
    if not paths:
        return
    weights = np.array([scores[range(frames), path].sum() + cost for path, cost in paths], float)
    golden = np.logaddexp.reduce(weights)
    posterior = np.zeros(scores.shape)
    for (path, _), weight in zip(paths, weights, strict=True):
        posterior[range(frames), path] += np.exp(weight - golden)
    total, found = forward_backward(torch.from_numpy(scores)[None], states, torch.tensor([frames]))
    assert float(total[0]) == pytest.approx(golden, abs=1e-3)
    np.testing.assert_allclose(found[0].numpy(), posterior, atol=1e-4)


def test_the_posterior_is_the_gradient_of_the_sum() -> None:
    states, frames = layout([True, False, True, False]), torch.tensor([6])
    scores = torch.from_numpy(emissions(6, int(states.lengths[0]), 0))[None].double()
    _, posterior = forward_backward(scores, states, frames)
    step = 1e-4
    for t, s in itertools.product(range(6), range(scores.shape[2])):
        nudge = torch.zeros_like(scores)
        nudge[0, t, s] = step
        ends = [forward_backward(scores + sign * nudge, states, frames)[0].item() for sign in (1, -1)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(posterior[0, t, s].item(), abs=1e-5)


def test_padding_changes_no_sum() -> None:
    """States, frames and phones of longer neighbours leave a clip's sum and posteriors alone."""
    pauses = torch.tensor([[True, False, True, False, True], [True, False, False, True, False]])
    phones = torch.tensor([[2, 3, 2, 4, 2], [2, 5, 3, 0, 0]])
    both = lattice(phones, pauses, torch.tensor([5, 3]))
    alone = lattice(phones[1:, :3], pauses[1:, :3], torch.tensor([3]))
    size = int(alone.lengths[0])
    scores = torch.randn(2, 9, both.phone.shape[1], generator=torch.Generator().manual_seed(0))
    totals, posteriors = forward_backward(scores, both, torch.tensor([9, 6]))
    total, posterior = forward_backward(scores[1:, :6, :size], alone, torch.tensor([6]))
    assert totals[1].item() == pytest.approx(total[0].item(), abs=1e-5)
    torch.testing.assert_close(posteriors[1, :6, :size], posterior[0], atol=1e-5, rtol=0)
    assert not posteriors[1, 6:].any() and not posteriors[1, :, size:].any()


def test_long_clips_keep_their_precision() -> None:
    """Over two thousand frames of strong evidence every posterior still sums to one."""
    states = layout([True, False, True, False, False, True])
    scores = torch.from_numpy(emissions(2000, int(states.lengths[0]), 1))[None] * 20
    total, posterior = forward_backward(scores, states, torch.tensor([2000]))
    assert torch.isfinite(total).all()
    torch.testing.assert_close(posterior.sum(2), torch.ones(1, 2000), atol=1e-4, rtol=0)


# Times and frames


ends_of_phones = st.lists(st.floats(0, 0.3), min_size=1, max_size=12).map(lambda lengths: np.cumsum(lengths))


@given(ends_of_phones, st.integers(0, 20))
def test_durations_sum_to_the_frames_and_boundaries_stay_within_half_a_frame(ends: np.ndarray, spare: int) -> None:
    frames = int(np.ceil(ends[-1] / HOP)) + spare
    durations = durations_from_ends(ends, frames, HOP)
    assert durations.sum() == frames and (durations >= 0).all()
    back = (np.cumsum(durations) - 0.5) * HOP
    assert np.abs(back - ends)[:-1].max(initial=0) <= HOP / 2 + 1e-6


@given(ends_of_phones, st.data())
def test_every_phone_gets_its_least_frames_where_there_are_enough(ends: np.ndarray, data: st.DataObject) -> None:
    least = data.draw(st.lists(st.integers(0, 2), min_size=len(ends), max_size=len(ends)))
    frames = int(np.ceil(ends[-1] / HOP))
    if sum(least) > frames:
        with pytest.raises(ValueError, match="frames are needed"):
            durations_from_ends(ends, frames, HOP, least)
        return
    durations = durations_from_ends(ends, frames, HOP, least)
    assert durations.sum() == frames and (durations >= least).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(lambda d: sum(d) > 0))
def test_frames_to_times_and_back_is_exact(durations: list[int]) -> None:
    assert durations_from_ends(end_times(durations, HOP), sum(durations), HOP).tolist() == durations


def test_falling_ends_are_refused() -> None:
    with pytest.raises(ValueError, match="must not fall"):
        durations_from_ends([0.2, 0.1], 20, HOP)


# The model


def model(phones: int = 6, mels: int = 8) -> Aligner:
    torch.manual_seed(0)
    return Aligner(phones, mels, 16)


def clip(seed: int, durations: list[int], phones: list[int], mels: int = 8) -> torch.Tensor:
    """Frames whose spectrum is the phone's own, plus noise; label 2 is quiet."""
    patterns = np.random.default_rng(7).normal(0, 1.5, (6, mels))
    patterns[2] = -1.5
    frames = np.repeat(patterns[phones], durations, axis=0)
    return torch.from_numpy(frames + np.random.default_rng(seed).normal(0, 0.3, frames.shape)).float()


def test_neighbours_and_padding_change_no_emission() -> None:
    aligner = model().eval()
    phones, pauses = torch.tensor([[2, 3, 2, 4], [2, 5, 0, 0]]), torch.tensor([[True, False, True, False]] * 2)
    mel = torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(0))
    both = lattice(phones, pauses, torch.tensor([4, 2]))
    alone = lattice(phones[1:, :2], pauses[1:, :2], torch.tensor([2]))
    for emit in (aligner, aligner.densities):
        together = emit(mel, torch.tensor([12, 7]), both)[1, :7, : int(alone.lengths[0])]
        single = emit(mel[1:, :7], torch.tensor([7]), alone)[0]
        torch.testing.assert_close(together, single, atol=1e-4, rtol=1e-4)


def test_every_parameter_learns() -> None:
    aligner = model()
    states = lattice(torch.tensor([[2, 3, 2, 4, 2]]), torch.tensor([[True, False] * 2 + [True]]), torch.tensor([5]))
    mel = clip(0, [2, 5, 0, 5, 2], [2, 3, 2, 4, 2])[None]
    aligner.loss(mel, torch.tensor([mel.shape[1]]), states, 0.5).backward()
    still = [name for name, p in aligner.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_a_clip_with_fewer_frames_than_phones_does_not_count() -> None:
    aligner = model().eval()
    phones, pauses = torch.tensor([[3, 4, 5], [3, 4, 5]]), torch.zeros(2, 3, dtype=torch.bool)
    mel = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0))
    both = aligner.loss(mel, torch.tensor([8, 2]), lattice(phones, pauses, torch.tensor([3, 3])), 0.0)
    alone = aligner.loss(mel[:1], torch.tensor([8]), lattice(phones[:1], pauses[:1], torch.tensor([3])), 0.0)
    assert both.item() == pytest.approx(alone.item(), rel=1e-4)
    assert abs(both.item()) < abs(NEVER) / 1e3


# The stage, on speech whose phone times are known


@pytest.fixture(scope="module")
def speech():
    """Sentences spoken by eSpeak NG as items of batches, and the true ends of their phones."""
    pytest.importorskip("espeakng_loader", reason="needs espeakng-loader for speech with known phone times")
    import soxr

    from data_modules import espeak
    from data_modules.audio import mel_spectrogram
    from data_modules.corpora.testbed.grammar import sentences
    from prosody_tts.config import AudioConfig

    texts = [sentence.text for sentence in sentences("train", 80, 0)]
    made = []
    for text in texts:
        spoken = espeak.speak(text, espeak.Manner(rate=150))
        spans = espeak.word_spans(text)
        events = [event for event in spoken.events if event.kind == "phone"]
        owners = espeak.words_of_phones(spoken, spans, [text[a:b] for a, b in spans])
        starts = [event.sample / spoken.rate for event in events] + [len(spoken.samples) / spoken.rate]
        labels, ends, tokens = ["sil"], [starts[0]], [0]
        for event, owner, end in zip(events, owners, starts[1:], strict=True):
            if owner < 0:
                ends[-1] = end if labels[-1] == "sil" else ends[-1]
                if labels[-1] != "sil":
                    labels.append("sil")
                    ends.append(end)
                    tokens.append(tokens[-1] + 1)
                continue
            if tokens[-1] != 2 * owner + 1 and labels[-1] != "sil":
                labels.append("sil")
                ends.append(ends[-1])
                tokens.append(tokens[-1] + 1)
            labels.append(event.label)
            ends.append(end)
            tokens.append(2 * owner + 1)
        if labels[-1] != "sil":
            labels.append("sil")
            ends.append(ends[-1])
            tokens.append(tokens[-1] + 1)
        wave = soxr.resample(spoken.samples, spoken.rate, 16000).astype(np.float32)
        made.append((mel_spectrogram(wave, AudioConfig()), labels, tokens, np.array(ends)))
    frames = np.concatenate([mel for mel, *_ in made])
    mean, scale = frames.mean(0), frames.std(0)
    inventory = ["<pad>", "<unk>", "sil", *sorted({p for _, labels, *_ in made for p in labels} - {"sil"})]
    return [((mel - mean) / scale, labels, tokens, ends) for mel, labels, tokens, ends in made], inventory


def batch_of(items, inventory):
    from data_modules.batches import AcousticBatch, TextBatch

    def pad(rows):
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    size, none = len(items), torch.zeros(len(items), 1)
    phones = [torch.tensor([inventory.index(p) for p in labels]) for _, labels, *_ in items]
    text = TextBatch(
        ids=[f"clip-{i}" for i in range(size)],
        phones=pad(phones),
        phone_lengths=torch.tensor([len(row) for row in phones]),
        phone_to_word=pad([torch.tensor(tokens) for _, _, tokens, _ in items]),
        word_lengths=torch.tensor([tokens[-1] + 1 for _, _, tokens, _ in items]),
        tags={},
        bert=none,
        node_labels=none,
        node_lengths=none,
        edges=none,
        edge_lengths=none,
        word_to_node=none,
        speakers=torch.zeros(size, dtype=torch.long),
    )
    mel = pad([torch.from_numpy(mel) for mel, *_ in items])
    lengths = torch.tensor([len(mel) for mel, *_ in items])
    silent = torch.zeros(mel.shape[:2])
    frames = {"log_f0": silent, "voiced": silent.bool(), "energy": silent}
    words = {"word_f0": none, "word_voiced": none, "word_energy": none}
    return AcousticBatch(text, torch.zeros_like(text.phones), mel, lengths, **frames, **words)


def specification(inventory):
    from data_modules.store import Specification

    zeros = (0.0,) * 80
    return Specification(tuple(inventory), zeros, (1.0,) * 80, 0.0, 1.0, 0.0, 1.0, bert=1, passes=1)


@pytest.fixture(scope="module")
def trained(speech, tmp_path_factory):
    """An aligner trained by Lightning on the speech, its losses, and the folder of its checkpoint."""
    from lightning import Callback, Trainer
    from torch.utils.data import DataLoader

    from prosody_tts.config import OptimConfig
    from prosody_tts.stages.aligner import AlignerStage

    class Losses(Callback):
        def __init__(self):
            self.values = []

        def on_train_batch_end(self, trainer, module, outputs, batch, index):
            self.values.append(float(outputs["loss"]))

    items, inventory = speech
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    stage = AlignerStage(Aligner(len(inventory), 80, 48), OptimConfig(learning_rate=4e-3), specification(inventory))
    batches = [batch_of(items[i::16], inventory) for i in range(16)]
    losses, folder = Losses(), tmp_path_factory.mktemp("aligner")
    trainer = Trainer(
        max_epochs=11,
        accelerator="cpu",
        logger=False,
        callbacks=[losses],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    trainer.fit(stage, DataLoader(batches, batch_size=None))
    trainer.save_checkpoint(folder / "last.ckpt")
    torch.set_num_threads(threads)
    return stage.eval(), losses.values, folder


def test_the_loss_falls(trained) -> None:
    _, losses, _ = trained
    assert np.mean(losses[-16:]) < 0.8 * np.mean(losses[:16])


def test_boundaries_are_found_where_they_were_spoken(trained, speech) -> None:
    stage, items, inventory = trained[0], *speech
    durations = stage.align(batch_of(items, inventory))
    errors = [
        np.abs(end_times(row[: len(ends)].tolist(), HOP) - ends)[:-1]
        for row, (*_, ends) in zip(durations, items, strict=True)
    ]
    errors = np.concatenate(errors)
    assert np.median(errors) < 0.020
    assert np.mean(errors < 0.050) > 0.85


def test_durations_sum_to_the_frames_and_only_pauses_may_be_empty(trained, speech) -> None:
    stage, items, inventory = trained[0], *speech
    batch = batch_of(items[:6], inventory)
    durations = stage.align(batch)
    assert torch.equal(durations.sum(1), batch.frame_lengths)
    pause = batch.text.phone_to_word % 2 == 0
    inside = torch.arange(durations.shape[1]) < batch.text.phone_lengths[:, None]
    assert (durations[inside & ~pause] >= 1).all()
    assert (durations[inside & pause] == 0).any(), "words run into each other"
    assert not durations[~inside].any()


def test_the_comma_is_a_pause(trained, speech) -> None:
    stage, items, inventory = trained[0], *speech
    found = stage.align(batch_of(items, inventory))
    hits = [
        int(found[row, k]) >= 3
        for row, (_, labels, _, ends) in enumerate(items)
        for k in range(1, len(labels) - 1)
        if labels[k] == "sil" and ends[k] - ends[k - 1] > 0.05
    ]
    assert len(hits) > 10 and np.mean(hits) > 0.9


def test_neighbours_change_no_durations(trained, speech) -> None:
    stage, items, inventory = trained[0], *speech
    together = stage.align(batch_of(items[:5], inventory))
    for row, item in enumerate(items[:5]):
        alone = stage.align(batch_of([item], inventory))[0]
        assert torch.equal(together[row, : len(alone)], alone)


def test_a_saved_aligner_aligns_alike(trained, speech) -> None:
    from prosody_tts.stages.aligner import load_aligner

    stage, _, folder = trained
    items, inventory = speech
    batch = batch_of(items[:5], inventory)
    loaded = load_aligner(folder)
    assert torch.equal(loaded.align(batch), stage.align(batch))
    assert loaded.specification == stage.specification


def test_a_text_longer_than_its_audio_is_named(trained, speech) -> None:
    stage, items, inventory = trained[0], *speech
    mel, *rest = items[0]
    with pytest.raises(ValueError, match=r"clip-0 has .* phones but only 5 frames"):
        stage.align(batch_of([(mel[:5], *rest)], inventory))


def test_another_stages_checkpoint_is_refused(tmp_path) -> None:
    from prosody_tts.errors import UserError
    from prosody_tts.stages.aligner import load_aligner

    with pytest.raises(UserError, match="no checkpoint"):
        load_aligner(tmp_path)
    torch.save({"state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="not an aligner"):
        load_aligner(tmp_path)
