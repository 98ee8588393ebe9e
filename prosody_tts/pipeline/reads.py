"""Which settings each kind of stage reads: what changes its result, and so its identity, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prosody_tts.config import HUB_VOCODERS, Experiment, to_plain
from prosody_tts.errors import UserError
from prosody_tts.files import file_digest

#: Audio settings at the values that leave a recording and its analysis as they are without them.
PLAIN_AUDIO = {
    "f0_tracker": "praat",
    "mel_scale": "slaney",
    "mel_norm": "slaney",
    "padding": "zeros",
    "power_floor": 0.0,
    "level_db": None,
    "trim_db": None,
}
#: Settings of an optimisation at the values that leave it as it is without them.
PLAIN_OPTIM = {
    "precision": "auto",
    "decay": "whole",
    "warmup_steps": None,
    "warmup_start": 0.0,
    "ema": None,
    "patience": None,
    "find_rate": False,
    "compile": False,
}
#: Settings that only a way of decaying reads.
DECAYS = {"whole": (), "epochs": ("decay_factor",), "window": ("decay_from", "decay_until")}
#: Settings of stage one at the values that mean what it did before there was another.
PLAIN_ACOUSTIC = {"encoder": "fast", "mel_loss": "l1", "postnet": "convolutional"}
_FEEDBACK = {"prenet", "prenet_dropout", "prenet_always", "postnet", "postnet_layers", "own_frames"}
_FEEDBACK |= {"own_warmup", "recurrent"}
#: Settings that only some encoders and decoders read, by the values of ``acoustic.encoder`` and ``acoustic.decoder``.
PARTICULAR = {
    "tacotron2": {"phone_recurrent", "conv_dropout"},
    "camp": {"recurrent_layers", "conv_dropout"},
    "autoregressive": _FEEDBACK | {"recurrent_layers", "conv_dropout"},
    "attention": _FEEDBACK
    | {"recurrent_layers", "conv_dropout", "attention", "guide_weight", "stop_weight", "shortest", "longest"},
}
#: Settings of stage two that only some priors read.
PRIORS_READ = {
    "gaussian": {"kl_direction", "rank"},
    "autoregressive": {"huber", "own"},
    "flow": {"transforms", "bins"},
    "diffusion": {"denoiser_layers"},
    "flow_matching": {"denoiser_layers"},
    "tokens": {"codes", "codebooks"},
}
#: Priors that draw in ``synthesis.steps``.
IN_STEPS = {"diffusion", "flow_matching"}
#: Settings of stage two that only a context reads.
CONTEXTS_READ = {"bert": {"bert", "bert_rate", "bert_tuned"}, "graph": {"graph", "passes"}}
#: Settings of a joint duration model at the values it has always had.
PLAIN_DURATIONS = {"network": "convolutional", "target": "log", "error": "l1"}
#: Settings of a language model that only its draws read, and that only what it writes does.
DRAWN = ("top_k", "top_p", "repeats", "longest")
WRITTEN = ("longest_text",)


def tokenizer_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings a tokenizer reads: bins train nothing."""
    settings = with_optim(to_plain(experiment.tokenizer))
    if experiment.tokenizer.kind == "binned":
        return {name: settings[name] for name in ("kind", "segment", "codes")}
    return settings


def given_vocoder(experiment: Experiment) -> dict[str, str]:
    """What tells a pre-trained vocoder from others: the content of its folder, or its name on the hub."""
    source = vocoder_source(experiment)
    if (place := Path(source).expanduser()).is_dir():
        return {path.name: file_digest(path) for path in vocoder_files(place)}
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:
        raise UserError(f"there is no folder synthesis.vocoder_path={source}; give a folder or a hub identifier")
    return {"hub": source}


def vocoder_source(experiment: Experiment) -> str:
    """Folder or hub identifier of the experiment's pre-trained vocoder."""
    return experiment.synthesis.vocoder_path or HUB_VOCODERS[experiment.synthesis.vocoder]


def vocoder_files(place: Path) -> tuple[Path, Path]:
    """The settings and the weights in the folder of a pre-trained vocoder; safetensors before torch's own format.

    Raises:
        UserError: they are not there.
    """
    config = place / "config.json"
    weights = next(
        (place / name for name in ("model.safetensors", "pytorch_model.bin") if (place / name).exists()), None
    )
    if weights is None or not config.exists():
        raise UserError(
            f"synthesis.vocoder_path={place} holds no {'weights' if config.exists() else 'config.json'}; give a folder "
            "with config.json and model.safetensors, as transformers' save_pretrained writes them"
        )
    return config, weights


