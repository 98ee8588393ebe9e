"""Features on disk: arrays of all utterances laid end to end, and lines, read when they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_modules.arrays import Rows
from data_modules.audio import load_audio
from data_modules.corpora.contract import Fault, Split, Utterance
from data_modules.corpora.perturbed import original
from data_modules.corpora.splits import FILE, listed, position
from data_modules.members import Member
from data_modules.moments import moments
from data_modules.records import Named, Records, write_lines
from data_modules.shards import MEASURES, Sharded
from data_modules.text.bert import PieceReader
from data_modules.text.sentence import PAUSE, Sentence
from data_modules.tokens import token_durations, token_log_f0, token_means
from prosody_tts.errors import UserError
from prosody_tts.files import atomic, read_json, write_json

PADDING, UNKNOWN = "<pad>", "<unk>"
#: Files of the corpus's and the text's folder, a line an item.
UTTERANCES, SENTENCES = "utterances.jsonl", "sentences.jsonl"
#: A speaker with fewer training utterances is normalised by the statistics of all (ours): the mean of a handful of
#: sentences lies nearer to their moods than to the voice.
LEAST_UTTERANCES = 5


def write_packed(folder: Path, name: str, arrays: Iterable[NDArray[Any]]) -> None:
    """Write arrays that share all axes but the first as one file and their offsets as another, atomically.

    Each is written as it comes: no two need be in memory.
    """
    lengths, kind, shape = [0], np.dtype(np.float32), tuple[int, ...]()
    with atomic(folder / f"{name}.npy") as temporary, temporary.open("wb") as stream:
        for array in arrays:
            if len(lengths) == 1:
                kind, shape = array.dtype, array.shape[1:]
                _write_header(stream, kind, (0, *shape))
            lengths.append(len(array))
            stream.write(np.ascontiguousarray(array, kind).tobytes())
        # numpy leaves room in a header for the first axis to grow.
        stream.seek(0)
        _write_header(stream, kind, (sum(lengths), *shape))
    with atomic(folder / f"{name}-offsets.npy") as temporary, temporary.open("wb") as stream:
        np.save(stream, np.cumsum(lengths), allow_pickle=False)


def _write_header(stream: BinaryIO, kind: np.dtype[Any], shape: tuple[int, ...]) -> None:
    described = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)


class Packed:
    """Reads what ``write_packed`` wrote; item ``i`` is the ``i``-th array."""

    def __init__(self, folder: Path, name: str) -> None:
        self.data = Rows(folder / f"{name}.npy")
        self.offsets = np.load(folder / f"{name}-offsets.npy", allow_pickle=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[Any]:
        return self.data.read(self.offsets[index], self.offsets[index + 1])


class Norm(NamedTuple):
    """Mean and spread of natural-log F0 (of Hz) and of natural-log energy."""

    f0_mean: float
    f0_scale: float
    energy_mean: float
    energy_scale: float


class Described:
    """What specifications share: the numbers of phones and speakers, and plain data."""

    inventory: tuple[str, ...]
    speakers: tuple[str, ...]

    @cached_property
    def phone_ids(self) -> dict[str, int]:
        """Phone to index."""
        return {phone: index for index, phone in enumerate(self.inventory)}

    @cached_property
    def speaker_ids(self) -> dict[str, int]:
        """Speaker to index, from 1; 0 is any speaker that was not trained on."""
        return {speaker: index for index, speaker in enumerate(self.speakers, start=1)}

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        fields: dict[str, Any] = asdict(self)  # type: ignore[call-overload]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}


@dataclass(frozen=True)
class TextSpecification(Described):
    """The contract between text and models where there are no recordings; names as in ``Specification``."""

    inventory: tuple[str, ...]
    bert: int
    passes: int
    speakers: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Specification(Described):
    """The contract between data and models, plain values, kept in every checkpoint.

    ``inventory`` lists the phones, padding and the unknown first; means and spreads are of the training split:
    ``mel_mean``, ``mel_scale`` per channel of the natural-log mel, ``f0`` of the natural log of F0 in Hz over tokens'
    voiced frames, ``energy`` of the natural-log energy. ``passes`` is the 75th percentile of graph diameters.
    ``speakers`` are those of the training split, sorted, and ``speaker_norms`` the F0 and energy of each: the pooled
    ones for a single speaker and for those with fewer than ``LEAST_UTTERANCES`` training utterances.
    """

    inventory: tuple[str, ...]
    mel_mean: tuple[float, ...]
    mel_scale: tuple[float, ...]
    f0_mean: float
    f0_scale: float
    energy_mean: float
    energy_scale: float
    bert: int
    passes: int
    speakers: tuple[str, ...] = ("",)
    speaker_norms: tuple[Norm, ...] = ()

    def norm(self, speaker: int) -> Norm:
        """What F0 and energy of a speaker, by index, are normalised with; the pooled figures for an unknown one."""
        if speaker == 0 or not self.speaker_norms:
            return Norm(self.f0_mean, self.f0_scale, self.energy_mean, self.energy_scale)
        return self.speaker_norms[speaker - 1]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**super().to_dict(), "speaker_norms": [list(norm) for norm in self.speaker_norms]}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Specification:
        """The inverse of ``to_dict``."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        plain["speaker_norms"] = tuple(Norm(*norm) for norm in data.get("speaker_norms", ()))
        return Specification(**plain)


