"""Stages that find out when each phone is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_modules.acoustic import AcousticData
from data_modules.alignment.frames import durations_from_ends, end_times
from data_modules.alignment.report import report, write_suspicious
from data_modules.audio import first_centre
from data_modules.collate import acoustic_batch
from data_modules.corpora.contract import Fault, Progress
from data_modules.corpora.perturbed import original
from data_modules.store import FeatureStore
from data_modules.text.sentence import PAUSE
from data_modules.tokens import exact_durations
from prosody_tts.files import write_json
from prosody_tts.pipeline import Stage
from prosody_tts.runners.stores import allow, store_of
from prosody_tts.stages.fit import fit
from prosody_tts.tracking import lightning_loggers


def run_aligner(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train the aligner on the whole corpus but the test split."""
    from prosody_tts.nn.aligner import Aligner
    from prosody_tts.stages.aligner import AlignerStage

    experiment, settings = stage.experiment, stage.experiment.aligner
    store = store_of(stage)
    spec = store.specification()
    torch.manual_seed(experiment.seed)
    module = AlignerStage(Aligner(len(spec.inventory), len(spec.mel_mean), settings.width), settings.optim, spec)
    data = AcousticData(store, spec, settings.optim.batch, experiment.seed)
    loggers = lightning_loggers(experiment, folder, "aligner")
    return fit(module, data, settings.optim, experiment.run, experiment.seed, folder, loggers, progress)


def run_alignment(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write the frames of every phone, from exact times or from an aligner, and what looks wrong in them."""
    store = store_of(stage)
    total = len(store.ids("train", "dev", "test"))
    likelihoods: dict[str, float] = {}
    if stage.experiment.exact_times:
        durations, faults = exact_durations_of(stage, store)
    else:
        durations, likelihoods, faults = learned_durations(stage, store, progress)
    allow(faults, total, stage.experiment, folder)
    copies = _of_copies(stage, store, durations)
    write_json(folder / "durations.json", {**durations, **copies})
    lengths = [d for row in durations.values() for d in row]
    audio = stage.experiment.audio
    seconds, suspicious = report(durations, store.text.sentence, audio.hop / audio.sample_rate, likelihoods)
    write_suspicious(folder, suspicious)
    return {
        "aligned": len(durations),
        "share": len(durations) / max(total, 1),
        "mean_frames": float(np.mean(lengths)),
        **seconds,
        "suspicious": len(suspicious),
    }


def exact_durations_of(stage: Stage, store: FeatureStore) -> tuple[dict[str, list[int]], list[Fault]]:
    """Frames from exact times; an utterance with fewer frames than phones has none."""
    settings = stage.experiment.audio
    hop, first = settings.hop / settings.sample_rate, first_centre(settings) / settings.sample_rate
    # A grid's shortest phones may be shorter than a frame; the testbed's own times stay as they are.
    least = 0 if stage.experiment.textgrids is None else 1
    durations: dict[str, list[int]] = {}
    faults: list[Fault] = []
    for utterance in store.corpus.utterances:
        name = utterance.id
        if utterance.split == "perturbed" or name not in store.text.rows or name not in store.audio.rows:
            continue
        assert utterance.phones is not None
        labels = store.text.sentence(name).phones
        try:
            durations[name] = exact_durations(
                labels, utterance.phones, store.frames(name), hop, store.start(name) + first, least
            )
        except ValueError as error:
            faults.append(Fault(name, f"cannot be aligned: {error}"))
    return durations, faults


def _of_copies(stage: Stage, store: FeatureStore, durations: dict[str, list[int]]) -> dict[str, list[int]]:
    """Frames of recordings at other speeds: the original's boundaries, moved."""
    settings = stage.experiment.audio
    hop, first = settings.hop / settings.sample_rate, first_centre(settings) / settings.sample_rate
    found = {}
    for utterance in store.corpus.utterances:
        name, source = utterance.id, original(utterance.id)
        if utterance.split != "perturbed" or source not in durations or name not in store.audio.rows:
            continue
        ends = (end_times(durations[source], hop) + first + store.start(source)) / utterance.speed
        least = [
            int(label != PAUSE and frames > 0)
            for label, frames in zip(store.text.sentence(name).phones, durations[source], strict=True)
        ]
        frames = store.frames(name)
        if frames >= sum(least):
            found[name] = durations_from_ends(ends - first - store.start(name), frames, hop, least).tolist()
    return found


def learned_durations(
    stage: Stage, store: FeatureStore, progress: Progress
) -> tuple[dict[str, list[int]], dict[str, float], list[Fault]]:
    """Align every utterance, with nats per frame; one with fewer frames than phones cannot be."""
    from prosody_tts.stages.aligner import load_aligner

    experiment = stage.experiment
    given = Path(experiment.aligned_by) if experiment.aligned_by is not None else stage.input("aligner")
    module = load_aligner(given)
    data = AcousticData(store, module.specification, experiment.aligner.optim.batch, experiment.seed)
    durations: dict[str, list[int]] = {}
    likelihoods: dict[str, float] = {}
    faults: list[Fault] = []
    names = store.ids("train", "dev", "test")
    for done, item in enumerate(map(data.item, names), start=1):
        try:
            found, (likelihoods[item.text.id],) = module.align_scored(acoustic_batch([item]))
            durations[item.text.id] = found[0, : len(item.text.phones)].tolist()
        except ValueError as error:
            faults.append(Fault(item.text.id, f"cannot be aligned: {error}"))
        progress(done, len(names), "aligning")
    return durations, likelihoods, faults
