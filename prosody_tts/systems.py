"""Builds a system's models from its settings: the only place that knows the registries."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import nn

from data_modules.scripts import FIRST_PHONE
from data_modules.store import AnySpecification, Specification
from data_modules.text.sentence import NODE_LABELS, TAGS
from prosody_tts.config import LABEL_CLASSES, AcousticConfig, DurationConfig, Experiment, SamplerConfig
from prosody_tts.nn.acoustic import AcousticModel
from prosody_tts.nn.classes import ClassHead
from prosody_tts.nn.conditioning import CONDITIONINGS, Contour
from prosody_tts.nn.context import CONTEXTS, CachedStates, Contexts, TunedStates
from prosody_tts.nn.decoders import (
    DECODERS,
    POSTNETS,
    AttentionDecoder,
    AutoregressiveDecoder,
    CampDecoder,
    ConvolutionalPostNet,
    Decoder,
    HarmonicDecoder,
    HarmonicHead,
    HarmonicPostNet,
    ParallelDecoder,
    PostNet,
)
from prosody_tts.nn.durations import DURATIONS, ERRORS, TARGETS, DurationModel, SeparateDurations
from prosody_tts.nn.language.heads import HEADS as LANGUAGE_HEADS
from prosody_tts.nn.language.model import SpeechLanguageModel
from prosody_tts.nn.phones import ENCODERS, FastPhoneEncoder, PhoneEncoder, TacotronPhoneEncoder
from prosody_tts.nn.priors import PRIORS, Prior
from prosody_tts.nn.recogniser import Recogniser
from prosody_tts.nn.reference import HEADS, HEARINGS, ExplicitReference, Hearing, LearnedReference, ReferenceEncoder
from prosody_tts.nn.reference.framewise import CampHearing, ConvolutionalHearing, GatedHearing
from prosody_tts.nn.reference.gst import GstHearing
from prosody_tts.nn.sampler import UNIT_CONTEXTS, SamplerModel
from prosody_tts.nn.speakers import SpeakerEmbedding
from prosody_tts.nn.tokenizers import (
    QUANTIZERS,
    TOKENIZERS,
    BinnedTokenizer,
    LearnedTokenizer,
    SegmentEncoder,
    Tokenizer,
)


@dataclass(frozen=True)
class Sizes:
    """What the data say of a model's shape; plain numbers, kept in every checkpoint.

    ``phones`` counts the inventory with padding and the unknown phone, ``bert`` the dimensions of a BERT state,
    ``passes`` the 75th percentile of the training graphs' diameters, ``speakers`` those of the training split;
    ``f0_mean`` and ``f0_scale`` are of the natural log of F0 in Hz.
    """

    phones: int
    mels: int
    bert: int
    passes: int
    speakers: int = 1
    f0_mean: float = 5.0
    f0_scale: float = 0.3

    @staticmethod
    def of(spec: AnySpecification) -> Sizes:
        """The sizes that a specification says; a corpus of labels has no mel and no F0."""
        sizes = Sizes(len(spec.inventory), 0, spec.bert, spec.passes, len(spec.speakers))
        if not isinstance(spec, Specification):
            return sizes
        return replace(sizes, mels=len(spec.mel_mean), f0_mean=spec.f0_mean, f0_scale=spec.f0_scale)


Made = TypeVar("Made")


def made(kind: Callable[..., Made], offered: dict[str, Any]) -> Made:
    """An object of a registry's class, given those of the offered arguments that its constructor names."""
    return kind(**{name: offered[name] for name in inspect.signature(kind).parameters if name in offered})


def build_acoustic(experiment: Experiment, sizes: Sizes) -> AcousticModel:
    """Stage one, without vectors where ``acoustic.reference`` is none, and without durations that others predict."""
    settings, units = experiment.acoustic, experiment.units
    phones = build_encoder(settings, sizes)
    reference, conditioning, contour, inputs = None, None, None, settings.width
    if settings.reference != "none":
        reference = build_reference(experiment, sizes)
        conditioning = CONDITIONINGS[settings.conditioning](units, settings.width, experiment.latent, settings.knots)
        inputs = conditioning.width
        contour = Contour(units, experiment.latent, settings.knots) if settings.contour_weight > 0 else None
    durations = None
    if experiment.duration.trained == "joint" and DECODERS[settings.decoder].timed:
        durations = build_durations(experiment.duration, inputs, settings.width, settings.kernel, settings.dropout)
    return AcousticModel(
        units=units,
        phones=phones,
        reference=reference,
        conditioning=conditioning,
        contour=contour,
        durations=durations,
        decoder=build_decoder(experiment, sizes, inputs),
        speakers=build_speakers(sizes, settings.width),
        listening=settings.readout_listens,
    )


