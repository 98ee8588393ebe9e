"""Small corpora of labels in their true formats: TextGrids with the testbed's exact phone times, a Helsinki file."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from data_modules.corpora.contract import Utterance, silent
from data_modules.corpora.testbed import Testbed
from data_modules.text.words import find_words
from prosody_tts.config import DataConfig, Experiment

Row = tuple[str, float, float]


def grid_text(words: Sequence[Row], phones: Sequence[Row]) -> str:
    """A TextGrid as the Montreal Forced Aligner 1 writes it: label, start and end in seconds of each interval."""
    end = phones[-1][2]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0.0", f"xmax = {end}"]
    lines += ["tiers? <exists>", "size = 2", "item []:"]
    for number, (name, rows) in enumerate((("words", words), ("phones", phones)), start=1):
        lines += [f"\titem [{number}]:", '\t\tclass = "IntervalTier"', f'\t\tname = "{name}"', "\t\txmin = 0.0"]
        lines += [f"\t\txmax = {end}", f"\t\tintervals: size = {len(rows)}"]
        for index, (label, start, stop) in enumerate(rows, start=1):
            lines += [f"\t\t\tintervals [{index}]:", f"\t\t\t\txmin = {start:.6f}", f"\t\t\t\txmax = {stop:.6f}"]
            lines += [f'\t\t\t\ttext = "{label}"']
    return "\n".join(lines) + "\n"


def tiers(utterance: Utterance) -> tuple[list[Row], list[Row]]:
    """The tiers of an utterance with exact phone times."""
    assert utterance.phones is not None
    names = [word.text.lower() for word in find_words(utterance.text)]
    phones = [("" if p.word < 0 else p.label, p.start, p.end) for p in utterance.phones]
    words: list[tuple[str, float, float]] = []
    before = None
    for phone in utterance.phones:
        if phone.word >= 0 and phone.word == before:
            words[-1] = (*words[-1][:2], phone.end)
        else:
            words.append(("" if phone.word < 0 else names[phone.word], phone.start, phone.end))
        before = phone.word
    return words, phones


@cache
def spoken(folder: Path, sentences: int = 24) -> tuple[Utterance, ...]:
    """Distinct sentences of the testbed, spoken once each."""
    data = DataConfig(train_sentences=sentences, dev_sentences=1, test_sentences=1, renditions=1)
    return Testbed().build(Experiment(data=data), folder, silent).utterances


def timing_corpus(folder: Path) -> Path:
    """A folder for ``corpus=ljspeech_timing``: ``metadata.csv`` and one TextGrid an utterance."""
    utterances = spoken(folder / "spoken")
    made = folder / "timing"
    (made / "TextGrid").mkdir(parents=True, exist_ok=True)
    for utterance in utterances:
        (made / "TextGrid" / f"{utterance.id}.TextGrid").write_text(grid_text(*tiers(utterance)))
    lines = (f"{utterance.id}|{utterance.text}|{utterance.text}\n" for utterance in utterances)
    (made / "metadata.csv").write_text("".join(lines))
    return made


def helsinki_text(texts: Sequence[str], seed: int = 0) -> str:
    """Sentences in the Helsinki corpus's format: long words are prominent, commas and ends are boundaries."""
    draw = random.Random(seed)
    lines = []
    for number, text in enumerate(texts):
        lines.append(f"<file>\t{number:04d}.txt")
        for chunk in text.replace(",", " ,").replace(".", " .").split():
            if chunk in {",", "."}:
                lines.append(f"{chunk}\tNA\tNA\tNA\tNA")
                continue
            prominence = max(0.0, len(chunk) / 4 - 0.8 + draw.gauss(0, 0.1))
            boundary = max(0.0, draw.gauss(0.5, 0.5))
            classes = [sum(value > cut for cut in (0.4, 1.2)) for value in (prominence, boundary)]
            lines.append(f"{chunk}\t{classes[0]}\t{classes[1]}\t{prominence:.3f}\t{boundary:.3f}")
    return "\n".join(lines) + "\n"


def helsinki_corpus(folder: Path) -> Path:
    """A file for ``corpus=helsinki``."""
    path = folder / "helsinki.txt"
    path.write_text(helsinki_text([utterance.text for utterance in spoken(folder / "spoken")]))
    return path