AnySpecification = Specification | TextSpecification


def read_specification(data: dict[str, Any]) -> AnySpecification:
    """The inverse of either specification's ``to_dict``."""
    if "mel_mean" in data:
        return Specification.from_dict(data)
    return TextSpecification(tuple(data["inventory"]), data["bert"], data["passes"], tuple(data["speakers"]))


class CorpusStore:
    """The utterances of a corpus stage's folder, read when they are asked for.

    ``rows`` numbers them by id; ``splits`` and ``speakers`` are those of each row.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.utterances = Records(folder / UTTERANCES, Utterance.from_dict)
        self.faults = [Fault(**fault) for fault in read_json(folder / "faults.json")]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row by id."""
        return {name: row for row, name in enumerate(self._columns[0])}

    @property
    def splits(self) -> list[Split]:
        """Split of each row."""
        return self._columns[1]

    @property
    def speakers(self) -> list[str]:
        """Speaker of each row."""
        return self._columns[2]

    @cached_property
    def _columns(self) -> tuple[list[str], list[Split], list[str]]:
        ids: list[str] = []
        splits: list[Split] = []
        speakers: list[str] = []
        for line in self.utterances.plain():
            ids.append(line["id"])
            splits.append(sys.intern(line["split"]))  # type: ignore[arg-type]
            speakers.append(sys.intern(line["speaker"]))
        return ids, splits, speakers

    @property
    def recorded(self) -> list[Utterance]:
        """The utterances without those that are recordings at other speeds."""
        return [utterance for utterance in self.utterances if utterance.split != "perturbed"]

    @staticmethod
    def write(folder: Path, utterances: Sequence[Utterance], faults: Sequence[Fault]) -> None:
        """Write what a corpus builder returned, and the ids of each split."""
        write_lines(folder / UTTERANCES, (utterance.to_dict() for utterance in utterances))
        write_json(folder / "faults.json", [asdict(fault) for fault in faults])
        write_json(folder / FILE, listed(utterances))

    def audio(self, utterance: Utterance) -> Path | Member:
        """Where the recording lies."""
        return utterance.recording(self.folder)

    def clip(self, utterance: Utterance) -> Path:
        """A file with the utterance alone: its recording or, of a part of it or of a tar, a copy made when asked for.

        Copies lie below the folder.
        """
        source = self.audio(utterance)
        if isinstance(source, Path) and utterance.start == 0 and utterance.seconds is None:
            return source
        import soundfile

        path = self.folder / "clips" / f"{utterance.id}.wav"
        if not path.exists():
            wave, rate = load_audio(source, utterance.start, utterance.seconds)
            with atomic(path) as temporary:
                soundfile.write(temporary, wave, rate, subtype="PCM_16", format="WAV")
        return path


class Clips(Mapping[str, Path]):
    """Utterance id to ``CorpusStore.clip``, each made when it is asked for."""

    def __init__(self, corpus: CorpusStore) -> None:
        self.corpus = corpus
        self.utterances = Named(corpus.rows, corpus.utterances)

    def __getitem__(self, name: str) -> Path:
        return self.corpus.clip(self.utterances[name])

    def __contains__(self, name: object) -> bool:
        return name in self.utterances

    def __iter__(self) -> Iterator[str]:
        return iter(self.utterances)

    def __len__(self) -> int:
        return len(self.utterances)


