"""The evaluation stage: every held-out sentence spoken by a system, and measured against its recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from data_modules.audio import Analysis, analyse, with_frames
from data_modules.codes import CodeStore
from data_modules.collate import text_batch, text_item
from data_modules.corpora.contract import Progress
from data_modules.store import FeatureStore, Recording, TextStore
from data_modules.text.bert import PieceReader
from data_modules.text.sentence import PAUSE, Sentence
from data_modules.tokens import token_durations
from data_modules.vectors import VectorStore
from prosody_tts import pipeline
from prosody_tts.config import AudioConfig, Experiment
from prosody_tts.evaluation.attention import judge
from prosody_tts.evaluation.codes import purities
from prosody_tts.evaluation.draws import TEMPERATURE, draw, heard, sounded
from prosody_tts.evaluation.kept_draws import write_draws
from prosody_tts.evaluation.listeners import load as load_listener
from prosody_tts.evaluation.listeners.contract import heard as heard_by
from prosody_tts.evaluation.measure import Floats, mcd, measure_speech, mel_l1, token_starts, warp
from prosody_tts.evaluation.metrics import overall
from prosody_tts.evaluation.raters import load as load_rater
from prosody_tts.evaluation.results import Contour, Phones, Readout, UtteranceResult, write_results
from prosody_tts.language_synthesis import CodeSpeaker
from prosody_tts.pipeline import Stage
from prosody_tts.synthesis import Speech, Synthesizer, write_wave
from prosody_tts.vocoders import build_vocoder

#: Sentences synthesised together; changes speed only.
BATCH = 16


def evaluate(stage: Stage, store: FeatureStore, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write ``utterances.jsonl`` and ``audio/`` of a system; return the means of its metrics over sentences.

    With ``evaluation.samples`` a system that predicts its vectors or codes draws each sentence as often besides
    (``draws``); with ``evaluation.recogniser`` somebody listens; of codes it is told how pure of phone they are.
    """
    experiment = stage.experiment
    recordings = held_out(store, experiment)
    copy = experiment.system == pipeline.COPY
    speeches = _copies(recordings, experiment) if copy else speak_all(recordings, stage)
    if experiment.evaluation.samples and experiment.vectors == "predicted":
        _write_draws(recordings, stage, folder, progress)
    listener = load_listener(experiment)
    oracle, rater = _oracle(stage), load_rater(experiment)
    results = []
    for recordings_of, speech, name in speeches:
        audio = Path("audio") / f"{name}.wav"
        write_wave(folder / audio, speech.wave, experiment.audio.sample_rate)
        measured = analyse(with_frames(speech.wave, len(speech.mel), experiment.audio), experiment.audio)
        text = None if listener is None else heard_by(listener, speech.wave, experiment.audio.sample_rate)
        quality = None if rater is None else rater(speech.wave, experiment.audio.sample_rate)
        cut = not speech.stopped if "language" in stage.inputs else None
        for recording in recordings_of:
            result = _measure(recording, speech, measured, audio, experiment.audio, readout=speech.reads)
            vectors = None if oracle is None else _kept(oracle.mean(recording.utterance.id), 4)
            results.append(replace(result, heard=text, quality=quality, cut=cut, vectors=vectors))
        progress(len(results), len(recordings), "speaking and measuring")
    write_results(folder, results)
    return {**overall(results), **(_purities(stage, store, recordings) if "tokenizer" in stage.inputs else {})}


def _purities(stage: Stage, store: FeatureStore, recordings: Sequence[Recording]) -> dict[str, float]:
    names = [recording.utterance.id for recording in recordings]
    return purities(store, CodeStore(stage.input("tokenizer")), names)


def held_out(store: FeatureStore, experiment: Experiment) -> list[Recording]:
    """Recordings of the split: all renditions of the first ``evaluation.limit`` sentences."""
    names = store.first_sentences(experiment.evaluation.split, experiment.evaluation.limit)
    return [store.recording(name, with_bert=True) for name in names]


def _copies(recordings: Sequence[Recording], experiment: Experiment) -> Iterator[tuple[list[Recording], Speech, str]]:
    """Copy synthesis: the recording's own mel through the vocoder."""
    vocoder = build_vocoder(experiment)
    for recording in recordings:
        assert recording.durations is not None
        lengths = torch.tensor([len(recording.mel)])
        wave = vocoder(torch.from_numpy(np.array(recording.mel))[None], lengths)[0].numpy()
        blank = np.full(recording.sentence.tokens, np.nan)
        speech = Speech(wave, np.array(recording.mel), recording.durations, blank, blank)
        yield [recording], speech, recording.utterance.id


