"""What settings fit together: everything wrong is told before any work begins."""

from __future__ import annotations

from operator import attrgetter

from prosody_tts.config.merging import merge, read
from prosody_tts.config.settings import (
    CORPUS_PATHS,
    EXPERIMENTS,
    HUB_VOCODERS,
    LABELS,
    ORDERED,
    PRETRAINED,
    AcousticConfig,
    AudioConfig,
    Experiment,
    OptimConfig,
    RunConfig,
    to_plain,
)
from prosody_tts.errors import UserError

#: Groups of settings that train a model.
TRAINED = ("acoustic", "sampler", "duration", "vocoder", "aligner", "tokenizer", "language", "recogniser")
#: Counts and sizes that are at least one, where they are given at all.
AT_LEAST_ONE = (
    *(f"{group}.optim.{name}" for group in TRAINED for name in ("batch", "epochs")),
    *(f"run.{name}" for name in ("feature_workers", "workers", "threads", "devices", "checkpoint_steps")),
    *(f"acoustic.{name}" for name in ("latent", "kl_every", "knots", "width", "recurrent", "recurrent_layers")),
    *(f"acoustic.{name}" for name in ("phone_recurrent", "prenet", "attention", "frames_per_step")),
    *(f"sampler.{name}" for name in ("transforms", "bins", "codes", "codebooks", "denoiser_layers")),
    *(f"data.{name}" for name in ("train_sentences", "test_sentences", "dev_sentences", "dev_count", "test_count")),
    *(f"data.{name}" for name in ("renditions", "speakers", "learn_from")),
    *(f"vocoder.{name}" for name in ("width", "layers", "kernel")),
    *(f"tokenizer.{name}" for name in ("segment", "codebooks", "width", "layers", "decoder_layers")),
    *(f"language.{name}" for name in ("width", "layers", "heads", "longest", "longest_text")),
    *("duration.width", "synthesis.steps", "synthesis.iterations", "evaluation.resamples"),
)
#: Numbers that may be nought and not less.
NOT_NEGATIVE = (
    *("sampler.rank", "text.neighbours", "evaluation.samples", "sampler.classes_weight", "synthesis.temperature"),
    *("run.loader_workers", "run.samples_every"),
)
#: Numbers that are more than nought.
ABOVE_ZERO = ("sampler.bert_rate", "sampler.huber")


def validate(experiment: Experiment) -> None:
    """Refuse settings that do not fit together, or lie beyond what they can be.

    Raises:
        UserError: names the first, and what to give.
    """
    _sources(experiment)
    _labels(experiment)
    if experiment.backbone == "tokens":
        _tokens(experiment)
    _recogniser(experiment)
    _vectors(experiment)
    _listener(experiment)
    _audio(experiment.audio)
    _decoder(experiment.acoustic)
    _reference(experiment)
    _durations(experiment)
    _vocoder(experiment)
    _numbers(experiment)
    _run(experiment.run)
    for name in TRAINED:
        _optim(f"{name}.optim", getattr(experiment, name).optim, experiment.run)


def _sources(experiment: Experiment) -> None:
    """Where speech, its times and its text come from."""
    corpus, data = experiment.corpus, experiment.data
    if experiment.corpus_path is None and corpus in CORPUS_PATHS:
        raise UserError(f"corpus={corpus} needs corpus_path=PATH, {CORPUS_PATHS[corpus]}")
    if data.splits is not None and corpus == "testbed":
        raise UserError("data.splits is for recorded corpora; the testbed makes its own splits, so leave it out")
    if experiment.textgrids is not None and corpus == "testbed":
        raise UserError("corpus=testbed knows its own phone times; leave textgrids out, or name another corpus")
    if experiment.textgrids is not None and experiment.aligned_by is not None:
        raise UserError("textgrids and aligned_by both say where the phones are; give one of them")
    if experiment.text.tree == "gold" and corpus != "testbed":
        raise UserError(f"text.tree=gold needs a corpus with gold trees; corpus={corpus} has none")
    if experiment.text.neighbours > 0 and corpus not in ORDERED:
        raise UserError(
            f"text.neighbours={experiment.text.neighbours} needs a corpus that knows what is read before and after a "
            f"sentence ({', '.join(ORDERED)}), and corpus={corpus} does not; leave it out"
        )
    for speed in data.speeds:
        if not 0.5 <= speed <= 2 or speed == 1:
            raise UserError(f"data.speeds holds {speed:g}; speeds lie between 0.5 and 2 and are not 1")
    if data.learn_from is not None and (experiment.backbone == "tokens" or experiment.recogniser.hears != "nothing"):
        raise UserError(
            f"data.learn_from={data.learn_from} is for stages one and two, which {experiment.system} has not; leave it "
            "out (of a recogniser, recogniser.recordings says how much it hears)"
        )
    if not 0 <= data.allowed_bad <= 1:
        raise UserError(f"data.allowed_bad={data.allowed_bad} is a share; give a number from 0 to 1")


