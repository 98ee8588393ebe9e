"""Every vocoder gives back the speech it was shown, alone or in a batch, and hears no mel it was not made for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_modules.audio import f0, first_centre, mel_spectrogram, sample_count
from prosody_tts.config import HUB_VOCODERS, PRETRAINED, AudioConfig, AudioPreset, Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.nn.vocoders import GriffinLim, MelFormat, SourceFilter, Vocoder
from prosody_tts.nn.vocoders.discriminators import Discriminators
from prosody_tts.nn.vocoders.excitation import pulse_train
from prosody_tts.nn.vocoders.losses import SpectralDistance
from prosody_tts.nn.vocoders.pitch import PitchHead, bridge
from prosody_tts.nn.vocoders.pretrained import load_pretrained
from prosody_tts.nn.vocoders.source_filter import envelope_of_mel
from prosody_tts.pipeline import vocoder_files
from prosody_tts.vocoders import VOCODERS, mel_format

CONFIG = AudioConfig()
PRESETS = get_args(AudioPreset)
NAMES = sorted(VOCODERS)


def small_hifigan(kind: str, hop: tuple[int, ...] = (4, 4, 4, 4), mels: int = 80) -> torch.nn.Module:
    """transformers' own class with few random weights."""
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        model_in_dim=mels,
        upsample_initial_channel=16,
        upsample_rates=list(hop),
        upsample_kernel_sizes=[2 * rate for rate in hop],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        initializer_range=0.2,
    )
    network = getattr(transformers, kind)(config)
    network.mean.copy_(torch.linspace(-2, -1, mels))
    network.scale.copy_(torch.linspace(1, 2, mels))
    return network


def small_univnet() -> torch.nn.Module:
    from transformers import UnivNetConfig, UnivNetModel

    config = UnivNetConfig(
        model_in_channels=4,
        model_hidden_channels=4,
        kernel_predictor_hidden_channels=4,
        resblock_dilation_sizes=[[1, 3]] * 3,
        initializer_range=0.2,
    )
    return UnivNetModel(config)


NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "speecht5": lambda: small_hifigan("SpeechT5HifiGan"),
    "hifigan": lambda: small_hifigan("FastSpeech2ConformerHifiGan"),
    "univnet": small_univnet,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pre-trained vocoder -> a folder of transformers' own making."""
    made = {}
    torch.manual_seed(0)
    for name, network in NETWORKS.items():
        made[name] = tmp_path_factory.mktemp(name)
        network().save_pretrained(made[name])
    return made


def audio_of(name: str) -> AudioConfig:
    """The mel a vocoder is given in these tests."""
    return load("baseline", [f"audio.preset={PRETRAINED.get(name, 'papers')}"]).audio


def build(name: str, folders: dict[str, Path], audio: AudioConfig | None = None) -> Vocoder:
    """A vocoder of the registry, with the weights of a fresh one where it has some."""
    mel = mel_format(audio or audio_of(name))
    if name == "griffin_lim":
        return GriffinLim(mel, 8)
    if name == "source_filter":
        torch.manual_seed(0)
        return SourceFilter(mel, [-5.0] * mel.mels, [2.0] * mel.mels, 60, 500, 16, 2, 3, 1).eval()
    return load_pretrained(name, mel, *vocoder_files(folders[name]))


def glide(seconds: float, start: float, end: float, rate: int = CONFIG.sample_rate) -> np.ndarray:
    """A voice-like buzz whose pitch moves."""
    phase = 2 * np.pi * np.cumsum(np.linspace(start, end, round(seconds * rate))) / rate
    return (0.2 * np.sum([np.sin(k * phase) / k for k in range(1, 16)], axis=0)).astype(np.float32)


def breathy(seconds: float, rate: int = CONFIG.sample_rate) -> np.ndarray:
    """A buzz with a little noise, so that no value of its mel lies at a floor."""
    wave = glide(seconds, 120, 180, rate)
    return (wave + np.random.default_rng(0).normal(0, 1e-2, len(wave))).astype(np.float32)


