"""What the papers' decoders promise beyond the contract: feedback, attention, stopping, and how failures are told."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_batches import MELS, PHONES, acoustic_item, recordings, texts

from data_modules.collate import acoustic_batch
from prosody_tts import cli
from prosody_tts.config import AcousticConfig, Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.evaluation.attention import judge
from prosody_tts.nn.acoustic import AcousticModel
from prosody_tts.nn.decoders import Decoded
from prosody_tts.nn.decoders.attention import guided, read_off
from prosody_tts.nn.layers import SteppedLSTM
from prosody_tts.nn.units import length_mask
from prosody_tts.parameters import PUBLISHED, count
from prosody_tts.stages.acoustic import MEL_LOSSES
from prosody_tts.systems import Sizes, build_acoustic, build_sampler

FEEDBACK = ("autoregressive", "attention")


def model(decoder: str, seed: int = 0, **changes: object) -> AcousticModel:
    """A small stage one without vectors; the same weights whatever the seed of its speech."""
    settings_of = AcousticConfig(
        decoder=decoder, width=16, recurrent=16, prenet=8, attention=8, phone_layers=1, longest=6.0, **changes
    )
    torch.manual_seed(0)
    return build_acoustic(replace(Experiment(), acoustic=settings_of, seed=seed), Sizes(PHONES, MELS, 8, 3)).eval()


@torch.inference_mode()
def speak(built: AcousticModel, batch) -> Decoded:
    """Speak a batch's texts, with its durations where the decoder takes some."""
    states = built.states(batch.text)
    return built.decode(batch.text, states, batch.durations if built.decoder.timed else None).decoded


def stopping(built: AcousticModel, bias: float) -> AcousticModel:
    """Say at every step that it is the last, or that it is not."""
    torch.nn.init.zeros_(built.decoder.stop.weight)
    torch.nn.init.constant_(built.decoder.stop.bias, bias)
    return built


