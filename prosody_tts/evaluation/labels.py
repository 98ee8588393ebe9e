"""Evaluation of systems that learn labels: predictions of held-out sentences beside what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_modules.collate import corpus_item, text_batch
from data_modules.corpora.contract import Progress, Utterance
from data_modules.labels import LabelStore
from data_modules.store import AnySpecification, TextFeatures
from data_modules.text.sentence import Word
from prosody_tts.config import LABELS, Experiment
from prosody_tts.errors import UserError
from prosody_tts.evaluation.decisions import DECISIONS, Ints
from prosody_tts.evaluation.draws import draw
from prosody_tts.evaluation.kept_draws import Draws, write_draws
from prosody_tts.evaluation.label_metrics import measure
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.results import RESULTS
from prosody_tts.evaluation.word_majority import word_majority
from prosody_tts.files import parse_json, write_text
from prosody_tts.nn.sampler import SamplerModel
from prosody_tts.pipeline import Stage
from prosody_tts.synthesis import load_sampler

#: Sentences predicted together; with a temperature above 0 their noise is drawn together.
BATCH = 64


@dataclass(frozen=True, eq=False)
class Track:
    """One dimension of labels over the tokens of a sentence that have it.

    Attributes:
        places: [N] tokens.
        reference: [N] measured.
        predicted: [N].
        draws: [S, N] drawn at temperature 1, or none.
        decisions: name of ``decisions.DECISIONS`` -> (measured class, predicted class), each [N].
    """

    places: Ints
    reference: Floats
    predicted: Floats
    decisions: dict[str, tuple[Ints, Ints]]
    draws: Floats | None = None


@dataclass(frozen=True, eq=False)
class LabelResult:
    """One held-out sentence; ``tokens`` [W] are its words, "" for pause slots, ``tracks`` its dimensions by name."""

    id: str
    sentence: str
    text: str
    tokens: tuple[str, ...]
    tracks: dict[str, Track]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a JSON line, without draws."""
        return {
            "id": self.id,
            "sentence": self.sentence,
            "text": self.text,
            "tokens": list(self.tokens),
            "tracks": {
                name: {
                    "places": track.places.tolist(),
                    "reference": track.reference.tolist(),
                    "predicted": track.predicted.tolist(),
                    "decisions": {key: [row.tolist() for row in pair] for key, pair in track.decisions.items()},
                }
                for name, track in self.tracks.items()
            },
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> LabelResult:
        """The inverse of ``to_dict``."""
        tracks = {}
        for name, track in data["tracks"].items():
            decisions = {key: (_ints(one), _ints(other)) for key, (one, other) in track["decisions"].items()}
            reference, predicted = (np.asarray(track[key], np.float64) for key in ("reference", "predicted"))
            tracks[name] = Track(_ints(track["places"]), reference, predicted, decisions)
        return LabelResult(data["id"], data["sentence"], data["text"], tuple(data["tokens"]), tracks)


def _ints(row: Sequence[int]) -> Ints:
    return np.asarray(row, np.int64)


def write_label_results(folder: Path, results: Sequence[LabelResult]) -> None:
    """Write ``utterances.jsonl``, and draws where there are some, into an evaluation's folder, atomically."""
    drawn = {result.id: _packed(result) for result in results if _has_draws(result)}
    if drawn:
        write_draws(folder, drawn)
    lines = (json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False) + "\n" for result in results)
    write_text(folder / RESULTS, "".join(lines))


def _has_draws(result: LabelResult) -> bool:
    return any(track.draws is not None for track in result.tracks.values())


def _packed(result: LabelResult) -> NDArray[np.float32]:
    """Draws of all tracks on the tokens: [W, S, tracks], NaN where a track has none."""
    count = max(len(track.draws) for track in result.tracks.values() if track.draws is not None)
    packed = np.full((len(result.tokens), count, len(result.tracks)), np.nan, np.float32)
    for place, track in enumerate(result.tracks.values()):
        if track.draws is not None:
            packed[track.places, :, place] = track.draws.T
    return packed


def _with_draws(result: LabelResult, packed: NDArray[np.float32]) -> LabelResult:
    """The inverse of ``_packed``."""
    tracks = {
        name: replace(track, draws=packed[track.places, :, place].T.astype(np.float64))
        for place, (name, track) in enumerate(result.tracks.items())
    }
    return replace(result, tracks=tracks)