def build_encoder(settings: AcousticConfig, sizes: Sizes) -> PhoneEncoder:
    """The phone encoder of ``acoustic.encoder``."""
    shape: dict[str, Any] = {
        "phones": sizes.phones,
        "width": settings.width,
        "kernel": settings.kernel,
        "layers": settings.phone_layers,
    }
    makers: dict[type[PhoneEncoder], Callable[[], PhoneEncoder]] = {
        FastPhoneEncoder: lambda: FastPhoneEncoder(**shape, dropout=settings.dropout),
        TacotronPhoneEncoder: lambda: TacotronPhoneEncoder(
            **shape, recurrent=settings.phone_recurrent, dropout=settings.conv_dropout
        ),
    }
    return makers[ENCODERS[settings.encoder]]()


def build_reference(experiment: Experiment, sizes: Sizes) -> ReferenceEncoder:
    """The reference encoder of ``acoustic.reference``: explicit, or ``acoustic.hearing`` below its head."""
    settings, units = experiment.acoustic, experiment.units
    if settings.reference == "explicit":
        return ExplicitReference(units, sizes.f0_mean, sizes.f0_scale)
    shape: dict[str, Any] = {
        "mels": sizes.mels,
        "states": settings.width if settings.reference_phones else 0,
        "width": settings.width,
        "pool": settings.pool,
        "stride": settings.frames_per_step,
        "dropout": settings.dropout,
    }
    makers: dict[type[Hearing], Callable[[], Hearing]] = {
        ConvolutionalHearing: lambda: ConvolutionalHearing(**shape, kernel=settings.kernel),
        GstHearing: lambda: GstHearing(sizes.mels),
        CampHearing: lambda: CampHearing(**shape),
        GatedHearing: lambda: GatedHearing(**shape, kernel=settings.kernel, halve=units == "utterance"),
    }
    hearing = makers[HEARINGS[settings.hearing]]()
    return LearnedReference(hearing, HEADS[settings.reference](hearing.width, experiment.latent))


def build_durations(settings: DurationConfig, inputs: int, width: int, kernel: int, dropout: float) -> DurationModel:
    """A duration model for phone states of ``inputs`` dimensions."""
    return DURATIONS[settings.network](
        inputs=inputs,
        width=width,
        kernel=kernel,
        dropout=dropout,
        target=TARGETS[settings.target](),
        error=ERRORS[settings.error],
    )


def build_separate_durations(experiment: Experiment, sizes: Sizes) -> SeparateDurations:
    """The durations of a system whose stage one has none, on vectors where the system has them."""
    settings, latent, knots = experiment.duration, experiment.latent, experiment.acoustic.knots
    width, kernel, dropout = settings.width, settings.kernel, settings.dropout
    phones = FastPhoneEncoder(sizes.phones, width, kernel, settings.phone_layers, dropout)
    conditioning = None
    if experiment.duration_vectors != "none":
        conditioning = CONDITIONINGS[experiment.acoustic.conditioning](experiment.units, width, latent, knots)
    inputs = width if conditioning is None else conditioning.width
    durations = build_durations(settings, inputs, width, kernel, dropout)
    return SeparateDurations(phones, conditioning, durations, build_speakers(sizes, width))


