"""A corpus whose prosody is known because we wrote it: sentences of a grammar, spoken by eSpeak NG after rules."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_modules import espeak
from data_modules.corpora.contract import Corpus, Fault, Progress, Split, Utterance
from data_modules.corpora.testbed import grammar, rules
from data_modules.corpora.testbed.render import Clip, speak_all
from data_modules.corpora.testbed.tree import Tree
from data_modules.espeak import LANGUAGE
from prosody_tts.config import DataConfig, Experiment
from prosody_tts.errors import UserError

#: Raise it whenever the same settings would give another corpus.
VERSION = 1
#: Speaker of a corpus with one voice, ``espeak.VOICE``.
SPEAKER = "espeak"
#: Speakers of a corpus with several: variants of eSpeak's American English that speak the same phones. The same manner
#: gives them 1, .58, 1.36, .56, 1.15 and 1.18 times the F0 of the first.
VOICES = ("f1", "m3", "Andrea", "m2", "f5", "f3")


@dataclass(frozen=True)
class Planned:
    """An utterance before it is spoken."""

    id: str
    sentence: str
    split: Split
    tree: Tree
    factors: dict[str, Any]
    speaker: str = SPEAKER

    def clip(self, folder: Path) -> Clip:
        """What to speak, below the corpus's folder."""
        whole, words = rules.effects(self.factors)
        attributes = tuple(rules.attributes(whole, word) for word in words)
        voice = espeak.VOICE if self.speaker == SPEAKER else f"{LANGUAGE}+{self.speaker}"
        return Clip(self.id, str(folder / self.audio), self.tree.text(), rules.manner(whole), attributes, voice)

    @property
    def audio(self) -> str:
        """Path below the corpus's folder."""
        return f"wavs/{self.id}.wav"


def plan(data: DataConfig) -> Iterator[Planned]:
    """Every utterance of the corpus in the order of speaking: training, development, test.

    Training sentences have one rendition, the others ``data.renditions``, all by one speaker.
    """
    counts: dict[Split, int] = {"train": data.train_sentences, "dev": data.dev_sentences, "test": data.test_sentences}
    for split, count in counts.items():
        random = np.random.default_rng([data.seed, 3 + grammar.SPLITS.index(split)])
        repeats = 1 if split == "train" else data.renditions
        speakers = _speakers(split, data)
        for number, parsed in enumerate(grammar.sentences(split, count, data.seed)):
            sentence, speaker = f"{split}-{number:04d}", next(speakers)
            for index, (register, accent) in enumerate(rules.renditions(repeats, random)):
                name = sentence if split == "train" else f"{sentence}-r{index}"
                planted = rules.factors(parsed.tree, parsed.sentiment, register, accent)
                yield Planned(name, sentence, split, parsed.tree, planted, speaker)


def voices(data: DataConfig) -> tuple[str, ...]:
    """The corpus's speakers.

    Raises:
        UserError: there are fewer voices than ``data.speakers``.
    """
    if data.speakers > len(VOICES):
        raise UserError(f"data.speakers={data.speakers} is more than the testbed's {len(VOICES)} voices; lower it")
    return VOICES[: data.speakers] if data.speakers > 1 else (SPEAKER,)


def _speakers(split: Split, data: DataConfig) -> Iterator[str]:
    """Who speaks each sentence of a split: all speakers in turn, each turn in an order of its own.

    A fixed order would give a speaker all sentences of a polarity, which take turns too.
    """
    names = voices(data)
    random = np.random.default_rng([data.seed, 6 + grammar.SPLITS.index(split)])
    while True:
        yield from (names[int(index)] for index in random.permutation(len(names)))


class Testbed:
    """Builder of the controlled-prosody corpus."""

    __test__ = False  # its name looks like a test class

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Versions of the generator and of eSpeak NG, and the settings read.

        Raises:
            UserError: there are fewer voices than ``data.speakers``.
        """
        data = experiment.data
        # A corpus with one speaker is what it was before there could be several.
        speakers = {} if voices(data) == (SPEAKER,) else {"speakers": voices(data)}
        return {
            **speakers,
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
                        speaker=item.speaker,
                        phones=clip.phones,
                        tree=str(item.tree),
                        factors=item.factors,
                    )
                )
            progress(done, len(planned), "speaking the testbed")
        return Corpus("testbed", folder, tuple(utterances), tuple(faults), "official")
