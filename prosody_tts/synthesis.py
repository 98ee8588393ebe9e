"""Text, or a recording's prosody, in; speech out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_modules.batches import TextBatch
from data_modules.collate import text_batch, text_item
from data_modules.store import PADDING, UNKNOWN, AnySpecification, Specification, read_specification
from prosody_tts import pipeline
from prosody_tts.config import Experiment, from_plain
from prosody_tts.errors import UserError, nearest
from prosody_tts.files import atomic, read_json
from prosody_tts.nn.acoustic import AcousticModel
from prosody_tts.nn.durations import SeparateDurations
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


def _load(model: torch.nn.Module, state: dict[str, Tensor], folder: Path) -> None:
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
    experiment = from_plain(read_json(folder / pipeline.SETTINGS))
    if "specification" not in checkpoint:
        raise UserError(f"{folder / CHECKPOINT} is not a checkpoint of this project; delete the folder to train again")
    spec = Specification.from_dict(checkpoint["specification"])
    model = build_acoustic(experiment, Sizes.of(spec))
    _load(model, checkpoint["state_dict"], folder)
    return model, spec


def load_sampler(folder: Path, acoustic: str) -> tuple[SamplerModel, AnySpecification]:
    """Rebuild stage two from its folder; ``acoustic`` is the identity of the stage one, or the labels, it must fit.

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
    experiment = from_plain(read_json(folder / pipeline.SETTINGS))
    spec = read_specification(checkpoint["specification"])
    model = build_sampler(experiment, Sizes.of(spec))
    _load(model, checkpoint["state_dict"], folder)
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
    experiment = from_plain(read_json(folder / pipeline.SETTINGS))
    model = build_separate_durations(experiment, Sizes.of(Specification.from_dict(checkpoint["specification"])))
    _load(model, checkpoint["state_dict"], folder)
    return model


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
    ) -> None:
        self.acoustic = acoustic
        self.specification = specification
        self.sampler = sampler
        self.vocoder = vocoder
        self.durations = durations
        self.sampler_specification: AnySpecification = sampler_specification or specification
        self._mean = torch.tensor(specification.mel_mean)
        self._scale = torch.tensor(specification.mel_scale)

    @staticmethod
    def load(experiment: Experiment) -> Synthesizer:
        """Load the trained stages of an experiment.

        Raises:
            UserError: a stage has not been trained.
        """
        stages = {stage.kind: stage for stage in pipeline.plan(experiment)}
        needed = [kind for kind in ("acoustic", "sampler", "duration") if kind in stages]
        for kind in needed:
            if not pipeline.is_done(stages[kind]):
                raise UserError(
                    f"{experiment.system} has no trained {stages[kind].label} in {experiment.run.folder}; "
                    "run 'prosody-tts train' with the same settings first"
                )
        return Synthesizer.read(experiment, **{kind: pipeline.folder(stages[kind]) for kind in needed})

    @staticmethod
    def read(
        experiment: Experiment, acoustic: Path, sampler: Path | None = None, duration: Path | None = None
    ) -> Synthesizer:
        """Wire the stages in folders, which carry their identities as names, and the experiment's vocoder."""
        vocoder = build_vocoder(experiment)
        stage_one, spec = load_acoustic(acoustic)
        vectors = {"acoustic": acoustic.name, **({} if sampler is None else {"sampler": sampler.name})}
        durations = None if duration is None else load_durations(duration, vectors)
        if sampler is None:
            return Synthesizer(stage_one, spec, None, vocoder, durations=durations)
        stage_two, sampler_spec = load_sampler(sampler, acoustic.name)
        return Synthesizer(stage_one, spec, stage_two, vocoder, sampler_spec, durations)

    @torch.inference_mode()
    def predict(self, text: TextBatch, temperature: float, seed: int) -> Tensor | None:
        """Stage two's vectors [B, U, D]; none for a system without vectors."""
        if self.sampler is None:
            return None
        generator = torch.Generator().manual_seed(seed)
        return self.sampler.sample(text, temperature, generator)

    @torch.inference_mode()
    def speak(self, text: TextBatch, vectors: Tensor | None) -> list[Speech]:
        """Render sentences with the durations the system predicts for them, each in the voice of its speaker."""
        model = self.acoustic
        conditioned = model.condition(text, model.states(text), vectors)
        durations = None
        if self.durations is not None:
            durations = self.durations.frames(text, vectors)
        elif model.durations is not None:
            durations = model.durations.frames(conditioned, text.phone_lengths, text.pauses)
        rendered = model.decode(text, conditioned, durations)
        decoded = rendered.decoded
        mel = decoded.mel * self._scale + self._mean
        waves = self.vocoder(mel, decoded.lengths)
        samples = self.vocoder.samples(decoded.lengths).tolist()
        speeches = []
        for row, (frames, size) in enumerate(zip(decoded.lengths.tolist(), samples, strict=True)):
            readout = rendered.readout[row, : int(text.word_lengths[row])].double().numpy()
            norm = self.specification.norm(int(text.speakers[row]))
            phones, attended = int(text.phone_lengths[row]), decoded.attended
            speeches.append(
                Speech(
                    wave=waves[row, :size].numpy(),
                    mel=mel[row, :frames].numpy(),
                    durations=decoded.durations[row, :phones].numpy(),
                    log_f0=readout[:, 0] * norm.f0_scale + norm.f0_mean,
                    energy=readout[:, 1] * norm.energy_scale + norm.energy_mean,
                    attended=(
                        None if attended is None else attended.weights[row, : int(attended.steps[row]), :phones].numpy()
                    ),
                    stopped=attended is None or bool(attended.stopped[row]),
                )
            )
        return speeches


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