def _vectors(experiment: Experiment) -> None:
    """Where prosody vectors come from, and what predicts them."""
    sampler = experiment.sampler
    without = experiment.vectors in {"none", "labels"} or experiment.backbone == "tokens"
    if without != (experiment.acoustic.reference == "none"):
        raise UserError(
            f"vectors={experiment.vectors} does not fit acoustic.reference={experiment.acoustic.reference}: "
            "a system without a reference encoder has no vectors, and one with it needs recording or predicted"
        )
    if not sampler.contexts or len(set(sampler.contexts)) < len(sampler.contexts):
        raise UserError("sampler.contexts must name each context once, as in sampler.contexts=[bert,tags]")
    if sampler.bert_tuned is not None and sampler.bert_tuned < 1:
        raise UserError(
            f"sampler.bert_tuned={sampler.bert_tuned} must be at least 1; null trains all layers, and "
            "sampler.bert=frozen none"
        )
    if sampler.classes_weight > 0 and experiment.vectors != "labels":
        raise UserError(
            f"sampler.classes_weight={sampler.classes_weight:g} is for corpora of labels, which have classes; "
            f"{experiment.system} has none, so leave it out"
        )


def _listener(experiment: Experiment) -> None:
    """Who hears what a system says."""
    settings = experiment.evaluation
    if settings.recogniser_path is not None and settings.recogniser == "none":
        raise UserError(
            "evaluation.recogniser_path is given and nothing listens; give evaluation.recogniser=whisper or "
            "evaluation.recogniser=ours, or leave it out"
        )
    if settings.recogniser != "none" and experiment.measures != "speech":
        raise UserError(
            f"evaluation.recogniser={settings.recogniser} listens to what a system says, and the evaluation of "
            f"{experiment.system} says nothing; leave it out"
        )
    if settings.quality != "none" and experiment.measures != "speech":
        raise UserError(
            f"evaluation.quality={settings.quality} rates what a system says, and the evaluation of "
            f"{experiment.system} says nothing; leave it out"
        )


def _durations(experiment: Experiment) -> None:
    """When durations are learned."""
    settings = experiment.duration
    if settings.vectors == "sampled" and settings.trained == "joint":
        raise UserError(
            "duration.vectors=sampled does not fit duration.trained=joint: stage two, which draws them, comes after "
            "stage one; give duration.trained=separate, or duration.vectors=recording"
        )
    if settings.trained == "separate" and experiment.acoustic.decoder == "attention":
        raise UserError(
            "duration.trained=separate does not fit acoustic.decoder=attention, which finds durations itself; "
            "leave it out, or name another decoder"
        )


def _numbers(experiment: Experiment) -> None:
    for name in AT_LEAST_ONE:
        value = attrgetter(name)(experiment)
        if value is not None and value < 1:
            raise UserError(f"{name}={value} must be at least 1")
    for name in NOT_NEGATIVE:
        value = attrgetter(name)(experiment)
        if value < 0:
            raise UserError(f"{name}={value:g} must not be negative")
    for name in ABOVE_ZERO:
        value = attrgetter(name)(experiment)
        if value <= 0:
            raise UserError(f"{name}={value:g} must be above 0")