class TextStore:
    """Analysed sentences and their BERT states, read when they are asked for; utterances with equal text and phones
    share one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = read_json(folder / "index.json")
        self.inventory: tuple[str, ...] = tuple(index["inventory"])
        self.passes: int = index["passes"]
        self.bert_size: int = index["bert"]
        self.reader = PieceReader(**index["reader"])
        self.rows: dict[str, int] = index["utterances"]
        self.sentences = Records(folder / SENTENCES, Sentence.from_dict)

    @cached_property
    def _bert(self) -> Packed:
        return Packed(self.folder, "bert")

    def sentence(self, utterance: str) -> Sentence:
        """The analysis of an utterance's text."""
        return self.sentences[self.rows[utterance]]

    def bert(self, utterance: str) -> NDArray[np.float32]:
        """BERT states [W, D]."""
        return self._bert[self.rows[utterance]]


class AudioStore:
    """Mel, F0 and energy of every utterance, in the shards that ``features.measure_corpus`` wrote.

    ``rows`` numbers the utterances; ``frames`` [N] are their frames and ``starts`` [N] the seconds cut from the start
    of their recordings.

    Raises:
        UserError: the folder has another layout.
    """

    def __init__(self, folder: Path) -> None:
        index = read_json(folder / "index.json")
        if "shards" not in index:
            raise UserError(
                f"{folder} holds features as an older version laid them out; delete it and run again (the same numbers "
                "are measured anew, and nothing that was trained on them is lost)"
            )
        self.rows: dict[str, int] = {name: row for row, name in enumerate(index["utterances"])}
        self.frames = np.array(index["frames"], np.int64)
        self.starts = np.array(index["starts"], np.float64)
        self.mel, self.f0, self.energy = (Sharded(folder, name, index["shards"], self.frames) for name in MEASURES)

    def mel_moments(self, rows: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and spread of each mel channel [M] over utterances, one of them in memory at a time."""
        frames = sum(int(self.frames[row]) for row in rows)
        mean = np.asarray(sum(self.mel[row].sum(0, dtype=np.float64) for row in rows) / frames)
        variance = sum(((self.mel[row] - mean) ** 2).sum(0) for row in rows) / frames
        return mean, np.sqrt(np.maximum(variance, 1e-8))


@dataclass(frozen=True)
class Recording:
    """One utterance's features, un-normalised.

    ``mel`` [T, M] natural log, ``f0`` [T] Hz and 0 where unvoiced, ``energy`` [T] natural log, ``durations`` [P]
    frames (none before alignment), ``bert`` [W, D].
    """

    utterance: Utterance
    sentence: Sentence
    mel: NDArray[np.float32]
    f0: NDArray[np.float32]
    energy: NDArray[np.float32]
    durations: NDArray[np.int64] | None
    bert: NDArray[np.float32]

    def word_measures(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Log-F0, log-energy and frames of each token, each [W]; NaN where there is nothing to measure."""
        assert self.durations is not None
        tokens = token_durations(self.sentence, self.durations.tolist())
        return token_log_f0(self.f0, tokens), token_means(self.energy, tokens), tokens


class TextFeatures:
    """What is known of a corpus's text: all that stage two needs beside vectors.

    Args:
        corpus: folder of the corpus.
        text: folder of its analysis.
        learn_from: training sentences that are there at all; none leaves all. Fewer are always among more.
    """

    def __init__(self, corpus: Path, text: Path, learn_from: int | None = None) -> None:
        self.corpus = CorpusStore(corpus)
        self.text = TextStore(text)
        self._learn_from = learn_from

    def ids(self, *splits: Split) -> list[str]:
        """Utterances of the splits that have been analysed, in the corpus's order."""
        own = zip(self.corpus.rows, self.corpus.splits, strict=True)
        found = [(name, split) for name, split in own if split in splits and name in self.text.rows]
        if self._learn_from is None:
            return [name for name, _ in found]
        learned = self._learned
        return [
            name
            for name, split in found
            if split not in {"train", "perturbed"} or (name if split == "train" else original(name)) in learned
        ]

    @cached_property
    def _learned(self) -> frozenset[str]:
        """Training utterances of the first sentences, in an order that no one chose."""
        sentences = {
            utterance.id: utterance.sentence for utterance in self.corpus.utterances if utterance.split == "train"
        }
        order = sorted(set(sentences.values()), key=lambda sentence: position(sentence, 0))
        kept = set(order[: self._learn_from])
        return frozenset(name for name, sentence in sentences.items() if sentence in kept)

    @cached_property
    def utterances(self) -> Named[Utterance]:
        """Utterance by id."""
        return Named(self.corpus.rows, self.corpus.utterances)

    def first_sentences(self, split: Split, limit: int | None) -> list[str]:
        """Utterances of the first ``limit`` sentences of a split, every rendition of each; of all where it is none."""
        sentences = {name: self.utterances[name].sentence for name in self.ids(split)}
        kept = set(list(dict.fromkeys(sentences.values()))[:limit])
        return [name for name, sentence in sentences.items() if sentence in kept]

    def speaker(self, name: str) -> str:
        """Who speaks an utterance."""
        return self.corpus.speakers[self.corpus.rows[name]]

    def speakers(self) -> tuple[str, ...]:
        """Speakers of the training split, sorted."""
        return tuple(sorted({self.speaker(name) for name in self.ids("train")}))

    def specification(self) -> AnySpecification:
        """What models must know of the corpus."""
        return TextSpecification(self.text.inventory, self.text.bert_size, self.text.passes, self.speakers())


class FeatureStore(TextFeatures):
    """All features of a corpus of recordings: what the data modules and the evaluation read."""

    def __init__(
        self, corpus: Path, text: Path, audio: Path, durations: Path | None, learn_from: int | None = None
    ) -> None:
        super().__init__(corpus, text, learn_from)
        self.audio = AudioStore(audio)
        self.durations: dict[str, list[int]] | None = None if durations is None else read_json(durations)

    def ids(self, *splits: Split) -> list[str]:
        """Utterances of the splits that have every feature, in the corpus's order."""
        return [
            name
            for name in super().ids(*splits)
            if name in self.audio.rows and (self.durations is None or name in self.durations)
        ]

    def start(self, name: str) -> float:
        """Seconds cut from the start of an utterance's recording: subtract them from times in the recording."""
        return float(self.audio.starts[self.audio.rows[name]])

    def frames(self, name: str) -> int:
        """T, the frames of an utterance."""
        return int(self.audio.frames[self.audio.rows[name]])

    def recording(self, name: str, with_bert: bool = False) -> Recording:
        """Read one utterance."""
        row = self.audio.rows[name]
        return Recording(
            utterance=self.utterances[name],
            sentence=self.text.sentence(name),
            mel=self.audio.mel[row],
            f0=self.audio.f0[row],
            energy=self.audio.energy[row],
            durations=None if self.durations is None else np.array(self.durations[name], np.int64),
            bert=self.text.bert(name) if with_bert else np.zeros((self.text.sentence(name).tokens, 0), np.float32),
        )

    def specification(self) -> Specification:
        """Measure the training split, one utterance in memory at a time."""
        ids = self.ids("train")
        mean, scale = self.audio.mel_moments([self.audio.rows[name] for name in ids])
        pooled = self._norm(ids)
        speakers = self.speakers()
        return Specification(
            inventory=self.text.inventory,
            mel_mean=tuple(mean.tolist()),
            mel_scale=tuple(scale.tolist()),
            f0_mean=pooled.f0_mean,
            f0_scale=pooled.f0_scale,
            energy_mean=pooled.energy_mean,
            energy_scale=pooled.energy_scale,
            bert=self.text.bert_size,
            passes=self.text.passes,
            speakers=speakers,
            speaker_norms=tuple(self._speaker_norm(ids, speaker, pooled) for speaker in speakers),
        )

    def _norm(self, ids: Sequence[str]) -> Norm:
        """Measure F0 over voiced frames and energy over all."""
        rows = [self.audio.rows[name] for name in ids]
        f0_mean, f0_scale = moments(lambda: (_log_voiced(self.audio.f0[row]) for row in rows))
        energy_mean, energy_scale = moments(lambda: (self.audio.energy[row].astype(np.float64) for row in rows))
        return Norm(f0_mean, max(f0_scale, 1e-3), energy_mean, max(energy_scale, 1e-3))

    def _speaker_norm(self, ids: Sequence[str], speaker: str, pooled: Norm) -> Norm:
        own = [name for name in ids if self.speaker(name) == speaker]
        if len(own) < LEAST_UTTERANCES or len(own) == len(ids):
            return pooled
        voiced = any((self.audio.f0[self.audio.rows[name]] > 0).any() for name in own)
        return self._norm(own) if voiced else pooled


def inventory_of(sentences: Iterable[Sentence], closed: Sequence[str] | None) -> tuple[str, ...]:
    """Padding, the unknown phone, the pause, then the phones: the pronouncer's own list or those seen."""
    seen = set(closed) if closed is not None else {phone for s in sentences for phone in s.phones}
    return (PADDING, UNKNOWN, PAUSE, *sorted(seen - {PADDING, UNKNOWN, PAUSE}))


def _log_voiced(f0: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.log(f0[f0 > 0], dtype=np.float64)