def speak_all(recordings: Sequence[Recording], stage: Stage) -> Iterator[tuple[list[Recording], Speech, str]]:
    """Speak the sentences of recordings by the stages that ``stage`` reads: the recordings of each, its speech, a name.

    A system that reads nothing of a recording says a sentence once for all renditions by one speaker.
    """
    return (_from_codes if stage.experiment.backbone == "tokens" else _spoken)(recordings, stage)


def _synthesizer(stage: Stage) -> Synthesizer:
    sampler = stage.input("sampler") if stage.experiment.vectors == "predicted" else None
    duration = stage.input("duration") if "duration" in stage.inputs else None
    return Synthesizer.read(stage.experiment, stage.input("acoustic"), sampler, duration)


def _reader(stage: Stage) -> PieceReader | None:
    """Reads word pieces for a BERT that stage two trained along."""
    return TextStore(stage.input("text")).reader if stage.experiment.tunes_bert else None


#: What draws a sentence under a name, and says what is heard in its draws: [W, S, 2].
Drawing = Callable[[str, Recording], NDArray[np.float32]]


def _write_draws(recordings: Sequence[Recording], stage: Stage, folder: Path, progress: Progress) -> None:
    """Draw every sentence in its speaker's voice, once for all that speaker's renditions, and keep what is heard."""
    draws = (_code_draws if stage.experiment.backbone == "tokens" else _vector_draws)(stage)
    groups, found = _sentences(recordings), {}
    for name, group in groups.items():
        found[name] = draws(name, group[0])
        progress(len(found), len(groups), "drawing prosody")
    write_draws(folder, found, {one.utterance.id: name for name, group in groups.items() for one in group})


def _vector_draws(stage: Stage) -> Drawing:
    """Draws of stage two, by what stage one makes of them."""
    experiment, synthesizer = stage.experiment, _synthesizer(stage)
    model, reader, count = synthesizer.sampler, _reader(stage), experiment.evaluation.samples
    assert model is not None
    hop, spec = experiment.audio.hop / experiment.audio.sample_rate, synthesizer.sampler_specification

    def of(name: str, one: Recording) -> NDArray[np.float32]:
        item = text_item(name, one.sentence, one.bert, spec, one.utterance.speaker, reader)
        vectors = draw(model, item, count, experiment.seed, synthesizer.device)
        return heard(synthesizer, item, vectors, hop)

    return of


def _code_draws(stage: Stage) -> Drawing:
    """Draws of a language model, by their sound."""
    experiment, speaker = stage.experiment, _code_speaker(stage)
    temperature = experiment.synthesis.temperature or TEMPERATURE

    def of(name: str, one: Recording) -> NDArray[np.float32]:
        item = text_item(name, one.sentence, one.bert, speaker.sampler_specification, one.utterance.speaker)
        # Each draw has a seed of its own by its name.
        items = [replace(item, id=f"{name}#{number}") for number in range(experiment.evaluation.samples)]
        said = speaker.speak(text_batch(items), temperature=temperature, seed=experiment.seed)
        return sounded(one.sentence, said, experiment.audio)

    return of


def _oracle(stage: Stage) -> VectorStore | None:
    """The vectors that stage one gave recordings, where a system has those."""
    hears = stage.experiment.vectors == "recording" and "acoustic" in stage.inputs
    return VectorStore(stage.input("acoustic")) if hears else None


def _spoken(recordings: Sequence[Recording], stage: Stage) -> Iterator[tuple[list[Recording], Speech, str]]:
    """Speak each sentence in its speaker's voice; once for all that speaker's renditions where no vector is used."""
    experiment, synthesizer = stage.experiment, _synthesizer(stage)
    oracle = _oracle(stage)
    reader = _reader(stage)
    groups = _utterances(recordings) if oracle is not None else _sentences(recordings)
    names = sorted(groups, key=lambda name: (len(groups[name][0].sentence.phones), name))
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        spec = synthesizer.sampler_specification
        firsts = [groups[name][0] for name in batch]
        text = text_batch(
            [
                text_item(name, first.sentence, first.bert, spec, first.utterance.speaker, reader)
                for name, first in zip(batch, firsts, strict=True)
            ]
        )
        vectors: torch.Tensor | None
        if oracle is not None:
            rows = [torch.from_numpy(np.array(oracle.mean(name))) for name in batch]
            vectors = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        else:
            vectors = synthesizer.predict(text, experiment.synthesis.temperature, experiment.seed)
        for name, speech in zip(batch, synthesizer.speak(text, vectors), strict=True):
            yield groups[name], speech, name


