"""Recognition of held-out recordings: words and characters wrong, and words wrong that no training recording held."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.corpora.contract import Progress
from data_modules.hearing import heard_recordings, written
from data_modules.store import FeatureStore
from prosody_tts.errors import UserError
from prosody_tts.evaluation.hearers import HEARERS
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.results import RESULTS
from prosody_tts.files import parse_json, write_text
from prosody_tts.pipeline import Stage


@dataclass(frozen=True)
class Transcript:
    """What was heard in one recording.

    Attributes:
        id: the utterance.
        sentence: its sentence.
        said: what was said, word by word.
        heard: what was heard, word by word.
        unseen: of each word of ``said``, whether no training recording that was heard held it.
        cut: whether a guard ended what was heard; none where nothing could go on for ever.
    """

    id: str
    sentence: str
    said: tuple[str, ...]
    heard: tuple[str, ...]
    unseen: tuple[bool, ...]
    cut: bool | None = None

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Transcript:
        """The inverse of ``dataclasses.asdict``, by way of JSON."""
        said, heard, unseen = (tuple(data[name]) for name in ("said", "heard", "unseen"))
        return Transcript(data["id"], data["sentence"], said, heard, unseen, data.get("cut"))


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
        guarded: sentences that a guard would have ended, had they gone on.
        cut: those of them that it ended.
    """

    words: int
    wrong: int
    characters: int
    wrong_characters: int
    unseen: int
    wrong_unseen: int
    guarded: int
    cut: int

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
            guarded=int(transcript.cut is not None),
            cut=int(transcript.cut or False),
        )

    def row(self) -> Floats:
        """[8] in the order of the attributes."""
        return np.array(list(asdict(self).values()), np.float64)


#: Rate -> its heading and what it is.
DEFINITIONS = {
    "wer": ("WER", "words substituted, left out or put in over the words said, by the alignment with the fewest"),
    "cer": ("CER", "the same of characters, blanks included"),
    "unseen_missed": (
        "unseen words missed",
        "words that no training recording held and that were substituted or left out, over all such words",
    ),
    "cut": ("cut", "sentences of a language model that its guard against writing without end had to end"),
}


def rates(sums: Floats) -> dict[str, Floats]:
    """WER, CER, unseen words missed and sentences cut, of sums of ``Errors.row`` [..., 8]; NaN where nothing counts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            name: np.where(sums[..., 2 * place] > 0, sums[..., 2 * place + 1] / sums[..., 2 * place], np.nan)
            for place, name in enumerate(DEFINITIONS)
        }


def evaluate_recogniser(stage: Stage, store: FeatureStore, folder: Path, progress: Progress) -> dict[str, Any]:
    """Write ``utterances.jsonl`` of what a recogniser heard in the held-out recordings; return its rates."""
    experiment = stage.experiment
    known = {
        word
        for name in heard_recordings(store, experiment.recogniser)
        for word in written(store.text.sentence(name)).split()
    }
    names = sorted(store.first_sentences(experiment.evaluation.split, experiment.evaluation.limit), key=store.frames)
    transcripts: list[Transcript] = []
    for heard in HEARERS[experiment.recogniser.model](stage, store, names):
        words = tuple(written(store.text.sentence(heard.id)).split())
        unseen = tuple(word not in known for word in words)
        sentence, found = store.utterances[heard.id].sentence, tuple(heard.text.split())
        transcripts.append(Transcript(heard.id, sentence, words, found, unseen, heard.cut))
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
        return [Transcript.from_dict(parse_json(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); evaluate the system first") from None
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{path} holds what is no transcript ({error!r}); delete the folder and evaluate again"
        ) from None
