"""Stages of codes and of recognition: tokenizers, language models, speech for recognisers, recognisers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_modules.acoustic import AcousticData
from data_modules.audio import analyse, with_frames
from data_modules.codes import CodeStore
from data_modules.corpora.contract import Progress
from data_modules.hearing import SYNTHESIS, HearingData, SpeechStore, heard_recordings
from data_modules.language import LanguageData
from prosody_tts.files import atomic
from prosody_tts.nn.tokenizers import BinnedTokenizer, Tokenizer
from prosody_tts.pipeline import Stage
from prosody_tts.runners.stores import store_of
from prosody_tts.stages.fit import CHECKPOINT, fit
from prosody_tts.stages.language import LanguageStage
from prosody_tts.stages.recogniser import RecogniserStage
from prosody_tts.stages.tokenizer import TokenizerStage, mean_perplexity
from prosody_tts.systems import Sizes, build_language, build_recogniser, build_tokenizer
from prosody_tts.tracking import lightning_loggers


def run_tokenizer(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train the tokenizer, or measure its bins, then write the codes of the whole corpus."""
    experiment, settings = stage.experiment, stage.experiment.tokenizer
    store = store_of(stage)
    spec = store.specification()
    torch.manual_seed(experiment.seed)
    model = build_tokenizer(experiment, Sizes.of(spec))
    module = TokenizerStage(model, settings, spec)
    data = AcousticData(store, spec, settings.optim.batch, experiment.seed)
    metrics: dict[str, Any] = {}
    if isinstance(model, BinnedTokenizer):
        low, high = data.extremes()
        model.low.copy_(low)
        model.high.copy_(high)
        with atomic(folder / CHECKPOINT) as temporary:
            torch.save({"state_dict": module.state_dict(), "specification": spec.to_dict()}, temporary)
    else:
        loggers = lightning_loggers(experiment, folder, "tokenizer")
        metrics |= fit(module, data, settings.optim, experiment.run, experiment.seed, folder, loggers, progress)
    return {
        **metrics,
        **_write_codes(model, data, folder, progress, experiment.audio.hop / experiment.audio.sample_rate),
    }


@torch.inference_mode()
def _write_codes(model: Tokenizer, data: AcousticData, folder: Path, progress: Progress, hop: float) -> dict[str, Any]:
    """Write the codes of the corpus; say how many there are and how they are used."""
    model.eval().cpu()
    ids = data.store.ids("train", "dev", "test")
    found: dict[str, NDArray[np.int32]] = {}
    for batch in data.loader(ids, shuffle=False):
        codes = model.encode(batch.mel, batch.frame_lengths).int().numpy()
        for row, (name, length) in enumerate(zip(batch.ids, model.segments(batch.frame_lengths).tolist(), strict=True)):
            found[name] = codes[row, :length]
        progress(len(found), len(ids), "writing codes")
    CodeStore.write(folder, ids, [found[name] for name in ids], model.segment, model.codebooks, model.size)
    training = torch.from_numpy(np.concatenate([found[name] for name in data.store.ids("train")])).long()
    rate = model.codebooks / (model.segment * hop)
    counts = [torch.bincount(book, minlength=model.size) for book in training.T]
    return {
        "codes_per_second": rate,
        "bits_per_second": rate * float(np.log2(model.size)),
        "perplexity": mean_perplexity(training, model.size),
        "used": float(np.mean([float((count > 0).float().mean()) for count in counts])),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def run_language(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train the language model on the codes of the corpus and its texts."""
    experiment, settings = stage.experiment, stage.experiment.language
    store, codes = store_of(stage), CodeStore(stage.input("tokenizer"))
    spec = store.specification()
    torch.manual_seed(experiment.seed)
    model = build_language(experiment, Sizes.of(spec), codes.codebooks, codes.size)
    module = LanguageStage(model, settings, spec, stage.inputs["tokenizer"])
    interleaved = settings.order == "interleaved"
    data = LanguageData(store, codes, spec, settings.tasks, interleaved, settings.optim.batch, experiment.seed)
    loggers = lightning_loggers(experiment, folder, "language")
    metrics = fit(module, data, settings.optim, experiment.run, experiment.seed, folder, loggers, progress, "dev/nats")
    return {**metrics, "parameters": sum(p.numel() for p in module.parameters())}


def run_speech(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Let a system say the texts of the training split; what is kept is the mel of what was heard."""
    from prosody_tts.evaluation.evaluate import speak_all

    store, audio = store_of(stage), stage.experiment.audio
    recordings = [store.recording(name, with_bert=True) for name in store.ids("train")]
    mels: dict[str, NDArray[np.float32]] = {}
    for spoken, speech, _ in speak_all(recordings, stage):
        heard = analyse(with_frames(speech.wave, len(speech.mel), audio), audio)
        mels[spoken[0].utterance.id] = heard.mel.astype(np.float32)
        progress(len(mels), len(recordings), "speaking")
    SpeechStore.write(folder, list(mels), list(mels.values()))
    seconds = sum(map(len, mels.values())) * audio.hop / audio.sample_rate
    return {"utterances": len(mels), "hours": round(seconds / 3600, 4)}


def run_recogniser(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train a recogniser on recordings, a system's speech, or both."""
    experiment, settings = stage.experiment, stage.experiment.recogniser
    store = store_of(stage)
    spec = store.specification()
    speech = SpeechStore(stage.input("speech")) if "speech" in stage.inputs else None
    training = heard_recordings(store, settings) + (
        [] if speech is None else [SYNTHESIS + name for name in speech.rows]
    )
    torch.manual_seed(experiment.seed)
    module = RecogniserStage(build_recogniser(experiment, Sizes.of(spec)), settings, spec)
    data = HearingData(store, speech, spec, training, settings.optim.batch, experiment.seed)
    loggers = lightning_loggers(experiment, folder, "recogniser")
    metrics = fit(module, data, settings.optim, experiment.run, experiment.seed, folder, loggers, progress, "dev/cer")
    return {**metrics, "utterances": len(training), "parameters": sum(p.numel() for p in module.parameters())}
