"""The corpus's post-step: gives every utterance the phone times of its TextGrid, or leaves it out with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_modules.alignment.grid_files import grid_paths, read_grids
from data_modules.alignment.matching import timed_phones
from data_modules.alignment.textgrids import LONGER, read_grid
from data_modules.corpora.contract import Corpus, Fault, PhoneTime, Progress, Utterance
from data_modules.corpora.screening import content_digest, screen
from data_modules.corpora.splits import with_splits
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError

#: Raise it when a rule of reading or matching changes what an utterance is given.
RULES = 1


def textgrids_identity(experiment: Experiment) -> dict[str, Any]:
    """Content of the grids, and what decides whether they are taken.

    Raises:
        UserError: there are none.
    """
    assert experiment.textgrids is not None
    content = content_digest(grid_paths(experiment.textgrids), Path(experiment.run.folder))
    return {"rules": RULES, "content": content, "pronouncer": experiment.pronouncer}


def attach(corpus: Corpus, experiment: Experiment, progress: Progress) -> Corpus:
    """Give every utterance its ``phones`` from the grid of its id; those without a sound grid become faults.

    Splits that no list gives are made again without them; they move no other sentence.

    Raises:
        UserError: the grids cannot be read at all, or more are faulty than ``data.allowed_bad`` allows.
    """
    from data_modules.text.pronounce import PRONOUNCERS

    assert experiment.textgrids is not None
    wanted = {utterance.id: utterance for utterance in corpus.utterances}
    inventory = PRONOUNCERS[experiment.pronouncer]().inventory()
    found: dict[str, tuple[PhoneTime, ...] | UserError] = {}
    for done, (name, content) in enumerate(read_grids(experiment.textgrids, wanted), start=1):
        utterance = wanted[name]
        found[name] = content if isinstance(content, UserError) else _timed(utterance, content, corpus, inventory)
        progress(done, len(wanted), "TextGrids read")
    utterances, faults = [], list(corpus.faults)
    for utterance in corpus.utterances:
        phones = found.get(utterance.id)
        if isinstance(phones, tuple):
            utterances.append(replace(utterance, phones=phones))
        elif phones is None:
            faults.append(Fault(utterance.id, f"has no TextGrid {utterance.id}.TextGrid in {experiment.textgrids}"))
        else:
            faults.append(Fault(utterance.id, f"cannot take its TextGrid: {phones}"))
    screen(f"textgrids={experiment.textgrids}", utterances, faults, corpus.folder, experiment.data)
    sound = tuple(utterances)
    if corpus.splits == "hash":
        sound, _ = with_splits(sound, faults, experiment.data)
    return replace(corpus, utterances=sound, faults=tuple(faults))


def _timed(
    utterance: Utterance, content: bytes, corpus: Corpus, inventory: Sequence[str] | None
) -> tuple[PhoneTime, ...] | UserError:
    from data_modules.audio import audio_seconds  # loads torch, which planning must not

    try:
        grid = read_grid(content)
        seconds = utterance.seconds
        if seconds is None:
            seconds = audio_seconds(utterance.recording(corpus.folder)) - utterance.start
        if grid.end > seconds + LONGER:
            return UserError(f"the grid ends at {grid.end:g} s and the audio at {seconds:.3f} s")
        return timed_phones(grid, utterance.text, inventory)
    except UserError as error:
        return error