def batch(config: AudioConfig, *waves: np.ndarray, padding: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    mels = [torch.from_numpy(mel_spectrogram(wave, config)) for wave in waves]
    lengths = torch.tensor([len(mel) for mel in mels])
    padded = torch.nn.utils.rnn.pad_sequence(mels, batch_first=True)
    return torch.nn.functional.pad(padded, (0, 0, 0, padding)), lengths


def test_every_public_vocoder_has_a_network() -> None:
    assert set(VOCODERS) >= set(PRETRAINED) == set(NETWORKS) >= set(HUB_VOCODERS)


@pytest.mark.parametrize("name", NAMES)
def test_neighbours_and_padding_change_nothing(name: str, folders: dict[str, Path]) -> None:
    vocoder, config = build(name, folders), audio_of(name)
    short, long = (glide(*numbers, config.sample_rate) for numbers in ((0.3, 120, 140), (0.7, 200, 150)))
    alone = vocoder(*batch(config, short))[0]
    mel, lengths = batch(config, short, long, padding=11)
    mel[0, lengths[0] :] = 7.0
    together = vocoder(mel, lengths)
    sizes = vocoder.samples(lengths)
    assert together.shape == (2, int(sizes.max())) and together.isfinite().all()
    assert together[0].any() and together[1].any()
    torch.testing.assert_close(together[0, : sizes[0]], alone, rtol=0, atol=0)
    assert not together[0, sizes[0] :].any()


@pytest.mark.parametrize("name", NAMES)
def test_same_mel_same_samples_whatever_the_global_generator(name: str, folders: dict[str, Path]) -> None:
    config = audio_of(name)
    inputs = batch(config, glide(0.3, 150, 150, config.sample_rate))
    vocoder = build(name, folders)
    torch.manual_seed(1)
    first = vocoder(*inputs)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(first, vocoder(*inputs))
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("name", NAMES)
def test_a_clip_has_the_samples_of_its_frames(name: str, frames: int, folders: dict[str, Path]) -> None:
    config = audio_of(name)
    vocoder = build(name, folders)
    waves = vocoder(torch.zeros(1, max(frames, 1), config.mels), torch.tensor([frames]))
    assert waves.shape == (1, sample_count(frames, config))
    assert int(vocoder.samples(torch.tensor(frames))) == sample_count(frames, config)
    assert torch.isfinite(waves).all()


@pytest.mark.parametrize("name", ["griffin_lim", "source_filter"])
@pytest.mark.parametrize("preset", PRESETS)
def test_vocoders_for_every_mel_say_when_sounds_come(name: str, preset: AudioPreset, folders: dict[str, Path]) -> None:
    """A click between silences stays where it was, whatever the hop and wherever frames are centred."""
    config = load("baseline", [f"audio.preset={preset}"]).audio
    wave = np.zeros(config.sample_rate // 2, np.float32)
    at = 21 * config.hop + first_centre(config)
    wave[at - 40 : at + 40] = np.random.default_rng(0).normal(0, 0.3, 80)
    mel, lengths = batch(config, wave)
    copy = build(name, folders, config)(mel, lengths)[0].double()
    assert len(copy) == sample_count(int(lengths[0]), config)
    power = copy.square()
    centre = float((power * torch.arange(len(power))).sum() / power.sum())
    assert abs(centre - at) < 0.25 * config.hop


@pytest.mark.parametrize("preset", ["papers", "hifigan", "vocos"])
def test_griffin_lim_keeps_pitch_and_spectrum(preset: str) -> None:
    config = load("baseline", [f"audio.preset={preset}"]).audio
    wave = glide(1.2, 110, 220, config.sample_rate)
    mel, lengths = batch(config, wave)
    copy = GriffinLim(mel_format(config), 32)(mel, lengths)[0].numpy()
    true, found = f0(wave, config), f0(copy, config, frames=int(lengths[0]))
    both = (true > 0) & (found > 0)
    assert both.mean() > 0.9
    assert np.sqrt(np.mean(np.log(found[both] / true[both]) ** 2)) < 0.02
    frames = mel_spectrogram(copy, config)
    loud = mel[0].numpy() > mel.max().item() - 4
    assert np.abs(frames - mel[0, : len(frames)].numpy())[loud[: len(frames)]].mean() < 0.2


def test_more_iterations_come_closer_to_the_mel() -> None:
    mel, lengths = batch(CONFIG, glide(0.6, 110, 220))

    def error(iterations: int) -> float:
        copy = mel_spectrogram(GriffinLim(mel_format(CONFIG), iterations)(mel, lengths)[0].numpy(), CONFIG)
        return float(np.abs(np.exp(copy) - np.exp(mel[0].numpy())[: len(copy)]).mean())

    assert error(32) < 0.7 * error(1)


@settings(max_examples=20, deadline=None)
@example(start=250.0, end=250.0, hop=50)
@given(start=st.floats(60, 500), end=st.floats(60, 500), hop=st.integers(50, 300))
def test_pulses_are_the_sum_of_all_harmonics(start: float, end: float, hop: int) -> None:
    hertz = torch.tensor([start, end]).double().log()
    share = torch.arange(hop).double() / hop
    path = (hertz[0] + share * (hertz[1] - hertz[0])).exp()
    phase = 2 * np.pi * (path / 16000).cumsum(0)
    golden = [sum(np.cos(k * p) for k in range(1, int(8000 / f) + 1)) for p, f in zip(phase, path, strict=True)]
    train = pulse_train(torch.tensor([[start, end]]), hop, 16000)
    assert train.shape == (1, hop)
    # Where F0 divides half the sample rate, rounding decides whether the harmonic there counts: one more or less.
    counts = 8000 / path.numpy()
    excused = np.where(np.abs(counts - counts.round()) < 1e-6, 1.0, 0.0)
    missed = np.abs(train[0].numpy() - np.array(golden)) - excused
    assert np.median(missed) < 1e-3 * np.abs(golden).max()


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.sampled_from([0.0, 80.0, 160.0, 320.0]), min_size=1, max_size=12))
def test_bridged_f0_is_what_numpy_interpolates(values: list[float]) -> None:
    found = bridge(torch.tensor([values], dtype=torch.float64))[0].numpy()
    voiced = np.flatnonzero(values)
    if len(voiced) == 0:
        assert (found == 100).all()
        return
    golden = np.exp(np.interp(np.arange(len(values)), voiced, np.log(np.array(values)[voiced])))
    np.testing.assert_allclose(found, golden, rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(hertz=st.lists(st.floats(62, 480), min_size=1, max_size=8))
def test_f0_survives_the_scale_it_is_read_on(hertz: list[float]) -> None:
    head = PitchHead(4, 60, 500)
    true = torch.tensor([hertz])
    sharp = -0.5 * ((head.octaves - true.log2()[..., None]) * 48).square()
    assert (head.hertz(sharp) / true - 1).abs().max() < 0.003
    right, wrong = head.loss(sharp, true), head.loss(sharp.flip(-1), true)
    assert right < wrong
    assert head.loss(sharp, torch.zeros_like(true)) == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_the_envelope_of_a_flat_spectrum_is_flat(preset: AudioPreset) -> None:
    mel = mel_format(load("baseline", [f"audio.preset={preset}"]).audio)
    weights, offset = envelope_of_mel(mel)
    sound = mel.filters.sum(1) > 0
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-5)
    heard = np.log(np.where(sound, (mel.filters * 0.3).sum(1), 1.0))
    np.testing.assert_allclose((heard + offset) @ weights, np.log(0.3), atol=1e-4)