@pytest.mark.parametrize(("decoder", "per_step"), itertools.product(FEEDBACK, (1, 3)))
def test_speaking_is_teacher_forcing_with_ones_own_frames(decoder: str, per_step: int) -> None:
    built = model(decoder, frames_per_step=per_step)
    batch = recordings([3, 1])
    alone = speak(built, batch)
    if decoder == "autoregressive":
        # The last step of a sentence may say more frames than it has, which nothing hears.
        heard = replace(batch, mel=alone.mel)
    else:
        heard = replace(batch, mel=alone.mel, frame_lengths=alone.lengths, durations=alone.durations)
    with torch.inference_mode():
        taught = built.decode(batch.text, built.states(batch.text), batch.durations, heard).decoded
    torch.testing.assert_close(taught.mel, alone.mel, atol=1e-5, rtol=1e-4)
    if taught.attended is not None and alone.attended is not None:
        torch.testing.assert_close(taught.attended.weights, alone.attended.weights, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("decoder", FEEDBACK)
def test_the_same_seed_gives_the_same_speech(decoder: str) -> None:
    batch = recordings([3, 1])
    first, again, other = (speak(model(decoder, seed=seed), batch).mel for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    without = [speak(model(decoder, seed=seed, prenet_always=False), batch).mel for seed in (1, 2)]
    assert torch.equal(*without)


@pytest.mark.parametrize("decoder", FEEDBACK)
def test_no_share_of_own_frames_is_teacher_forcing_and_all_of_them_is_not(decoder: str) -> None:
    built = model(decoder, prenet_dropout=0.0, conv_dropout=0.0).train()
    batch = recordings([3, 1])
    plain = built(batch).rendered.decoded.mel
    built.decoder.anneal(0.0)
    assert torch.equal(built(batch).rendered.decoded.mel, plain)
    built.decoder.anneal(1.0)
    own = built(batch).rendered.decoded.mel
    assert not torch.allclose(own, plain)
    # All of them: what the first pass said is heard by the second, as if it had been recorded.
    built.decoder.anneal(0.0)
    torch.testing.assert_close(built(replace(batch, mel=plain)).rendered.decoded.mel, own, atol=1e-5, rtol=1e-4)
    # The development loss is of teacher forcing, however far training has come.
    built.decoder.anneal(1.0)
    torch.testing.assert_close(built.eval()(batch).rendered.decoded.mel, plain, atol=1e-5, rtol=1e-4)


def test_an_lstm_steps_as_it_runs() -> None:
    torch.manual_seed(0)
    lstm, x = SteppedLSTM(5, 7, layers=3), torch.randn(2, 6, 5)
    state, stepped = lstm.start(x), []
    for step in x.unbind(1):
        out, state = lstm.step(step, state)
        stepped.append(out)
    torch.testing.assert_close(torch.stack(stepped, dim=1), lstm(x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("decoder", FEEDBACK)
def test_a_harmonic_postnet_hears_what_was_read_and_not_what_was_said(decoder: str) -> None:
    built, batch = model(decoder, postnet="harmonic", postnet_layers=2), recordings([3, 1])
    before = built(batch).rendered.decoded
    with torch.no_grad():
        built.decoder.mel.weight.mul_(2.0)
    after = built(batch).rendered.decoded
    assert torch.equal(after.mel, before.mel) and torch.equal(after.states, before.states)
    assert not torch.allclose(after.drafts[0], before.drafts[0])


@pytest.mark.parametrize("decoder", FEEDBACK)
def test_a_harmonic_postnet_draws_harmonics_at_the_recordings_f0_and_alone_at_its_own(decoder: str) -> None:
    built, batch = model(decoder, postnet="harmonic", postnet_layers=2), recordings([3, 1])
    higher = replace(batch, log_f0=batch.log_f0 + 0.2 * batch.voiced)
    with torch.inference_mode():
        mel, moved = (built(heard).rendered.decoded.mel for heard in (batch, higher))
        unvoiced = length_mask(batch.frame_lengths) & ~batch.voiced
        assert torch.equal(mel[unvoiced], moved[unvoiced]) and not torch.allclose(
            mel[batch.voiced], moved[batch.voiced]
        )
        torch.nn.init.constant_(built.decoder.postnet.head.source.bias, -30.0)  # never voiced, at any F0
        silent = speak(built, batch).mel
        torch.nn.init.zeros_(built.decoder.postnet.head.depths.weight)
        torch.nn.init.zeros_(built.decoder.postnet.head.depths.bias)
        torch.testing.assert_close(speak(built, batch).mel, silent, atol=1e-6, rtol=0)


@pytest.mark.parametrize("recorded", [True, False])
def test_an_attention_spends_itself_on_the_phones_there_are(recorded: bool) -> None:
    built, batch = model("attention"), recordings([2, 6, 4])
    with torch.inference_mode():
        states = built.states(batch.text)
        attended = built.decode(batch.text, states, None, batch if recorded else None).decoded.attended
    phones = length_mask(batch.text.phone_lengths, attended.weights.shape[2])
    inside = length_mask(attended.steps, attended.weights.shape[1])
    assert not attended.weights.masked_select(~phones[:, None]).any()
    torch.testing.assert_close(attended.weights.sum(2), inside.float())


@pytest.mark.parametrize("per_step", [1, 2, 3])
def test_speech_ends_when_the_stop_token_says_so_between_its_limits(per_step: int) -> None:
    text = texts([2, 5])
    batch = replace(recordings([2, 5]), text=text)
    for bias, frames, stopped in ((9.0, 1.0, True), (-9.0, 6.0, False)):
        said = speak(stopping(model("attention", frames_per_step=per_step), bias), batch)
        limits = [math.ceil(phones * frames / per_step) * per_step for phones in text.phone_lengths.tolist()]
        assert said.lengths.tolist() == limits and said.attended.stopped.tolist() == [stopped] * 2
        assert said.durations.sum(1).tolist() == limits
        assert (said.durations[length_mask(text.phone_lengths, said.durations.shape[1])] >= 1).all()


def test_the_stop_token_learns_the_last_step() -> None:
    built, batch = model("attention"), recordings([3, 1])
    sure = built(batch).rendered.decoded
    steps = sure.attended.steps
    for shift, expected in ((0, 0.0), (1, 5.0)):
        last = torch.arange(sure.extra["stop"].shape[1]) == steps[:, None] - 1 - shift
        sure.extra["stop"] = torch.where(last, 50.0, -50.0)
        assert float(built.decoder.losses(sure, batch)["stop"]) >= expected
    sure.extra["stop"] = torch.zeros_like(sure.extra["stop"])
    total = int(steps.sum())
    expected = math.log(2) * (total - 2 + 2 * 5) / total
    assert float(built.decoder.losses(sure, batch)["stop"]) == pytest.approx(expected, rel=1e-5)


def test_the_guide_agrees_with_a_figure_by_hand() -> None:
    """Two steps over two phones, looking at the wrong one each: only (0, 1) and (1, 0) are off, by half each."""
    weights = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    off = 1 - math.exp(-(0.5**2) / (2 * 0.2**2))
    assert float(guided(weights, torch.tensor([2]), torch.tensor([2]))) == pytest.approx(2 * off / 4)
    diagonal = torch.eye(2)[None]
    assert float(guided(diagonal, torch.tensor([2]), torch.tensor([2]))) == 0.0


def best_durations(weights: np.ndarray) -> float:
    """The largest sum of log-weights over all ways to share frames among phones, each at least one."""
    frames, phones = weights.shape
    logs = np.log(np.maximum(weights, 1e-8))
    scores = []
    for cuts in itertools.combinations(range(1, frames), phones - 1):
        path = np.repeat(np.arange(phones), np.diff([0, *cuts, frames]))
        scores.append(logs[np.arange(frames), path].sum())
    return max(scores)


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 8), phones=st.integers(1, 6), seed=st.integers(0, 999), more=st.integers(0, 3))
def test_durations_are_the_best_path_through_an_attention(frames: int, phones: int, seed: int, more: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(1, frames, phones, generator=generator)
    weights = weights / weights.sum(2, keepdim=True)
    padded = torch.nn.functional.pad(weights, (0, more, 0, more), value=0.5)
    durations = read_off(padded, torch.tensor([phones]), torch.tensor([frames]))[0]
    assert durations.sum() == frames and not durations[phones:].any()
    if frames < phones:
        # Not every phone can have a frame; as many as can do.
        assert durations[:phones].max() == 1 and (durations[:phones] > 0).sum() == frames
        return
    assert durations[:phones].min() >= 1
    path = np.repeat(np.arange(phones), durations[:phones].numpy())
    logs = np.log(np.maximum(weights[0].double().numpy(), 1e-8))
    assert logs[np.arange(frames), path].sum() == pytest.approx(best_durations(weights[0].double().numpy()))


def walk(*phones: int, count: int = 8, sure: float = 0.9) -> np.ndarray:
    """An attention that looks at these phones, one a step."""
    weights = np.full((len(phones), count), (1 - sure) / (count - 1))
    weights[np.arange(len(phones)), phones] = sure
    return weights


SPOKEN = [False, True, True, False, True, True, True, False]


@pytest.mark.parametrize(
    ("looked", "stopped", "verdict"),
    [
        ((0, 1, 1, 2, 3, 4, 5, 6, 7), True, "sound"),
        ((1, 2, 4, 5, 6), True, "sound"),  # pauses may be passed over
        ((1, 2, 4, 5), True, "sound"),  # the last phone is said while its neighbour is read
        ((1, 2, 1, 2, 4, 5, 6), True, "sound"),  # a look back at a boundary
        ((0, 1, 1, 2, 3, 4, 5, 6, 7), False, "no_stop"),
        ((0, 1, 2, 3, 4), True, "early_stop"),
        ((0, 1, 2, 4, 5, 1, 2, 4, 5, 6), True, "repeat"),
        ((0, 1, 2, 5, 6, 7), True, "skip"),
        ((4, 5, 6), True, "skip"),
        ((0, 0, 0, 7), True, "early_stop"),
    ],
)
def test_what_went_wrong_is_read_off_an_attention(looked: tuple[int, ...], stopped: bool, verdict: str) -> None:
    assert judge(walk(*looked), SPOKEN, stopped) == verdict


def test_an_attention_that_looks_everywhere_read_nothing() -> None:
    assert judge(np.full((9, 40), 1 / 40), [True] * 40, True) == "early_stop"
    with pytest.raises(ValueError, match="cannot be judged"):
        judge(np.zeros((0, 3)), [True] * 3, True)


@pytest.mark.parametrize("name", ["s2s", "baseline", "kathaka", "camp"])
def test_parameters_are_counted_without_a_corpus(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["parameters", name, "size=smoke"]) == 0
    out = capsys.readouterr().out
    total = sum(item.parameters for item in count(load(name, ["size=smoke"])))
    assert f"{total:,}" in out and "decoder" in out


def test_tacotron_2_is_as_large_as_it_is_published() -> None:
    millions = sum(item.parameters for item in count(load("s2s", ["size=paper"]))) / 1e6
    assert millions == pytest.approx(PUBLISHED["s2s"][0], rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["s2s", "baseline", "kathaka", "camp"])
def test_a_step_at_the_papers_size(name: str) -> None:
    experiment = load(name, ["size=paper"])
    generator = torch.Generator().manual_seed(0)
    batch = acoustic_batch([acoustic_item(str(i), words, generator) for i, words in enumerate((3, 2))])
    torch.manual_seed(0)
    sizes = Sizes(PHONES, MELS, bert=24, passes=3)
    built = build_acoustic(experiment, sizes).train()
    parameters = list(built.parameters())
    rebuilt = built(batch)
    decoded, mask = rebuilt.rendered.decoded, length_mask(batch.frame_lengths)
    loss = MEL_LOSSES[experiment.acoustic.mel_loss](decoded.mel[mask], batch.mel[mask])
    loss = loss + rebuilt.rendered.readout.square().mean() + sum(built.decoder.losses(decoded, batch).values())
    loss.backward()
    torch.optim.SGD(parameters, 1e-3).step()
    assert torch.isfinite(loss) and all(torch.isfinite(p).all() for p in parameters)
    if experiment.vectors == "predicted":
        # BERT itself is somebody else's; its states are as good as any here.
        frozen = replace(experiment, sampler=replace(experiment.sampler, bert="frozen"))
        sampled = build_sampler(frozen, sizes).eval().sample(batch.text)
        assert sampled.shape[2] == experiment.latent


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("acoustic.prenet_dropout=1", "acoustic.prenet_dropout=1 is a share below 1"),
        ("acoustic.own_frames=2", "acoustic.own_frames=2 is a share"),
        ("acoustic.postnet_layers=1", "acoustic.postnet_layers=1 must be 0"),
        ("acoustic.recurrent_layers=1", "needs one at least"),
        ("acoustic.longest=0.5", "frames a phone"),
        ("acoustic.prenet=0", "acoustic.prenet=0 must be at least 1"),
        ("acoustic.decoder=atention", "did you mean 'attention'?"),
    ],
)
def test_a_wrong_setting_of_a_decoder_is_told_with_the_mend(setting: str, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        load("s2s", [setting])
    assert sentence in str(raised.value) and "\n" not in str(raised.value)
