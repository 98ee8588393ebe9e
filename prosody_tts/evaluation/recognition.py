"""Recognition of held-out recordings: words and characters wrong, and words wrong that no training recording held."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data_modules.corpora.contract import Progress
from data_modules.hearing import HearingData, heard_recordings, written
from data_modules.store import FeatureStore, Specification
from prosody_tts.errors import UserError
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.results import RESULTS
from prosody_tts.files import write_text
from prosody_tts.nn.recogniser import BeamSearch, Recogniser, greedy
from prosody_tts.pipeline import SETTINGS, Stage
from prosody_tts.stages.fit import BEST, load_checkpoint

#: Recordings heard together; changes speed only.
BATCH = 16


@dataclass(frozen=True)
class Transcript:
    """What was heard in one recording.

    Attributes:
        id: the utterance.
        sentence: its sentence.
        said: what was said, word by word.
        heard: what was heard, word by word.
        unseen: of each word of ``said``, whether no training recording that was heard held it.
    """

    id: str
    sentence: str
    said: tuple[str, ...]
    heard: tuple[str, ...]
    unseen: tuple[bool, ...]

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Transcript:
        """The inverse of ``dataclasses.asdict``, by way of JSON."""
        said, heard, unseen = (tuple(data[name]) for name in ("said", "heard", "unseen"))
        return Transcript(data["id"], data["sentence"], said, heard, unseen)


@dataclass(frozen=True)
class Errors:
    """Errors of a transcript that add up over sentences.

    Attributes:
        words: of the reference.
        wrong: words substituted, left out or put in (what the word error rate counts).
        characters: of the reference, blanks included.
        wrong_characters: as ``wrong``.
        unseen: words of the reference that no training recording held.
        wrong_unseen: those of them that were substituted or left out.
    """

    words: int
    wrong: int
    characters: int
    wrong_characters: int
    unseen: int
    wrong_unseen: int

    @staticmethod
    def of(transcript: Transcript) -> Errors:
        """Count by the alignment with the fewest errors (Levenshtein, by jiwer)."""
        import jiwer

        said, heard = " ".join(transcript.said), " ".join(transcript.heard)
        words = jiwer.process_words(said, heard)
        letters = jiwer.process_characters(said, heard)
        missed = {
            place
            for chunk in words.alignments[0]
            if chunk.type in {"substitute", "delete"}
            for place in range(chunk.ref_start_idx, chunk.ref_end_idx)
        }
        return Errors(
            words=len(transcript.said),
            wrong=words.substitutions + words.deletions + words.insertions,
            characters=len(said),
            wrong_characters=letters.substitutions + letters.deletions + letters.insertions,
            unseen=sum(transcript.unseen),
            wrong_unseen=sum(place in missed for place, unseen in enumerate(transcript.unseen) if unseen),
        )

    def row(self) -> Floats:
        """[6] in the order of the attributes."""
        return np.array(list(asdict(self).values()), np.float64)


#: Rate -> its heading and what it is.
DEFINITIONS = {
    "wer": ("WER", "words substituted, left out or put in over the words said, by the alignment with the fewest"),
    "cer": ("CER", "the same of characters, blanks included"),
    "unseen_missed": (
        "unseen words missed",
        "words that no training recording held and that were substituted or left out, over all such words",
    ),
}


def rates(sums: Floats) -> dict[str, Floats]:
    """WER, CER and the share of unseen words missed, from sums of ``Errors.row`` [..., 6]; NaN where nothing counts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            name: np.where(sums[..., 2 * place] > 0, sums[..., 2 * place + 1] / sums[..., 2 * place], np.nan)
            for place, name in enumerate(DEFINITIONS)
        }


def evaluate_recogniser(stage: Stage, store: FeatureStore, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write ``utterances.jsonl`` of what a recogniser heard in the held-out recordings; return its rates."""
    experiment = stage.experiment
    model, spec = load_recogniser(stage.input("recogniser"))
    decode = greedy if experiment.recogniser.beams == 1 else BeamSearch(experiment.recogniser.beams)
    known = {
        word
        for name in heard_recordings(store, experiment.recogniser)
        for word in written(store.text.sentence(name)).split()
    }
    names = store.first_sentences(experiment.evaluation.split, experiment.evaluation.limit)
    transcripts: list[Transcript] = []
    for ids, texts, heard in _hear(model, spec, store, names, decode):
        for name, said, found in zip(ids, texts, heard, strict=True):
            words = tuple(said.split())
            sentence = store.utterances[name].sentence
            unseen = tuple(word not in known for word in words)
            transcripts.append(Transcript(name, sentence, words, tuple(found.split()), unseen))
        progress(len(transcripts), len(names), "hearing")
    write_text(folder / RESULTS, "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in transcripts))
    sums = np.sum([Errors.of(one).row() for one in transcripts], axis=0)
    measured = {name: float(value) for name, value in rates(sums).items() if not np.isnan(value)}
    return {**measured, "utterances": len(transcripts), "words": int(sums[0]), "unseen_words": int(sums[4])}


def read_transcripts(folder: Path) -> list[Transcript]:
    """Read an evaluation's ``utterances.jsonl``.

    Raises:
        UserError: there is none, or a line of it is no transcript; names the file.
    """
    path = folder / RESULTS
    try:
        return [Transcript.from_dict(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); evaluate the system first") from None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} holds what is no transcript ({error!r}); delete the folder and evaluate again"
        ) from None


def load_recogniser(folder: Path) -> tuple[Recogniser, Specification]:
    """Rebuild a recogniser from its folder.

    Raises:
        UserError: the checkpoint is missing, damaged, or another system's.
    """
    from prosody_tts.config import from_plain
    from prosody_tts.files import read_json
    from prosody_tts.synthesis import fill
    from prosody_tts.systems import Sizes, build_recogniser

    checkpoint = load_checkpoint(folder / BEST)
    spec = Specification.from_dict(checkpoint["specification"])
    model = build_recogniser(from_plain(read_json(folder / SETTINGS)), Sizes.of(spec))
    fill(model, checkpoint["state_dict"], folder)
    return model, spec


@torch.inference_mode()
def _hear(
    model: Recogniser, spec: Specification, store: FeatureStore, names: Sequence[str], decode: Any
) -> Iterator[tuple[list[str], list[str], list[str]]]:
    """Ids, what was said and what was heard, a batch at a time."""
    data = HearingData(store, None, spec, [], BATCH, 0)
    for batch in data.loader(names, shuffle=False):
        yield batch.ids, batch.texts, decode(*model(batch.mel, batch.frame_lengths))
