"""Speed of the language models of speech, how it grows with length, and how often their guards end a sentence.

    python -m benchmarks.language [SYSTEM] [key=value …] [--segments 25 50 100 200] [--passes 3] [--json]

On one thread, for one sentence at a time: seconds of speech that are said, and written, in a CPU-second, with keys and
values kept (``cached``) and with everything read again for each element; and elements that a training step (forward,
backward, AdamW) of the system's batch reads in a CPU-second. Weights are random, as speed depends on shapes alone; the
model may not end, so that its guards end a sentence of two segments a phone, and one of a character a segment, at the
length asked for. Beside the rates stands how CPU time grows: the exponent of length fitted to all lengths (1: with the
length; 2: with its square). The last table holds the share of sentences that the guards end with the system's own
settings, untrained on random sentences, and trained on held-out ones where the run folder has such a model.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.recordings import random_recording
from data_modules.batches import LanguageBatch, TextBatch
from data_modules.codes import CodeStore
from data_modules.collate import TextItem, padded, text_batch, text_item
from data_modules.language import LanguageItem, language_batch
from data_modules.scripts import FIRST_CHARACTER, Script, continuing, recognising, speaking, writing
from prosody_tts.command import one_file, split_arguments
from prosody_tts.config import Experiment, load
from prosody_tts.errors import UserError
from prosody_tts.language_synthesis import load_language
from prosody_tts.nn.language.generate import Choice, speak
from prosody_tts.nn.language.model import SpeechLanguageModel
from prosody_tts.nn.language.transcribe import write
from prosody_tts.pipeline import Stage, folder, is_done, plan
from prosody_tts.runners.stores import store_of
from prosody_tts.systems import Sizes, build_language, build_tokenizer

SIZES = Sizes(phones=80, mels=80, bert=384, passes=9)
#: Segments of a phone: 80 to 100 ms, as in read speech.
PER_PHONE = 2
#: Random sentences that an untrained model says, and their segments.
UNTRAINED, LENGTH = 16, 60
#: Sentences said or written at once where it is not speed that is measured.
BATCH = 16


def main() -> None:
    """Read the arguments, print the tables."""
    parser = argparse.ArgumentParser(description="Speed of language models of speech, and their guards.")
    parser.add_argument("arguments", nargs="*", metavar="SYSTEM key=value", help="by default speech_lm")
    parser.add_argument("--segments", type=int, nargs="+", default=[25, 50, 100, 200], help="lengths of a sentence")
    parser.add_argument("--passes", type=int, default=3, help="runs that are timed; the median counts")
    parser.add_argument("--limit", type=int, default=60, help="held-out sentences of a trained model")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    files, settings = split_arguments(arguments.arguments)
    try:
        experiment = load(one_file(files, "speech_lm"), [*settings, "run.accelerator=cpu"])
        if experiment.backbone != "tokens" or experiment.vectors != "predicted":
            raise UserError(f"{experiment.system} has no language model; give one that has, such as speech_lm")
        columns = speeds(experiment, arguments.segments, arguments.passes)
        cut = guards(experiment, arguments.limit)
    except UserError as error:
        sys.exit(f"error: {error}")
    if arguments.json:
        print(json.dumps({"speed": [column.to_dict() for column in columns], "cut": cut}))
        return
    show(experiment, arguments.segments, columns, cut)


# Speed --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """What is timed at several lengths.

    Attributes:
        name: what it is.
        unit: of ``amounts``.
        lengths: elements of a sequence.
        amounts: what is made at each length.
        seconds: CPU-seconds that it takes.
    """

    name: str
    unit: str
    lengths: tuple[int, ...]
    amounts: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def rates(self) -> list[float]:
        """Amount a CPU-second at each length."""
        return [amount / seconds for amount, seconds in zip(self.amounts, self.seconds, strict=True)]

    @property
    def exponent(self) -> float:
        """Slope of the logarithm of CPU time over that of the length; NaN of a single length."""
        if len(self.lengths) < 2:
            return float("nan")
        return float(np.polyfit(np.log(self.lengths), np.log(self.seconds), 1)[0])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = {"name": self.name, "unit": self.unit, "lengths": list(self.lengths), "rates": self.rates}
        return {**plain, "cpu_seconds": list(self.seconds), "exponent": self.exponent}


def speeds(experiment: Experiment, segments: Sequence[int], passes: int) -> list[Column]:
    """Time saying, writing and training at every length."""
    model = random_model(experiment)
    endless(model)
    hop = experiment.audio.hop / experiment.audio.sample_rate * experiment.tokenizer.segment
    interleaved = experiment.language.order == "interleaved"
    columns = []
    for cached in (True, False):
        how = "cached" if cached else "not cached"
        seconds = [median_seconds(partial(say, model, count, interleaved, cached), passes) for count in segments]
        # Interleaved, every phone is an element as well.
        lengths = tuple(count + count // PER_PHONE if interleaved else count for count in segments)
        columns.append(Column(f"said, {how}", "s of speech", lengths, speech(segments, hop), tuple(seconds)))
        seconds = [median_seconds(partial(hear, model, count, cached), passes) for count in segments]
        columns.append(Column(f"written, {how}", "s of speech", tuple(segments), speech(segments, hop), tuple(seconds)))
    batches = [random_batch(count, experiment) for count in segments]
    model = random_model(experiment).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    seconds = [median_seconds(partial(train, model, optimizer, batch), passes) for batch in batches]
    elements = tuple(float(batch.lengths.sum()) for batch in batches)
    lengths = tuple(int(batch.lengths.max()) for batch in batches)
    return [*columns, Column("trained", "elements", lengths, elements, tuple(seconds))]


def speech(segments: Sequence[int], seconds: float) -> tuple[float, ...]:
    """Seconds of so many segments."""
    return tuple(count * seconds for count in segments)


def random_model(experiment: Experiment) -> SpeechLanguageModel:
    """The system's model before training."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(experiment, SIZES)
    return build_language(experiment, SIZES, tokenizer.codebooks, tokenizer.size).eval()


