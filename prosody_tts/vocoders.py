"""Builds, fetches and loads the vocoder that an experiment asks for: the one registry of vocoders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from prosody_tts import pipeline
from prosody_tts.config import AudioConfig, Experiment
from prosody_tts.errors import UserError
from prosody_tts.files import atomic
from prosody_tts.nn.vocoders import GriffinLim, MelFormat, SourceFilter, Vocoder
from prosody_tts.nn.vocoders.pretrained import load_pretrained
from prosody_tts.stages.fit import CHECKPOINT, load_checkpoint

#: Seconds the hub is waited for.
PATIENCE = 10.0


def mel_format(audio: AudioConfig) -> MelFormat:
    """The numbers of the settings' mel, as vocoders are given them."""
    return MelFormat(
        sample_rate=audio.sample_rate,
        hop=audio.hop,
        window=audio.window,
        fft=audio.fft,
        mels=audio.mels,
        low=audio.mel_low,
        high=audio.mel_high,
        floor=audio.floor,
        htk=audio.mel_scale == "htk",
        unit_area=audio.mel_norm == "slaney",
        half_hop=audio.padding == "half_hop",
    )


def build_vocoder(experiment: Experiment) -> Vocoder:
    """The vocoder of an experiment, ready to speak.

    Raises:
        UserError: it has weights that are not trained or fetched yet, or they are damaged.
    """
    return VOCODERS[experiment.synthesis.vocoder](experiment)


def _griffin_lim(experiment: Experiment) -> Vocoder:
    return GriffinLim(mel_format(experiment.audio), experiment.synthesis.iterations)


def _trained(experiment: Experiment) -> Vocoder:
    return load_trained(_folder(experiment))


def _pretrained(experiment: Experiment) -> Vocoder:
    files = pipeline.vocoder_files(_folder(experiment))
    return load_pretrained(experiment.synthesis.vocoder, mel_format(experiment.audio), *files)


#: Vocoders by the value of ``synthesis.vocoder``.
VOCODERS: dict[str, Callable[[Experiment], Vocoder]] = {
    "griffin_lim": _griffin_lim,
    "source_filter": _trained,
    "speecht5": _pretrained,
    "hifigan": _pretrained,
    "univnet": _pretrained,
}


def _folder(experiment: Experiment) -> Path:
    """Folder of the stage that trained or fetched the vocoder."""
    stage = next(stage for stage in pipeline.plan(experiment) if stage.kind == "vocoder")
    if not pipeline.is_done(stage):
        raise UserError(
            f"{experiment.run.folder} has no {stage.label} for these settings; run 'prosody-tts train' with them first"
        )
    return pipeline.folder(stage)


def build_source_filter(experiment: Experiment, mean: list[float], scale: list[float]) -> SourceFilter:
    """An untrained ``SourceFilter`` for mels of this mean and spread [M]."""
    audio, own = experiment.audio, experiment.vocoder
    return SourceFilter(
        mel_format(audio), mean, scale, audio.f0_low, audio.f0_high, own.width, own.layers, own.kernel, own.corrections
    )


def load_trained(folder: Path) -> SourceFilter:
    """Rebuild a trained vocoder from its folder alone.

    Raises:
        UserError: the checkpoint is missing, damaged, or another stage's.
    """
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    if "vocoder" not in checkpoint:
        raise UserError(f"{folder / CHECKPOINT} is not a vocoder's checkpoint; delete the folder to train it again")
    model = SourceFilter.from_numbers(checkpoint["vocoder"])
    weights = {
        name.removeprefix("model."): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith("model.")
    }
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise UserError(
            f"{folder / CHECKPOINT} holds weights that do not fit its own numbers; delete the folder to train it again"
        ) from None
    return model.eval().requires_grad_(False)


def fetch_pretrained(experiment: Experiment, folder: Path) -> str:
    """Copy a pre-trained vocoder's two files to ``folder``, from another or from the hub; check them; say where from.

    Raises:
        UserError: they cannot be had, are damaged, or are no such vocoder's.
    """
    name, source = experiment.synthesis.vocoder, pipeline.vocoder_source(experiment)
    place = Path(source).expanduser()
    files = pipeline.vocoder_files(place if place.is_dir() else _download(name, source))
    load_pretrained(name, mel_format(experiment.audio), *files)
    for file in files:
        with atomic(folder / file.name) as temporary:
            shutil.copyfile(file, temporary)
    return str(files[0].parent)


def _download(name: str, repository: str) -> Path:
    """Folder of a hub repository's files in the hub's cache."""
    from huggingface_hub import snapshot_download

    wanted = ["config.json", "model.safetensors", "pytorch_model.bin"]
    try:
        return Path(snapshot_download(repository, allow_patterns=wanted, etag_timeout=PATIENCE))
    except Exception as error:  # the client's and its transport's errors share no base
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(
            f"synthesis.vocoder={name} cannot be fetched ({reason}); download config.json and model.safetensors (or "
            f"pytorch_model.bin) of the hub's {repository} and give their folder as synthesis.vocoder_path=FOLDER"
        ) from None
