"""Sentences in, speech out, by codes: a language model says them, the tokenizer's decoder and a vocoder sound them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_modules.batches import TextBatch
from data_modules.collate import AcousticItem, acoustic_batch, text_batch, text_item
from data_modules.scripts import NONE
from data_modules.store import Recording, Specification
from prosody_tts import pipeline
from prosody_tts.config import Experiment, from_plain
from prosody_tts.errors import UserError
from prosody_tts.files import read_json
from prosody_tts.nn.language.generate import Choice, Said, speak
from prosody_tts.nn.language.model import SpeechLanguageModel
from prosody_tts.nn.tokenizers import Tokenizer
from prosody_tts.nn.vocoders import Vocoder
from prosody_tts.pipeline import Stage
from prosody_tts.stages.aligner import AlignerStage, load_aligner
from prosody_tts.stages.fit import BEST, CHECKPOINT, load_checkpoint
from prosody_tts.synthesis import Speech, fill
from prosody_tts.systems import Sizes, build_language, build_tokenizer
from prosody_tts.vocoders import build_vocoder


def load_tokenizer(folder: Path) -> tuple[Tokenizer, Specification]:
    """Rebuild a tokenizer from its folder.

    Raises:
        UserError: the checkpoint is missing, damaged, or another system's.
    """
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    experiment = from_plain(read_json(folder / pipeline.SETTINGS))
    spec = Specification.from_dict(checkpoint["specification"])
    model = build_tokenizer(experiment, Sizes.of(spec))
    fill(model, checkpoint["state_dict"], folder)
    return model, spec


def load_language(
    folder: Path, tokenizer: str, codebooks: int, size: int
) -> tuple[SpeechLanguageModel, Specification, Experiment]:
    """Rebuild a language model and its settings; ``tokenizer`` is the identity of the tokenizer it must fit.

    Raises:
        UserError: it speaks another tokenizer's codes, or the checkpoint is missing or damaged.
    """
    checkpoint = load_checkpoint(folder / BEST)
    if (trained_on := checkpoint.get("tokenizer")) != tokenizer:
        raise UserError(
            f"{folder / BEST} says the codes of tokenizer '{trained_on}', not of '{tokenizer}'; "
            "train the language model on this tokenizer"
        )
    experiment = from_plain(read_json(folder / pipeline.SETTINGS))
    spec = Specification.from_dict(checkpoint["specification"])
    model = build_language(experiment, Sizes.of(spec), codebooks, size)
    fill(model, checkpoint["state_dict"], folder)
    return model, spec, experiment


class CodeSpeaker:
    """A tokenizer, a vocoder, and a language model where codes are predicted."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        specification: Specification,
        vocoder: Vocoder,
        language: SpeechLanguageModel | None,
        experiment: Experiment,
        aligner: AlignerStage | None,
    ) -> None:
        self.tokenizer, self.specification = tokenizer, specification
        self.vocoder, self.language, self.aligner = vocoder, language, aligner
        settings = experiment.language
        self.choice = Choice(settings.temperature, settings.top_k, settings.top_p, settings.repeats)
        self.longest, self.interleaved = settings.longest, settings.order == "interleaved"
        self._mean, self._scale = torch.tensor(specification.mel_mean), torch.tensor(specification.mel_scale)

    @staticmethod
    def read(stage: Stage) -> CodeSpeaker:
        """Load what a stage that evaluates reads."""
        experiment = stage.experiment
        tokenizer, spec = load_tokenizer(stage.input("tokenizer"))
        language, aligner = None, None
        if "language" in stage.inputs:
            identity = stage.inputs["tokenizer"]
            language, spec, _ = load_language(stage.input("language"), identity, tokenizer.codebooks, tokenizer.size)
            if experiment.language.order == "prefix":
                given = experiment.aligned_by
                aligner = load_aligner(Path(given) if given is not None else stage.input("aligner"))
        return CodeSpeaker(tokenizer, spec, build_vocoder(experiment), language, experiment, aligner)

    @torch.inference_mode()
    def say_again(self, recordings: Sequence[Recording], codes: Sequence[NDArray[np.int32]]) -> list[Speech]:
        """Recordings from their own codes."""
        rows = [torch.from_numpy(np.array(row, np.int64)) for row in codes]
        frames = torch.tensor([len(recording.mel) for recording in recordings])
        mel, waves, samples = self._sound(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), frames)
        durations = [recording.durations for recording in recordings]
        return self._speeches(mel, waves, samples, frames, durations, recordings, [True] * len(recordings))

    @torch.inference_mode()
    def say(self, names: Sequence[str], recordings: Sequence[Recording], seed: int) -> list[Speech]:
        """Sentences in the model's own codes, each in the voice of its recording's speaker."""
        assert self.language is not None
        text = text_batch(
            [
                text_item(name, one.sentence, one.bert, self.specification, one.utterance.speaker)
                for name, one in zip(names, recordings, strict=True)
            ]
        )
        generator = torch.Generator().manual_seed(seed)
        said = speak(self.language, text, self.choice, self.longest, self.interleaved, generator)
        # A sentence of which nothing was said is as long as one segment, and silent.
        frames = said.lengths.clamp(min=1) * self.tokenizer.segment
        codes = said.codes if said.codes.shape[1] else said.codes.new_zeros(len(frames), 1, self.tokenizer.codebooks)
        mel, waves, samples = self._sound(codes, frames)
        durations = self._durations(text, said, frames, mel, recordings)
        return self._speeches(mel, waves, samples, frames, durations, recordings, (~said.cut).tolist())

    def _sound(self, codes: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, list[int]]:
        mel = self.tokenizer.decode(codes, frames).mel * self._scale + self._mean
        return mel, self.vocoder(mel, frames), self.vocoder.samples(frames).tolist()

    def _durations(
        self, text: TextBatch, said: Said, frames: Tensor, mel: Tensor, recordings: Sequence[Recording]
    ) -> list[NDArray[np.int64]]:
        """Frames of every phone: those of the segments that are the phone's, or what the aligner hears."""
        found = []
        for row, size in enumerate(frames.tolist()):
            phones = int(text.phone_lengths[row])
            if self.aligner is not None:
                found.append(self._aligned(recordings[row], (mel[row, :size] - self._mean) / self._scale))
                continue
            owners = said.owners[row, : int(said.lengths[row])]
            counts = torch.bincount(owners[owners != NONE], minlength=phones) * self.tokenizer.segment
            if int(counts.sum()) < size:
                counts[0] += size - int(counts.sum())
            found.append(counts.numpy())
        return found

    def _aligned(self, recording: Recording, mel: Tensor) -> NDArray[np.int64]:
        assert self.aligner is not None
        frames, sentence = len(mel), recording.sentence
        item = text_item(recording.utterance.id, sentence, recording.bert, self.aligner.specification, "")
        still = torch.zeros(frames)
        tokens = torch.zeros(sentence.tokens)
        spoken = AcousticItem(
            item,
            torch.zeros(len(item.phones), dtype=torch.long),
            mel,
            still,
            still > 0,
            still,
            tokens,
            tokens > 0,
            tokens,
        )
        try:
            return self.aligner.align(acoustic_batch([spoken]))[0, : len(item.phones)].numpy()
        except ValueError:
            # Fewer frames than phones: there is no path, and the whole is as wrong wherever it is cut.
            ends = np.linspace(0, frames, len(item.phones) + 1).astype(np.int64)
            return ends[1:] - ends[:-1]

    def _speeches(
        self,
        mel: Tensor,
        waves: Tensor,
        samples: Sequence[int],
        frames: Tensor,
        durations: Sequence[NDArray[np.int64] | None],
        recordings: Sequence[Recording],
        stopped: Sequence[bool],
    ) -> list[Speech]:
        speeches = []
        for row, (size, count) in enumerate(zip(frames.tolist(), samples, strict=True)):
            blank = np.full(recordings[row].sentence.tokens, np.nan)
            own = durations[row]
            assert own is not None
            wave, drawn = waves[row, :count].numpy(), mel[row, :size].numpy()
            speeches.append(Speech(wave, drawn, own, blank, blank, stopped=stopped[row]))
        return speeches
