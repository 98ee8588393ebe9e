"""The prosody of a recording, as the vectors that stage one hears in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from data_modules.alignment.grid_files import MOST_BYTES
from data_modules.alignment.matching import timed_phones
from data_modules.alignment.textgrids import read_grid
from data_modules.audio import first_centre
from data_modules.collate import acoustic_batch, acoustic_item
from data_modules.corpora.contract import Utterance
from data_modules.features import Task, measure_recording
from data_modules.store import FeatureStore, Recording
from data_modules.text.analysis import TextAnalyser
from data_modules.text.sentence import Sentence
from data_modules.text.words import excerpt
from data_modules.tokens import exact_durations
from prosody_tts import pipeline
from prosody_tts.config import Experiment, Units
from prosody_tts.errors import UserError, close
from prosody_tts.speaking.script import Script, plain, script_of
from prosody_tts.synthesis import Synthesizer

#: Seconds of the shortest recording whose prosody is worth copying (ours).
SHORTEST = 0.3


@dataclass(frozen=True)
class Reference:
    """A recording whose prosody is to be copied.

    Attributes:
        source: a recording's file, or the id of an utterance of the corpus.
        text: what it says; none where that is the text to be spoken, or the corpus knows.
        textgrid: times of its phones (tiers ``words`` and ``phones``); none leaves them to the corpus or its aligner.
    """

    source: str
    text: str | None = None
    textgrid: Path | None = None

    @property
    def is_file(self) -> bool:
        """Whether the source is a file; what looks like one is, so that a wrong name is told as such."""
        path = Path(self.source)
        return path.exists() or path.suffix.lower() in {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"}


def check_reference(reference: Reference, experiment: Experiment) -> None:
    """Raise ``UserError`` for what is wrong with a reference before anything is trained."""
    if experiment.acoustic.reference == "none":
        raise UserError(
            f"{experiment.system} has no prosody vectors and cannot copy a recording's prosody; name a system with a "
            "reference encoder, such as kathaka or camp"
        )
    if reference.is_file:
        _measured(Path(reference.source), experiment)
        if needs_alignment(experiment) and reference.textgrid is None:
            _aligner(experiment)
    elif reference.textgrid is not None:
        raise UserError(f"the corpus knows the times of its utterance '{reference.source}'; leave --textgrid out")


def needs_alignment(experiment: Experiment) -> bool:
    """Whether stage one must know where a recording's words are: not one that hears all of it at once, and no text."""
    return experiment.units != "utterance" or experiment.acoustic.reference_phones


def read_reference(
    reference: Reference,
    experiment: Experiment,
    synthesizer: Synthesizer,
    analyser: TextAnalyser,
    text: str,
    voice: str,
) -> Tensor:
    """The prosody vectors [1, U, D] of a recording.

    Args:
        reference: which recording.
        experiment: the system's settings.
        synthesizer: the system.
        analyser: of the system's settings.
        text: what the recording says unless it is known otherwise.
        voice: the speaker who a file's voice is taken for (ours): stage one knows only those of its corpus.

    Raises:
        UserError: the recording cannot be read, is too short, silent or unvoiced, or cannot be aligned with its text.
    """
    if reference.is_file:
        said = text if reference.text is None else reference.text
        recording = _recorded(reference, experiment, analyser, said, voice)
    else:
        recording = _of_corpus(reference.source, experiment)
    batch = acoustic_batch([acoustic_item(recording, synthesizer.specification)])
    vectors = synthesizer.encode(batch)
    assert vectors is not None
    return vectors.cpu()


def fit_vectors(vectors: Tensor, sentence: Sentence, units: Units) -> Tensor:
    """The vectors [1, U, D], if the sentence has as many units.

    Raises:
        UserError: it has not.
    """
    _check_units(vectors.shape[1], sentence, units)
    return vectors


def check_utterance(reference: Reference, experiment: Experiment, scripts: Sequence[Script]) -> None:
    """Raise ``UserError`` where an utterance of a prepared corpus is not there, or has other units than the texts."""
    if reference.is_file:
        return
    heard = _units(_of_corpus(reference.source, experiment).sentence, experiment.units)
    for script in scripts:
        for sentence in script.sentences:
            _check_units(heard, sentence, experiment.units)


def _units(sentence: Sentence, units: Units) -> int:
    return {"utterance": 1, "word": sentence.tokens, "phone": len(sentence.phones)}[units]


