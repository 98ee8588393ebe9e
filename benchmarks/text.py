"""Text analysis at full scale: speed of every step, failures, unknown words, sizes of parse graphs.

    python -m benchmarks.text metadata.csv [--limit N] [--bert] [--profile]

Reads the last column of a ``metadata.csv`` in LJSpeech's layout. Rates are sentences per second of CPU time on one
thread; loading of models is not counted.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

from data_modules.text.analysis import BATCH, TextAnalyser
from data_modules.text.graph import GRAPHS
from data_modules.text.parse import load_pipeline, parse, token_tags, word_tags
from data_modules.text.pronounce import dictionary, latin
from data_modules.text.sentence import Sentence, Word
from data_modules.text.words import clean, find_words
from prosody_tts.config import Experiment, TextConfig
from prosody_tts.errors import UserError

#: Graphs that a text alone gives; a gold tree comes from a corpus.
TREES = ("dependency", "constituency")


@dataclass
class Result:
    """What a run over texts found.

    Attributes:
        sentences: texts analysed.
        words: orthographic words.
        unknown: words that CMUdict has no entry for.
        failures: text and reason of each failure.
        seconds: step -> CPU seconds.
        diameters: tree -> diameter of each sentence's graph.
    """

    sentences: int = 0
    words: int = 0
    unknown: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    diameters: dict[str, list[int]] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the CPU time of a block to a step."""
        start = time.process_time()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.process_time() - start

    def summary(self) -> dict[str, Any]:
        """Plain data: rates, shares, the 50th, 75th and 95th percentile of the diameters."""
        count = self.sentences
        return {
            "sentences": count,
            "words": self.words,
            "failures": len(self.failures),
            "reasons": [f"{text}: {reason}" for text, reason in self.failures],
            "out_of_vocabulary": round(self.unknown / max(self.words, 1), 5),
            "sentences_per_second": {step: round(count / max(used, 1e-9), 1) for step, used in self.seconds.items()},
            "diameter_percentiles_50_75_95": {
                tree: [float(value) for value in np.percentile(found, (50, 75, 95))]
                for tree, found in self.diameters.items()
                if found
            },
        }


def read_texts(path: Path, limit: int | None = None) -> list[str]:
    """Last column of a ``metadata.csv``; ``limit`` takes that many, evenly spread."""
    rows = [line.split("|") for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    texts = [row[-1] for row in rows]
    if limit is None or limit >= len(texts):
        return texts
    return [texts[i * len(texts) // limit] for i in range(limit)]


def measure(texts: Sequence[str], bert: bool = False) -> Result:
    """Analyse texts step by step, then whole (``analyse``, what a user waits for), then BERT where asked for."""
    analysers = {tree: TextAnalyser(Experiment(corpus="folder", text=TextConfig(tree=tree))) for tree in TREES}  # type: ignore[arg-type]
    analyser = analysers["dependency"]
    analyser.analyse(["Loads all models, once."])
    result = Result(sentences=len(texts), diameters={tree: [] for tree in TREES})
    for start in range(0, len(texts), BATCH):
        _steps(analyser, texts[start : start + BATCH], result)
    sentences: list[Sentence] = []
    for tree, each in analysers.items():
        with result.timed(f"analyse ({tree})"):
            found = each.analyse_each(texts)
        for text, outcome in zip(texts, found, strict=True):
            if isinstance(outcome, UserError):
                result.failures.append((text, f"{tree}: {outcome}"))
            else:
                outcome.check()
                result.diameters[tree].append(outcome.graph.diameter)
        sentences = sentences or [outcome for outcome in found if isinstance(outcome, Sentence)]
    if bert:
        analyser.states(sentences[:1])
        with result.timed("bert"):
            states = analyser.states(sentences)
        for sentence, values in zip(sentences, states, strict=True):
            if values.shape != (sentence.tokens, analyser.bert.size) or not np.isfinite(values).all():
                result.failures.append((sentence.text, f"bert: states {values.shape}"))
    return result


def _steps(analyser: TextAnalyser, texts: Sequence[str], result: Result) -> None:
    """Time each step of a batch by itself."""
    with result.timed("words"):
        cleaned = [clean(text) for text in texts]
        words = [_words(text) for text in cleaned]
    with result.timed("parse"):
        parses = list(parse(load_pipeline(analyser.settings.parser), cleaned))
    rows = [row for row in zip(cleaned, words, parses, strict=True) if row[1]]
    with result.timed("pronunciation"):
        for text, found, tokens in rows:
            with suppress(UserError):  # the whole analysis names it
                analyser.pronouncer.pronounce(text, found, word_tags(found, tokens))
    with result.timed("graphs"):
        for tree in TREES:
            for text, found, tokens in rows:
                GRAPHS[tree](text, found, tokens, None)
    with result.timed("tags"):
        for text, found, tokens in rows:
            token_tags(text, found, tokens)
    with result.timed("word pieces"):
        analyser.bert.pieces([row[0] for row in rows], [row[1] for row in rows])
    for text, found, _ in rows:
        result.words += len(found)
        result.unknown += sum(not _known(word, text) for word in found)


def _words(text: str) -> tuple[Word, ...]:
    try:
        return find_words(text)
    except UserError:
        return ()


def _known(word: Word, text: str) -> bool:
    try:
        return latin(word.text, text) in dictionary()
    except UserError:
        return False


def main() -> None:
    """Measure as the arguments say and print the summary as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("metadata", type=Path, help="metadata.csv in LJSpeech's layout")
    parser.add_argument("--limit", type=int, help="this many sentences, evenly spread")
    parser.add_argument("--bert", action="store_true", help="BERT states too")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    if not arguments.metadata.is_file():
        sys.exit(f"error: there is no file {arguments.metadata}; give a metadata.csv in LJSpeech's layout")
    texts = read_texts(arguments.metadata, arguments.limit)
    profile = cProfile.Profile()
    if arguments.profile:
        profile.enable()
    result = measure(texts, arguments.bert)
    profile.disable()
    print(json.dumps(result.summary(), indent=2, ensure_ascii=False))
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