def test_the_distance_of_a_wave_to_itself_is_zero_and_to_its_double_is_known() -> None:
    wave = torch.from_numpy(glide(0.4, 120, 180))[None]
    distance = SpectralDistance(16000)
    assert distance(wave, wave) == 0
    noise = wave + torch.randn(wave.shape, generator=torch.Generator().manual_seed(0))
    convergence, log_distance = distance.terms(2 * noise, noise)
    assert abs(convergence - 1) < 1e-5 and abs(log_distance - np.log(2)) < 1e-4


def test_every_weight_of_the_source_filter_learns_something(folders: dict[str, Path]) -> None:
    vocoder = build("source_filter", folders)
    assert isinstance(vocoder, SourceFilter)
    wave = glide(0.4, 120, 180)
    mel, lengths = batch(CONFIG, wave)
    target = torch.from_numpy(wave)[None, : int(vocoder.samples(lengths))]
    track = torch.from_numpy(f0(wave, CONFIG))[None]
    rendered = vocoder.render(mel, bridge(track), torch.randn(1, len(wave) + 2 * CONFIG.hop))
    assert rendered.wave.shape == target.shape and rendered.pitch.shape[:2] == mel.shape[:2]
    (SpectralDistance(16000)(rendered.wave, target) + vocoder.pitch.loss(rendered.pitch, track)).backward()
    assert all(p.grad is not None and p.grad.any() for p in vocoder.parameters())


