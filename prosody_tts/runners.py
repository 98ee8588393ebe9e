"""What each kind of stage does; loaded only when there is work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import Callback
from numpy.typing import NDArray

from data_modules.acoustic import AcousticData
from data_modules.alignment.attach import attach
from data_modules.alignment.frames import durations_from_ends, end_times
from data_modules.alignment.report import report, write_suspicious
from data_modules.audio import analyse, first_centre, with_frames
from data_modules.codes import CodeStore
from data_modules.collate import acoustic_batch
from data_modules.corpora import CORPORA
from data_modules.corpora.contract import Fault, Progress, Utterance
from data_modules.corpora.order import PLACES, with_neighbours
from data_modules.corpora.perturbed import original, perturbed
from data_modules.corpora.splits import leak_warning, leaking
from data_modules.duration import DurationData, group_statistics
from data_modules.features import Task, measure_corpus
from data_modules.hearing import SYNTHESIS, HearingData, SpeechStore, heard_recordings
from data_modules.labels import LabelStore, label_corpus
from data_modules.language import LanguageData
from data_modules.records import Records, write_lines
from data_modules.sampler import SamplerData, VectorStore
from data_modules.store import (
    SENTENCES,
    UTTERANCES,
    AudioStore,
    CorpusStore,
    FeatureStore,
    TextFeatures,
    inventory_of,
    write_packed,
)
from data_modules.text.analysis import TextAnalyser
from data_modules.text.bert import Bert
from data_modules.text.sentence import PAUSE, Sentence
from data_modules.tokens import exact_durations
from data_modules.vocoder import VocoderData
from prosody_tts.config import LABELS, Experiment
from prosody_tts.errors import UserError
from prosody_tts.files import atomic, digest, write_json
from prosody_tts.nn.tokenizers import BinnedTokenizer, Tokenizer
from prosody_tts.nn.vocoders import GriffinLim
from prosody_tts.nn.vocoders.discriminators import Discriminators
from prosody_tts.pipeline import LEARNING, Stage
from prosody_tts.samples import Samples
from prosody_tts.stages.acoustic import AcousticStage, collapse_warning, watch
from prosody_tts.stages.duration import DurationStage, SampledVectors, VectorSource, no_vectors, recorded_vectors
from prosody_tts.stages.fit import CHECKPOINT, fit
from prosody_tts.stages.language import LanguageStage
from prosody_tts.stages.recogniser import RecogniserStage
from prosody_tts.stages.sampler import SamplerStage
from prosody_tts.stages.tokenizer import TokenizerStage, mean_perplexity
from prosody_tts.stages.vocoder import VocoderStage
from prosody_tts.synthesis import load_sampler
from prosody_tts.systems import (
    Sizes,
    build_acoustic,
    build_language,
    build_recogniser,
    build_sampler,
    build_separate_durations,
    build_tokenizer,
)
from prosody_tts.tracking import lightning_loggers
from prosody_tts.vocoders import build_source_filter, fetch_pretrained, mel_format

#: Texts that are analysed, and then given states, at once: what is held of a corpus.
TEXTS = 128

Runner = Callable[[Stage, Path, Progress], dict[str, Any]]


def run_corpus(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Build the corpus: utterances, and the faults of those left out."""
    corpus = CORPORA[stage.experiment.corpus]().build(stage.experiment, folder, progress)
    if stage.experiment.textgrids is not None:
        corpus = attach(corpus, stage.experiment, progress)
    if stage.experiment.text.neighbours:
        corpus = with_neighbours(corpus, PLACES[stage.experiment.corpus], stage.experiment.text.neighbours)
    copies = perturbed(corpus.utterances, stage.experiment.data.speeds)
    CorpusStore.write(folder, (*corpus.utterances, *copies), corpus.faults)
    leaks = leaking(corpus.utterances)
    counts = {split: sum(u.split == split for u in corpus.utterances) for split in ("train", "dev", "test")}
    for split, count in counts.items():
        if count == 0:
            raise UserError(
                f"corpus={corpus.name} has no utterance for the {split} split out of {len(corpus.utterances)}; "
                "give more recordings or larger data.dev_share and data.test_share"
            )
    told = {"warning": leak_warning(leaks)} if leaks else {}
    return {**counts, "faults": len(corpus.faults), "splits": corpus.splits, "leaks": len(leaks), **told}


