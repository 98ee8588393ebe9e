"""Which stages an experiment needs, what each depends on, and what is there already.

A stage's identity is a hash of the resolved settings that can change its result, of its inputs' identities and of the
version of its code; its folder is ``runs/<kind>/<identity>``. Asking again reuses or resumes it. Planning loads
neither torch nor spaCy, so a finished run answers at once.
"""

from __future__ import annotations

import platform
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock

from data_modules.corpora import CORPORA
from data_modules.corpora.contract import Progress
from prosody_tts.config import HUB_VOCODERS, LABELS, PRETRAINED, ROOT, Experiment, RecogniserConfig, RunConfig, to_plain
from prosody_tts.errors import UserError
from prosody_tts.evaluation.listeners import identity as listener_identity
from prosody_tts.evaluation.raters import identity as rater_identity
from prosody_tts.files import digest, file_digest, read_json, write_json

#: Raised by one when the code of a stage changes what it computes.
VERSIONS = {
    "corpus": 1,
    "text": 2,
    "audio": 1,
    "aligner": 5,
    "alignment": 4,
    "labels": 2,
    "acoustic": 8,
    "sampler": 6,
    "duration": 1,
    "vocoder": 1,
    "tokenizer": 1,
    "language": 2,
    "speech": 1,
    "recogniser": 1,
    "evaluate": 3,
    "report": 5,
}
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
#: Stages that learn from ``data.learn_from`` sentences.
LEARNING = frozenset({"acoustic", "sampler", "duration"})
RESULT = "result.json"
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Stage:
    """One unit of work that is done once and reused.

    Attributes:
        kind: its role, a key of ``VERSIONS``.
        identity: hash of what can change its result.
        experiment: the settings it runs with.
        inputs: kind -> identity of the stages it reads.
        label: what a person calls it.
    """

    kind: str
    identity: str
    experiment: Experiment
    inputs: dict[str, str]
    label: str

    @property
    def key(self) -> str:
        """``kind/identity``."""
        return f"{self.kind}/{self.identity}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the stages it reads."""
        return tuple(f"{kind}/{identity}" for kind, identity in self.inputs.items())

    def input(self, kind: str) -> Path:
        """Folder of an input."""
        return Path(self.experiment.run.folder) / kind / self.inputs[kind]


def folder(stage: Stage) -> Path:
    """Where a stage's results lie."""
    return Path(stage.experiment.run.folder) / stage.kind / stage.identity


def is_done(stage: Stage) -> bool:
    """Whether the stage has finished; its result is written last."""
    return (folder(stage) / RESULT).exists()


