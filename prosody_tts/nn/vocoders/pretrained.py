"""Public vocoders whose classes transformers has: HiFi-GAN (arXiv 2010.05646) and UnivNet (arXiv 2106.07889)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prosody_tts.errors import UserError
from prosody_tts.files import read_json
from prosody_tts.nn.vocoders.contract import ClipVocoder, MelFormat

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: Frames that a network is given at least: UnivNet's first layer reflects three.
LEAST_FRAMES = 8


class HifiGan(ClipVocoder):
    """transformers' HiFi-GAN; ``scale`` turns natural logarithms into those it was trained on.

    A network with ``normalize_before`` subtracts its own mean and divides by its own scale.
    """

    def __init__(self, mel: MelFormat, network: PreTrainedModel, scale: float = 1.0) -> None:
        super().__init__(mel)
        self.network = network
        self.scale = scale

    def clip(self, mel: Tensor, size: int) -> Tensor:
        return self.network(_long_enough(mel)[None] * self.scale)[0, :size]


class UnivNet(ClipVocoder):
    """transformers' UnivNet, whose noise is the same for every clip of as many frames."""

    def __init__(self, mel: MelFormat, network: PreTrainedModel) -> None:
        super().__init__(mel)
        self.network = network

    def clip(self, mel: Tensor, size: int) -> Tensor:
        padded = _long_enough(mel)
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(1, len(padded), self.network.config.model_in_channels, generator=generator).to(mel.device)
        return self.network(padded[None], noise_sequence=noise).waveforms[0, :size]


def _long_enough(mel: Tensor) -> Tensor:
    """Repeat the last frame of a clip [T, M] that is too short for a network; the caller cuts the samples again."""
    return torch.cat([mel, mel[-1:].expand(max(0, LEAST_FRAMES - len(mel)), -1)])


@dataclass(frozen=True)
class Kind:
    """One class of transformers: its name, and how its settings name the mel channels and the factors of the hop."""

    model: str
    mels: str
    factors: str


#: By the value of ``synthesis.vocoder``.
KINDS = {
    "speecht5": Kind("SpeechT5HifiGan", "model_in_dim", "upsample_rates"),
    "hifigan": Kind("FastSpeech2ConformerHifiGan", "model_in_dim", "upsample_rates"),
    "univnet": Kind("UnivNetModel", "num_mel_bins", "resblock_stride_sizes"),
}


def load_pretrained(name: str, mel: MelFormat, config: Path, weights: Path) -> ClipVocoder:
    """Read a vocoder of ``KINDS`` from its two files; nothing they hold is executed.

    Raises:
        UserError: they are damaged, of another class, or made for other mels.
    """
    network = _network(KINDS[name], mel, config, weights)
    if name == "univnet":
        return UnivNet(mel, network)
    # SpeechT5's mel is a decimal logarithm (its feature extractor), the original HiFi-GAN's a natural one.
    return HifiGan(mel, network, 1 / math.log(10) if name == "speecht5" else 1.0)


def _network(kind: Kind, mel: MelFormat, config: Path, weights: Path) -> PreTrainedModel:
    import transformers

    model = getattr(transformers, kind.model)
    try:
        plain = read_json(config)
        settings = model.config_class.from_dict(plain)
        named = plain.get("model_type")
    except Exception as error:  # strict settings raise what they like
        raise UserError(f"{config} cannot be read as settings of a {kind.model} ({_first_line(error)})") from None
    if named != model.config_class.model_type:
        raise UserError(f"{config} is of a '{named}', not of a {kind.model} ('{model.config_class.model_type}')")
    if (rate := plain.get("sampling_rate", mel.sample_rate)) != mel.sample_rate:
        raise UserError(
            f"{config} is made for audio.sample_rate={rate}, not for {mel.sample_rate}; give another vocoder"
        )
    channels, hop = getattr(settings, kind.mels), math.prod(getattr(settings, kind.factors))
    if (channels, hop) != (mel.mels, mel.hop):
        raise UserError(
            f"{config} is made for audio.mels={channels} and audio.hop={hop}, not for {mel.mels} and {mel.hop}; "
            "give another synthesis.vocoder_path"
        )
    network: nn.Module = model(settings)
    try:
        network.load_state_dict(_read(weights))
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{weights} does not hold the weights of this {kind.model} ({_first_line(error)})") from None
    return network.eval().requires_grad_(False)  # type: ignore[return-value]


def _read(weights: Path) -> dict[str, Any]:
    try:
        if weights.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(weights)
        return torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # neither library names a common base for what a damaged file raises
        raise UserError(f"cannot read the weights {weights} ({_first_line(error)}); download them again") from None


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