def run_text(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Analyse every text once; write sentences and BERT states, so many at a time."""
    corpus = CorpusStore(stage.input("corpus"))
    analyser = TextAnalyser(stage.experiment)
    rows, faults = write_sentences(analyser, corpus, folder, progress)
    _allow(faults, len(corpus.utterances), stage.experiment, folder)
    progress(0, 0, "BERT states")
    sentences = Records(folder / SENTENCES, Sentence.from_dict)
    write_packed(folder, "bert", _states(analyser, sentences, progress))
    index: dict[str, Any] = {
        "inventory": list(inventory_of(sentences, analyser.inventory())),
        "passes": int(np.ceil(np.percentile([s.graph.diameter for s in sentences], 75))),
        "bert": analyser.bert.size,
        "reader": asdict(analyser.bert.reader),
        "utterances": rows,
    }
    write_json(folder / "index.json", index)
    counts = {"sentences": len(sentences), "faults": len(faults)}
    return {**counts, "graph_passes": index["passes"], "phones": len(index["inventory"])}


def write_sentences(
    analyser: TextAnalyser, corpus: CorpusStore, folder: Path, progress: Progress
) -> tuple[dict[str, int], list[Fault]]:
    """Write the analysis of each distinct text; the line of every utterance's, and the faults of those without one."""
    texts: dict[str, int] = {}
    rows: dict[str, int] = {}
    firsts: list[int] = []  # the utterance whose analysis a text's is
    for place, utterance in enumerate(corpus.utterances):
        key = digest([utterance.text, _given_phones(utterance), utterance.tree, utterance.before, utterance.after])
        rows[utterance.id] = texts.setdefault(key, len(texts))
        if len(texts) > len(firsts):
            firsts.append(place)
    faults: list[Fault] = []
    lines: dict[int, int] = {}

    def sound() -> Iterator[dict[str, Any]]:
        for row, (name, found) in enumerate(_analysed(analyser, corpus, firsts, progress)):
            if isinstance(found, UserError):
                faults.append(Fault(name, str(found)))
            else:
                lines[row] = len(lines)
                yield found.to_dict()

    write_lines(folder / SENTENCES, sound())
    return {name: lines[row] for name, row in rows.items() if row in lines}, faults


def _analysed(
    analyser: TextAnalyser, corpus: CorpusStore, places: Sequence[int], progress: Progress
) -> Iterator[tuple[str, Sentence | UserError]]:
    """Id and analysis of utterances, ``TEXTS`` of them in memory."""
    for start in range(0, len(places), TEXTS):
        batch = [corpus.utterances[place] for place in places[start : start + TEXTS]]
        results = analyser.analyse_each(
            [u.text for u in batch],
            [_given_phones(u) for u in batch],
            [u.tree for u in batch],
            [(u.before, u.after) for u in batch],
        )
        yield from ((utterance.id, result) for utterance, result in zip(batch, results, strict=True))
        progress(start + len(batch), len(places), "parsing and pronouncing")


def _states(analyser: TextAnalyser, sentences: Sequence[Sentence], progress: Progress) -> Iterator[NDArray[np.float32]]:
    """BERT states [W, D] of every sentence, ``TEXTS`` of them in memory."""
    for start in range(0, len(sentences), TEXTS):
        yield from analyser.states(sentences[start : start + TEXTS])
        progress(min(start + TEXTS, len(sentences)), len(sentences), "BERT states")


def _given_phones(utterance: Utterance) -> list[list[str]] | None:
    """Phones of each word where the corpus has an exact alignment."""
    if utterance.phones is None:
        return None
    words: list[list[str]] = [[] for _ in range(1 + max(phone.word for phone in utterance.phones))]
    for phone in utterance.phones:
        if phone.word >= 0:
            words[phone.word].append(phone.label)
    return words


def _allow(faults: list[Fault], total: int, experiment: Experiment, folder: Path) -> None:
    """Write the faults; raise where they are more than the allowed share."""
    write_json(folder / "faults.json", [asdict(fault) for fault in faults])
    if len(faults) > experiment.data.allowed_bad * total:
        raise UserError(
            f"{len(faults)} of {total} utterances are unusable, more than data.allowed_bad="
            f"{experiment.data.allowed_bad}; the first is {faults[0].item}: {faults[0].reason} "
            f"(all are listed in {folder / 'faults.json'})"
        )


def run_audio(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Measure mel, F0 and energy of every recording."""
    experiment = stage.experiment
    corpus = CorpusStore(stage.input("corpus"))
    tasks = Records(corpus.folder / UTTERANCES, lambda line: _task(corpus, Utterance.from_dict(line)))
    workers = experiment.run.feature_workers or experiment.run.workers
    measured = measure_corpus(tasks, experiment.audio, folder, workers, progress)
    _allow(list(measured.faults), len(tasks), experiment, folder)
    hours, voiced = round(measured.seconds / 3600, 4), round(measured.voiced, 4)
    return {"hours": hours, "voiced_share": voiced, "faults": len(measured.faults)}


def _task(corpus: CorpusStore, utterance: Utterance) -> Task:
    return Task(utterance.id, corpus.audio(utterance), utterance.start, utterance.seconds, utterance.speed)


def store_of(stage: Stage) -> FeatureStore:
    """The features a stage reads; without durations for one that comes before the alignment."""
    durations = stage.input("alignment") / "durations.json" if "alignment" in stage.inputs else None
    places = stage.input("corpus"), stage.input("text"), stage.input("audio")
    return FeatureStore(*places, durations, _learn_from(stage))


def text_of(stage: Stage) -> TextFeatures:
    """The text a stage reads, with the features of recordings where there are some."""
    if "audio" in stage.inputs:
        return store_of(stage)
    return TextFeatures(stage.input("corpus"), stage.input("text"), _learn_from(stage))


def _learn_from(stage: Stage) -> int | None:
    return stage.experiment.data.learn_from if stage.kind in LEARNING else None


def run_labels(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write the labels of a corpus without recordings as explicit vectors."""
    corpus, store = stage.experiment.corpus, text_of(stage)
    utterances = [store.utterances[name] for name in store.ids("train", "dev", "test")]
    labels = label_corpus(corpus, utterances)
    LabelStore.write_labels(folder, [utterance.id for utterance in utterances], labels)
    values, exists = np.concatenate([x.values for x in labels]), np.concatenate([x.exists for x in labels])
    metrics: dict[str, Any] = {"utterances": len(labels)}
    for dimension, name in enumerate(LABELS[corpus]):
        there = values[exists[:, dimension], dimension]
        metrics |= {f"{name}_labels": len(there), f"{name}_mean": float(there.mean()), f"{name}_sd": float(there.std())}
    return metrics


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
    _allow(faults, total, stage.experiment, folder)
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


def run_evaluate(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Synthesise and measure the held-out sentences, or hold predicted labels against theirs."""
    if "labels" in stage.inputs:
        from prosody_tts.evaluation.labels import evaluate_labels

        return evaluate_labels(stage, text_of(stage), folder, progress)
    if stage.experiment.measures == "recognition":
        from prosody_tts.evaluation.recognition import evaluate_recogniser

        return evaluate_recogniser(stage, store_of(stage), folder, progress)
    from prosody_tts.evaluation.evaluate import evaluate

    return evaluate(stage, store_of(stage), folder, progress)


RUNNERS: dict[str, Runner] = {
    "corpus": run_corpus,
    "text": run_text,
    "audio": run_audio,
    "aligner": run_aligner,
    "alignment": run_alignment,
    "labels": run_labels,
    "acoustic": run_acoustic,
    "sampler": run_sampler,
    "duration": run_duration,
    "vocoder": run_vocoder,
    "tokenizer": run_tokenizer,
    "language": run_language,
    "speech": run_speech,
    "recogniser": run_recogniser,
    "evaluate": run_evaluate,
}
