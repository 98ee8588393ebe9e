"""How fast stage one trains: python -m benchmarks.acoustic [EXPERIMENT ...] [--size demo] [key=value ...].

A training step (forward, losses, backward, clipping, AdamW) of 16 utterances of some 90 phones and 500 frames, random
weights, on one core or a GPU: real frames a second, floating-point operations a frame, and the share it reaches of what
the machine does in a product of two 2048 x 2048 matrices, measured in the same run. Seconds are CPU-seconds on a CPU,
so that a busy machine does not show; medians over steps.
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

from data_modules.batches import AcousticBatch
from data_modules.collate import AcousticItem, TextItem, acoustic_batch
from data_modules.text.sentence import NODE_LABELS, TAGS
from prosody_tts.config import load
from prosody_tts.nn.acoustic import AcousticModel
from prosody_tts.systems import Sizes, build_acoustic

SIZES = Sizes(phones=80, mels=80, bert=384, passes=9)
UTTERANCES, PHONES, FRAMES = 16, 90, 500
#: A forward and a backward pass cost three forward passes.
TRAINING = 3


def main() -> None:
    """Read the arguments, print the table."""
    parser = argparse.ArgumentParser(description="Speed of stage one's training step.")
    parser.add_argument(
        "experiments", nargs="*", default=["baseline", "kathaka", "camp"], help="experiments, key=value"
    )
    parser.add_argument("--size", default="demo", help="a file of experiments/sizes")
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed, after one that is not")
    parser.add_argument("--bf16", action="store_true", help="run the step under bf16 autocast")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    arguments = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    overrides = [item for item in arguments.experiments if "=" in item]
    names = [item for item in arguments.experiments if "=" not in item] or ["baseline", "kathaka", "camp"]
    device = torch.device(arguments.device)
    limit = matmul_limit(device, arguments.bf16)
    table = Table("experiment", "parameters", "MFLOP a frame", "frames/s", "GFLOP/s", "of the limit")
    for name in names:
        experiment = load(name, [f"size={arguments.size}", *overrides])
        torch.manual_seed(0)
        model = build_acoustic(experiment, SIZES).to(device).train()
        batch = random_batch(torch.Generator().manual_seed(0)).to(device)
        frames = int(batch.frame_lengths.sum())
        flops = operations(model, batch)
        seconds = step_seconds(model, batch, arguments.steps, arguments.bf16)
        parameters = sum(p.numel() for p in model.parameters())
        speed = flops / seconds
        table.add_row(
            f"{name} ({arguments.size})",
            f"{parameters / 1e6:.2f} M",
            f"{flops / frames / 1e6:.1f}",
            f"{frames / seconds:.0f}",
            f"{speed / 1e9:.0f}",
            f"{speed / limit:.0%}",
        )
    Console(width=120).print(table)
    print(f"limit: {limit / 1e9:.0f} GFLOP/s (2048 x 2048 product, {'bf16' if arguments.bf16 else 'fp32'}, {device})")


def random_batch(generator: torch.Generator) -> AcousticBatch:
    """Utterances of ``PHONES`` phones, two of three tokens a word, and ``FRAMES`` frames, give or take a tenth."""
    items = []
    for row in range(UTTERANCES):
        phones = int(PHONES * (0.9 + 0.2 * torch.rand(1, generator=generator)))
        to_word = torch.repeat_interleave(torch.arange(phones), torch.tensor([1, 4] * phones)[:phones])[:phones]
        tokens = int(to_word[-1]) + 1
        frames = int(FRAMES * (0.9 + 0.2 * torch.rand(1, generator=generator)))
        durations = (
            torch.bincount(torch.randint(0, phones, (frames - phones,), generator=generator), minlength=phones) + 1
        )
        voiced = torch.rand(frames, generator=generator) > 0.4
        text = TextItem(
            id=str(row),
            phones=torch.randint(3, SIZES.phones, (phones,), generator=generator),
            phone_to_word=to_word,
            tags={tag: torch.zeros(tokens, dtype=torch.long) for tag in TAGS},
            bert=torch.zeros(tokens, SIZES.bert),
            node_labels=torch.randint(0, len(NODE_LABELS), (2,), generator=generator),
            edges=torch.tensor([[0, 1]]),
            word_to_node=torch.zeros(tokens, dtype=torch.long),
        )
        items.append(
            AcousticItem(
                text=text,
                durations=durations,
                mel=torch.randn(frames, SIZES.mels, generator=generator),
                log_f0=(5 + 0.2 * torch.randn(frames, generator=generator)) * voiced,
                voiced=voiced,
                energy=torch.randn(frames, generator=generator),
                word_f0=torch.randn(tokens, generator=generator),
                word_voiced=torch.ones(tokens, dtype=torch.bool),
                word_energy=torch.randn(tokens, generator=generator),
            )
        )
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


def step_seconds(model: AcousticModel, batch: AcousticBatch, steps: int, bf16: bool) -> float:
    """Median seconds of a training step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    device = batch.mel.device

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = loss_of(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()
    return statistics.median(timed(step, device) for _ in range(steps))


def matmul_limit(device: torch.device, bf16: bool, size: int = 2048) -> float:
    """Floating-point operations a second of a product of two square matrices, the best of five."""
    kind = torch.bfloat16 if bf16 else torch.float32
    left, right = torch.randn(2, size, size, device=device, dtype=kind)
    left @ right
    return 2 * size**3 / min(timed(lambda: left @ right, device) for _ in range(5))


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