def _check_units(heard: int, sentence: Sentence, units: Units) -> None:
    wanted = _units(sentence, units)
    if heard != wanted:
        counts = (heard // 2, wanted // 2) if units == "word" else (heard, wanted)
        raise UserError(
            f"the recording has {counts[0]} {units}s and '{excerpt(sentence.text)}' has {counts[1]}; with "
            f"units={units} copy a recording of the same text, or name a system of utterance units, such as kathaka"
        )


def _measured(path: Path, experiment: Experiment) -> dict[str, np.ndarray]:
    found = measure_recording(Task(path.name, path), experiment.audio)
    seconds = len(found["mel"]) * experiment.audio.hop / experiment.audio.sample_rate
    if seconds < SHORTEST:
        raise UserError(f"{path} holds {seconds:.2f} s of speech, too little to copy; give at least {SHORTEST:g} s")
    return found


def _aligner(experiment: Experiment) -> Path:
    """Folder of the aligner that the corpus trained, or was given."""
    if experiment.aligned_by is not None:
        return Path(experiment.aligned_by)
    for stage in pipeline.plan(experiment):
        if stage.kind == "aligner":
            return pipeline.folder(stage)
    raise UserError(
        f"corpus={experiment.corpus} came with the times of its phones and has no aligner for other recordings; name "
        "one of its utterances instead of a file, give --textgrid FILE, or a system of utterance units, such as kathaka"
    )


def _recorded(reference: Reference, experiment: Experiment, analyser: TextAnalyser, text: str, voice: str) -> Recording:
    """A file, aligned with its text if stage one needs to know where its words are."""
    path = Path(reference.source)
    found = _measured(path, experiment)
    if reference.textgrid is not None:
        sentence, durations = _by_grid(reference.textgrid, text, found, experiment, analyser)
        return _joined(path, found, sentence, durations, voice)
    script: Script = script_of(plain(text), analyser, whole=True)
    recording = _joined(path, found, script.sentences[0], None, voice)
    if not needs_alignment(experiment):
        # All frames are one unit's and the phones are not heard: whose they are does not matter.
        frames = np.zeros(len(recording.sentence.phones), np.int64)
        frames[0] = len(recording.mel)
    else:
        frames = _by_aligner(recording, experiment)
    return _joined(path, found, recording.sentence, frames, voice)


def _joined(
    path: Path, found: dict[str, np.ndarray], sentence: Sentence, durations: np.ndarray | None, voice: str
) -> Recording:
    utterance = Utterance(path.stem, path.stem, sentence.text, str(path), "test", voice)
    bert = np.zeros((sentence.tokens, 0), np.float32)
    return Recording(utterance, sentence, found["mel"], found["f0"], found["energy"], durations, bert)


def _by_aligner(recording: Recording, experiment: Experiment) -> np.ndarray:
    from prosody_tts.stages.aligner import load_aligner

    aligner = load_aligner(_aligner(experiment))
    batch = acoustic_batch([acoustic_item(recording, aligner.specification)])
    try:
        return aligner.align(batch)[0].numpy()
    except ValueError as error:
        raise UserError(f"{recording.utterance.audio} cannot be aligned with its text: {error}") from None


def _by_grid(
    path: Path, text: str, found: dict[str, np.ndarray], experiment: Experiment, analyser: TextAnalyser
) -> tuple[Sentence, np.ndarray]:
    """The text with the phones of a TextGrid, and their frames."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"it has more than {MOST_BYTES} bytes")
        grid = read_grid(path.read_bytes())
        times = timed_phones(grid, text, analyser.inventory())
    except OSError as error:
        raise UserError(f"cannot read the TextGrid {path}: {error.strerror or error}") from None
    except UserError as error:
        raise UserError(f"cannot take the TextGrid {path}: {error}") from None
    words: list[list[str]] = [[] for _ in range(1 + max(phone.word for phone in times))]
    for phone in times:
        if phone.word >= 0:
            words[phone.word].append(phone.label)
    (sentence,) = analyser.analyse([text], [words])
    hop = experiment.audio.hop / experiment.audio.sample_rate
    first = float(found["start"]) + first_centre(experiment.audio) / experiment.audio.sample_rate
    try:
        durations = exact_durations(sentence.phones, times, len(found["mel"]), hop, first, least=1)
    except ValueError as error:
        raise UserError(f"the TextGrid {path} does not fit its recording: {error}") from None
    return sentence, np.array(durations, np.int64)


def _of_corpus(name: str, experiment: Experiment) -> Recording:
    """An utterance of the corpus with its alignment."""
    folders = {stage.kind: pipeline.folder(stage) for stage in pipeline.plan(experiment)}
    store = FeatureStore(folders["corpus"], folders["text"], folders["audio"], folders["alignment"] / "durations.json")
    known = store.ids("train", "dev", "test", "perturbed")
    if name not in known:
        raise UserError(
            f"'{name}' is neither a file nor an utterance of corpus={experiment.corpus}; the nearest of its utterances "
            f"are {close(name, known)}"
        )
    return store.recording(name)
