"""Texts and prosody vectors in, speech out: a system's trained stages and its vocoder."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_modules.batches import AcousticBatch, Batch, TextBatch
from data_modules.store import AnySpecification, Specification, read_specification
from data_modules.text.bert import untrained
from prosody_tts import pipeline
from prosody_tts.config import Experiment, RunConfig, read_stored
from prosody_tts.errors import UserError, nearest
from prosody_tts.files import atomic
from prosody_tts.nn.acoustic import AcousticModel, Rendered
from prosody_tts.nn.durations import SeparateDurations, at_pace
from prosody_tts.nn.priors import Known
from prosody_tts.nn.sampler import SamplerModel
from prosody_tts.nn.vocoders import Vocoder
from prosody_tts.stages.fit import BEST, CHECKPOINT, load_checkpoint
from prosody_tts.systems import Sizes, build_acoustic, build_sampler, build_separate_durations
from prosody_tts.vocoders import build_vocoder

#: Speakers an error message lists.
SHOWN = 8


@dataclass(frozen=True)
class Speech:
    """One synthesised sentence.

    Attributes:
        wave: [samples] float32, full scale at 1.
        mel: [T, M] natural-log mel, un-normalised.
        durations: [P] frames.
        log_f0: [W] natural log of Hz, by the read-out head.
        energy: [W] natural-log energy, by the read-out head.
        attended: [S, P] where each decoder step looked; none of a decoder that was told the durations.
        stopped: whether the decoder ended by itself, and not at its limit.
    """

    wave: NDArray[np.float32]
    mel: NDArray[np.float32]
    durations: NDArray[np.int64]
    log_f0: NDArray[np.float64]
    energy: NDArray[np.float64]
    attended: NDArray[np.float32] | None = None
    stopped: bool = True

    @property
    def reads(self) -> bool:
        """Whether a read-out head said anything."""
        return not bool(np.isnan(self.log_f0).all())


@dataclass
class Timing(Batch):
    """What is asked of the durations that a system predicts.

    Attributes:
        pace: [B, W] factor of each token's speed: its phones last their predicted durations over it.
        pauses: [B, W] frames of a pause slot; below zero where the system decides.
    """

    pace: Tensor
    pauses: Tensor

    @property
    def asks(self) -> bool:
        """Whether anything differs from what the system would do."""
        return bool((self.pace != 1).any() or (self.pauses >= 0).any())

    def apply(self, durations: Tensor, phone_to_word: Tensor, pauses: Tensor) -> Tensor:
        """Predicted frames [B, P] as they are asked for; ``pauses`` [B, P] is true for pause slots."""
        frames = at_pace(durations, self.pace.gather(1, phone_to_word), pauses)
        asked = self.pauses.gather(1, phone_to_word)
        return torch.where(pauses & (asked >= 0), asked, frames)


def seed_of(name: str, seed: int) -> int:
    """A sentence's own seed, whatever is drawn before or beside it."""
    return int.from_bytes(hashlib.sha256(f"draws:{seed}:{name}".encode()).digest()[:7], "big")


def choose_device(run: RunConfig) -> torch.device:
    """Where ``run.accelerator`` has models run: a CUDA device if there is one and it is not ``cpu``.

    Raises:
        UserError: ``gpu`` is asked for and there is none.
    """
    if run.accelerator != "cpu" and torch.cuda.is_available():
        return torch.device("cuda")
    if run.accelerator == "gpu":
        raise UserError("run.accelerator=gpu, but there is no CUDA device; give run.accelerator=auto or cpu")
    return torch.device("cpu")


def fill(model: torch.nn.Module, state: dict[str, Tensor], folder: Path) -> None:
    """Fill a model from the ``model.`` weights of a checkpoint in a stage's folder.

    Raises:
        UserError: they are those of another system.
    """
    weights = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise UserError(
            f"{folder} holds the checkpoint of another system: its weights do not fit {pipeline.SETTINGS} beside it; "
            "delete the folder to train it again"
        ) from None
    model.eval()


def load_acoustic(folder: Path) -> tuple[AcousticModel, Specification]:
    """Rebuild stage one from its folder alone.

    Raises:
        UserError: the checkpoint is missing, damaged, or another system's.
    """
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    experiment = read_stored(folder / pipeline.SETTINGS)
    if "specification" not in checkpoint:
        raise UserError(f"{folder / CHECKPOINT} is not a checkpoint of this project; delete the folder to train again")
    spec = Specification.from_dict(checkpoint["specification"])
    model = build_acoustic(experiment, Sizes.of(spec))
    fill(model, checkpoint["state_dict"], folder)
    return model, spec


