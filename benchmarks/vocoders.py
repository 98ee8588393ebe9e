"""How fast vocoders speak and how near they come: python benchmarks/vocoders.py [SETTINGS], as in corpus=allison.

Each vocoder is given the mel it takes. Prints seconds of computing per second of speech on one core, with the seconds
it takes to load beside it. Pre-trained ones have random weights unless ``--weights NAME=FOLDER`` gives theirs: their
speed is the same. With ``--copy`` the vocoders for any mel also speak the held-out recordings of a prepared corpus
(``prosody-tts prepare``), and what they say is held against the recordings:

  F0 RMSE      log F0 at frames voiced in both; ``gross`` is the share of them that is off by more than 0.2, as where
               the tracker takes another octave, and ``fine`` the RMSE over the rest
  V/UV         share of frames voiced in one and not in the other
  MCD, mel L1  as ``evaluation/measure.py`` has them, of the mel measured on the audio
  SC, log-STFT spectral convergence and log-magnitude distance (nepers) of the multi-resolution STFT distance
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from data_modules.audio import f0, mel_spectrogram
from data_modules.store import AudioStore, CorpusStore
from data_modules.vocoder import Clip, VocoderData
from prosody_tts.config import PRETRAINED, Experiment, load
from prosody_tts.evaluation.measure import mcd, mel_l1
from prosody_tts.nn.vocoders import Vocoder
from prosody_tts.nn.vocoders.losses import SpectralDistance
from prosody_tts.nn.vocoders.pretrained import KINDS, load_pretrained
from prosody_tts.pipeline import folder, is_done, plan, vocoder_files
from prosody_tts.vocoders import VOCODERS, build_source_filter, build_vocoder, mel_format

#: Passes; the fastest counts.
PASSES = 3
#: Errors of log F0 beyond it are gross: another octave, or no pitch at all.
GROSS = 0.2


def main() -> None:
    """Read the arguments, print the tables."""
    parser = argparse.ArgumentParser(description="Speed and fidelity of vocoders on one core.")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the clip that is timed")
    parser.add_argument("--copy", action="store_true", help="hold copy synthesis of a corpus against its recordings")
    parser.add_argument("--split", choices=["dev", "test"], default="test", help="which recordings")
    parser.add_argument("--weights", nargs="*", default=[], metavar="NAME=FOLDER", help="pre-trained vocoders' folders")
    parser.add_argument("settings", nargs="*", default=[], help="settings of the experiment")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    given = dict(item.split("=", 1) for item in arguments.weights)
    print(f"{'vocoder':<28} {'weights':>8} {'loading s':>10} {'s per s of speech':>18}")
    for name in VOCODERS:
        speed(name, arguments.settings, given.get(name), arguments.seconds)
    if arguments.copy:
        copies(arguments.settings, arguments.split)


def speed(name: str, settings: Sequence[str], weights: str | None, seconds: float) -> None:
    """Print how long a vocoder takes to load and to speak."""
    preset = [f"audio.preset={PRETRAINED[name]}"] if name in PRETRAINED else []
    experiment = load("baseline", [*settings, *preset])
    audio = experiment.audio
    start = time.perf_counter()
    vocoder = fresh(name, experiment, weights)
    loading = time.perf_counter() - start
    frames = round(seconds * audio.sample_rate / audio.hop)
    mel = torch.randn(1, frames, audio.mels, generator=torch.Generator().manual_seed(0)) - 5
    lengths = torch.tensor([frames])
    spoken = float(vocoder.samples(lengths)) / audio.sample_rate
    vocoder(mel, lengths)
    taken = min(cpu(lambda: vocoder(mel, lengths)) for _ in range(PASSES)) / spoken
    whose = "theirs" if weights else "none" if name == "griffin_lim" else "random"
    print(f"{named(name, experiment):<28} {whose:>8} {loading:10.2f} {taken:18.4f}")


def named(name: str, experiment: Experiment) -> str:
    """The vocoder with what its speed depends on."""
    iterations = f" ({experiment.synthesis.iterations} iterations)" if name == "griffin_lim" else ""
    return f"{name}{iterations}"


def fresh(name: str, experiment: Experiment, weights: str | None) -> Vocoder:
    """A vocoder with the weights of a folder, or random ones."""
    if name == "griffin_lim":
        return build_vocoder(experiment)
    if name == "source_filter":
        mels = experiment.audio.mels
        return build_source_filter(experiment, [-5.0] * mels, [2.0] * mels).eval()
    import tempfile

    import transformers

    if weights is not None:
        return load_pretrained(name, mel_format(experiment.audio), *vocoder_files(Path(weights)))
    with tempfile.TemporaryDirectory() as place:
        model = getattr(transformers, KINDS[name].model)
        model(model.config_class()).save_pretrained(place)
        return load_pretrained(name, mel_format(experiment.audio), *vocoder_files(Path(place)))


def cpu(step: Callable[[], object]) -> float:
    """CPU-seconds of one call."""
    start = time.process_time()
    step()
    return time.process_time() - start


def copies(settings: Sequence[str], split: str) -> None:
    """Print how near the vocoders for any mel come to the recordings of a split."""
    print(
        f"\n{'copy synthesis':<28} {'F0 RMSE':>8} {'fine':>7} {'gross':>7} {'V/UV':>7} {'MCD dB':>7} {'mel L1':>7} "
        f"{'SC':>7} {'log-STFT':>8} {'s per s':>8}"
    )
    for name in ("griffin_lim", "source_filter"):
        experiment = load("baseline", [*settings, f"synthesis.vocoder={name}"])
        stages = {stage.kind: stage for stage in plan(experiment)}
        missing = [kind for kind in ("corpus", "audio", "vocoder") if kind in stages and not is_done(stages[kind])]
        if missing:
            print(f"{name:<28} no {', '.join(missing)} in {experiment.run.folder}")
            continue
        corpus, store = CorpusStore(folder(stages["corpus"])), AudioStore(folder(stages["audio"]))
        data = VocoderData(corpus, store, experiment.audio, 1.0, 1, 0)
        clips = [data.clip(identity) for identity in data.ids("test" if split == "test" else "dev")]
        print(f"{named(name, experiment):<28} {compared(build_vocoder(experiment), experiment, clips)}")


def compared(vocoder: Vocoder, experiment: Experiment, clips: Sequence[Clip]) -> str:
    """The figures of one vocoder, as a row."""
    audio, distance = experiment.audio, SpectralDistance(experiment.audio.sample_rate)
    rows, errors, spent, spoken = [], [], 0.0, 0.0
    for clip in clips:
        start = time.process_time()
        wave = vocoder(clip.mel[None], torch.tensor([len(clip.mel)]))[0]
        spent += time.process_time() - start
        spoken += len(wave) / audio.sample_rate
        mel, track = mel_spectrogram(wave.numpy(), audio), f0(wave.numpy(), audio, frames=len(clip.f0))
        same = np.arange(min(len(mel), len(clip.mel)))
        true = clip.f0.numpy()
        both = (track > 0) & (true > 0)
        errors.append(np.log(track[both] / true[both]))
        spectral = [float(term) for term in distance.terms(wave[None], clip.wave[None, : len(wave)])]
        recorded = clip.mel.numpy()[same]
        rows.append(
            [np.mean((track > 0) != (true > 0)), mcd(recorded, mel, same), mel_l1(recorded, mel, same), *spectral]
        )
    off = np.concatenate(errors)
    gross = np.abs(off) > GROSS
    voicing, cepstral, absolute, convergence, log_distance = np.mean(rows, axis=0)
    return (
        f"{np.sqrt(np.mean(off**2)):8.4f} {np.sqrt(np.mean(off[~gross] ** 2)):7.4f} {np.mean(gross):7.4f} "
        f"{voicing:7.4f} {cepstral:7.3f} "
        f"{absolute:7.4f} {convergence:7.4f} {log_distance:8.4f} {spent / spoken:8.4f}"
    )


if __name__ == "__main__":
    main()
