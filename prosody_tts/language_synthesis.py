"""Sentences in, speech out, by codes: a language model says them, the tokenizer's decoder and a vocoder sound them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_modules.batches import AcousticBatch, TextBatch
from data_modules.collate import AcousticItem, TextItem, acoustic_batch, padded
from data_modules.scripts import NONE
from data_modules.store import Recording, Specification
from prosody_tts import pipeline
from prosody_tts.config import Experiment, read_stored
from prosody_tts.errors import UserError
from prosody_tts.nn.language.generate import Choice, Said, speak
from prosody_tts.nn.language.model import SpeechLanguageModel
from prosody_tts.nn.tokenizers import Tokenizer
from prosody_tts.nn.vocoders import Vocoder
from prosody_tts.stages.aligner import AlignerStage, load_aligner
from prosody_tts.stages.fit import BEST, CHECKPOINT, load_checkpoint
from prosody_tts.synthesis import Speech, Timing, choose_device, fill, seed_of, trained
from prosody_tts.systems import Sizes, build_language, build_tokenizer
from prosody_tts.vocoders import build_vocoder


def load_tokenizer(folder: Path) -> tuple[Tokenizer, Specification]:
    """Rebuild a tokenizer from its folder.

    Raises:
        UserError: the checkpoint is missing, damaged, or another system's.
    """
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    experiment = read_stored(folder / pipeline.SETTINGS)
    spec = Specification.from_dict(checkpoint["specification"])
    model = build_tokenizer(experiment, Sizes.of(spec))
    fill(model, checkpoint["state_dict"], folder)
    return model, spec


def load_language(folder: Path, tokenizer: str, codebooks: int, size: int) -> tuple[SpeechLanguageModel, Specification]:
    """Rebuild a language model; ``tokenizer`` is the identity of the tokenizer it must fit.

    Raises:
        UserError: it speaks another tokenizer's codes, or the checkpoint is missing or damaged.
    """
    checkpoint = load_checkpoint(folder / BEST)
    if (trained_on := checkpoint.get("tokenizer")) != tokenizer:
        raise UserError(
            f"{folder / BEST} says the codes of tokenizer '{trained_on}', not of '{tokenizer}'; "
            "train the language model on this tokenizer"
        )
    experiment = read_stored(folder / pipeline.SETTINGS)
    spec = Specification.from_dict(checkpoint["specification"])
    model = build_language(experiment, Sizes.of(spec), codebooks, size)
    fill(model, checkpoint["state_dict"], folder)
    return model, spec


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
        self.device = choose_device(experiment.run)
        for module in (tokenizer, language, vocoder):
            if isinstance(module, torch.nn.Module):
                module.to(self.device)
        self.tokenizer, self.sampler_specification = tokenizer, specification
        self.vocoder, self.language, self.aligner = vocoder, language, aligner
        settings = experiment.language
        self.choice = Choice(experiment.synthesis.temperature, settings.top_k, settings.top_p, settings.repeats)
        self.longest, self.interleaved = settings.longest, settings.order == "interleaved"
        self._mean = torch.tensor(specification.mel_mean, device=self.device)
        self._scale = torch.tensor(specification.mel_scale, device=self.device)

    @property
    def reads_bert(self) -> bool:
        """Whether BERT's states are read."""
        return self.language is not None and self.language.contexts is not None

    @staticmethod
    def load(experiment: Experiment) -> CodeSpeaker:
        """Load the trained stages of an experiment.

        Raises:
            UserError: a stage has not been trained.
        """
        return CodeSpeaker.read(experiment, trained(experiment, "tokenizer", "language", "aligner"))

    @staticmethod
    def read(experiment: Experiment, folders: Mapping[str, Path]) -> CodeSpeaker:
        """Wire the stages in folders by kind, which carry their identities as names, and the experiment's vocoder."""
        tokenizer, spec = load_tokenizer(folders["tokenizer"])
        language, aligner = None, None
        if "language" in folders:
            identity = folders["tokenizer"].name
            language, spec = load_language(folders["language"], identity, tokenizer.codebooks, tokenizer.size)
            if experiment.language.order == "prefix":
                given = experiment.aligned_by
                aligner = load_aligner(Path(given) if given is not None else folders["aligner"])
        return CodeSpeaker(tokenizer, spec, build_vocoder(experiment), language, experiment, aligner)

    @torch.inference_mode()
    def say_again(self, recordings: Sequence[Recording], codes: Sequence[NDArray[np.int32]]) -> list[Speech]:
        """Recordings from their own codes."""
        rows = [torch.from_numpy(np.array(row, np.int64)) for row in codes]
        frames = torch.tensor([len(recording.mel) for recording in recordings])
        durations = []
        for recording in recordings:
            assert recording.durations is not None
            durations.append(recording.durations)
        tokens = [recording.sentence.tokens for recording in recordings]
        return self._sound(padded(rows), frames, durations, tokens, [True] * len(tokens))

    @torch.inference_mode()
    def speak(
        self, text: TextBatch, timing: Timing | None = None, temperature: float | None = None, seed: int = 0
    ) -> list[Speech]:
        """Say sentences in the model's own codes, each drawn by itself whatever is said beside it.

        Raises:
            UserError: a pace or a pause is asked for, which nobody tells a language model.
        """
        assert self.language is not None
        if timing is not None and timing.asks:
            raise UserError(
                "a language model says how long phones last itself, so no pace and no pauses can be asked of it; leave "
                "them out, or give a system with a duration model"
            )
        choice = self.choice if temperature is None else replace(self.choice, temperature=temperature)
        seeds = [seed_of(name, seed) for name in text.ids]
        said = speak(self.language, text.to(self.device), choice, self.longest, self.interleaved, seeds)
        # A sentence of which nothing was said is as long as one segment.
        frames = said.lengths.clamp(min=1) * self.tokenizer.segment
        codes = said.codes if said.codes.shape[1] else said.codes.new_zeros(len(frames), 1, self.tokenizer.codebooks)
        durations = self._durations(text, said, frames.cpu(), codes)
        return self._sound(codes, frames.cpu(), durations, text.word_lengths.tolist(), (~said.cut).tolist())

    def _durations(self, text: TextBatch, said: Said, frames: Tensor, codes: Tensor) -> list[NDArray[np.int64]]:
        """Frames of every phone: those of the segments that are the phone's, or what the aligner hears."""
        if self.aligner is not None:
            return self._aligned(text, self.tokenizer.decode(codes, frames.to(codes.device)).mel.cpu(), frames)
        found = []
        for row, size in enumerate(frames.tolist()):
            phones, owners = int(text.phone_lengths[row]), said.owners[row].cpu()
            counts = torch.bincount(owners[owners != NONE], minlength=phones) * self.tokenizer.segment
            counts[0] += size - int(counts.sum())
            found.append(counts.numpy())
        return found

    def _aligned(self, text: TextBatch, mel: Tensor, frames: Tensor) -> list[NDArray[np.int64]]:
        """What the aligner hears, sentence by sentence."""
        assert self.aligner is not None
        found = []
        for row, size in enumerate(frames.tolist()):
            phones = int(text.phone_lengths[row])
            try:
                durations = self.aligner.align(heard_batch(text, row, mel[row, :size]))
                found.append(durations[0, :phones].numpy())
            except ValueError:
                # Fewer frames than phones: there is no path, and the whole is as wrong wherever it is cut.
                ends = np.linspace(0, size, phones + 1).astype(np.int64)
                found.append(ends[1:] - ends[:-1])
        return found

    def _sound(
        self,
        codes: Tensor,
        frames: Tensor,
        durations: Sequence[NDArray[np.int64]],
        tokens: Sequence[int],
        stopped: Sequence[bool],
    ) -> list[Speech]:
        """Codes [B, N, Q] that last ``frames`` [B] as speech."""
        where = frames.to(self.device)
        mel = self.tokenizer.decode(codes.to(self.device), where).mel * self._scale + self._mean
        waves, samples = self.vocoder(mel, where).cpu(), self.vocoder.samples(frames).tolist()
        mel, speeches = mel.cpu(), []
        for row, (size, count) in enumerate(zip(frames.tolist(), samples, strict=True)):
            blank = np.full(tokens[row], np.nan)
            wave, drawn = waves[row, :count].numpy(), mel[row, :size].numpy()
            speeches.append(Speech(wave, drawn, durations[row], blank, blank, stopped=stopped[row]))
        return speeches


def heard_batch(text: TextBatch, row: int, mel: Tensor) -> AcousticBatch:
    """A sentence of a batch with a normalised mel [T, M] that was made of it, for the aligner alone."""
    phones, words = int(text.phone_lengths[row]), int(text.word_lengths[row])
    alone = TextItem(
        id=text.ids[row],
        phones=text.phones[row, :phones],
        phone_to_word=text.phone_to_word[row, :phones],
        tags={name: tag[row, :words] for name, tag in text.tags.items()},
        bert=text.bert[row, :words],
        node_labels=text.node_labels[row, : int(text.node_lengths[row])],
        edges=text.edges[row, : int(text.edge_lengths[row])],
        word_to_node=text.word_to_node[row, :words],
        speaker=int(text.speakers[row]),
    )
    still, silent = torch.zeros(len(mel)), torch.zeros(words)
    item = AcousticItem(
        text=alone,
        durations=torch.zeros(phones, dtype=torch.long),
        mel=mel,
        log_f0=still,
        voiced=still > 0,
        energy=still,
        word_f0=silent,
        word_voiced=silent > 0,
        word_energy=silent,
    )
    return acoustic_batch([item])