def synthesize_text(experiment: Experiment, texts: Sequence[str], out: Path, samples: int = 1) -> list[Path]:
    """Speak texts with a trained system; write ``out/001.wav`` and so on, or ``001-2.wav`` for further samples.

    Numbers and abbreviations are said as ``text.normaliser`` has it; a text of several sentences is spoken sentence by
    sentence, one after the other in one file.

    Raises:
        UserError: the system is not trained, is an oracle (which needs a recording), has no speaker as
            ``synthesis.speaker`` says, or a text cannot be spoken.
    """
    from data_modules.text.analysis import TextAnalyser

    pipeline.check_speaks_text(experiment)
    synthesizer = Synthesizer.load(experiment)
    spec = synthesizer.sampler_specification
    speaker = choose_speaker(spec, experiment.synthesis.speaker)
    analyser = TextAnalyser(experiment)
    prepared = analyser.prepare(texts)
    sentences = analyser.analyse([sentence for sentences in prepared for sentence in sentences])
    states = analyser.states(sentences)
    known = set(spec.inventory) - {PADDING, UNKNOWN}
    for sentence in sentences:
        strange = sorted(set(sentence.phones) - known)
        if strange:
            raise UserError(
                f"the text '{sentence.text[:60]}' has phones the corpus never had ({', '.join(strange)}); "
                "reword it or train on a corpus that has them"
            )
    analysed = zip(sentences, states, strict=True)
    paths = []
    for number, parts in enumerate(prepared, start=1):
        items = [text_item(str(number), *next(analysed), spec, speaker) for _ in parts]
        for sample in range(samples):
            waves = []
            for text in (text_batch([item]) for item in items):
                vectors = synthesizer.predict(text, experiment.synthesis.temperature, experiment.seed + sample)
                waves.append(synthesizer.speak(text, vectors)[0].wave)
            path = out / (f"{number:03d}.wav" if sample == 0 else f"{number:03d}-{sample + 1}.wav")
            write_wave(path, np.concatenate(waves), experiment.audio.sample_rate)
            paths.append(path)
    return paths
