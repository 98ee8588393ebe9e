"""What `compare` and `runs` say."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prosody_tts import ledger
from prosody_tts.command import PROGRAM, split_arguments
from prosody_tts.config import Experiment, load
from prosody_tts.errors import UserError, nearest
from prosody_tts.ledger import Entry, size_text

if TYPE_CHECKING:
    from rich.console import Group

    from prosody_tts.rerunning import Again


def compare_pair(one: str, other: str, settings: Sequence[str]) -> tuple[Group, Path]:
    """Two systems' settings and metrics as tables, and the page on which they are heard side by side.

    Args:
        one: an experiment and settings of its own, as one types them.
        other: likewise.
        settings: of both.

    Raises:
        UserError: they are the same, measure different things, or one has not been evaluated.
    """
    from prosody_tts.evaluation.compared import metrics_apart, settings_apart
    from prosody_tts.evaluation.results import read_results
    from prosody_tts.files import digest
    from prosody_tts.pipeline import folder, plan, report
    from prosody_tts.report.grids import Grid, terminal
    from prosody_tts.report.table import number, p_value, signed
    from prosody_tts.settings import written

    def apart(value: float) -> str:
        return signed(value, number(abs(value)))

    pair = [_given(text, settings) for text in (one, other)]
    first, second = pair
    stages = [plan(experiment)[-1] for experiment in pair]
    if stages[0].key == stages[1].key:
        raise UserError(f"'{one}' and '{other}' are the same system; give settings that tell them apart")
    if first.measures != second.measures:
        raise UserError(
            f"'{one}' is measured on {first.measures}, '{other}' on {second.measures}; compare like with like"
        )
    names = [" ".join(shlex.split(text)) for text in (one, other)]
    place = Path(first.run.folder) / "reports" / f"compared-{digest([stage.key for stage in stages])}"
    table = report(dict(zip(names, pair, strict=True)), place, shlex.join([PROGRAM, "compare", one, other, *settings]))
    differ = [(name, written(a), written(b)) for name, a, b in settings_apart(*pair)]
    grids = [Grid("Settings that differ", ("setting", *names), differ)]
    notes = []
    if first.measures == "speech":
        lines = []
        results = read_results(folder(stages[0])), read_results(folder(stages[1]))
        evaluation = first.evaluation
        for row in metrics_apart(*results, evaluation.confidence, evaluation.resamples, first.seed):
            low, high = row.interval.ends
            ends = "—" if low is None or high is None else f"[{apart(low)}, {apart(high)}]"
            means = number(row.one), number(row.other)
            lines.append((row.metric, *means, apart(row.difference), ends, p_value(row.p), str(row.n)))
        grids.append(Grid("Metrics", ("metric", *names, "difference", "interval", "p", "n"), lines))
        notes.append(
            f"Difference: the second less the first, paired by sentence, with its {100 * evaluation.confidence:g} % "
            "bootstrap interval; p: Wilcoxon signed-rank over sentences, Holm over metrics."
        )
        return terminal(grids, notes), place / "index.html"
    from rich.console import Group

    return Group(terminal(grids), table), place / "index.html"


def _given(text: str, settings: Sequence[str]) -> Experiment:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"cannot read {text!r} ({error}); write an experiment and key=value settings") from None
    files, own = split_arguments(words)
    if len(files) != 1:
        raise UserError(f"{text!r} names no experiment; write one and its settings, as in 'camp sampler.prior=flow'")
    return load(files[0], [*settings, *own])


def list_runs(arguments: Sequence[str], kind: str | None, system: str | None, prune: bool, dry_run: bool) -> Group:
    """Stages as a table; with ``prune`` those that no sweep's table needs, which are then removed.

    Raises:
        UserError: there are none of the kind, or something is to be pruned for no table.
    """
    from prosody_tts.pipeline import VERSIONS
    from prosody_tts.report.grids import Grid, terminal
    from prosody_tts.sweeps import experiments_of, load_sweep

    sweeps, overrides = split_arguments(arguments)
    kinds = [name for name in VERSIONS if name not in ledger.NO_STAGE]
    if kind is not None and kind not in kinds:
        raise UserError(f"--kind {kind} is no kind of stage; {nearest(kind, kinds)}")
    if prune and not sweeps:
        raise UserError("--prune needs the sweeps whose tables stay; name them, such as: runs paper_tables --prune")
    if dry_run and not prune:
        raise UserError("--dry-run goes with --prune; without it nothing is removed")
    needs: dict[str, set[str]] = {}
    for sweep in sweeps:
        found = [experiment for _, experiment in experiments_of(load_sweep(sweep), overrides).values()]
        needs[sweep] = ledger.needed(found)
    everything = ledger.entries(Path(load(None, overrides).run.folder))
    chosen = [entry for entry in everything if kind in (None, entry.kind) and system in (None, entry.system)]
    if prune:
        chosen = [entry for entry in chosen if not any(entry.key in keys for keys in needs.values())]
    lines = [_line(entry, needs) for entry in chosen]
    heads = ("stage", "what", "system", "seed", "finished", "took", "size", *(("needed by",) if sweeps else ()))
    total = size_text(sum(entry.size for entry in chosen))
    notes = [f"{len(chosen)} of {len(everything)} stages, {total}"]
    if prune and not dry_run:
        removed, kept = ledger.prune(chosen)
        notes = [f"removed {len(removed)} stages, {size_text(sum(entry.size for entry in removed))}"]
        notes += [f"{entry.key} stays: another process works on it" for entry in kept]
    elif prune:
        notes = [f"would remove {len(chosen)} of {len(everything)} stages, {total}"]
    return terminal([Grid("Runs", heads, lines)], notes)


def _line(entry: Entry, needs: dict[str, set[str]]) -> tuple[str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.changed)) if entry.done else "unfinished"
    took = f"{entry.seconds:.0f} s" if entry.seconds < 600 else f"{entry.seconds / 60:.0f} min"
    seed = "—" if entry.seed is None else str(entry.seed)
    own = (entry.key, entry.label or "—", entry.system or "—", seed, when, took, size_text(entry.size))
    return (*own, *([", ".join(name for name, keys in needs.items() if entry.key in keys) or "—"] if needs else []))


def again_shown(again: Again) -> Group:
    """A stage that was done again: every figure then and now."""
    from prosody_tts.report.grids import Grid, terminal

    def shown(value: float | None) -> str:
        return "—" if value is None else repr(value)

    lines = [
        (name, shown(then), shown(now), "" if then == now else "differs") for name, (then, now) in again.metrics.items()
    ]
    apart = sum(then != now for then, now in again.metrics.values())
    notes = [f"all {len(lines)} figures agree" if again.agrees else f"{apart} of {len(lines)} figures differ"]
    if not again.key.endswith(again.identity):
        notes.append(
            f"{again.key} was made by other code (commit {again.commit}); this code makes {again.identity} of it"
        )
    notes.append(f"made again: {again.folder}")
    return terminal([Grid("Figures", ("figure", "then", "now", ""), lines)], notes)
