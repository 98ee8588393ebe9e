"""Which stages an experiment needs, and what each depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from data_modules.corpora import CORPORA
from prosody_tts.config import LABELS, PRETRAINED, Experiment, RecogniserConfig, to_plain
from prosody_tts.errors import UserError
from prosody_tts.evaluation.listeners import identity as listener_identity
from prosody_tts.evaluation.raters import identity as rater_identity
from prosody_tts.files import digest
from prosody_tts.pipeline.reads import (
    DRAWN,
    WRITTEN,
    acoustic_settings,
    audio_settings,
    draws,
    duration_settings,
    given_aligner,
    given_vocoder,
    neighbours,
    sampler_settings,
    samples,
    text_settings,
    tokenizer_settings,
    vocoder_settings,
    vocoder_source,
    with_optim,
)
from prosody_tts.pipeline.stage import COPY, LEARNING, VERSIONS, Stage


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
    own = {"acoustic": acoustic_settings(experiment), "phones": phones, "seed": experiment.seed}
    stages.add("acoustic", _acoustic_label(experiment), data, own, depends=["alignment"])
    reads = [*data, "acoustic"]
    if experiment.vectors == "predicted":
        own = {"sampler": sampler_settings(experiment), "seed": experiment.seed}
        contexts = "+".join(experiment.sampler.contexts)
        stages.add("sampler", f"sampler {experiment.sampler.prior} ({contexts}) of {experiment.system}", reads, own)
        reads.append("sampler")
    # The rest of the text enters by the sampler; an oracle or the baseline depends on the phones alone.
    shaping = ["acoustic", *(["sampler"] if experiment.vectors == "predicted" else [])]
    if experiment.duration.trained == "separate":
        vectors = experiment.duration_vectors
        # Of a system's stages only those whose vectors it learns from: an oracle and what is predicted may share one.
        source = {"none": [], "recording": ["acoustic"], "sampled": ["acoustic", "sampler"]}[vectors]
        own = {"duration": duration_settings(experiment), "phones": phones, "seed": experiment.seed}
        of = f" of {experiment.system}" if vectors == "sampled" else ""
        label = "durations" if vectors == "none" else f"durations ({vectors} vectors){of}"
        stages.add("duration", label, [*data, *source], own, depends=["alignment", *source])
        reads.append("duration")
        shaping.append("duration")
    copy, measured = _evaluations(stages, data, vocoder)
    own = {**measured, "vectors": experiment.vectors, "seed": experiment.seed, **draws(experiment)}
    if experiment.vectors == "predicted":
        own["evaluation"] = {**measured["evaluation"], **samples(experiment)}
    shaping += vocoder
    evaluate = stages.make("evaluate", f"evaluate {experiment.system}", [*reads, *vocoder], own, depends=shaping)
    return [*stages.stages.values(), copy, evaluate]


def _begin(experiment: Experiment, aligns: bool) -> tuple[_Plan, list[str], dict[str, Any]]:
    """The stages of corpus, text, audio and alignment; their kinds, and the settings that shape the phones.

    ``aligns`` says whether an aligner is trained, unless one is given.
    """
    settings = to_plain(experiment)
    stages = _Plan(experiment)
    text = text_settings(experiment)
    # What shapes the phones, and so stage one; another BERT or parse graph retrains only stage two.
    phones = {"pronouncer": text["pronouncer"], "parser": text["parser"]}
    corpus = CORPORA[experiment.corpus]().identity(experiment)
    if experiment.textgrids is not None:
        from data_modules.alignment.attach import textgrids_identity

        corpus = {**corpus, "textgrids": textgrids_identity(experiment)}
    if experiment.data.speeds:
        corpus = {**corpus, "speeds": list(experiment.data.speeds)}
    corpus |= neighbours(experiment)
    stages.add("corpus", f"corpus {experiment.corpus}", [], {"name": experiment.corpus, **corpus})
    stages.add("text", "text analysis", ["corpus"], text)
    stages.add("audio", "mel, F0, energy", ["corpus"], audio_settings(experiment))
    data = ["corpus", "text", "audio"]
    trained, given = aligns and experiment.aligned_by is None, given_aligner(experiment)
    if trained:
        own = {"aligner": with_optim(settings["aligner"]), "phones": phones, "seed": experiment.seed}
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
        own["evaluation"] = {**measured["evaluation"], **samples(experiment)}
    label = f"evaluate {experiment.system}"
    evaluate = stages.make("evaluate", label, [*reads, *vocoder], own, depends=[*shaping, *vocoder])
    return [*stages.stages.values(), copy, evaluate]


def _add_tokenizer(stages: _Plan) -> None:
    """Add the stage that trains a tokenizer, which hears no text."""
    experiment = stages.experiment
    own = {"tokenizer": tokenizer_settings(experiment), "seed": experiment.seed}
    stages.add(
        "tokenizer", f"tokenizer {experiment.tokenizer.kind}", ["corpus", "text", "audio"], own, depends=["audio"]
    )


def _add_language(stages: _Plan, data: Sequence[str], phones: dict[str, Any]) -> None:
    """Add the stage that trains a language model; what it is then measured at shapes it in nothing."""
    experiment = stages.experiment
    settings = with_optim(to_plain(experiment.language))
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
    own = {"recogniser": with_optim(settings["recogniser"]), "seed": experiment.seed}
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
        stages.add("vocoder", f"vocoder {name}", [], {"name": name, **given_vocoder(experiment)})
    elif name == "source_filter":
        own = {"name": name, "vocoder": vocoder_settings(experiment), "seed": experiment.seed}
        stages.add("vocoder", f"vocoder {name}", ["corpus", "audio"], own, depends=["audio"])
    else:
        return []
    return ["vocoder"]


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
    corpus = {**CORPORA[experiment.corpus]().identity(experiment), **neighbours(experiment)}
    stages.add("corpus", f"corpus {experiment.corpus}", [], {"name": experiment.corpus, **corpus})
    stages.add("text", "text analysis", ["corpus"], text_settings(experiment))
    data = ["corpus", "text"]
    stages.add("labels", "labels of words and pauses", data, {"dimensions": list(LABELS[experiment.corpus])})
    reads = [*data, "labels"]
    contexts = "+".join(experiment.sampler.contexts)
    own = {"sampler": sampler_settings(experiment), "seed": experiment.seed}
    stages.add("sampler", f"sampler {experiment.sampler.prior} ({contexts}) of {experiment.system}", reads, own)
    measured = {"split": experiment.evaluation.split, "limit": experiment.evaluation.limit, **samples(experiment)}
    own = {"evaluation": measured, "temperature": experiment.synthesis.temperature, "seed": experiment.seed}
    own |= draws(experiment)
    return [*stages.stages.values(), stages.make("evaluate", f"evaluate {experiment.system}", [*reads, "sampler"], own)]


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
