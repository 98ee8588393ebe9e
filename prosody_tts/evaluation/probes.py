"""What word vectors carry: how well simple models read phones, F0, energy and duration from them.

A vector that knows which phones a word has will not speak other words as it should; one that does not know its F0 has
nothing to tell. Probes are fitted on training words and measured on held-out sentences. The same probe of the word's
measured F0, energy and duration tells how much of a phone they betray by themselves.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_modules.store import FeatureStore
from data_modules.vectors import VectorStore
from prosody_tts.errors import UserError
from prosody_tts.evaluation import statistics
from prosody_tts.evaluation.effects import MEASURES
from prosody_tts.evaluation.measure import Floats

Ints = NDArray[np.int64]
#: Figures [R] of R sums over words, each [R, columns].
OfSums = Callable[[Floats], Floats]
Kind = Literal["linear", "mlp"]
KINDS: tuple[Kind, ...] = ("linear", "mlp")
#: Training words that must have a phone, and lack it, for it to be probed; held-out words likewise (ours).
LEAST_TRAINED, LEAST_TESTED = 20, 5
#: Hidden units of the small probe (ours).
HIDDEN = 64


@dataclass(frozen=True, eq=False)
class Words:
    """Words of some recordings; pauses are none.

    Attributes:
        vectors: [N, D] prosody vectors, or whatever is probed.
        measures: [N, 3] mean natural log of F0 in Hz, mean natural-log energy, natural log of seconds; NaN where not
            defined.
        phones: N words' phones.
        sentences: [N] number of each word's sentence, from 0; renditions share it.
    """

    vectors: Floats
    measures: Floats
    phones: tuple[tuple[str, ...], ...]
    sentences: Ints

    @staticmethod
    def read(store: FeatureStore, vectors: VectorStore, names: Sequence[str], hop_seconds: float) -> Words:
        """Words of utterances, with the vectors of their tokens."""
        numbers: dict[str, int] = {}
        rows, measures, phones, sentences = [], [], [], []
        for name in names:
            recording = store.recording(name)
            log_f0, energy, frames = recording.word_measures()
            sentence, vector = recording.sentence, vectors.mean(name)
            if len(vector) != sentence.tokens:
                raise UserError(f"'{name}' has {len(vector)} vectors and {sentence.tokens} words and pauses")
            number = numbers.setdefault(recording.utterance.sentence, len(numbers))
            spoken: list[list[str]] = [[] for _ in range(sentence.tokens)]
            for phone, token in zip(sentence.phones, sentence.phone_to_word, strict=True):
                spoken[token].append(phone)
            for token in range(1, sentence.tokens, 2):
                duration = np.log(frames[token] * hop_seconds) if frames[token] else np.nan
                rows.append(np.asarray(vector[token], np.float64))
                measures.append([log_f0[token], energy[token], duration])
                phones.append(tuple(spoken[token]))
                sentences.append(number)
        return Words(np.array(rows), np.array(measures), tuple(phones), np.array(sentences, np.int64))

    def measured(self) -> Words:
        """The same words with what is measured of them in place of their vectors; a column more tells unvoiced ones."""
        missing = np.isnan(self.measures)
        filled = np.where(missing, 0.0, self.measures - np.nanmean(self.measures, axis=0))
        return Words(np.column_stack([filled, missing[:, 0]]), self.measures, self.phones, self.sentences)


@dataclass(frozen=True)
class Probed:
    """One probe's figure.

    Attributes:
        target: what is predicted: ``first_phone``, ``phones`` (each phone's presence), or a name of ``MEASURES``.
        kind: of the model.
        source: what it is read from: ``vectors`` or ``measured``.
        metric: ``accuracy``, ``balanced_accuracy`` (mean over phones) or ``r2``.
        value: on held-out sentences.
        low: lower end of its percentile bootstrap interval over sentences, or None.
        high: upper end.
        chance: what a model that knows nothing has: the commonest phone, a coin, the mean.
        words: held-out words.
        sentences: they are from.
    """

    target: str
    kind: Kind
    source: str
    metric: str
    value: float
    low: float | None
    high: float | None
    chance: float
    words: int
    sentences: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def probe(
    train: Words, test: Words, source: str, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> list[Probed]:
    """Every probe of some words, fitted on others.

    Args:
        train: words to fit on.
        test: words of other sentences.
        source: what their ``vectors`` are, for the result.
        resamples: bootstrap resamples of the held-out sentences.
        confidence: coverage.
        seed: of resamples and of the small networks' weights.
    """
    counts = statistics.resample_counts(int(test.sentences.max()) + 1, resamples, seed)
    mean, scale = train.vectors.mean(0), train.vectors.std(0)
    scale = np.where(scale > 1e-8, scale, 1.0)
    known, asked = ((words.vectors - mean) / scale for words in (train, test))

    def told(target: str, kind: Kind, metric: str, sums: Floats, value: OfSums, **more: Any) -> Probed:
        by_sentence = np.stack([np.bincount(test.sentences, column, counts.shape[1]) for column in sums.T], axis=1)
        interval = statistics.percentile_interval(value(counts @ by_sentence), confidence)
        low, high = interval.ends if counts.shape[1] > 1 else (None, None)
        whole = float(value(by_sentence.sum(0, keepdims=True))[0])
        return Probed(target, kind, source, metric, whole, low, high, sentences=counts.shape[1], **more)

    found = []
    for kind in KINDS:
        first = _first_phone(kind, known, asked, train, test, seed)
        if first is not None:
            right, there, chance = first
            sums = np.stack([right, there], axis=1).astype(np.float64)
            found.append(told("first_phone", kind, "accuracy", sums, _ratio, chance=chance, words=int(there.sum())))
    presence = _presence(known, asked, train, test)
    if presence is not None:
        found.append(
            told("phones", "linear", "balanced_accuracy", presence, _balanced, chance=0.5, words=len(test.phones))
        )
    for place, target in enumerate(MEASURES):
        for kind in KINDS:
            sums, words = _regression(kind, known, asked, train.measures[:, place], test.measures[:, place], seed)
            found.append(told(target, kind, "r2", sums, _r2, chance=0.0, words=words))
    return found


def _ratio(sums: Floats) -> Floats:
    """Right over asked: [R, 2] -> [R]."""
    return _share(sums[:, 0], sums[:, 1])


def _balanced(sums: Floats) -> Floats:
    """Mean over phones of the mean share of words found to have it, and to lack it: [R, 4 K] -> [R]."""
    found, present, lacking, absent = sums.reshape(len(sums), 4, -1).transpose(1, 0, 2)
    each = (_share(found, present) + _share(lacking, absent)) / 2
    sound = np.isfinite(each)
    return _share(np.where(sound, each, 0.0).sum(1), sound.sum(1).astype(np.float64))


def _r2(sums: Floats) -> Floats:
    """Share of the variance explained, from number, sum, sum of squares and sum of squared errors: [R, 4] -> [R]."""
    number, total, squares, errors = sums.T
    variance = squares - np.where(number > 0, total**2 / np.maximum(number, 1.0), 0.0)
    return 1.0 - _share(errors, variance)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)


def _first_phone(
    kind: Kind, known: Floats, asked: Floats, train: Words, test: Words, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], float] | None:
    """Whether a probe names each held-out word's first phone, which are asked, and the commonest phone's share."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    firsts, wanted = (np.array([word[0] if word else "" for word in words.phones]) for words in (train, test))
    names, numbers = np.unique(firsts, return_counts=True)
    common = names[numbers >= LEAST_TRAINED]
    used, there = np.isin(firsts, common), np.isin(wanted, common)
    if len(common) < 2 or not there.any():
        return None
    model: Any = LogisticRegression(max_iter=1000)
    if kind == "mlp":
        model = MLPClassifier(hidden_layer_sizes=(HIDDEN,), early_stopping=True, random_state=seed, max_iter=300)
    with _quiet():
        model.fit(known[used], firsts[used])
    commonest = names[numbers.argmax()]
    return (model.predict(asked) == wanted) & there, there, float(np.mean(wanted[there] == commonest))


def _presence(known: Floats, asked: Floats, train: Words, test: Words) -> Floats | None:
    """Of every phone that is common enough, a linear probe's hits: [N, 4 K] found, present, found lacking, absent."""
    from sklearn.linear_model import LogisticRegression

    columns: list[list[NDArray[np.bool_]]] = [[], [], [], []]
    for phone in sorted({phone for word in train.phones for phone in word}):
        have, has = (np.array([phone in word for word in words.phones]) for words in (train, test))
        if min(have.sum(), (~have).sum()) < LEAST_TRAINED or min(has.sum(), (~has).sum()) < LEAST_TESTED:
            continue
        with _quiet():
            said = LogisticRegression(max_iter=1000, class_weight="balanced").fit(known, have).predict(asked)
        for column, value in zip(columns, (said & has, has, ~said & ~has, ~has), strict=True):
            column.append(value)
    if not columns[0]:
        return None
    return np.concatenate([np.stack(column, axis=1) for column in columns], axis=1).astype(np.float64)


def _regression(kind: Kind, known: Floats, asked: Floats, have: Floats, has: Floats, seed: int) -> tuple[Floats, int]:
    """Number, value, square and squared error of each held-out word that has the measure: [N, 4], and how many."""
    from sklearn.linear_model import Ridge
    from sklearn.neural_network import MLPRegressor

    used, there = np.isfinite(have), np.isfinite(has)
    mean, scale = have[used].mean(), max(float(have[used].std()), 1e-8)
    model: Any = Ridge(alpha=1.0)
    if kind == "mlp":
        model = MLPRegressor(hidden_layer_sizes=(HIDDEN,), early_stopping=True, random_state=seed, max_iter=300)
    with _quiet():
        model.fit(known[used], (have[used] - mean) / scale)
    value = np.where(there, (np.nan_to_num(has) - mean) / scale, 0.0)
    error = np.where(there, model.predict(asked) - value, 0.0)
    return np.stack([there.astype(np.float64), value, value**2, error**2], axis=1), int(there.sum())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence advice to iterate further: a probe that has not settled is a weak probe, not a fault."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
