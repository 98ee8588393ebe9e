"""How fast stage one trains: python -m benchmarks.acoustic [EXPERIMENT ...] [--size demo] [key=value ...].

A training step (forward, losses, backward, clipping, AdamW) of 16 utterances of some 90 phones and 500 frames, random
weights, on one core or a GPU: real frames a second, floating-point operations a frame, and the share it reaches of what
the machine does in a product of two 2048 x 2048 matrices. Seconds are CPU-seconds on a CPU; medians over steps. Other
work on the machine takes of its caches and its clock, so the product is timed again after every step, and the limit is
the median as well.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.recordings import random_recording
from data_modules.batches import AcousticBatch
from data_modules.collate import acoustic_batch
from prosody_tts.config import load
from prosody_tts.nn.acoustic import AcousticModel
from prosody_tts.systems import Sizes, build_acoustic

SIZES = Sizes(phones=80, mels=80, bert=384, passes=9)
UTTERANCES, PHONES, FRAMES = 16, 90, 500
#: Size of the matrices whose product is the limit, and how often they are multiplied beside every step.
SQUARE, PRODUCTS = 2048, 2
#: A forward and a backward pass cost three forward passes.
TRAINING = 3


def main() -> None:
    """Read the arguments, print the table."""
    parser = argparse.ArgumentParser(description="Speed of stage one's training step.")
    parser.add_argument(
        "experiments", nargs="*", default=["baseline", "kathaka", "camp"], help="experiments, key=value"
    )
    parser.add_argument("--size", default="demo", help="a file of experiments/sizes")
    parser.add_argument("--utterances", type=int, default=UTTERANCES, help="utterances of the batch")
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed, after one that is not")
    parser.add_argument("--bf16", action="store_true", help="run the step under bf16 autocast")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    overrides = [item for item in arguments.experiments if "=" in item]
    names = [item for item in arguments.experiments if "=" not in item] or ["baseline", "kathaka", "camp"]
    device = torch.device(arguments.device)
    table = Table("experiment", "parameters", "MFLOP a frame", "frames/s", "GFLOP/s", "limit", "of the limit")
    for name in names:
        experiment = load(name, [f"size={arguments.size}", *overrides])
        torch.manual_seed(0)
        model = build_acoustic(experiment, SIZES).to(device).train()
        batch = random_batch(torch.Generator().manual_seed(0), arguments.utterances).to(device)
        frames = int(batch.frame_lengths.sum())
        flops = operations(model, batch)
        seconds, limit = step_seconds(model, batch, arguments.steps, arguments.bf16)
        parameters = sum(p.numel() for p in model.parameters())
        speed = flops / seconds
        table.add_row(
            f"{name} ({arguments.size})",
            f"{parameters / 1e6:.2f} M",
            f"{flops / frames / 1e6:.1f}",
            f"{frames / seconds:.0f}",
            f"{speed / 1e9:.0f}",
            f"{limit / 1e9:.0f}",
            f"{speed / limit:.0%}",
        )
    Console(width=120).print(table)
    print(f"limit: GFLOP/s of a 2048 x 2048 product, {'bf16' if arguments.bf16 else 'fp32'}, {device}")


def random_batch(generator: torch.Generator, utterances: int = UTTERANCES) -> AcousticBatch:
    """Utterances of ``PHONES`` phones, two of three tokens a word, and ``FRAMES`` frames, give or take a tenth."""
    items = []
    for row in range(utterances):
        phones = int(PHONES * (0.9 + 0.2 * torch.rand(1, generator=generator)))
        to_word = torch.repeat_interleave(torch.arange(phones), torch.tensor([1, 4] * phones)[:phones])[:phones]
        frames = int(FRAMES * (0.9 + 0.2 * torch.rand(1, generator=generator)))
        extra = torch.bincount(torch.randint(0, phones, (frames - phones,), generator=generator), minlength=phones)
        sizes = (SIZES.phones, SIZES.mels, SIZES.bert)
        items.append(random_recording(str(row), to_word, extra + 1, *sizes, generator))
    return acoustic_batch(items)


def loss_of(model: AcousticModel, batch: AcousticBatch) -> Tensor:
    """Every term of stage one's loss, each with weight one."""
    rebuilt = model(batch)
    decoded, text = rebuilt.rendered.decoded, batch.text
    terms = [(decoded.mel - batch.mel).abs().mean(), rebuilt.rendered.readout.abs().mean()]
    terms += model.decoder.losses(decoded, batch).values()
    if model.durations is not None:
        terms.append(model.durations.loss(rebuilt.conditioned, text.phone_lengths, text.pauses, batch.durations))
    if rebuilt.contour is not None:
        terms.append(rebuilt.contour.abs().mean())
    if rebuilt.posterior is not None:
        terms.append(rebuilt.posterior.kl().mean())
    return torch.stack(terms).sum()


def operations(model: AcousticModel, batch: AcousticBatch) -> float:
    """Floating-point operations of a training step, those of LSTMs by their formula, which torch does not count."""
    recurrent = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], _: object) -> None:
        nonlocal recurrent
        assert isinstance(module, nn.LSTM)
        steps, size = inputs[0].shape[0] * inputs[0].shape[1], inputs[0].shape[2]
        for layer in range(module.num_layers):
            recurrent += (
                8 * module.hidden_size * ((size if layer == 0 else module.hidden_size) + module.hidden_size) * steps
            )

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.LSTM)]
    with FlopCounterMode(display=False) as counter:
        loss_of(model, batch).backward()
    for hook in hooks:
        hook.remove()
    model.zero_grad()
    return counter.get_total_flops() + TRAINING * recurrent


def step_seconds(model: AcousticModel, batch: AcousticBatch, steps: int, bf16: bool) -> tuple[float, float]:
    """Seconds of a training step, and operations a second of the product of matrices beside it; medians."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    device = batch.mel.device

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = loss_of(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    left, right = torch.randn(2, SQUARE, SQUARE, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)

    def product() -> None:
        for _ in range(PRODUCTS):
            left @ right

    step()
    product()
    pairs = [(timed(step, device), timed(product, device)) for _ in range(steps)]
    seconds, multiplying = (statistics.median(times) for times in zip(*pairs, strict=True))
    return seconds, PRODUCTS * 2 * SQUARE**3 / multiplying


def timed(work: Callable[[], object], device: torch.device) -> float:
    """CPU-seconds on a CPU, wall seconds on a GPU."""
    if device.type == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