def _run(run: RunConfig) -> None:
    """How often a run is kept, and where it is shared."""
    if run.artifacts == "wandb" and run.wandb == "disabled":
        raise UserError(
            "run.artifacts=wandb shares stages by W&B, and run.wandb=disabled turns W&B off; give run.wandb=online, or "
            "offline to upload later, or leave run.artifacts out"
        )
    if run.checkpoint_minutes is not None and run.checkpoint_minutes <= 0:
        raise UserError(f"run.checkpoint_minutes={run.checkpoint_minutes:g} must be above 0; null writes none by time")


def _optim(group: str, optim: OptimConfig, run: RunConfig) -> None:
    """What rates, shares and counts may be."""
    if run.devices > 1 and optim.batch < 2 * run.devices:
        raise UserError(
            f"{group}.batch={optim.batch} is the batch of all devices together, and run.devices={run.devices} need two "
            f"utterances each; give {group}.batch={2 * run.devices} at least, or fewer devices"
        )
    for name in ("learning_rate", "clip"):
        if getattr(optim, name) <= 0:
            raise UserError(f"{group}.{name}={getattr(optim, name):g} must be above 0")
    for name in ("final_rate", "decay_factor"):
        if not 0 < getattr(optim, name) <= 1:
            raise UserError(f"{group}.{name}={getattr(optim, name):g} must lie above 0 and be at most 1")
    for name in ("warmup", "warmup_start"):
        if not 0 <= getattr(optim, name) <= 1:
            raise UserError(f"{group}.{name}={getattr(optim, name):g} is a share; give a number from 0 to 1")
    for name in ("patience", "warmup_steps"):
        value = getattr(optim, name)
        if value is not None and value < 1:
            raise UserError(f"{group}.{name}={value} must be at least 1, or null for none")
    if not 0 <= optim.decay_from < optim.decay_until:
        raise UserError(
            f"{group}.decay_from={optim.decay_from} and {group}.decay_until={optim.decay_until} are the first and the "
            "last step of a decay; give numbers that rise"
        )
    if optim.ema is not None and not 0 < optim.ema < 1:
        raise UserError(f"{group}.ema={optim.ema:g} must lie between 0 and 1, as in 0.999, or be null for none")


def _decoder(acoustic: AcousticConfig) -> None:
    """What a decoder can be."""
    for name in ("dropout", "conv_dropout", "prenet_dropout"):
        if not 0 <= getattr(acoustic, name) < 1:
            raise UserError(f"acoustic.{name}={getattr(acoustic, name):g} is a share below 1; give one, as in 0.5")
    for name in ("own_frames", "own_warmup"):
        if not 0 <= getattr(acoustic, name) <= 1:
            raise UserError(f"acoustic.{name}={getattr(acoustic, name):g} is a share; give a number from 0 to 1")
    if acoustic.postnet_layers < 0 or acoustic.postnet_layers == 1:
        raise UserError(f"acoustic.postnet_layers={acoustic.postnet_layers} must be 0, for no post-net, or at least 2")
    if acoustic.decoder == "attention" and acoustic.recurrent_layers < 2:
        raise UserError(
            f"acoustic.recurrent_layers={acoustic.recurrent_layers} counts the attention's LSTM, after which "
            "decoder=attention needs one at least; give 2 or more"
        )
    if not 0 < acoustic.shortest <= acoustic.longest:
        raise UserError(
            f"acoustic.shortest={acoustic.shortest:g} and acoustic.longest={acoustic.longest:g} are frames a phone; "
            "they must be above 0 and rise"
        )


def _reference(experiment: Experiment) -> None:
    settings = experiment.acoustic
    if settings.reference in {"deterministic", "variational"} and settings.hearing == "gst":
        if experiment.units != "utterance":
            raise UserError(
                f"acoustic.hearing=gst gives one vector an utterance and units={experiment.units} needs more; give "
                "units=utterance or another hearing"
            )
        if settings.reference_phones:
            raise UserError("acoustic.hearing=gst hears the mel alone; give acoustic.reference_phones=false")
    if settings.kl_every_later is not None and settings.kl_every_later < 1:
        raise UserError(f"acoustic.kl_every_later={settings.kl_every_later} must be at least 1")
    if settings.kl_free < 0:
        raise UserError(f"acoustic.kl_free={settings.kl_free:g} must not be negative")


