"""Builds a system's models from its settings: the only place that knows the registries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data_modules.text.sentence import NODE_LABELS, TAGS
from prosody_tts.config import Experiment
from prosody_tts.nn.acoustic import AcousticModel
from prosody_tts.nn.context import CONTEXTS, BertContext, Contexts, GraphContext, PhoneContext, TagContext
from prosody_tts.nn.decoders import DECODERS
from prosody_tts.nn.durations import DurationModel
from prosody_tts.nn.phones import PhoneEncoder
from prosody_tts.nn.priors import AutoregressivePrior, GaussianPrior
from prosody_tts.nn.reference import REFERENCES
from prosody_tts.nn.sampler import UNIT_CONTEXTS, SamplerModel
from prosody_tts.nn.speakers import SpeakerEmbedding


@dataclass(frozen=True)
class Sizes:
    """What the data say of a model's shape; plain numbers, kept in every checkpoint.

    ``phones`` counts the inventory with padding and the unknown phone, ``bert`` the dimensions of a BERT state,
    ``passes`` the 75th percentile of the training graphs' diameters, ``speakers`` those of the training split.
    """

    phones: int
    mels: int
    bert: int
    passes: int
    speakers: int = 1


def build_acoustic(experiment: Experiment, sizes: Sizes) -> AcousticModel:
    """Stage one, without vectors where ``acoustic.reference`` is none."""
    settings = experiment.acoustic
    reference = None
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
    return AcousticModel(
        units=experiment.units,
        phones=PhoneEncoder(sizes.phones, settings.width, settings.kernel, settings.phone_layers, settings.dropout),
        reference=reference,
        latent=settings.latent,
        durations=DurationModel(settings.width, settings.kernel, settings.dropout),
        decoder=DECODERS["parallel"](
            settings.width,
            sizes.mels,
            settings.kernel,
            settings.decoder_layers,
            settings.frames_per_step,
            settings.dropout,
        ),
        width=settings.width,
        speakers=build_speakers(sizes, settings.width),
    )


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