def read_result(stage: Stage) -> dict[str, Any]:
    """The content of a finished stage's ``result.json``.

    Raises:
        UserError: it is damaged; a stage that never finished has none.
    """
    path = folder(stage) / RESULT
    try:
        result = read_json(path)
        # What every reader asks for.
        return {**result, "metrics": dict(result["metrics"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({' '.join(str(error).split()) or type(error).__name__}); delete its folder to "
            f"have the stage made again ({stage.label})"
        ) from None


#: Name of the pseudo-system that sends the recording's own mel through the vocoder.
COPY = "copy_synthesis"


class _Plan:
    """Collects an experiment's stages; identities of the stages a new one depends on enter its own."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.stages: dict[str, Stage] = {}

    def make(
        self, kind: str, label: str, reads: Sequence[str], own: dict[str, Any], depends: Sequence[str] | None = None
    ) -> Stage:
        """Make a stage that reads others; ``depends`` names those that shape its result, by default all it reads."""
        shaping = {name: self.stages[name].identity for name in (reads if depends is None else depends)}
        if kind in LEARNING and self.experiment.data.learn_from is not None:
            own = {**own, "learn_from": self.experiment.data.learn_from}
        identity = digest({"kind": kind, "version": VERSIONS[kind], "depends": shaping, "own": own})
        inputs = {name: self.stages[name].identity for name in reads}
        return Stage(kind, identity, self.experiment, inputs, label)

    def add(self, kind: str, *args: Any, **kwargs: Any) -> None:
        """Make a stage and keep it for others to read."""
        self.stages[kind] = self.make(kind, *args, **kwargs)


def plan(experiment: Experiment) -> list[Stage]:
    """List the stages of a system in the order of their dependence; the last evaluates it."""
    if experiment.vectors == "labels":
        return _plan_labels(experiment)
    if experiment.recogniser.hears != "nothing":
        return PLANS_OF_RECOGNISERS[experiment.recogniser.model](experiment)
    if experiment.backbone == "tokens":
        return _plan_tokens(experiment)
    stages, data, phones = _begin(experiment, aligns=not experiment.exact_times)
    vocoder = _add_vocoder(stages)
    own = {"acoustic": _acoustic_settings(experiment), "phones": phones, "seed": experiment.seed}
    stages.add("acoustic", _acoustic_label(experiment), data, own, depends=["alignment"])
    reads = [*data, "acoustic"]
    if experiment.vectors == "predicted":
        own = {"sampler": _sampler_settings(experiment), "seed": experiment.seed}
        contexts = "+".join(experiment.sampler.contexts)
        stages.add("sampler", f"sampler {experiment.sampler.prior} ({contexts}) of {experiment.system}", reads, own)
        reads.append("sampler")
    # The rest of the text enters by the sampler; an oracle or the baseline depends on the phones alone.
    shaping = ["acoustic", *(["sampler"] if experiment.vectors == "predicted" else [])]
    if experiment.duration.trained == "separate":
        vectors = experiment.duration_vectors
        # Of a system's stages only those whose vectors it learns from: an oracle and what is predicted may share one.
        source = {"none": [], "recording": ["acoustic"], "sampled": ["acoustic", "sampler"]}[vectors]
        own = {"duration": _duration_settings(experiment), "phones": phones, "seed": experiment.seed}
        of = f" of {experiment.system}" if vectors == "sampled" else ""
        label = "durations" if vectors == "none" else f"durations ({vectors} vectors){of}"
        stages.add("duration", label, [*data, *source], own, depends=["alignment", *source])
        reads.append("duration")
        shaping.append("duration")
    copy, measured = _evaluations(stages, data, vocoder)
    own = {**measured, "vectors": experiment.vectors, "seed": experiment.seed, **_draws(experiment)}
    if experiment.vectors == "predicted":
        own["evaluation"] = {**measured["evaluation"], **_samples(experiment)}
    shaping += vocoder
    evaluate = stages.make("evaluate", f"evaluate {experiment.system}", [*reads, *vocoder], own, depends=shaping)
    return [*stages.stages.values(), copy, evaluate]


def _begin(experiment: Experiment, aligns: bool) -> tuple[_Plan, list[str], dict[str, Any]]:
    """The stages of corpus, text, audio and alignment; their kinds, and the settings that shape the phones.

    ``aligns`` says whether an aligner is trained, unless one is given.
    """
    settings = to_plain(experiment)
    stages = _Plan(experiment)
    text = _text_settings(experiment)
    # What shapes the phones, and so stage one; another BERT or parse graph retrains only stage two.
    phones = {"pronouncer": text["pronouncer"], "parser": text["parser"]}
    corpus = CORPORA[experiment.corpus]().identity(experiment)
    if experiment.textgrids is not None:
        from data_modules.alignment.attach import textgrids_identity

        corpus = {**corpus, "textgrids": textgrids_identity(experiment)}
    if experiment.data.speeds:
        corpus = {**corpus, "speeds": list(experiment.data.speeds)}
    corpus |= _neighbours(experiment)
    stages.add("corpus", f"corpus {experiment.corpus}", [], {"name": experiment.corpus, **corpus})
    stages.add("text", "text analysis", ["corpus"], text)
    stages.add("audio", "mel, F0, energy", ["corpus"], _audio_settings(experiment))
    data = ["corpus", "text", "audio"]
    trained, given = aligns and experiment.aligned_by is None, _given_aligner(experiment)
    if trained:
        own = {"aligner": _with_optim(settings["aligner"]), "phones": phones, "seed": experiment.seed}
        stages.add("aligner", "aligner", data, own, depends=["audio"])
    aligner = ["aligner"] if trained and not experiment.exact_times else []
    stages.add(
        "alignment", "alignment", data + aligner, {"phones": phones, "given": given}, depends=["audio", *aligner]
    )
    data.append("alignment")
    return stages, data, phones


def _plan_tokens(experiment: Experiment) -> list[Stage]:
    """The stages of a system of codes: a tokenizer, and a language model unless the codes are the recording's."""
    settings = to_plain(experiment)
    predicts = experiment.vectors == "predicted"
    # Where the model is not told which phone it says, an aligner finds out.
    listens = predicts and experiment.language.order == "prefix"
    stages, data, phones = _begin(experiment, aligns=listens or not experiment.exact_times)
    vocoder = _add_vocoder(stages)
    _add_tokenizer(stages)
    reads, shaping = [*data, "tokenizer"], ["alignment", "tokenizer"]
    if predicts:
        _add_language(stages, data, phones)
        reads.append("language")
        shaping.append("language")
    if listens and "aligner" in stages.stages:
        reads.append("aligner")
        shaping.append("aligner")
    copy, measured = _evaluations(stages, data, vocoder)
    # Codes are measured beside speech: raised when what is measured of them changes.
    own = {**measured, "vectors": experiment.vectors, "seed": experiment.seed, "codes": 1}
    if predicts:
        own["drawn"] = {name: settings["language"][name] for name in DRAWN}
        own["evaluation"] = {**measured["evaluation"], **_samples(experiment)}
    label = f"evaluate {experiment.system}"
    evaluate = stages.make("evaluate", label, [*reads, *vocoder], own, depends=[*shaping, *vocoder])
    return [*stages.stages.values(), copy, evaluate]


def _add_tokenizer(stages: _Plan) -> None:
    """Add the stage that trains a tokenizer, which hears no text."""
    experiment = stages.experiment
    own = {"tokenizer": _tokenizer_settings(experiment), "seed": experiment.seed}
    stages.add(
        "tokenizer", f"tokenizer {experiment.tokenizer.kind}", ["corpus", "text", "audio"], own, depends=["audio"]
    )


def _add_language(stages: _Plan, data: Sequence[str], phones: dict[str, Any]) -> None:
    """Add the stage that trains a language model; what it is then measured at shapes it in nothing."""
    experiment = stages.experiment
    settings = _with_optim(to_plain(experiment.language))
    own = {name: value for name, value in settings.items() if name not in {*DRAWN, *WRITTEN}}
    own = {"language": own, "phones": phones, "seed": experiment.seed}
    stages.add("language", f"language model of {experiment.system}", [*data, "tokenizer"], own)


def _plan_writer(experiment: Experiment) -> list[Stage]:
    """The stages of a language model that recognises: one that speaks too is trained once, and measured both ways."""
    speaks = "speak" in experiment.language.tasks
    stages, data, phones = _begin(experiment, aligns=speaks and not experiment.exact_times)
    if not speaks:
        # Nobody asks which phone a segment is in.
        del stages.stages["alignment"]
        data.remove("alignment")
    _add_tokenizer(stages)
    _add_language(stages, data, phones)
    own = {
        "evaluation": {"split": experiment.evaluation.split, "limit": experiment.evaluation.limit},
        "written": {name: getattr(experiment.language, name) for name in WRITTEN},
    }
    reads = [*data, "tokenizer", "language"]
    test = stages.make("evaluate", f"evaluate {experiment.system}", reads, own)
    return [*stages.stages.values(), test]


def _plan_recogniser(experiment: Experiment) -> list[Stage]:
    """The stages of a recogniser: those of the system whose speech it hears, their speech, itself, its test."""
    settings, hears = to_plain(experiment), experiment.recogniser.hears
    stages = _Plan(experiment)
    reads = ["corpus", "text", "audio"]
    heard = ["audio"]
    if hears == "recordings":
        begun, _, _ = _begin(experiment, aligns=False)
        stages.stages = {kind: begun.stages[kind] for kind in reads}
    else:
        *speaking, _, evaluate = plan(replace(experiment, recogniser=RecogniserConfig()))
        stages.stages = {stage.kind: replace(stage, experiment=experiment) for stage in speaking}
        own = {"synthesis": settings["synthesis"], "vectors": experiment.vectors, "seed": experiment.seed}
        if experiment.backbone == "tokens":
            own["drawn"] = {name: settings["language"][name] for name in DRAWN}
        stages.add("speech", f"speech of {experiment.system}", list(evaluate.inputs), own)
        reads.append("speech")
        heard.append("speech")
    own = {"recogniser": _with_optim(settings["recogniser"]), "seed": experiment.seed}
    for name in ("beams", "model"):
        del own["recogniser"][name]
    label = f"recogniser ({hears})"
    stages.add("recogniser", label, reads, own, depends=["text", *heard])
    measured: dict[str, Any] = {"split": experiment.evaluation.split, "limit": experiment.evaluation.limit}
    own = {"evaluation": measured, "beams": experiment.recogniser.beams}
    test = stages.make("evaluate", f"evaluate {experiment.system}", [*reads, "recogniser"], own)
    return [*stages.stages.values(), test]


#: ``recogniser.model`` -> the stages that train and test it.
PLANS_OF_RECOGNISERS = {"ctc": _plan_recogniser, "language": _plan_writer}


def _tokenizer_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings a tokenizer reads: bins train nothing."""
    settings = _with_optim(to_plain(experiment.tokenizer))
    if experiment.tokenizer.kind == "binned":
        return {name: settings[name] for name in ("kind", "segment", "codes")}
    return settings


def _evaluations(stages: _Plan, data: Sequence[str], vocoder: Sequence[str]) -> tuple[Stage, dict[str, Any]]:
    """The evaluation of copy synthesis, and the settings that shape any evaluation."""
    experiment, settings = stages.experiment, to_plain(stages.experiment)
    measured: dict[str, Any] = {"split": experiment.evaluation.split, "limit": experiment.evaluation.limit}
    measured |= listener_identity(experiment) | rater_identity(experiment)
    # Every held-out sentence is spoken in its own speaker's voice.
    unused = {"speaker", "vocoder_path", "steps"}
    unused |= {"iterations"} if experiment.synthesis.vocoder != "griffin_lim" else set()
    synthesis = {name: value for name, value in settings["synthesis"].items() if name not in unused}
    own = {"evaluation": measured, "synthesis": synthesis}
    copy = stages.make(
        "evaluate",
        "evaluate copy synthesis",
        [*data, *vocoder],
        {"evaluation": measured, "synthesis": {**synthesis, "temperature": 0.0}},
        depends=["alignment", *vocoder],
    )
    copy = replace(copy, experiment=replace(experiment, system=COPY, vectors="none"))
    return copy, own


def _add_vocoder(stages: _Plan) -> list[str]:
    """Add the stage that trains or fetches the vocoder, if it has weights; the kinds that speech then depends on."""
    experiment = stages.experiment
    name = experiment.synthesis.vocoder
    if name in PRETRAINED:
        stages.add("vocoder", f"vocoder {name}", [], {"name": name, **_given_vocoder(experiment)})
    elif name == "source_filter":
        own = {"name": name, "vocoder": _vocoder_settings(experiment), "seed": experiment.seed}
        stages.add("vocoder", f"vocoder {name}", ["corpus", "audio"], own, depends=["audio"])
    else:
        return []
    return ["vocoder"]


def _given_vocoder(experiment: Experiment) -> dict[str, str]:
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


def _vocoder_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that train a vocoder: without discriminators their weights say nothing."""
    settings = to_plain(experiment.vocoder)
    if not experiment.vocoder.adversarial:
        settings = {
            name: value for name, value in settings.items() if not name.startswith(("adversarial_", "matching_"))
        }
    return settings


def vocoder_label(experiment: Experiment) -> str:
    """The vocoder in words, with what its sound depends on."""
    name = experiment.synthesis.vocoder
    if name in PRETRAINED:
        return f"{name} ({vocoder_source(experiment)})"
    if name == "griffin_lim":
        return f"griffin_lim, {experiment.synthesis.iterations} iterations"
    stage = next((stage for stage in plan(experiment) if stage.kind == "vocoder"), None)
    return name if stage is None else f"{name}, trained on the corpus ({stage.key})"


def _plan_labels(experiment: Experiment) -> list[Stage]:
    """The stages of a system that learns labels: explicit vectors instead of a stage one, and no speech."""
    stages = _Plan(experiment)
    corpus = {**CORPORA[experiment.corpus]().identity(experiment), **_neighbours(experiment)}
    stages.add("corpus", f"corpus {experiment.corpus}", [], {"name": experiment.corpus, **corpus})
    stages.add("text", "text analysis", ["corpus"], _text_settings(experiment))
    data = ["corpus", "text"]
    stages.add("labels", "labels of words and pauses", data, {"dimensions": list(LABELS[experiment.corpus])})
    reads = [*data, "labels"]
    contexts = "+".join(experiment.sampler.contexts)
    own = {"sampler": _sampler_settings(experiment), "seed": experiment.seed}
    stages.add("sampler", f"sampler {experiment.sampler.prior} ({contexts}) of {experiment.system}", reads, own)
    measured = {"split": experiment.evaluation.split, "limit": experiment.evaluation.limit, **_samples(experiment)}
    own = {"evaluation": measured, "temperature": experiment.synthesis.temperature, "seed": experiment.seed}
    own |= _draws(experiment)
    return [*stages.stages.values(), stages.make("evaluate", f"evaluate {experiment.system}", [*reads, "sampler"], own)]


def _samples(experiment: Experiment) -> dict[str, int]:
    """How often an evaluation draws, where it does: only systems whose vectors are predicted can."""
    return {"samples": experiment.evaluation.samples} if experiment.evaluation.samples else {}


def _neighbours(experiment: Experiment) -> dict[str, int]:
    """What a corpus is told of the sentences around each, if it is asked for them."""
    count = experiment.text.neighbours
    return {"neighbours": count} if count else {}


def check_speaks_text(experiment: Experiment) -> None:
    """Raise ``UserError`` for a system that cannot speak: an oracle, or one that learns labels."""
    if experiment.vectors == "labels":
        raise UserError(f"{experiment.system} learns labels of a corpus without recordings and cannot speak")
    if experiment.measures == "recognition":
        raise UserError(f"{experiment.system} trains a recogniser and speaks nothing new; give a system that speaks")
    if experiment.vectors == "recording" and experiment.backbone == "tokens":
        raise UserError(f"{experiment.system} says recordings' codes again and cannot speak new text; give spectrum_lm")
    if experiment.vectors == "recording":
        raise UserError(
            f"{experiment.system} takes its prosody from recordings and cannot speak new text by itself; "
            "give one to copy with --reference"
        )


def _given_aligner(experiment: Experiment) -> str | None:
    """Identity of the checkpoint that ``aligned_by`` names."""
    if experiment.aligned_by is None:
        return None
    checkpoint = Path(experiment.aligned_by) / "last.ckpt"
    if not checkpoint.exists():
        raise UserError(f"aligned_by={experiment.aligned_by} holds no last.ckpt; give the folder of a trained aligner")
    return file_digest(checkpoint)


def _text_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings of the analysis; normalising shapes a corpus of raw texts, and is part of that corpus's identity."""
    settings = {**to_plain(experiment.text), "pronouncer": experiment.pronouncer}
    del settings["normaliser"]
    return settings


def _audio_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that shape the features; one at a default that does nothing says nothing."""
    settings = to_plain(experiment.audio)
    del settings["preset"]  # its numbers are there
    if experiment.audio.trim_db is None:
        del settings["trim_margin"]
    return {name: value for name, value in settings.items() if name not in PLAIN_AUDIO or value != PLAIN_AUDIO[name]}


def _with_optim(settings: dict[str, Any]) -> dict[str, Any]:
    """A stage's settings; of its optimisation those that do something."""
    optim = settings["optim"]
    silent = {name for name, value in PLAIN_OPTIM.items() if optim[name] == value}
    silent |= {name for names in DECAYS.values() for name in names if name not in DECAYS[optim["decay"]]}
    return {**settings, "optim": {name: value for name, value in optim.items() if name not in silent}}


def _acoustic_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that stage one reads: a baseline ignores what only a reference encoder uses, and so on."""
    own = experiment.acoustic
    settings = {**_with_optim(to_plain(own)), "units": experiment.units}
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


def _sampler_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that stage two reads: those of other priors, and of contexts it has not, say nothing."""
    own = experiment.sampler
    all_read = set().union(*PRIORS_READ.values())
    left_out = all_read - PRIORS_READ.get(own.prior, all_read)  # whatever a prior may read tells it from others
    left_out |= set().union(*(names for name, names in CONTEXTS_READ.items() if name not in own.contexts))
    if own.bert == "frozen":
        left_out |= {"bert_rate", "bert_tuned"}
    return {name: value for name, value in _with_optim(to_plain(own)).items() if name not in left_out}


def _draws(experiment: Experiment) -> dict[str, Any]:
    """How stage two draws, where its prior can be asked for more or fewer steps."""
    drawn = experiment.vectors in {"predicted", "labels"} and experiment.sampler.prior in IN_STEPS
    return {"steps": experiment.synthesis.steps} if drawn else {}


def _duration_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings that a separate duration model reads, and the vectors it learns from."""
    settings = {**_with_optim(to_plain(experiment.duration)), "vectors": experiment.duration_vectors}
    del settings["trained"]
    return settings


def _acoustic_label(experiment: Experiment) -> str:
    reference = experiment.acoustic.reference
    if experiment.acoustic.decoder == "attention" and reference == "none":
        return "acoustic (attention)"
    return "acoustic (no vectors)" if reference == "none" else f"acoustic ({experiment.units}, {reference})"


def plan_all(experiments: Sequence[Experiment]) -> list[Stage]:
    """List the stages of several systems, each once, in the order of their dependence."""
    stages: dict[str, Stage] = {}
    for experiment in experiments:
        for stage in plan(experiment):
            stages.setdefault(stage.key, stage)
    return list(stages.values())


#: Utterances left out that a table names one by one.
NAMED = 20


def _left_out(faults: Sequence[str]) -> tuple[str, ...]:
    """Notes under a table, one an utterance; of very many the first, and how many more."""
    notes = [f"Left out: {fault}" for fault in faults[:NAMED]]
    rest = len(faults) - len(notes)
    return (*notes, *([f"Left out: {rest} more, listed in the corpus's faults.json"] if rest else []))


def run_stage(stage: Stage, progress: Progress) -> dict[str, Any]:
    """Run a stage, or resume it, or return what it left; two processes asking at once run it once.

    With ``run.artifacts`` what another machine left is fetched instead, and what was made here is uploaded.

    Returns:
        The content of its ``result.json``.

    Raises:
        UserError: what the user must mend.
    """
    target = folder(stage)
    target.mkdir(parents=True, exist_ok=True)
    # The operating system drops the lock of a process that dies, so no stale lock outlives a crash.
    lock = FileLock(target.with_suffix(".lock"))
    if not is_done(stage):
        progress(0, 0, "waiting for another process")
    with lock:
        if is_done(stage):
            return read_result(stage)
        from prosody_tts.tracking import artifacts  # which reads plans

        if artifacts.fetched(stage, progress):
            return read_result(stage)
        write_json(target / SETTINGS, to_plain(stage.experiment))
        from prosody_tts.runners import RUNNERS  # loads torch, which planning must not

        start = time.perf_counter()
        metrics = RUNNERS[stage.kind](stage, target, progress)
        result = {
            "kind": stage.kind,
            "identity": stage.identity,
            "label": stage.label,
            "system": stage.experiment.system,
            "inputs": stage.inputs,
            "seconds": round(time.perf_counter() - start, 2),
            "metrics": metrics,
            "seed": stage.experiment.seed,
            "host": platform.node(),
            # Of the process so far, which may have run other stages before.
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": git_commit(),
            "versions": versions(),
        }
        write_json(target / RESULT, result)
    artifacts.keep(stage)
    return result


@cache
def git_commit() -> str:
    """The commit of the code, with ``-dirty`` where the tree differs from it; ``unknown`` outside a checkout."""
    if not (ROOT / ".git").exists():  # git would go up, and find whatever the user keeps the environment in
        return "unknown"
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or "unknown"
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape results."""
    names = ("torch", "lightning", "transformers", "torch-geometric", "spacy", "numpy", "praat-parselmouth", "zuko")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def training_warnings(experiment: Experiment) -> list[str]:
    """What the finished trainings of a system warn of, such as a posterior that has collapsed."""
    trained = [stage for stage in plan(experiment) if stage.kind in {"acoustic", "sampler"} and is_done(stage)]
    told = [(stage.label, read_result(stage)["metrics"].get("warning")) for stage in trained]
    return [f"{label}, seed {experiment.seed}: {warning}" for label, warning in told if warning is not None]


def pool_seeds(experiments: Mapping[str, Experiment]) -> dict[str, list[Experiment]]:
    """Systems that differ in their seed alone become one, in the order given: name without its seed -> its seeds."""
    alike: dict[str, list[str]] = {}
    for name, experiment in experiments.items():
        alike.setdefault(digest(to_plain(replace(experiment, seed=0, run=RunConfig()))), []).append(name)
    pooled: dict[str, list[Experiment]] = {}
    for names in alike.values():
        # A sweep's point is called by its file and what varies, the seed among it.
        parts = names[0].split(", ")
        bare = ", ".join(part for part in parts if part != f"seed={experiments[names[0]].seed}")
        pooled[names[0] if bare in pooled else bare] = [experiments[name] for name in names]
    return pooled


def _relations(experiment: Experiment, names: Sequence[str]) -> dict[str, Any]:
    """Who governs whom in the texts of utterances, by spaCy's parse."""
    from data_modules.store import TextStore
    from prosody_tts.inspect.parse import relations

    text = next(stage for stage in plan(experiment) if stage.kind == "text")
    sentences = TextStore(folder(text))
    return dict(
        zip(names, relations(experiment.text.parser, [sentences.sentence(name) for name in names]), strict=True)
    )


def _code_figures(experiment: Experiment) -> dict[str, float]:
    """Figures of the codes that a system says, from the stages that measured them; none of one without codes."""
    from prosody_tts.evaluation.codes import figures

    if experiment.backbone != "tokens":
        return {}
    # The last stage is the evaluation of the system itself.
    stages = {stage.kind: stage for stage in plan(experiment)}
    return figures({kind: read_result(stages[kind])["metrics"] for kind in ("tokenizer", "evaluate")})


@dataclass(frozen=True)
class Evaluated:
    """Finished evaluations of systems on one corpus; the seeds of a system belong together.

    Attributes:
        first: system -> folder of the evaluation of its first seed; copy synthesis is among them.
        repeats: system -> folders of its other seeds'.
        identities: of every evaluation, by system and seed.
        pooled: system -> its experiments, one a seed.
        corpus: the corpus's stage.
    """

    first: dict[str, Path]
    repeats: dict[str, list[Path]]
    identities: dict[str, str]
    pooled: dict[str, list[Experiment]]
    corpus: Stage


def evaluated(experiments: Mapping[str, Experiment]) -> Evaluated:
    """Where the evaluations of systems lie.

    Raises:
        UserError: a system has not been evaluated, or they are of several corpora.
    """
    evaluations: dict[str, Path] = {}
    repeats: dict[str, list[Path]] = {}
    identities: dict[str, str] = {}
    corpora: dict[str, Stage] = {}
    pooled = pool_seeds(experiments)
    for name, seeds in pooled.items():
        for experiment in seeds:
            stages = plan(experiment)
            corpora[stages[0].key] = stages[0]
            for stage in stages[-2:] if experiment.measures == "speech" else stages[-1:]:
                system = COPY if stage.experiment.system == COPY else name
                if not is_done(stage):
                    raise UserError(
                        f"{system} has not been evaluated with these settings; run 'prosody-tts evaluate' first"
                    )
                first_seed = system == COPY or experiment is seeds[0]
                identities[system if first_seed else f"{system}, seed {experiment.seed}"] = stage.identity
                if first_seed:
                    evaluations[system] = folder(stage)
                else:
                    repeats.setdefault(system, []).append(folder(stage))
    if len(corpora) > 1:
        raise UserError("a table compares systems on one corpus; these settings name several")
    return Evaluated(evaluations, repeats, identities, pooled, next(iter(corpora.values())))


def report(experiments: Mapping[str, Experiment], out: Path, command: str = "") -> Any:
    """Write table, figures and page from the finished evaluations of systems that share a corpus.

    The seeds of a system are one row.

    Args:
        experiments: system -> its experiment, in the order of the table.
        out: folder of the report.
        command: what makes it again, for the footer.

    Returns:
        A rich renderable of the table.

    Raises:
        UserError: a system has not been evaluated.
    """
    found = evaluated(experiments)
    evaluations, repeats, identities, pooled = found.first, found.repeats, found.identities, found.pooled
    first = next(iter(experiments.values()))
    if len({experiment.measures for experiment in experiments.values()}) > 1:
        raise UserError("a table compares speech, labels or recognition; these settings mix them")
    speaks = first.measures == "speech"
    if speaks:
        evaluations = {COPY: evaluations.pop(COPY), **evaluations}
    from data_modules.store import Clips, CorpusStore
    from prosody_tts.report import build, labels_build, recognition_build
    from prosody_tts.report.provenance import Provenance

    corpus = CorpusStore(folder(found.corpus))
    commit = git_commit()
    provenance = Provenance(
        corpus=first.corpus if first.corpus_path is None else f"{first.corpus} ({Path(first.corpus_path).name})",
        split=first.evaluation.split,
        seed=first.seed,
        vocoder=vocoder_label(first) if speaks else "",
        commit=None if commit == "unknown" else commit.removesuffix("-dirty"),
        clean=None if commit == "unknown" else not commit.endswith("-dirty"),
        size=first.size,
        command=command,
        identities=identities,
        versions=versions(),
        seeds=tuple(sorted({one.seed for seeds in pooled.values() for one in seeds})) if repeats else (),
        notes=(
            *dict.fromkeys(warning for experiment in experiments.values() for warning in training_warnings(experiment)),
            *_left_out([f"{fault.item} ({fault.reason})" for fault in corpus.faults if fault.bad]),
        ),
    )
    settings: dict[str, Any] = {
        "confidence": first.evaluation.confidence,
        "resamples": first.evaluation.resamples,
        "seed": first.seed,
    }
    made_from = out / "made_from.json"
    inputs = {"report": VERSIONS["report"], **settings, **provenance.to_dict()}
    # By way of JSON, in which tuples are lists.
    if made_from.exists() and digest(read_json(made_from)) == digest(inputs):
        return {"speech": build, "labels": labels_build, "recognition": recognition_build}[first.measures].show(
            out, provenance
        )
    if not speaks:
        maker = labels_build if first.measures == "labels" else recognition_build
        shown = maker.build(out, evaluations, provenance, repeats=repeats, **settings)
    else:
        codes = {name: [_code_figures(one) for one in seeds] for name, seeds in pooled.items()}
        parses = partial(_relations, first)
        more: dict[str, Any] = {"repeats": repeats, "codes": codes, "parses": parses, **settings}
        shown = build.build(out, evaluations, Clips(corpus), provenance, **more)
    write_json(made_from, inputs)
    return shown