def build_decoder(experiment: Experiment, sizes: Sizes, inputs: int) -> Decoder:
    """The decoder of ``acoustic.decoder``, for phone states of ``inputs`` dimensions."""
    settings = experiment.acoustic
    common: dict[str, Any] = {
        "inputs": inputs,
        "frames_per_step": settings.frames_per_step,
        "dropout": settings.dropout,
    }
    shape: dict[str, Any] = {
        **common,
        "width": settings.width,
        "kernel": settings.kernel,
        "layers": settings.decoder_layers,
    }
    apart = settings.reference != "none" and settings.conditioning == "concatenated"

    def feedback(told: int) -> dict[str, Any]:
        return {
            **common,
            "recurrent": settings.recurrent,
            "layers": settings.recurrent_layers,
            "prenet": settings.prenet,
            "postnet": build_postnet(experiment, sizes, told),
            "prenet_dropout": settings.prenet_dropout,
            "prenet_always": settings.prenet_always,
            "seed": experiment.seed,
        }

    makers: dict[type[Decoder], Callable[[], Decoder]] = {
        ParallelDecoder: lambda: ParallelDecoder(**shape, mels=sizes.mels),
        HarmonicDecoder: lambda: HarmonicDecoder(**shape, head=build_harmonics(experiment, sizes)),
        AutoregressiveDecoder: lambda: AutoregressiveDecoder(
            **feedback((inputs + 3) * settings.frames_per_step), mels=sizes.mels
        ),
        CampDecoder: lambda: CampDecoder(
            **shape,
            mels=sizes.mels,
            latent=settings.latent if apart else 0,
            recurrent_layers=settings.recurrent_layers,
            conv_dropout=settings.conv_dropout,
        ),
        AttentionDecoder: lambda: AttentionDecoder(
            **feedback(inputs),
            mels=sizes.mels,
            attention=settings.attention,
            shortest=settings.shortest,
            longest=settings.longest,
        ),
    }
    return makers[DECODERS[settings.decoder]]()


def build_postnet(experiment: Experiment, sizes: Sizes, told: int) -> PostNet | None:
    """The post-net of ``acoustic.postnet``, none without layers; ``told`` numbers tell every step of the text."""
    settings = experiment.acoustic
    if settings.postnet_layers == 0:
        return None
    makers: dict[type[PostNet], Callable[[], PostNet]] = {
        ConvolutionalPostNet: lambda: ConvolutionalPostNet(
            sizes.mels, settings.width, settings.postnet_layers, settings.conv_dropout
        ),
        HarmonicPostNet: lambda: HarmonicPostNet(
            inputs=told,
            width=settings.width,
            kernel=settings.kernel,
            layers=settings.postnet_layers,
            dropout=settings.dropout,
            head=build_harmonics(experiment, sizes),
        ),
    }
    return makers[POSTNETS[settings.postnet]]()


def build_harmonics(experiment: Experiment, sizes: Sizes) -> HarmonicHead:
    """The head that draws harmonics, which knows where the mel's channels lie."""
    from data_modules.audio import mel_channels

    settings = experiment.acoustic
    centres, widths = mel_channels(replace(experiment.audio, mels=sizes.mels))
    return HarmonicHead(
        width=settings.width,
        mels=sizes.mels,
        frames_per_step=settings.frames_per_step,
        centres=torch.from_numpy(centres).float(),
        widths=torch.from_numpy(widths).float(),
        f0_mean=sizes.f0_mean,
        f0_scale=sizes.f0_scale,
    )


def build_speakers(sizes: Sizes, width: int) -> SpeakerEmbedding | None:
    """None for a single speaker, whose weights and random draws are those of a system that knows of no speakers."""
    return SpeakerEmbedding(sizes.speakers, width) if sizes.speakers > 1 else None


def build_contexts(experiment: Experiment, sizes: Sizes, bert: nn.Module | None = None) -> Contexts:
    """The experiment's context encoders; ``bert`` is the model that ``sampler.bert=tuned`` trains along."""
    settings = experiment.sampler
    if (bert is not None) != experiment.tunes_bert:
        raise ValueError("a BERT is given where sampler.bert=tuned trains one among the contexts, and nowhere else")
    states = CachedStates() if bert is None else TunedStates(bert, settings.bert_tuned)
    offered = {
        "phones": sizes.phones,
        "states": states,
        "bert": sizes.bert,
        "tags": TAGS,
        "marks": TAGS["punctuation"],
        "labels": len(NODE_LABELS),
        "passes": settings.passes or sizes.passes,
        "messages": settings.graph,
        "width": settings.width,
        "dropout": settings.dropout,
    }
    return Contexts({name: made(CONTEXTS[name], offered) for name in settings.contexts}, settings.width)