def load_sampler(folder: Path, acoustic: str, steps: int | None = None) -> tuple[SamplerModel, AnySpecification]:
    """Rebuild stage two from its folder; ``acoustic`` is the identity of the stage one, or the labels, it must fit.

    ``steps`` is how many a draw has of priors that draw in steps; none is their own number.

    Raises:
        UserError: it was trained on another stage one's vectors, or the checkpoint is missing or damaged.
    """
    checkpoint = load_checkpoint(folder / BEST)
    trained_on = checkpoint.get("acoustic")
    if trained_on != acoustic:
        raise UserError(
            f"{folder / BEST} predicts the vectors of stage one '{trained_on}', not of '{acoustic}'; "
            "train stage two on this stage one"
        )
    experiment = read_stored(folder / pipeline.SETTINGS)
    spec = read_specification(checkpoint["specification"])
    bert = untrained(checkpoint["bert"]) if "bert" in checkpoint else None
    model = build_sampler(experiment, Sizes.of(spec), bert)
    if steps is not None:
        model.prior.steps = steps
    fill(model, checkpoint["state_dict"], folder)
    return model, spec


def load_durations(folder: Path, vectors: Mapping[str, str]) -> SeparateDurations:
    """Rebuild a separate duration model from its folder; ``vectors`` are the stages it must fit, kind -> identity.

    Raises:
        UserError: it learned from another stage's vectors, or the checkpoint is missing or damaged.
    """
    checkpoint = load_checkpoint(folder / BEST)
    for kind, trained_on in checkpoint.get("trained_on", {}).items():
        if trained_on != vectors.get(kind):
            raise UserError(
                f"{folder / BEST} knows the vectors of {kind} '{trained_on}', not of '{vectors.get(kind)}'; "
                "train the durations on these"
            )
    experiment = read_stored(folder / pipeline.SETTINGS)
    model = build_separate_durations(experiment, Sizes.of(Specification.from_dict(checkpoint["specification"])))
    fill(model, checkpoint["state_dict"], folder)
    return model


def trained(experiment: Experiment, *kinds: str) -> dict[str, Path]:
    """Folders of an experiment's stages of these kinds, of those that it has.

    Raises:
        UserError: one has not been trained.
    """
    stages = {stage.kind: stage for stage in pipeline.plan(experiment) if stage.kind in kinds}
    for stage in stages.values():
        if not pipeline.is_done(stage):
            raise UserError(
                f"{experiment.system} has no trained {stage.label} in {experiment.run.folder}; "
                "run 'prosody-tts train' with the same settings first"
            )
    return {kind: pipeline.folder(stages[kind]) for kind in kinds if kind in stages}


