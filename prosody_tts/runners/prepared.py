"""Stages that prepare a corpus: its utterances, their text, what is measured of them, labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_modules.alignment.attach import attach
from data_modules.corpora import CORPORA
from data_modules.corpora.contract import Fault, Progress, Utterance
from data_modules.corpora.order import PLACES, with_neighbours
from data_modules.corpora.perturbed import perturbed
from data_modules.corpora.splits import leak_warning, leaking
from data_modules.features import Task, measure_corpus
from data_modules.labels import LabelStore, label_corpus
from data_modules.records import Records, write_lines
from data_modules.store import SENTENCES, UTTERANCES, CorpusStore, inventory_of, write_packed
from data_modules.text.analysis import TextAnalyser
from data_modules.text.sentence import Sentence
from prosody_tts.config import LABELS
from prosody_tts.errors import UserError
from prosody_tts.files import digest, write_json
from prosody_tts.pipeline import Stage
from prosody_tts.runners.stores import allow, text_of

#: Texts that are analysed, and then given states, at once: what is held of a corpus.
TEXTS = 128


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
    allow(faults, len(corpus.utterances), stage.experiment, folder)
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


def run_audio(stage: Stage, folder: Path, progress: Progress) -> dict[str, Any]:
    """Measure mel, F0 and energy of every recording."""
    experiment = stage.experiment
    corpus = CorpusStore(stage.input("corpus"))
    tasks = Records(corpus.folder / UTTERANCES, lambda line: task_of(corpus, Utterance.from_dict(line)))
    workers = experiment.run.feature_workers or experiment.run.workers
    measured = measure_corpus(tasks, experiment.audio, folder, workers, progress)
    allow(list(measured.faults), len(tasks), experiment, folder)
    hours, voiced = round(measured.seconds / 3600, 4), round(measured.voiced, 4)
    return {"hours": hours, "voiced_share": voiced, "faults": len(measured.faults)}


def task_of(corpus: CorpusStore, utterance: Utterance) -> Task:
    """What is to be measured of an utterance."""
    return Task(utterance.id, corpus.audio(utterance), utterance.start, utterance.seconds, utterance.speed)


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