def test_a_source_filter_is_rebuilt_from_its_numbers(folders: dict[str, Path]) -> None:
    vocoder = build("source_filter", folders)
    assert isinstance(vocoder, SourceFilter)
    again = SourceFilter.from_numbers(json.loads(json.dumps(vocoder.numbers())))
    again.load_state_dict(vocoder.state_dict())
    inputs = batch(CONFIG, glide(0.3, 150, 170))
    assert torch.equal(vocoder(*inputs), again(*inputs))


def test_each_side_of_the_adversarial_loss_moves_its_own_weights_only() -> None:
    judges = Discriminators(16000, width=4)
    target = torch.from_numpy(glide(0.4, 120, 180))[None]
    wave = torch.randn(target.shape, requires_grad=True)
    hinge, matching = judges.judge(wave, target)
    (hinge + matching).backward()
    assert wave.grad is not None and wave.grad.any()
    assert all(p.grad is None and p.requires_grad for p in judges.parameters())
    wave.grad = None
    judges.loss(wave, target).backward()
    assert wave.grad is None and all(p.grad is not None for p in judges.parameters())


def test_speecht5_takes_decimal_logarithms_and_normalises_them_itself(folders: dict[str, Path]) -> None:
    """The class, called as its own model calls it: on its feature extractor's log10 mel."""
    from transformers import SpeechT5FeatureExtractor, SpeechT5HifiGan

    wave = breathy(0.5)
    golden_mel = SpeechT5FeatureExtractor()(audio_target=wave, sampling_rate=16000)["input_values"][0]
    with torch.no_grad():
        golden = SpeechT5HifiGan.from_pretrained(folders["speecht5"])(torch.from_numpy(np.array(golden_mel)))
    config = audio_of("speecht5")
    copy = build("speecht5", folders)(*batch(config, wave))[0]
    torch.testing.assert_close(copy, golden[: len(copy)], rtol=0, atol=2e-3)
    assert copy.std() > 0.01


