"""Stages that train the two stages of a system, its durations and its vocoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import Callback
from numpy.typing import NDArray

from data_modules.acoustic import AcousticData
from data_modules.corpora.contract import Progress
from data_modules.duration import DurationData, group_statistics
from data_modules.labels import LabelStore
from data_modules.sampler import SamplerData
from data_modules.store import AudioStore, CorpusStore
from data_modules.text.bert import Bert
from data_modules.vectors import VectorStore
from data_modules.vocoder import VocoderData
from prosody_tts.config import Experiment
from prosody_tts.nn.vocoders import GriffinLim
from prosody_tts.nn.vocoders.discriminators import Discriminators
from prosody_tts.pipeline import Stage
from prosody_tts.runners.stores import store_of, text_of
from prosody_tts.samples import Samples
from prosody_tts.stages.acoustic import AcousticStage, collapse_warning, watch
from prosody_tts.stages.duration import DurationStage, SampledVectors, VectorSource, no_vectors, recorded_vectors
from prosody_tts.stages.fit import fit
from prosody_tts.stages.sampler import SamplerStage
from prosody_tts.stages.vocoder import VocoderStage
from prosody_tts.synthesis import load_sampler
from prosody_tts.systems import Sizes, build_acoustic, build_sampler, build_separate_durations
from prosody_tts.tracking import lightning_loggers
from prosody_tts.vocoders import build_source_filter, fetch_pretrained, mel_format


def run_acoustic(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train stage one, then write the vectors of the whole corpus."""
    experiment, settings = stage.experiment, stage.experiment.acoustic
    store = store_of(stage)
    spec = store.specification()
    torch.manual_seed(experiment.seed)
    model = build_acoustic(experiment, Sizes.of(spec))
    if model.durations is not None:
        model.durations.target.learn(*group_statistics(store))
    module = AcousticStage(model, settings, spec)
    # Without vectors a model cannot tell at which speed it hears a sentence, and would learn the mean of all.
    copies: Literal["perturbed", "repeated"] = "repeated" if settings.reference == "none" else "perturbed"
    data = AcousticData(store, spec, settings.optim.batch, experiment.seed, copies)
    loggers = lightning_loggers(experiment, folder, "acoustic")
    watching = _samples(experiment, data, folder)
    metrics: dict[str, Any] = dict(
        fit(
            module,
            data,
            settings.optim,
            experiment.run,
            experiment.seed,
            folder,
            loggers,
            progress,
            callbacks=watching,
        )
    )
    if settings.reference != "none":
        metrics |= _write_vectors(module, data, folder, progress)
    metrics["parameters"] = sum(p.numel() for p in module.parameters())
    return metrics


def _samples(experiment: Experiment, data: AcousticData, folder: Path) -> list[Callback]:
    """What draws and speaks samples as ``run.samples_every`` says."""
    if experiment.run.samples_every == 0:
        return []
    # No weights: the system's own vocoder may not be trained yet.
    vocoder = GriffinLim(mel_format(experiment.audio), experiment.synthesis.iterations)
    every, rate = experiment.run.samples_every, experiment.audio.sample_rate
    return [Samples(data, vocoder, rate, folder / "samples", every)]