def _tokens(experiment: Experiment) -> None:
    """What a tokenizer and a language model can be."""
    tokenizer, language = experiment.tokenizer, experiment.language
    if experiment.vectors not in {"recording", "predicted"}:
        raise UserError(
            f"vectors={experiment.vectors} does not fit backbone=tokens, whose codes are the recording's or predicted; "
            "give vectors=recording or vectors=predicted"
        )
    writes = experiment.recogniser.model == "language"
    if "speak" not in language.tasks and experiment.vectors == "predicted" and not writes:
        raise UserError(
            "language.tasks must hold speak, for a system that speaks; give language.tasks=[speak,recognise]"
        )
    if not language.tasks or len(set(language.tasks)) < len(language.tasks):
        raise UserError("language.tasks must name each task once, as in language.tasks=[speak,recognise]")
    if len(set(language.contexts)) < len(language.contexts):
        raise UserError("language.contexts must name each context once, as in language.contexts=[bert,tags]")
    if tokenizer.codes < (8 if tokenizer.quantizer == "fsq" and tokenizer.kind == "learned" else 2):
        raise UserError(f"tokenizer.codes={tokenizer.codes} is too few; give at least 8, bins or vq codes at least 2")
    if tokenizer.kernel % 2 == 0:
        raise UserError(
            f"tokenizer.kernel={tokenizer.kernel} must be odd, so that a frame has as many neighbours on both sides"
        )
    if language.width % language.heads or language.width // language.heads % 2:
        raise UserError(
            f"language.width={language.width} must be an even number of channels for each of "
            f"language.heads={language.heads}"
        )
    if not 0 < language.top_p <= 1:
        raise UserError(f"language.top_p={language.top_p:g} must lie above 0 and be at most 1")
    for name in ("dropout", "forgotten"):
        if not 0 <= getattr(language, name) < 1:
            raise UserError(f"language.{name}={getattr(language, name):g} is a share below 1; give one, as in 0.1")
    for name in ("top_k", "repeats"):
        if getattr(language, name) < 0:
            raise UserError(f"language.{name}={getattr(language, name)} must not be negative")


def _recogniser(experiment: Experiment) -> None:
    """A language model that recognises reads the codes of recordings, all that it was trained on."""
    own = experiment.recogniser
    if own.model != "language":
        return
    if experiment.backbone != "tokens" or experiment.vectors != "predicted":
        raise UserError(
            f"recogniser.model=language is for systems with a language model, and {experiment.system} has none; give "
            "backbone=tokens with vectors=predicted, as in speech_lm_hears, or recogniser.model=ctc"
        )
    if "recognise" not in experiment.language.tasks:
        raise UserError(
            "recogniser.model=language needs a language model that recognises; give language.tasks=[speak,recognise]"
        )
    if own.hears != "recordings" or own.recordings is not None:
        raise UserError(
            "recogniser.model=language is trained on the codes of all recordings; give recogniser.hears=recordings and "
            "leave recogniser.recordings out, or give recogniser.model=ctc"
        )


def _labels(experiment: Experiment) -> None:
    """Systems that learn labels go with the corpora that have them, and with nothing else."""
    labelled = " or ".join(f"corpus={name}" for name in LABELS)
    if experiment.corpus in LABELS and experiment.vectors != "labels":
        raise UserError(
            f"corpus={experiment.corpus} has labels and no recordings, which {experiment.system} needs; "
            "give an experiment with vectors=labels, such as 'timing', or a corpus of recordings"
        )
    if experiment.vectors != "labels":
        return
    if experiment.corpus not in LABELS:
        raise UserError(
            f"{experiment.system} learns labels (vectors=labels), which corpus={experiment.corpus} has not; "
            f"give {labelled}"
        )
    if experiment.units != "word":
        raise UserError(f"units={experiment.units} does not fit vectors=labels, which are of words; give units=word")
    if experiment.textgrids is not None or experiment.aligned_by is not None:
        raise UserError(
            f"corpus={experiment.corpus} comes with its labels and aligns nothing; leave out textgrids and aligned_by"
        )
    if experiment.acoustic.reference != "none":
        raise UserError(
            f"acoustic.reference={experiment.acoustic.reference} does not fit vectors=labels, which have no stage one; "
            "give acoustic.reference=none"
        )


