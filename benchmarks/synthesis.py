"""Speed of synthesis: real-time factors of every step, for one sentence at a time on one core.

    python -m benchmarks.synthesis [SYSTEM] [key=value …] [--frames 420] [--repeats 20] [--trained] [--json]

A real-time factor is CPU seconds over seconds of speech, the median of the repeats; loading is shown apart. Without
``--trained`` the models have random weights and give all phones of the sentence equal durations, so that no corpus
is needed: what a step costs depends on its shapes alone. A second table adds each vocoder, given the mel it takes, to
what text to mel costs; ``--json`` prints the figures of both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.vocoders import fresh
from data_modules.collate import text_batch, text_item
from data_modules.store import Specification, inventory_of
from data_modules.text.analysis import TextAnalyser
from data_modules.text.sentence import Sentence
from prosody_tts.command import one_file, split_arguments
from prosody_tts.config import PRETRAINED, Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.speaking.system import System
from prosody_tts.synthesis import Synthesizer
from prosody_tts.systems import Sizes, build_acoustic, build_sampler, build_separate_durations
from prosody_tts.vocoders import VOCODERS, build_vocoder

#: Some 85 phones and 20 words, as in a sentence of read speech.
TEXT = (
    "The charming sailor found the garden gate behind the old stone house, and his brother carried the heavy "
    "wooden table through it."
)
#: The 75th percentile of the testbed's parse graphs' diameters.
PASSES = 8
#: Runs of a vocoder, some of which take as long as all else together.
VOCODER_REPEATS = 3


def median_seconds(step: Callable[[], Any], repeats: int) -> float:
    """Median CPU time of a step, after one run that is not counted."""
    step()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return statistics.median(times)


def random_system(experiment: Experiment, analyser: TextAnalyser, sentence: Sentence, frames: int) -> Synthesizer:
    """A system of random weights that speaks the sentence in about ``frames`` frames."""
    torch.manual_seed(experiment.seed)
    mels = experiment.audio.mels
    spec = Specification(
        inventory=inventory_of([sentence], analyser.inventory()),
        mel_mean=(-5.0,) * mels,
        mel_scale=(2.0,) * mels,
        f0_mean=5.0,
        f0_scale=0.3,
        energy_mean=-3.0,
        energy_scale=1.0,
        bert=analyser.bert.size,
        passes=PASSES,
    )
    sizes = Sizes(len(spec.inventory), mels, spec.bert, spec.passes)
    acoustic = build_acoustic(experiment, sizes).eval()
    separate = build_separate_durations(experiment, sizes).eval() if experiment.duration.trained == "separate" else None
    durations = acoustic.durations if separate is None else separate.durations
    if durations is None:
        raise UserError(f"{experiment.system} finds its durations by itself; with random weights they mean nothing")
    each = torch.full((1, 1), round(frames / len(sentence.phones)))
    with torch.no_grad():  # every phone and pause lasts as long
        durations.out.weight.zero_()
        durations.out.bias.fill_(float(durations.target.encode(each, torch.zeros(1, 1, dtype=torch.bool))))
    bert = analyser.bert.blank() if experiment.tunes_bert else None
    sampler = build_sampler(experiment, sizes, bert).eval() if experiment.vectors == "predicted" else None
    return Synthesizer(acoustic, spec, sampler, build_vocoder(experiment), durations=separate)


def measure(experiment: Experiment, frames: int, repeats: int, trained: bool) -> dict[str, Any]:
    """Real-time factors and what they are of."""
    start = time.process_time()
    analyser = TextAnalyser(experiment)
    (sentence,) = analyser.analyse([TEXT])
    analyser.states([sentence])
    loading_text = time.process_time() - start
    start = time.process_time()
    if trained:
        synthesizer = System.load(experiment, analyser).synthesizer
    else:
        synthesizer = random_system(experiment, analyser, sentence, frames)
    loading_models = time.process_time() - start
    spec = synthesizer.sampler_specification
    (states,) = analyser.states([sentence])
    reader = analyser.bert.reader if experiment.tunes_bert else None
    text = text_batch([text_item("sentence", sentence, states, spec, spec.speakers[0], reader)])
    with torch.inference_mode():
        vectors = synthesizer.predict(text, 0.0, 0)
        rendered = synthesizer.render(text, vectors, None).decoded
        hop = experiment.audio.hop / experiment.audio.sample_rate
        count = int(rendered.lengths[0])
        steps: dict[str, Callable[[], Any]] = {
            "text analysis": lambda: analyser.analyse([part for parts in analyser.prepare([TEXT]) for part in parts]),
            "BERT": lambda: analyser.states([sentence]),
            "stage two": lambda: synthesizer.predict(text, 0.0, 0),
            "stage one": lambda: synthesizer.render(text, vectors, None),
            "vocoder": lambda: synthesizer.vocoder(rendered.mel, rendered.lengths),
        }
        seconds = {name: median_seconds(step, repeats) for name, step in steps.items()}
    factors = {name: value / (count * hop) for name, value in seconds.items()}
    factors["text to mel (stages two and one)"] = factors["stage two"] + factors["stage one"]
    factors["all"] = sum(factors[name] for name in steps)
    to_mel = factors["text to mel (stages two and one)"]
    parameters = [sum(p.numel() for p in m.parameters()) for m in (synthesizer.acoustic, synthesizer.sampler) if m]
    return {
        "system": experiment.system,
        "size": experiment.size,
        "weights": "trained" if trained else "random",
        "parameters": {"stage one": parameters[0], "stage two": sum(parameters[1:])},
        "frames": count,
        "phones": len(sentence.phones),
        "seconds_of_speech": round(count * hop, 3),
        "real_time_factor": {name: round(value, 4) for name, value in factors.items()},
        "loading_cpu_seconds": {"text": round(loading_text, 2), "models": round(loading_models, 2)},
        "vocoders": {name: vocoder_cost(name, experiment, count * hop, to_mel) for name in VOCODERS},
    }


def vocoder_cost(name: str, experiment: Experiment, seconds: float, to_mel: float) -> dict[str, float]:
    """Loading seconds and real-time factors of a vocoder of random weights, on as long a mel of the kind it takes."""
    audio = load("baseline", [f"audio.preset={PRETRAINED[name]}"]).audio if name in PRETRAINED else experiment.audio
    start = time.process_time()
    vocoder = fresh(name, replace(experiment, audio=audio), None)
    loading = time.process_time() - start
    frames = round(seconds * audio.sample_rate / audio.hop)
    mel = torch.randn(1, frames, audio.mels, generator=torch.Generator().manual_seed(0)) - 5
    with torch.inference_mode():
        factor = median_seconds(lambda: vocoder(mel, torch.tensor([frames])), VOCODER_REPEATS) / seconds
    return {
        "loading_cpu_seconds": round(loading, 2),
        "real_time_factor": round(factor, 4),
        "text_to_waveform": round(to_mel + factor, 4),
    }


def show(found: dict[str, Any]) -> None:
    """Print both tables."""
    loading = found["loading_cpu_seconds"]
    steps = Table(
        "step", "real-time factor", title=f"{found['system']}, size {found['size']}, {found['weights']} weights"
    )
    for name, factor in found["real_time_factor"].items():
        steps.add_row(name, f"{factor:.4f}")
    vocoders = Table("vocoder", "loading, s", "real-time factor", "text to mel and vocoder")
    for name, cost in found["vocoders"].items():
        vocoders.add_row(
            name,
            f"{cost['loading_cpu_seconds']:.2f}",
            f"{cost['real_time_factor']:.4f}",
            f"{cost['text_to_waveform']:.4f}",
        )
    console = Console(width=120)
    console.print(steps, vocoders)
    console.print(
        f"{found['frames']} frames, {found['seconds_of_speech']} s of speech; loading, in CPU-seconds: text analysis "
        f"{loading['text']}, models {loading['models']}"
    )


def main() -> None:
    """Measure as the arguments say and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("arguments", nargs="*", metavar="SYSTEM key=value", help="experiment and settings")
    parser.add_argument("--frames", type=int, default=420, help="frames of the sentence, with random weights")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--trained", action="store_true", help="the trained system, instead of random weights")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    files, settings = split_arguments(arguments.arguments)
    try:
        experiment = load(one_file(files, "camp"), [*settings, "run.accelerator=cpu"])
        found = measure(experiment, arguments.frames, arguments.repeats, arguments.trained)
    except UserError as error:
        sys.exit(f"error: {error}")
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        show(found)


if __name__ == "__main__":
    main()