def read_label_results(folder: Path) -> list[LabelResult]:
    """Read an evaluation's ``utterances.jsonl``, and its draws where it has some.

    Raises:
        UserError: there is none, or a line of it is not a result; names the file.
    """
    path = folder / RESULTS
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        results = [LabelResult.from_dict(parse_json(line)) for line in lines if line]
        draws = Draws(folder)
        return [_with_draws(result, draws[result.id]) if result.id in draws else result for result in results]
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); evaluate the system first") from None
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{path} holds what is not a result of labels ({error!r}); delete the folder and evaluate again"
        ) from None


def evaluate_labels(stage: Stage, store: TextFeatures, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write ``utterances.jsonl`` of a system; return its metrics and the thresholds fitted on the development split.

    With ``evaluation.samples`` every held-out sentence is drawn as often, beside the point estimate. A dimension that
    follows from another and the text alone (``DERIVED``) is measured too.
    A system with a head for classes decides by what it holds likeliest, or, where that is not the best answer, by a
    threshold on the probability of class 1 or above. Training sentences fit no thresholds: on those a system is surer
    than on others.

    Raises:
        UserError: a dimension that needs a threshold exists nowhere in the development split.
    """
    experiment = stage.experiment
    labels = LabelStore(stage.input("labels"))
    model, spec = load_sampler(stage.input("sampler"), stage.inputs["labels"], experiment.synthesis.steps)
    training = store.ids("train")
    held = store.first_sentences(experiment.evaluation.split, experiment.evaluation.limit)
    names = LABELS[experiment.corpus]
    fitted = {
        (index, name, key): decision
        for index, name in enumerate(names)
        for key, decision in DECISIONS.get(name, {}).items()
        if model.classes is None or not decision.likeliest
    }
    known = store.ids("dev") if fitted else []
    predicted, shares = _predict(model, spec, store, list(dict.fromkeys([*known, *held])), experiment, progress)
    thresholds = {}
    for (index, name, key), decision in fitted.items():
        values, discrete = _pooled(known, labels, predicted, shares, index)
        if len(values) == 0:
            raise UserError(
                f"corpus={experiment.corpus} has no development sentence with a label of {name}, by which its "
                "threshold is found; raise data.dev_share"
            )
        thresholds[name, key] = decision.fit(values, decision.labels(discrete))
    drawn = _draw(model, spec, store, held, experiment, progress)
    results = []
    for name in held:
        own = _result(name, store, labels, predicted[name], names, thresholds, shares.get(name), drawn.get(name))
        results.append(_with_derived(own, store.utterances[name]))
    write_label_results(folder, results)
    cuts = {
        f"{name}_{key}_cut_{number}": float(cut)
        for (name, key), row in thresholds.items()
        for number, cut in enumerate(row, start=1)
    }

    def words_of(name: str) -> Sequence[Word]:
        return store.text.sentence(name).words

    simple = {
        f"{name}_{key}_word_majority": found
        for index, name in enumerate(names)
        for key, decision in DECISIONS.get(name, {}).items()
        if (found := word_majority(words_of, labels, training, held, index, decision)) is not None
    }
    return {**measure([result.tracks for result in results]), **simple, **cuts, "sentences": len(results)}


@torch.inference_mode()
def _predict(
    model: SamplerModel,
    spec: AnySpecification,
    store: TextFeatures,
    ids: Sequence[str],
    experiment: Experiment,
    progress: Progress,
) -> tuple[dict[str, Floats], dict[str, list[Floats]]]:
    """Vectors [W, D] of utterances, and the probabilities [W, K] of each dimension's classes where there is a head."""
    predicted: dict[str, Floats] = {}
    shares: dict[str, list[Floats]] = {}
    reader = store.text.reader if experiment.tunes_bert else None
    ordered = sorted(ids, key=lambda name: (store.text.sentence(name).tokens, name))
    for start in range(0, len(ordered), BATCH):
        batch = ordered[start : start + BATCH]
        text = text_batch([corpus_item(store, name, spec, reader) for name in batch])
        generator = torch.Generator().manual_seed(experiment.seed + start)
        vectors = model.sample(text, experiment.synthesis.temperature, generator).double().numpy()
        classes = model.class_shares(text)
        for row, name in enumerate(batch):
            tokens = store.text.sentence(name).tokens
            predicted[name] = vectors[row, :tokens]
            if classes is not None:
                shares[name] = [of_dimension[row, :tokens].double().numpy() for of_dimension in classes]
        progress(start + len(batch), len(ordered), "predicting labels")
    return predicted, shares


def _draw(
    model: SamplerModel,
    spec: AnySpecification,
    store: TextFeatures,
    ids: Sequence[str],
    experiment: Experiment,
    progress: Progress,
) -> dict[str, Floats]:
    """Draws [S, W, D] of utterances; none unless they are asked for."""
    drawn: dict[str, Floats] = {}
    reader = store.text.reader if experiment.tunes_bert else None
    for name in ids if experiment.evaluation.samples else ():
        item = corpus_item(store, name, spec, reader)
        drawn[name] = draw(model, item, experiment.evaluation.samples, experiment.seed).double().numpy()
        progress(len(drawn), len(ids), "drawing labels")
    return drawn


def _scores(predicted: Floats, shares: Sequence[Floats] | None, dimension: int) -> Floats:
    """[W] what thresholds are laid on: the probability of class 1 or above where there is one, else the prediction."""
    if shares is None or shares[dimension].shape[1] == 0:
        return predicted[:, dimension]
    return shares[dimension][:, 1:].sum(1)


def _pooled(
    ids: Sequence[str],
    labels: LabelStore,
    predicted: Mapping[str, Floats],
    shares: Mapping[str, Sequence[Floats]],
    dimension: int,
) -> tuple[Floats, Ints]:
    """Scores and discrete labels of one dimension over all tokens that have it."""
    masks = {name: _there(labels, name)[:, dimension] for name in ids}
    values = [_scores(predicted[name], shares.get(name), dimension)[masks[name]] for name in ids]
    discrete = [labels.classes(name)[masks[name], dimension] for name in ids]
    return np.concatenate([np.empty(0), *values]), np.concatenate([np.empty(0, np.int8), *discrete]).astype(np.int64)


def _there(labels: LabelStore, name: str) -> Any:
    exists = labels.exists(name)
    assert exists is not None
    return exists


def _result(
    name: str,
    store: TextFeatures,
    labels: LabelStore,
    predicted: Floats,
    dimensions: Sequence[str],
    thresholds: Mapping[tuple[str, str], Floats],
    shares: Sequence[Floats] | None,
    drawn: Floats | None,
) -> LabelResult:
    utterance, sentence = store.utterances[name], store.text.sentence(name)
    tokens = [""] * sentence.tokens
    for place, word in enumerate(sentence.words):
        tokens[2 * place + 1] = word.text
    tracks = {}
    for index, dimension in enumerate(dimensions):
        places = np.flatnonzero(_there(labels, name)[:, index])
        scores = _scores(predicted, shares, index)[places]
        discrete = labels.classes(name)[places, index].astype(np.int64)
        decisions = {
            key: (
                decision.labels(discrete),
                decision.decide(scores, thresholds[dimension, key])
                if shares is None or not decision.likeliest
                else decision.choose(shares[index][places]),
            )
            for key, decision in DECISIONS.get(dimension, {}).items()
        }
        measured = labels.mean(name)[places, index].astype(np.float64)
        draws = None if drawn is None else drawn[:, places, index]
        tracks[dimension] = Track(places, measured, predicted[places, index], decisions, draws)
    return LabelResult(utterance.id, utterance.sentence, utterance.text, tuple(tokens), tracks)


def _with_derived(result: LabelResult, utterance: Utterance) -> LabelResult:
    """Add the dimensions that follow from one there is and from the text: ``DERIVED``.

    A word's timing is its log duration less what its phones last on average; what they last is known of a text, so
    that a predicted timing is a predicted duration as well.
    """
    tracks = dict(result.tracks)
    for name, (source, measured_in) in DERIVED.items():
        if source in tracks:
            track, measured = tracks[source], measured_in(utterance)
            shift = measured - track.reference
            draws = None if track.draws is None else track.draws + shift
            tracks[name] = Track(track.places, measured, track.predicted + shift, {}, draws)
    return replace(result, tracks=tracks)


def log_durations(utterance: Utterance) -> Floats:
    """Natural log of the seconds of every word of an utterance with timed phones: [words]."""
    ends: dict[int, tuple[float, float]] = {}
    for phone in utterance.phones or ():
        if phone.word >= 0:
            ends[phone.word] = (ends.get(phone.word, (phone.start, 0.0))[0], phone.end)
    return np.log([end - start for start, end in (ends[word] for word in range(len(ends)))])


#: Dimension -> the label it follows from, and how it is measured.
DERIVED: dict[str, tuple[str, Callable[[Utterance], Floats]]] = {"duration": ("timing", log_durations)}