def _audio(audio: AudioConfig) -> None:
    for name in ("sample_rate", "hop", "window", "fft", "mels", "floor", "f0_low"):
        if getattr(audio, name) <= 0:
            raise UserError(f"audio.{name}={getattr(audio, name)} must be above 0")
    if audio.window > audio.fft or audio.hop > audio.window:
        raise UserError(
            f"audio.hop={audio.hop}, audio.window={audio.window} and audio.fft={audio.fft} must not fall in this order"
        )
    if not audio.f0_low < audio.f0_high <= audio.sample_rate / 2:
        raise UserError(
            f"audio.f0_low={audio.f0_low:g} and audio.f0_high={audio.f0_high:g} must rise and stay within half of "
            f"audio.sample_rate={audio.sample_rate}"
        )
    if audio.level_db is not None and audio.level_db >= 0:
        raise UserError(f"audio.level_db={audio.level_db:g} is in dB of full scale; give a number below 0, as in -23")
    if audio.trim_db is not None and audio.trim_db <= 0:
        raise UserError(f"audio.trim_db={audio.trim_db:g} must be above 0: dB below the loudest frame, as in 40")
    if audio.trim_margin < 0 or audio.power_floor < 0:
        raise UserError(
            f"audio.trim_margin={audio.trim_margin:g} and audio.power_floor={audio.power_floor:g} must not be negative"
        )


#: Settings of ``audio.`` that a vocoder does not see: a name, F0, and what is done to recordings before.
UNHEARD = ("preset", "f0_low", "f0_high", "f0_tracker", "level_db", "trim_db", "trim_margin")


def _vocoder(experiment: Experiment) -> None:
    """A pre-trained vocoder goes with the mel it was trained on, and all that is wrong is told before any training."""
    settings, own, audio = experiment.synthesis, experiment.vocoder, experiment.audio
    name = settings.vocoder
    if name in PRETRAINED:
        preset = PRETRAINED[name]
        needed = to_plain(merge([read(EXPERIMENTS / "audio" / f"{preset}.yaml")]).audio)
        given = to_plain(audio)
        wrong = [key for key, value in needed.items() if key not in UNHEARD and given[key] != value]
        if wrong:
            shown = ", ".join(f"audio.{key}={needed[key]} (not {given[key]})" for key in wrong[:3])
            raise UserError(
                f"synthesis.vocoder={name} was trained on other mels; give audio.preset={preset}: it needs {shown}"
                + (", ..." if len(wrong) > 3 else "")
            )
        if settings.vocoder_path is None and name not in HUB_VOCODERS:
            raise UserError(
                f"synthesis.vocoder={name} needs synthesis.vocoder_path=FOLDER, a FastSpeech2ConformerHifiGan saved by "
                f"transformers (config.json, model.safetensors) that takes the mel of audio.preset={preset}"
            )
    elif settings.vocoder_path is not None:
        raise UserError(
            f"synthesis.vocoder_path is for pre-trained vocoders; leave it out with synthesis.vocoder={name}, or give "
            f"synthesis.vocoder={' or '.join(PRETRAINED)}"
        )
    if own.kernel % 2 == 0:
        raise UserError(
            f"vocoder.kernel={own.kernel} must be odd, so that a frame has as many neighbours on both sides"
        )
    if own.corrections < 0:
        raise UserError(f"vocoder.corrections={own.corrections} must not be negative")
    if name == "source_filter" and own.seconds * audio.sample_rate < 4 * audio.hop:
        raise UserError(
            f"vocoder.seconds={own.seconds:g} is too short: give at least four frames of audio.hop={audio.hop}"
        )
    for weight in ("pitch_weight", "adversarial_weight", "matching_weight"):
        if getattr(own, weight) < 0:
            raise UserError(f"vocoder.{weight}={getattr(own, weight):g} must not be negative")
    if not 0 <= own.adversarial_from <= 1:
        raise UserError(f"vocoder.adversarial_from={own.adversarial_from:g} is a share; give a number from 0 to 1")
