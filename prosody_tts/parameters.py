"""Parameters of a system, module by module, without building its corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from data_modules.text.bert import Bert, untrained
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError
from prosody_tts.systems import Sizes, build_acoustic, build_language, build_recogniser, build_sampler, build_tokenizer

#: CMUdict's phones with their stresses, the pause, padding and the unknown phone; a corpus has about as many.
PHONES = 72
#: States of the BERT models that settings name; others are counted as BERT base's.
BERT = {"minilm": 384, "bert-base-uncased": 768, "bert-base-cased": 768}

#: Experiment -> what others count of the same model, in millions, and where.
PUBLISHED = {"s2s": (28.2, "Tacotron-2 as NVIDIA and Coqui publish it")}


@dataclass(frozen=True)
class Count:
    """Parameters of one module.

    Attributes:
        stage: its kind.
        module: its role in the stage.
        parameters: how many.
    """

    stage: str
    module: str
    parameters: int


def count(experiment: Experiment) -> list[Count]:
    """Parameters of every module of a system's stages, for ``PHONES`` phones and one speaker."""
    return list(_counts(experiment))


def _counts(experiment: Experiment) -> Iterator[Count]:
    sizes = Sizes(PHONES, experiment.audio.mels, BERT.get(experiment.text.bert, 768), passes=8)
    if experiment.measures == "recognition" and experiment.recogniser.model == "ctc":
        yield from _of("recogniser", build_recogniser(experiment, sizes))
    if experiment.backbone == "tokens":
        tokenizer = build_tokenizer(experiment, sizes)
        yield from _of("tokenizer", tokenizer)
        if experiment.vectors == "predicted":
            yield from _of("language", build_language(experiment, sizes, tokenizer.codebooks, tokenizer.size))
    elif experiment.vectors != "labels" and experiment.recogniser.hears != "recordings":
        yield from _of("acoustic", build_acoustic(experiment, sizes))
    if experiment.has_stage_two:
        yield from _of("sampler", build_sampler(experiment, sizes, _bert(experiment)))


def _bert(experiment: Experiment) -> nn.Module | None:
    """The BERT that stage two trains; of one that is not on this machine the base model's shape."""
    if not experiment.tunes_bert:
        return None
    try:
        return Bert.of(experiment.text).blank()  # type: ignore[no-any-return]
    except UserError:
        return untrained({"model_type": "bert"})  # type: ignore[no-any-return]


def _of(stage: str, model: nn.Module) -> Iterator[Count]:
    for name, module in model.named_children():
        total = sum(parameter.numel() for parameter in module.parameters())
        if total:
            yield Count(stage, name, total)