class Synthesizer:
    """A trained system: stage one, stage two and durations of their own where there are such, and a vocoder."""

    def __init__(
        self,
        acoustic: AcousticModel,
        specification: Specification,
        sampler: SamplerModel | None,
        vocoder: Vocoder,
        sampler_specification: AnySpecification | None = None,
        durations: SeparateDurations | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.device = torch.device("cpu") if device is None else device
        for module in (acoustic, sampler, durations, vocoder):
            if isinstance(module, torch.nn.Module):
                module.to(self.device)
        self.acoustic = acoustic
        self.specification = specification
        self.sampler = sampler
        self.vocoder = vocoder
        self.durations = durations
        self.sampler_specification: AnySpecification = sampler_specification or specification
        self._mean = torch.tensor(specification.mel_mean, device=self.device)
        self._scale = torch.tensor(specification.mel_scale, device=self.device)

    @property
    def reads_bert(self) -> bool:
        """Whether BERT's states are read: stage one reads none."""
        return self.sampler is not None

    @staticmethod
    def load(experiment: Experiment) -> Synthesizer:
        """Load the trained stages of an experiment.

        Raises:
            UserError: a stage has not been trained.
        """
        return Synthesizer.read(experiment, **trained(experiment, "acoustic", "sampler", "duration"))

    @staticmethod
    def read(
        experiment: Experiment, acoustic: Path, sampler: Path | None = None, duration: Path | None = None
    ) -> Synthesizer:
        """Wire the stages in folders, which carry their identities as names, and the experiment's vocoder."""
        device = choose_device(experiment.run)
        vocoder = build_vocoder(experiment)
        stage_one, spec = load_acoustic(acoustic)
        vectors = {"acoustic": acoustic.name, **({} if sampler is None else {"sampler": sampler.name})}
        durations = None if duration is None else load_durations(duration, vectors)
        if sampler is None:
            return Synthesizer(stage_one, spec, None, vocoder, durations=durations, device=device)
        stage_two, sampler_spec = load_sampler(sampler, acoustic.name, experiment.synthesis.steps)
        return Synthesizer(stage_one, spec, stage_two, vocoder, sampler_spec, durations, device)

    @torch.inference_mode()
    def predict(self, text: TextBatch, temperature: float, seed: int, known: Known | None = None) -> Tensor | None:
        """Stage two's vectors [B, U, D], given those of units that are ``known``; none for a system without vectors."""
        if self.sampler is None:
            return None
        generator = torch.Generator(self.device).manual_seed(seed)
        given = None if known is None else Known(known.values.to(self.device), known.where.to(self.device))
        return self.sampler.sample(text.to(self.device), temperature, generator, given)

    @torch.inference_mode()
    def log_likelihood(self, text: TextBatch, vectors: Tensor) -> Tensor:
        """Nats [B] of vectors [B, U, D] by stage two's prior, which must have a likelihood."""
        assert self.sampler is not None, "a system without stage two has no likelihood"
        return self.sampler.log_likelihood(text.to(self.device), vectors.to(self.device)).cpu()

    @torch.inference_mode()
    def encode(self, batch: AcousticBatch) -> Tensor | None:
        """The vectors of recordings, the posteriors' means [B, U, D]; none for a system without vectors."""
        posterior = self.acoustic.encode(batch.to(self.device))
        return None if posterior is None else posterior.mean

    @torch.inference_mode()
    def speak(self, text: TextBatch, vectors: Tensor | None, timing: Timing | None = None) -> list[Speech]:
        """Render sentences with the durations the system predicts for them, each in the voice of its speaker."""
        text = text.to(self.device)
        vectors = None if vectors is None else vectors.to(self.device)
        rendered = self.render(text, vectors, None if timing is None else timing.to(self.device))
        decoded = rendered.decoded
        mel = decoded.mel * self._scale + self._mean
        waves = self.vocoder(mel, decoded.lengths).cpu()
        samples = self.vocoder.samples(decoded.lengths).tolist()
        mel, durations, readouts = mel.cpu(), decoded.durations.cpu(), rendered.readout.cpu()
        speeches = []
        for row, (frames, size) in enumerate(zip(decoded.lengths.tolist(), samples, strict=True)):
            readout = readouts[row, : int(text.word_lengths[row])].double().numpy()
            norm = self.specification.norm(int(text.speakers[row]))
            phones, attended = int(text.phone_lengths[row]), decoded.attended
            speeches.append(
                Speech(
                    wave=waves[row, :size].numpy(),
                    mel=mel[row, :frames].numpy(),
                    durations=durations[row, :phones].numpy(),
                    log_f0=readout[:, 0] * norm.f0_scale + norm.f0_mean,
                    energy=readout[:, 1] * norm.energy_scale + norm.energy_mean,
                    attended=(
                        None
                        if attended is None
                        else attended.weights[row, : int(attended.steps[row]), :phones].cpu().numpy()
                    ),
                    stopped=attended is None or bool(attended.stopped[row]),
                )
            )
        return speeches

    def render(self, text: TextBatch, vectors: Tensor | None, timing: Timing | None) -> Rendered:
        """Phones and vectors, on the models' device, to mel; predicted durations as ``timing`` changes them."""
        model, pauses = self.acoustic, text.pauses
        conditioned = model.condition(text, model.states(text), vectors)
        durations = None
        if self.durations is not None:
            durations = self.durations.frames(text, vectors)
        elif model.durations is not None:
            durations = model.durations.frames(conditioned, text.phone_lengths, pauses)
        if timing is not None and timing.asks:
            if durations is None:
                raise UserError(
                    "a system that attends takes no durations, so no pace and no pauses can be asked of it; "
                    "leave them out, or give a system with a duration model"
                )
            durations = timing.apply(durations, text.phone_to_word, pauses)
        return model.decode(text, conditioned, durations)


def choose_speaker(spec: AnySpecification, wanted: str | None) -> str:
    """The speaker that ``synthesis.speaker`` names among those trained on; none is the only one.

    Raises:
        UserError: there are several and none is named, or there is none of that name.
    """
    names = spec.speakers
    if wanted is None:
        if len(names) == 1:
            return names[0]
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        raise UserError(f"this system has {len(names)} speakers; choose one with synthesis.speaker=NAME, from {shown}")
    if wanted in names:
        return wanted
    if names == ("",):
        raise UserError(
            f"synthesis.speaker={wanted}, but this system's only speaker has no name; leave the setting out"
        )
    close = names if len(names) <= SHOWN else difflib.get_close_matches(wanted, names, n=SHOWN, cutoff=0.0)
    raise UserError(f"synthesis.speaker={wanted} is none of this system's {len(names)}; {nearest(wanted, close)}")


def write_wave(path: Path, wave: NDArray[np.float32], sample_rate: int) -> None:
    """Write 16-bit mono WAV atomically; louder than full scale is scaled down, never clipped."""
    import soundfile

    peak = float(np.abs(wave).max(initial=0.0))
    with atomic(path) as temporary:
        soundfile.write(temporary, wave / max(1.0, peak), sample_rate, subtype="PCM_16", format="WAV")