def endless(model: SpeechLanguageModel) -> None:
    """Let a model say segments and write characters alone, so that its guards end every sentence."""
    with torch.no_grad():
        model.head.front.bias[:FIRST_CHARACTER] = -1e4


def say(model: SpeechLanguageModel, segments: int, interleaved: bool, cached: bool) -> None:
    """Say a sentence of so many segments."""
    text = text_batch([random_text(segments, 0)])
    said = speak(model, text, Choice(temperature=0.0), PER_PHONE, interleaved, cached=cached)
    assert int(said.lengths[0]) == PER_PHONE * (segments // PER_PHONE)


def hear(model: SpeechLanguageModel, segments: int, cached: bool) -> None:
    """Write as many characters as there are segments."""
    codes = random_codes(model, segments, 0)
    found = write(model, codes[None], torch.tensor([segments]), Choice(temperature=0.0), 1, cached=cached)
    assert int(found.lengths[0]) == segments


def train(model: SpeechLanguageModel, optimizer: torch.optim.Optimizer, batch: LanguageBatch) -> None:
    """One step."""
    optimizer.zero_grad()
    model.losses(batch)["nats"].backward()
    optimizer.step()


def random_batch(segments: int, experiment: Experiment) -> LanguageBatch:
    """The system's batch of sequences of so many segments, its tasks in turns."""
    settings, model = experiment.language, random_model(experiment)
    interleaved = settings.order == "interleaved"
    items = []
    for seed in range(settings.optim.batch):
        text, codes = random_text(segments, seed), random_codes(model, segments, seed)
        phones, letters = text.phones.tolist(), [FIRST_CHARACTER] * segments
        placed = [min(number // PER_PHONE, len(phones) - 1) for number in range(segments)]
        scripts: dict[str, Script] = {
            "speak": speaking(phones, placed, interleaved),
            "recognise": recognising(segments, letters),
            "write": writing(letters),
            "continue": continuing(segments),
        }
        script = scripts[settings.tasks[seed % len(settings.tasks)]]
        items.append(LanguageItem(text, script, codes))
    return language_batch(items)


def random_text(segments: int, seed: int) -> TextItem:
    """A sentence of ``PER_PHONE`` segments a phone."""
    generator, phones = torch.Generator().manual_seed(seed), segments // PER_PHONE
    to_word = torch.repeat_interleave(torch.arange(phones), torch.tensor([1, 4] * phones)[:phones])[:phones]
    sizes = (SIZES.phones, SIZES.mels, SIZES.bert)
    return random_recording(str(seed), to_word, torch.ones(phones, dtype=torch.long), *sizes, generator).text


def random_codes(model: SpeechLanguageModel, segments: int, seed: int) -> Tensor:
    """Codes [N, Q]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, model.size, (segments, model.codebooks), generator=generator)


def median_seconds(work: Callable[[], object], passes: int) -> float:
    """Median CPU-seconds, after a run that is not counted."""
    work()
    times = []
    for _ in range(passes):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


# Guards -------------------------------------------------------------------------------------------------------------


def guards(experiment: Experiment, limit: int) -> list[dict[str, Any]]:
    """Shares of sentences that the guards end."""
    model = random_model(experiment)
    texts = [random_text(LENGTH, seed) for seed in range(UNTRAINED)]
    codes = [random_codes(model, LENGTH, seed) for seed in range(UNTRAINED)]
    found = [{"model": "untrained", "sentences": UNTRAINED, **cut(model, experiment, texts, codes)}]
    stage = next(stage for stage in plan(experiment) if stage.kind == "language")
    if is_done(stage):
        found.append(cut_by_trained(stage, limit))
    return found


def cut_by_trained(stage: Stage, limit: int) -> dict[str, Any]:
    """The same of the model that a stage has trained, on the first held-out sentences."""
    store, codes = store_of(stage), CodeStore(stage.input("tokenizer"))
    model, spec = load_language(folder(stage), stage.inputs["tokenizer"], codes.codebooks, codes.size)
    names = store.first_sentences(stage.experiment.evaluation.split, limit)
    firsts = list({store.utterances[name].sentence: name for name in reversed(names)}.values())
    texts = [
        text_item(name, store.text.sentence(name), store.text.bert(name), spec, store.speaker(name)) for name in firsts
    ]
    rows = [torch.from_numpy(np.array(codes.codes(name), np.int64)) for name in firsts]
    return {"model": "trained", "sentences": len(firsts), **cut(model, stage.experiment, texts, rows)}


def cut(
    model: SpeechLanguageModel, experiment: Experiment, texts: Sequence[TextItem], codes: Sequence[Tensor]
) -> dict[str, float]:
    """Task -> share of sentences that a guard ended, of the tasks that the system has."""
    settings = experiment.language
    choice = Choice(experiment.synthesis.temperature, settings.top_k, settings.top_p, settings.repeats)

    def said(start: int) -> Tensor:
        text: TextBatch = text_batch(texts[start : start + BATCH])
        seeds = list(range(start, start + len(text.ids)))
        return speak(model, text, choice, settings.longest, settings.order == "interleaved", seeds).cut

    def written(start: int) -> Tensor:
        rows = codes[start : start + BATCH]
        lengths = torch.tensor([len(row) for row in rows])
        return write(model, padded(rows), lengths, Choice(temperature=0.0), settings.longest_text).cut

    ways: dict[str, Callable[[int], Tensor]] = {"speak": said, "recognise": written}
    return {
        task: float(torch.cat([way(start) for start in range(0, len(texts), BATCH)]).float().mean())
        for task, way in ways.items()
        if task in settings.tasks
    }


# Tables -------------------------------------------------------------------------------------------------------------


def show(
    experiment: Experiment, segments: Sequence[int], columns: Sequence[Column], found: Sequence[dict[str, Any]]
) -> None:
    """Print both tables."""
    console = Console(width=140)
    table = Table("a CPU-second", *(f"{count} segments" for count in segments), "time grows with length to the")
    for column in columns:
        table.add_row(
            f"{column.name} ({column.unit})",
            *(f"{rate:,.0f}" if rate >= 100 else f"{rate:.2f}" for rate in column.rates),
            f"{column.exponent:.2f}",
        )
    parameters = sum(p.numel() for p in random_model(experiment).parameters())
    console.print(f"{experiment.system}, {experiment.size}, {parameters / 1e6:.2f} M parameters, one thread")
    console.print(table)
    tasks = [task for task in ("speak", "recognise") if task in experiment.language.tasks]
    guarded = Table("model", "sentences", *(f"cut ({task})" for task in tasks))
    for one in found:
        guarded.add_row(one["model"], str(one["sentences"]), *(f"{one[task]:.1%}" for task in tasks))
    console.print(guarded)


if __name__ == "__main__":
    main()