def _write_vectors(module: AcousticStage, data: AcousticData, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write the vectors of the corpus; say how much they tell, and warn where that is next to nothing."""
    module.eval().cpu()
    ids = data.store.ids("train", "dev", "test")
    means: dict[str, NDArray[np.float32]] = {}
    scales: dict[str, NDArray[np.float32]] = {}
    nats, variational = [], False
    for batch in data.loader(ids, shuffle=False):
        posterior = module.posterior(batch)
        assert posterior is not None
        variational = posterior.scale is not None
        spread = torch.zeros_like(posterior.mean) if posterior.scale is None else posterior.scale
        lengths = batch.text.unit_lengths(module.model.units).tolist()
        divergence = posterior.kl_by_dimension()
        for row, (name, length) in enumerate(zip(batch.text.ids, lengths, strict=True)):
            means[name], scales[name] = posterior.mean[row, :length].numpy(), spread[row, :length].numpy()
            nats.append(divergence[row, :length])
        progress(len(means), len(ids), "writing vectors")
    VectorStore.write(folder, ids, [means[name] for name in ids], [scales[name] for name in ids])
    joined = torch.from_numpy(np.concatenate(list(means.values())))
    divergences = torch.cat(nats)
    warning = collapse_warning(joined, divergences, variational)
    return {**watch(joined, divergences), **({} if warning is None else {"warning": warning})}


def run_vocoder(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train a vocoder on the corpus's recordings, or fetch one that has been trained elsewhere."""
    experiment, settings = stage.experiment, stage.experiment.vocoder
    if not stage.inputs:
        progress(0, 0, "fetching the vocoder")
        return {"source": fetch_pretrained(experiment, folder)}
    corpus, audio = CorpusStore(stage.input("corpus")), AudioStore(stage.input("audio"))
    data = VocoderData(corpus, audio, experiment.audio, settings.seconds, settings.optim.batch, experiment.seed)
    torch.manual_seed(experiment.seed)
    model = build_source_filter(experiment, *data.moments())
    judges = Discriminators(experiment.audio.sample_rate) if settings.adversarial else None
    module = VocoderStage(model, settings, judges)
    loggers = lightning_loggers(experiment, folder, "vocoder")
    metrics = fit(module, data, settings.optim, experiment.run, experiment.seed, folder, loggers, progress)
    return {**metrics, "parameters": sum(p.numel() for p in model.parameters())}


def run_sampler(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train stage two on the vectors of stage one, or on a corpus's labels."""
    experiment, settings = stage.experiment, stage.experiment.sampler
    source = "labels" if "labels" in stage.inputs else "acoustic"
    store = text_of(stage)
    spec = store.specification()
    vectors = LabelStore(stage.input(source)) if source == "labels" else VectorStore(stage.input(source))
    reader = store.text.reader if experiment.tunes_bert else None
    data = SamplerData(store, vectors, spec, settings.optim.batch, experiment.seed, reader)
    bert = Bert.of(experiment.text).trainable() if experiment.tunes_bert else None
    torch.manual_seed(experiment.seed)
    model = build_sampler(experiment, Sizes.of(spec), bert)
    mean, scale = data.statistics()
    model.mean.copy_(mean)
    model.scale.copy_(scale)
    model.prior.prepare(model.normalise(data.training_vectors()), experiment.seed)
    module = SamplerStage(model, settings, spec, stage.inputs[source])
    loggers = lightning_loggers(experiment, folder, "sampler")
    metrics = fit(
        module, data, settings.optim, experiment.run, experiment.seed, folder, loggers, progress, module.watched
    )
    return {**metrics, "parameters": sum(p.numel() for p in module.parameters())}


def run_duration(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train a duration model by itself, on no vectors, the recordings' own, or draws of stage two."""
    experiment, settings = stage.experiment, stage.experiment.duration
    store = store_of(stage)
    spec = store.specification()
    vectors: VectorStore | None = None
    source: VectorSource = no_vectors
    if experiment.duration_vectors == "recording":
        vectors, source = VectorStore(stage.input("acoustic")), recorded_vectors
    elif experiment.duration_vectors == "sampled":
        source = SampledVectors(load_sampler(stage.input("sampler"), stage.inputs["acoustic"])[0])
    sampled = experiment.duration_vectors == "sampled"
    reader = store.text.reader if experiment.tunes_bert else None
    data = DurationData(store, spec, settings.optim.batch, experiment.seed, vectors, sampled, reader)
    torch.manual_seed(experiment.seed)
    model = build_separate_durations(experiment, Sizes.of(spec))
    model.durations.target.learn(*group_statistics(store))
    trained_on = {kind: identity for kind, identity in stage.inputs.items() if kind in {"acoustic", "sampler"}}
    module = DurationStage(model, settings, spec, source, trained_on)
    loggers = lightning_loggers(experiment, folder, "duration")
    metrics = fit(module, data, settings.optim, experiment.run, experiment.seed, folder, loggers, progress, "dev/loss")
    return {**metrics, "parameters": sum(p.numel() for p in module.parameters())}
