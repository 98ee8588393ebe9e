"""A corpus whose prosody is known because we wrote it: sentences of a grammar, spoken by eSpeak NG after rules."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.corpora.contract import Corpus, Fault, Progress, Split, Utterance
from data_modules.corpora.testbed import grammar, rules
from data_modules.corpora.testbed.render import Clip, speak_all
from data_modules.corpora.testbed.tree import Tree
from prosody_tts.config import DataConfig, Experiment

#: Raise it whenever the same settings would give another corpus.
VERSION = 1


@dataclass(frozen=True)
class Planned:
    """An utterance before it is spoken."""

    id: str
    sentence: str
    split: Split
    tree: Tree
    factors: dict[str, Any]

    def clip(self, folder: Path) -> Clip:
        """What to speak, below the corpus's folder."""
        whole, words = rules.effects(self.factors)
        attributes = tuple(rules.attributes(whole, word) for word in words)
        return Clip(self.id, str(folder / self.audio), self.tree.text(), rules.manner(whole), attributes)

    @property
    def audio(self) -> str:
        """Path below the corpus's folder."""
        return f"wavs/{self.id}.wav"


def plan(data: DataConfig) -> Iterator[Planned]:
    """Every utterance of the corpus in the order of speaking: training, development, test.

    Training sentences have one rendition, the others ``data.renditions``.
    """
    counts: dict[Split, int] = {"train": data.train_sentences, "dev": data.dev_sentences, "test": data.test_sentences}
    for split, count in counts.items():
        random = np.random.default_rng([data.seed, 3 + grammar.SPLITS.index(split)])
        repeats = 1 if split == "train" else data.renditions
        for number, parsed in enumerate(grammar.sentences(split, count, data.seed)):
            sentence = f"{split}-{number:04d}"
            for index, (register, accent) in enumerate(rules.renditions(repeats, random)):
                name = sentence if split == "train" else f"{sentence}-r{index}"
                planted = rules.factors(parsed.tree, parsed.sentiment, register, accent)
                yield Planned(name, sentence, split, parsed.tree, planted)


class Testbed:
    """Builder of the controlled-prosody corpus."""

    __test__ = False  # its name looks like a test class

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Versions of the generator and of eSpeak NG, and the settings read."""
        data = experiment.data
        return {
            "corpus": "testbed",
            "version": VERSION,
            "espeak": importlib.metadata.version("espeakng-loader"),
            "seed": data.seed,
            "train_sentences": data.train_sentences,
            "dev_sentences": data.dev_sentences,
            "test_sentences": data.test_sentences,
            "renditions": data.renditions,
        }

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus:
        """Speak the corpus into ``folder/wavs``, 22.05 kHz and 16 bits.

        Raises:
            UserError: eSpeak NG does not work here.
        """
        folder = folder.resolve()
        planned = list(plan(experiment.data))
        utterances: list[Utterance] = []
        faults: list[Fault] = []
        spoken = speak_all([item.clip(folder) for item in planned])
        for done, (item, clip) in enumerate(zip(planned, spoken, strict=True), 1):
            if clip.fault:
                faults.append(Fault(item.id, clip.fault))
            else:
                utterances.append(
                    Utterance(
                        id=item.id,
                        sentence=item.sentence,
                        text=item.tree.text(),
                        audio=item.audio,
                        split=item.split,
                        speaker="espeak",
                        phones=clip.phones,
                        tree=str(item.tree),
                        factors=item.factors,
                    )
                )
            progress(done, len(planned), "speaking the testbed")
        return Corpus("testbed", folder, tuple(utterances), tuple(faults), "official")