def test_univnet_takes_its_own_feature_extractors_mel(folders: dict[str, Path]) -> None:
    from transformers import UnivNetFeatureExtractor, UnivNetModel

    wave = breathy(0.5, 24000)
    features = UnivNetFeatureExtractor()(wave, sampling_rate=24000, return_tensors="pt")["input_features"][0]
    config = audio_of("univnet")
    mel, lengths = batch(config, wave)
    torch.testing.assert_close(mel[0], features, rtol=0, atol=2e-3)
    noise = torch.randn(1, len(mel[0]), 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        golden = UnivNetModel.from_pretrained(folders["univnet"])(mel, noise_sequence=noise).waveforms[0]
    torch.testing.assert_close(build("univnet", folders)(mel, lengths)[0], golden, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", sorted(PRETRAINED))
def test_another_vocoders_mel_is_refused_with_the_preset_that_fits(name: str, tmp_path: Path) -> None:
    path = [f"synthesis.vocoder={name}", f"synthesis.vocoder_path={tmp_path}"]
    fits = PRETRAINED[name]
    assert load("baseline", [*path, f"audio.preset={fits}"]).synthesis.vocoder == name
    for preset in set(PRESETS) - {fits}:
        with pytest.raises(UserError, match=rf"synthesis\.vocoder={name} .*give audio\.preset={fits}:"):
            load("baseline", [*path, f"audio.preset={preset}"])
    with pytest.raises(UserError, match=r"audio\.preset=.*audio\.hop=256 \(not 200\)"):
        load("baseline", [*path, f"audio.preset={fits}", "audio.hop=200"])
    same = ["audio.f0_high=400", "audio.level_db=-23", "audio.trim_db=40"]
    assert load("baseline", [*path, f"audio.preset={fits}", *same]).audio.trim_db == 40


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["synthesis.vocoder=hifigan", "audio.preset=hifigan"], r"needs synthesis\.vocoder_path=FOLDER"),
        (["synthesis.vocoder_path=here"], r"leave it out with synthesis\.vocoder=griffin_lim"),
        (["synthesis.vocoder=hifi_gan"], "did you mean 'hifigan'"),
        (["vocoder.kernel=4"], r"vocoder\.kernel=4 must be odd"),
        (["vocoder.layers=0"], r"vocoder\.layers=0"),
        (["vocoder.corrections=-1"], r"vocoder\.corrections=-1"),
        (["vocoder.adversarial_from=2"], r"vocoder\.adversarial_from=2"),
        (["synthesis.vocoder=source_filter", "vocoder.seconds=0.01"], r"vocoder\.seconds=0\.01 is too short"),
    ],
)
def test_impossible_vocoders_are_told_before_any_training(overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        load("baseline", overrides)


def pretrained(folder: Path | str, *more: str) -> Experiment:
    chosen = ["synthesis.vocoder=speecht5", f"synthesis.vocoder_path={folder}", "audio.preset=speecht5"]
    return load("baseline", [*chosen, *more])


def break_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x00" * 64)


def take_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickle_weights(folder: Path) -> None:
    """What torch writes of an object that is more than tensors."""
    (folder / "model.safetensors").unlink()
    torch.save({"weights": Path("/")}, folder / "pytorch_model.bin")


def lose_a_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("conv_post.weight")
    save_file(weights, folder / "model.safetensors")


def other_class(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "univnet"}))


def other_hop(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "upsample_rates": [4, 4, 4, 5]}))


def other_rate(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "sampling_rate": 22050}))


def no_settings(folder: Path) -> None:
    (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (break_weights, "cannot read the weights"),
        (take_weights, "holds no weights"),
        (pickle_weights, "cannot read the weights"),
        (lose_a_weight, "does not hold the weights"),
        (other_class, "is of a 'univnet'"),
        (other_hop, r"audio\.hop=320"),
        (other_rate, r"audio\.sample_rate=22050"),
        (no_settings, "cannot be read as settings"),
    ],
)
def test_a_folder_without_the_vocoder_is_one_sentence(
    damage: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    from prosody_tts.vocoders import fetch_pretrained

    folder, target = tmp_path / "given", tmp_path / "kept"
    small_hifigan("SpeechT5HifiGan").save_pretrained(folder)
    fetch_pretrained(pretrained(folder), target)
    assert {path.name for path in target.iterdir()} == {"config.json", "model.safetensors"}
    damage(folder)
    with pytest.raises(UserError, match=told):
        fetch_pretrained(pretrained(folder), tmp_path / "again")


def test_weights_of_torchs_own_format_are_read_without_executing_anything(tmp_path: Path) -> None:
    network = small_hifigan("SpeechT5HifiGan")
    network.save_pretrained(tmp_path)
    inputs = batch(audio_of("speecht5"), glide(0.2, 120, 180))
    mel = mel_format(audio_of("speecht5"))
    safe = load_pretrained("speecht5", mel, *vocoder_files(tmp_path))(*inputs)
    (tmp_path / "model.safetensors").unlink()
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    assert torch.equal(safe, load_pretrained("speecht5", mel, *vocoder_files(tmp_path))(*inputs))


def test_without_a_network_it_says_what_to_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from prosody_tts.vocoders import fetch_pretrained

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    experiment = load("baseline", ["synthesis.vocoder=univnet", "audio.preset=bigvgan"])
    with pytest.raises(UserError, match=r"download config\.json .*dg845/univnet-dev .*synthesis\.vocoder_path=FOLDER"):
        fetch_pretrained(experiment, tmp_path)


def test_the_format_of_a_preset_is_the_settings_own() -> None:
    assert mel_format(CONFIG) == MelFormat(16000, 200, 800, 1024, 80, 0.0, 8000.0, 1e-5)