def vocoder_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that train a vocoder: without discriminators their weights say nothing."""
    settings = to_plain(experiment.vocoder)
    if not experiment.vocoder.adversarial:
        settings = {
            name: value for name, value in settings.items() if not name.startswith(("adversarial_", "matching_"))
        }
    return settings


def samples(experiment: Experiment) -> dict[str, int]:
    """How often an evaluation draws, where it does: only systems whose vectors are predicted can."""
    return {"samples": experiment.evaluation.samples} if experiment.evaluation.samples else {}


def neighbours(experiment: Experiment) -> dict[str, int]:
    """What a corpus is told of the sentences around each, if it is asked for them."""
    count = experiment.text.neighbours
    return {"neighbours": count} if count else {}


def given_aligner(experiment: Experiment) -> str | None:
    """Identity of the checkpoint that ``aligned_by`` names."""
    if experiment.aligned_by is None:
        return None
    checkpoint = Path(experiment.aligned_by) / "last.ckpt"
    if not checkpoint.exists():
        raise UserError(f"aligned_by={experiment.aligned_by} holds no last.ckpt; give the folder of a trained aligner")
    return file_digest(checkpoint)


def text_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings of the analysis; normalising shapes a corpus of raw texts, and is part of that corpus's identity."""
    settings = {**to_plain(experiment.text), "pronouncer": experiment.pronouncer}
    del settings["normaliser"]
    return settings


def audio_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that shape the features; one at a default that does nothing says nothing."""
    settings = to_plain(experiment.audio)
    del settings["preset"]  # its numbers are there
    if experiment.audio.trim_db is None:
        del settings["trim_margin"]
    return {name: value for name, value in settings.items() if name not in PLAIN_AUDIO or value != PLAIN_AUDIO[name]}


def with_optim(settings: dict[str, Any]) -> dict[str, Any]:
    """A stage's settings; of its optimisation those that do something."""
    optim = settings["optim"]
    silent = {name for name, value in PLAIN_OPTIM.items() if optim[name] == value}
    silent |= {name for names in DECAYS.values() for name in names if name not in DECAYS[optim["decay"]]}
    return {**settings, "optim": {name: value for name, value in optim.items() if name not in silent}}


def acoustic_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that stage one reads: a baseline ignores what only a reference encoder uses, and so on."""
    own = experiment.acoustic
    settings = {**with_optim(to_plain(own)), "units": experiment.units}
    kl = tuple(name for name in settings if name == "kl" or name.startswith("kl_"))
    hearing = ("latent", "knots", "hearing", "pool", "reference_phones")
    unused = {
        "none": ("units", "conditioning", "contour_weight", *hearing, *kl),
        "explicit": (*(name for name in hearing if name != "knots"), *kl),
        "deterministic": kl,
        "variational": (),
    }
    idle = {"pool": own.hearing == "gst", "kl_free_of": own.kl_free == 0, "kl_later": own.kl_every_later is None}
    read = PARTICULAR.get(own.encoder, set()) | PARTICULAR.get(own.decoder, set())
    left_out = set().union(*PARTICULAR.values()) - read
    left_out |= {*unused[own.reference], *(name for name, is_idle in idle.items() if is_idle)}
    heard = {
        name: value
        for name, value in settings.items()
        if name not in left_out and (name not in PLAIN_ACOUSTIC or value != PLAIN_ACOUSTIC[name])
    }
    if experiment.duration.trained == "separate":
        del heard["duration_weight"]
        return {**heard, "durations": "separate"}
    duration = to_plain(experiment.duration)
    joint = {name: duration[name] for name, value in PLAIN_DURATIONS.items() if duration[name] != value}
    return {**heard, "duration": joint} if joint else heard


def sampler_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that stage two reads: those of other priors, and of contexts it has not, say nothing."""
    own = experiment.sampler
    all_read = set().union(*PRIORS_READ.values())
    left_out = all_read - PRIORS_READ.get(own.prior, all_read)  # whatever a prior may read tells it from others
    left_out |= set().union(*(names for name, names in CONTEXTS_READ.items() if name not in own.contexts))
    if own.bert == "frozen":
        left_out |= {"bert_rate", "bert_tuned"}
    return {name: value for name, value in with_optim(to_plain(own)).items() if name not in left_out}


def draws(experiment: Experiment) -> dict[str, Any]:
    """How stage two draws, where its prior can be asked for more or fewer steps."""
    drawn = experiment.vectors in {"predicted", "labels"} and experiment.sampler.prior in IN_STEPS
    return {"steps": experiment.synthesis.steps} if drawn else {}


def duration_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that a separate duration model reads, and the vectors it learns from."""
    settings = {**with_optim(to_plain(experiment.duration)), "vectors": experiment.duration_vectors}
    del settings["trained"]
    return settings