def build_sampler(experiment: Experiment, sizes: Sizes, bert: nn.Module | None = None) -> SamplerModel:
    """Stage two; ``bert`` as in ``build_contexts``."""
    settings, latent = experiment.sampler, experiment.latent
    contexts = build_contexts(experiment, sizes, bert)
    to_units = UNIT_CONTEXTS[experiment.units](contexts.width, settings.recurrent)
    return SamplerModel(
        experiment.units,
        contexts,
        to_units,
        build_prior(settings, to_units.width, latent),
        latent,
        build_speakers(sizes, contexts.width),
        build_classes(experiment, to_units.width),
    )


def build_prior(settings: SamplerConfig, context: int, latent: int) -> Prior:
    """The prior of ``sampler.prior``, for contexts of ``context`` and vectors of ``latent`` dimensions."""
    offered = {
        "context": context,
        "latent": latent,
        "recurrent": settings.recurrent,
        "dropout": settings.dropout,
        "direction": settings.kl_direction,
        "rank": settings.rank,
        "own": settings.own,
        "threshold": settings.huber,
        "transforms": settings.transforms,
        "bins": settings.bins,
        "denoiser_layers": settings.denoiser_layers,
        "codes": settings.codes,
        "codebooks": settings.codebooks,
    }
    return made(PRIORS[settings.prior], offered)


def build_classes(experiment: Experiment, context: int) -> ClassHead | None:
    """The head for discrete labels where ``sampler.classes_weight`` asks for one."""
    settings = experiment.sampler
    if settings.classes_weight == 0:
        return None
    counts = LABEL_CLASSES[experiment.corpus]
    return ClassHead(context, settings.recurrent, counts, settings.dropout, settings.classes_weight)


def build_tokenizer(experiment: Experiment, sizes: Sizes) -> Tokenizer:
    """The acoustic tokenizer."""
    settings = experiment.tokenizer

    def learned() -> Tokenizer:
        encoder = SegmentEncoder(
            sizes.mels, settings.segment, settings.width, settings.kernel, settings.layers, settings.dropout
        )
        quantizer = QUANTIZERS[settings.quantizer](settings.width, settings.codebooks, settings.codes)
        acoustic = replace(
            experiment.acoustic,
            decoder="harmonic",
            width=settings.width,
            kernel=settings.kernel,
            decoder_layers=settings.decoder_layers,
            dropout=settings.dropout,
        )
        decoder = build_decoder(replace(experiment, acoustic=acoustic), sizes, settings.width)
        return LearnedTokenizer(encoder, quantizer, decoder, settings.segment)

    makers: dict[type[Tokenizer], Callable[[], Tokenizer]] = {
        LearnedTokenizer: learned,
        BinnedTokenizer: lambda: BinnedTokenizer(sizes.mels, settings.segment, settings.codes),
    }
    return makers[TOKENIZERS[settings.kind]]()


def build_language(experiment: Experiment, sizes: Sizes, codebooks: int, size: int) -> SpeechLanguageModel:
    """The language model over a tokenizer's codes."""
    settings = experiment.language
    symbols = FIRST_PHONE + sizes.phones
    contexts = None
    if settings.contexts:
        sampler = replace(experiment.sampler, contexts=settings.contexts, width=settings.context_width)
        contexts = build_contexts(replace(experiment, sampler=sampler), sizes)
    return SpeechLanguageModel(
        symbols=symbols,
        codebooks=codebooks,
        size=size,
        width=settings.width,
        layers=settings.layers,
        heads=settings.heads,
        dropout=settings.dropout,
        forgotten=settings.forgotten,
        head=LANGUAGE_HEADS[settings.head](settings.width, symbols, codebooks, size),
        contexts=contexts,
        speakers=build_speakers(sizes, settings.width),
    )


def build_recogniser(experiment: Experiment, sizes: Sizes) -> Recogniser:
    """The recogniser."""
    settings = experiment.recogniser
    return Recogniser(
        mels=sizes.mels,
        width=settings.width,
        kernel=settings.kernel,
        layers=settings.layers,
        heads=settings.heads,
        dropout=settings.dropout,
        masked=settings.masked,
    )