def _code_speaker(stage: Stage) -> CodeSpeaker:
    kinds = ("tokenizer", "language", "aligner")
    return CodeSpeaker.read(stage.experiment, {kind: stage.input(kind) for kind in kinds if kind in stage.inputs})


def _from_codes(recordings: Sequence[Recording], stage: Stage) -> Iterator[tuple[list[Recording], Speech, str]]:
    """Say each sentence in codes, or a recording's own codes again."""
    experiment, speaker = stage.experiment, _code_speaker(stage)
    oracle = CodeStore(stage.input("tokenizer")) if experiment.vectors == "recording" else None
    groups = _utterances(recordings) if oracle is not None else _sentences(recordings)
    names = sorted(groups, key=lambda name: (len(groups[name][0].sentence.phones), name))
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        firsts = [groups[name][0] for name in batch]
        if oracle is not None:
            spoken = speaker.say_again(firsts, [oracle.codes(name) for name in batch])
        else:
            items = [
                text_item(name, one.sentence, one.bert, speaker.sampler_specification, one.utterance.speaker)
                for name, one in zip(batch, firsts, strict=True)
            ]
            spoken = speaker.speak(text_batch(items), seed=experiment.seed)
        for name, speech in zip(batch, spoken, strict=True):
            yield groups[name], speech, name


def _utterances(recordings: Sequence[Recording]) -> dict[str, list[Recording]]:
    """Every recording for itself, by its id."""
    return {recording.utterance.id: [recording] for recording in recordings}


def _sentences(recordings: Sequence[Recording]) -> dict[str, list[Recording]]:
    """Renditions of a sentence by one speaker, by the sentence; by its first utterance where several speak it."""
    groups: dict[tuple[str, str], list[Recording]] = {}
    for recording in recordings:
        groups.setdefault((recording.utterance.sentence, recording.utterance.speaker), []).append(recording)
    voices = Counter(sentence for sentence, _ in groups)
    return {
        (sentence if voices[sentence] == 1 else group[0].utterance.id): group for (sentence, _), group in groups.items()
    }


def _measure(
    recording: Recording, speech: Speech, measured: Analysis, audio: Path, settings: AudioConfig, readout: bool
) -> UtteranceResult:
    """Hold one rendition of a sentence against a recording of it."""
    assert recording.durations is not None
    utterance, sentence = recording.utterance, recording.sentence
    hop = settings.hop / settings.sample_rate
    system_tokens = token_durations(sentence, speech.durations.tolist())
    reference_tokens = token_durations(sentence, recording.durations.tolist())
    index = warp(speech.durations, recording.durations)
    tokens = [""] * sentence.tokens
    for place, word in enumerate(sentence.words):
        tokens[2 * place + 1] = word.text
    return UtteranceResult(
        id=utterance.id,
        sentence=utterance.sentence,
        speaker=utterance.speaker,
        text=utterance.text,
        tokens=tuple(tokens),
        factors=utterance.factors,
        reference=measure_speech(recording.mel, recording.f0, recording.energy, reference_tokens, hop),
        system=measure_speech(measured.mel, measured.f0, measured.energy, system_tokens, hop),
        readout=Readout(speech.log_f0, speech.energy) if readout else None,
        mel_l1=mel_l1(recording.mel, speech.mel, index),
        mcd=mcd(recording.mel, speech.mel, index),
        contour=Contour(
            hop_seconds=hop,
            reference_f0=_kept(recording.f0, 2),
            system_f0=_kept(measured.f0, 2),
            reference_starts=token_starts(reference_tokens, hop),
            system_starts=token_starts(system_tokens, hop),
        ),
        audio=str(audio),
        phones=Phones(
            tuple(_spoken_phones(sentence)),
            measure_speech(recording.mel, recording.f0, recording.energy, recording.durations, hop),
            measure_speech(measured.mel, measured.f0, measured.energy, speech.durations, hop),
        ),
        attention=None if speech.attended is None else judge(speech.attended, _spoken_phones(sentence), speech.stopped),
    )


def _kept(values: ArrayLike, places: int) -> Floats:
    """Numbers rounded as they are kept, so that a figure is the same before and after."""
    return np.asarray(np.round(np.asarray(values, np.float64), places), np.float64)


def _spoken_phones(sentence: Sentence) -> list[bool]:
    """Which phones are said: [P], false for pause slots."""
    return [phone != PAUSE for phone in sentence.phones]
