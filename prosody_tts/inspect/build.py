"""From prepared stages to figures, pictures and pages below ``runs/inspect``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from data_modules.alignment.report import read_suspicious
from data_modules.corpora.contract import Fault
from data_modules.store import FeatureStore
from prosody_tts import pipeline
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError, close
from prosody_tts.files import read_json, write_json
from prosody_tts.inspect.numbers import SPLITS, LeftOut, Summary, summarise
from prosody_tts.inspect.parse import relations
from prosody_tts.inspect.scene import Scene

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


@dataclass(frozen=True)
class Shown:
    """An utterance's files."""

    picture: Path
    page: Path


def left_out(experiment: Experiment) -> list[LeftOut]:
    """Faults that the stages found, in the stages' order."""
    found = []
    for stage in pipeline.plan(experiment):
        path = pipeline.folder(stage) / "faults.json"
        if path.exists():
            found += [LeftOut(stage.label, Fault(**fault)) for fault in read_json(path)]
    return found


def folder_of(experiment: Experiment) -> Path:
    """Where what is made of a corpus lies: ``runs/inspect/<corpus>-<identity of its alignment>``."""
    alignment = next(stage for stage in pipeline.plan(experiment) if stage.kind == "alignment")
    return Path(experiment.run.folder) / "inspect" / f"{experiment.corpus}-{alignment.identity}"


def inspect_corpus(experiment: Experiment) -> tuple[Group, Path]:
    """Measure a prepared corpus; write ``summary.json``, ``plots/*.png`` and, last, ``index.html``.

    Returns:
        Tables for the terminal, and the page.
    """
    from prosody_tts.inspect.page import write_corpus_page
    from prosody_tts.inspect.plots import plots
    from prosody_tts.inspect.terminal import summary_tables
    from prosody_tts.report.drawing import write_png

    summary = summary_of(experiment)
    folder = folder_of(experiment)
    write_json(folder / "summary.json", summary.to_dict())
    drawn = {}
    for name, figure in plots(summary).items():
        drawn[name] = folder / "plots" / f"{name}.png"
        write_png(figure, drawn[name])
    page = folder / "index.html"
    command = shlex.join(["prosody-tts", "inspect", experiment.corpus, "--utterance"]) + " ID"
    write_corpus_page(page, summary, drawn, command)
    return summary_tables(summary), page


def summary_of(experiment: Experiment) -> Summary:
    """The figures of a prepared corpus."""
    hop = experiment.audio.hop / experiment.audio.sample_rate
    alignment = next(stage for stage in pipeline.plan(experiment) if stage.kind == "alignment")
    suspicious = read_suspicious(pipeline.folder(alignment))
    return summarise(experiment.corpus, _store(experiment), hop, left_out(experiment), suspicious)


def inspect_utterances(experiment: Experiment, names: Sequence[str]) -> list[Shown]:
    """Draw utterances of a prepared corpus; write a picture and a page of each below ``utterances``.

    Raises:
        UserError: there is no such utterance (names the nearest), or it was left out (says why).
    """
    from prosody_tts.inspect.page import write_utterance_page
    from prosody_tts.inspect.picture import picture
    from prosody_tts.report.drawing import write_png

    store = _store(experiment)
    for name in names:
        _check(name, store, experiment)
    folder = folder_of(experiment) / "utterances"
    made = []
    for name in names:
        found = scene(experiment, store, name)
        stem = quote(name, safe="")  # an id may name a folder
        shown = Shown(folder / f"{stem}.png", folder / f"{stem}.html")
        write_png(picture(found), shown.picture)
        recording = store.corpus.clip(found.recording.utterance)
        write_utterance_page(shown.page, found, shown.picture, recording)
        made.append(shown)
    return made


def scene(experiment: Experiment, store: FeatureStore, name: str) -> Scene:
    """Everything known of an aligned utterance."""
    recording = store.recording(name)
    (found,) = relations(experiment.text.parser, [recording.sentence])
    return Scene(recording, found, experiment.audio)


def inspect_texts(experiment: Experiment, texts: Sequence[str]) -> list[Table]:
    """Analyse raw texts as the experiment's ``text`` settings say; needs no corpus. One table a sentence, as spoken.

    Raises:
        UserError: a text cannot be analysed.
    """
    from data_modules.text.analysis import TextAnalyser
    from prosody_tts.inspect.terminal import text_table

    analyser = TextAnalyser(experiment)
    sentences = analyser.analyse([sentence for parts in analyser.prepare(texts) for sentence in parts])
    return [text_table(*pair) for pair in zip(sentences, relations(experiment.text.parser, sentences), strict=True)]


def _store(experiment: Experiment) -> FeatureStore:
    folders = {stage.kind: pipeline.folder(stage) for stage in pipeline.plan(experiment)}
    return FeatureStore(folders["corpus"], folders["text"], folders["audio"], folders["alignment"] / "durations.json")


def _check(name: str, store: FeatureStore, experiment: Experiment) -> None:
    known = store.ids(*SPLITS)
    if name in known:
        return
    for item in left_out(experiment):
        if item.fault.item == name:
            raise UserError(f"utterance '{name}' was left out by {item.stage}: {item.fault.reason}")
    raise UserError(f"corpus={experiment.corpus} has no utterance '{name}'; the nearest are {close(name, known)}")
