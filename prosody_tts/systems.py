"""Builds a system's models from its settings: the only place that knows the registries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from data_modules.store import AnySpecification, Specification
from data_modules.text.sentence import NODE_LABELS, TAGS
from prosody_tts.config import DurationConfig, Experiment
from prosody_tts.nn.acoustic import AcousticModel
from prosody_tts.nn.conditioning import CONDITIONINGS, Contour
from prosody_tts.nn.context import CONTEXTS, BertContext, Contexts, GraphContext, PhoneContext, TagContext
from prosody_tts.nn.decoders import DECODERS, Decoder, HarmonicDecoder, ParallelDecoder
from prosody_tts.nn.durations import DURATIONS, ERRORS, TARGETS, DurationModel, SeparateDurations
from prosody_tts.nn.phones import PhoneEncoder
from prosody_tts.nn.priors import AutoregressivePrior, GaussianPrior
from prosody_tts.nn.reference import REFERENCES
from prosody_tts.nn.sampler import UNIT_CONTEXTS, SamplerModel
from prosody_tts.nn.speakers import SpeakerEmbedding


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


def build_acoustic(experiment: Experiment, sizes: Sizes) -> AcousticModel:
    """Stage one, without vectors where ``acoustic.reference`` is none, and without durations that others predict."""
    settings, units = experiment.acoustic, experiment.units
    phones = PhoneEncoder(sizes.phones, settings.width, settings.kernel, settings.phone_layers, settings.dropout)
    reference, conditioning, contour, inputs = None, None, None, settings.width
    if settings.reference != "none":
        reference = REFERENCES[settings.reference](
            mels=sizes.mels,
            states=settings.width if settings.reference_phones else 0,
            width=settings.width,
            latent=settings.latent,
            kernel=settings.kernel,
            pool=settings.pool,
            stride=settings.frames_per_step,
            dropout=settings.dropout,
        )
        conditioning = CONDITIONINGS[settings.conditioning](units, settings.width, settings.latent)
        inputs = conditioning.width
        contour = Contour(units, settings.latent) if settings.contour_weight > 0 else None
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
    settings, latent = experiment.duration, experiment.acoustic.latent
    width, kernel, dropout = settings.width, settings.kernel, settings.dropout
    phones = PhoneEncoder(sizes.phones, width, kernel, settings.phone_layers, dropout)
    conditioning = None
    if experiment.duration_vectors != "none":
        conditioning = CONDITIONINGS[experiment.acoustic.conditioning](experiment.units, width, latent)
    inputs = width if conditioning is None else conditioning.width
    durations = build_durations(settings, inputs, width, kernel, dropout)
    return SeparateDurations(phones, conditioning, durations, build_speakers(sizes, width))


def build_decoder(experiment: Experiment, sizes: Sizes, inputs: int) -> Decoder:
    """The decoder of ``acoustic.decoder``, for phone states of ``inputs`` dimensions."""
    settings, audio = experiment.acoustic, experiment.audio
    shape: dict[str, Any] = {
        "inputs": inputs,
        "width": settings.width,
        "mels": sizes.mels,
        "kernel": settings.kernel,
        "layers": settings.decoder_layers,
        "frames_per_step": settings.frames_per_step,
        "dropout": settings.dropout,
    }

    def harmonic() -> Decoder:
        from data_modules.audio import mel_channels

        centres, widths = mel_channels(replace(audio, mels=sizes.mels))
        return HarmonicDecoder(
            **shape,
            centres=torch.from_numpy(centres).float(),
            widths=torch.from_numpy(widths).float(),
            f0_mean=sizes.f0_mean,
            f0_scale=sizes.f0_scale,
        )

    makers: dict[type[Decoder], Callable[[], Decoder]] = {
        ParallelDecoder: lambda: ParallelDecoder(**shape),
        HarmonicDecoder: harmonic,
    }
    return makers[DECODERS[settings.decoder]]()


def build_speakers(sizes: Sizes, width: int) -> SpeakerEmbedding | None:
    """None for a single speaker, whose weights and random draws are those of a system that knows of no speakers."""
    return SpeakerEmbedding(sizes.speakers, width) if sizes.speakers > 1 else None


def build_contexts(experiment: Experiment, sizes: Sizes) -> Contexts:
    """The experiment's context encoders."""
    settings = experiment.sampler
    width, dropout = settings.width, settings.dropout
    makers = {
        PhoneContext: lambda: PhoneContext(sizes.phones, width, dropout),
        BertContext: lambda: BertContext(sizes.bert, width, dropout),
        TagContext: lambda: TagContext(TAGS, width, dropout),
        GraphContext: lambda: GraphContext(len(NODE_LABELS), width, settings.passes or sizes.passes, dropout),
    }
    return Contexts({name: makers[CONTEXTS[name]]() for name in settings.contexts}, width)  # type: ignore[index]


def build_sampler(experiment: Experiment, sizes: Sizes) -> SamplerModel:
    """Stage two."""
    settings, latent = experiment.sampler, experiment.latent
    contexts = build_contexts(experiment, sizes)
    to_units = UNIT_CONTEXTS[experiment.units](contexts.width, settings.recurrent)
    priors: dict[str, Callable[[], GaussianPrior | AutoregressivePrior]] = {
        "gaussian": lambda: GaussianPrior(
            to_units.width, latent, settings.recurrent, settings.dropout, settings.kl_direction
        ),
        "autoregressive": lambda: AutoregressivePrior(
            to_units.width, latent, settings.recurrent, settings.dropout, settings.own, settings.huber
        ),
    }
    return SamplerModel(
        experiment.units,
        contexts,
        to_units,
        priors[settings.prior](),
        latent,
        build_speakers(sizes, contexts.width),
    )
