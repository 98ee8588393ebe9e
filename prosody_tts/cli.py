"""The command line: ``prosody-tts VERB [FILE] [key=value …] [--option …]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from data_modules.corpora import CORPORA
from prosody_tts.command import (
    FAILED,
    INTERRUPTED,
    MISTAKE,
    OK,
    PROGRAM,
    complain,
    conclude,
    guarded,
    one_file,
    output,
    split_arguments,
)
from prosody_tts.config import Experiment, load
from prosody_tts.errors import UserError, nearest
from prosody_tts.listening.commands import app as listen

if TYPE_CHECKING:
    from data_modules.store import FeatureStore
    from prosody_tts.sweeping import Sweeping

PAPER_TABLES = "paper_tables"
EXAMPLES = """
Examples:

  prosody-tts inspect testbed --utterance train-0000

  prosody-tts train camp size=smoke

  prosody-tts synthesize camp --text "The red boat came home." --out out

  prosody-tts synthesize camp --text "The red boat came home." --pace 0.9 --word 2:pitch=+3st,pause=300ms --picture

  prosody-tts sweep sweeps/controls.yaml --workers 2 --dry-run

  prosody-tts reproduce corpus=folder corpus_path=my_corpus

FILE is an experiment in experiments/ (its bare name is enough), or a sweep in sweeps/. Every argument with an '=' is a
setting; `prosody-tts settings` lists them. Asking again goes on where it stopped.
"""

app = typer.Typer(
    name=PROGRAM,
    help="Two-stage prosody modelling for speech synthesis: train systems, compare ablations, reproduce tables.",
    epilog=EXAMPLES,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

app.add_typer(listen, name="listen")

Arguments = Annotated[
    list[str] | None, typer.Argument(metavar="[FILE] [key=value]...", help="Experiment or sweep, and settings.")
]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Processes (default: run.workers); 0 works in this one.", show_default=False)
]
Seed = Annotated[int, typer.Option(help="Seed of the points of a random sweep.")]


@app.command()
def prepare(
    arguments: Arguments = None,
    workers: Workers = None,
    textgrids: Annotated[
        Path | None, typer.Option(help="Write the alignment of every utterance to this folder, for Praat.")
    ] = None,
    shar: Annotated[
        Path | None, typer.Option(help="Write the usable utterances to this new folder, for corpus=shar and lhotse.")
    ] = None,
) -> None:
    """Build a corpus and its features.

    Aligns it where need be, and reports what was left out.
    """
    # No system has a say in the features, so none need be named.
    experiment = _experiment(arguments, "baseline")
    if textgrids is not None and experiment.vectors == "labels":
        raise UserError(f"corpus={experiment.corpus} has labels and no recordings to align; leave out --textgrids")
    if shar is not None and experiment.vectors == "labels":
        raise UserError(f"corpus={experiment.corpus} has labels and no recordings; leave out --shar")
    _run(experiment, workers, PREPARATION)
    _print_corpus(experiment)
    if textgrids is not None:
        _write_textgrids(experiment, textgrids)
    if shar is not None:
        from data_modules.corpora.contract import silent
        from data_modules.corpora.shar_writer import write_shar

        print(f"{write_shar(_prepared(experiment), shar, silent)} utterances: {shar}")


@app.command()
def inspect(
    corpus: Annotated[
        list[str] | None, typer.Argument(metavar="[CORPUS] [key=value]...", help="Name of a corpus, and settings.")
    ] = None,
    utterance: Annotated[list[str] | None, typer.Option(help="Draw this utterance; may be given again.")] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="Analyse this text, without audio; may be given again.")
    ] = None,
    workers: Workers = None,
) -> None:
    """Look at a corpus, an utterance or a text.

    Prepares the corpus first if need be; a text needs none.
    """
    experiment = _corpus_experiment(corpus)
    if text and utterance:
        raise UserError("give --utterance or --text, not both")
    from prosody_tts.inspect import build

    if text:
        for shown in build.inspect_texts(experiment, text):
            output().print(shown)
        return
    _run(experiment, workers, PREPARATION)
    if utterance:
        for drawn in build.inspect_utterances(experiment, utterance):
            print(f"picture: {drawn.picture}\npage: {drawn.page}")
        return
    tables, page = build.inspect_corpus(experiment)
    output().print(tables)
    print(f"page: {page}")


@app.command()
def train(arguments: Arguments = None, workers: Workers = None) -> None:
    """Train the stages of one system."""
    experiment = _experiment(arguments)
    _run(experiment, workers, TRAINING)
    from prosody_tts.pipeline import folder, plan

    for stage in plan(experiment):
        if stage.kind in TRAINED:
            print(f"{stage.label}: {folder(stage)}")


@app.command()
def synthesize(
    arguments: Arguments = None,
    text: Annotated[list[str] | None, typer.Option(help="A text to speak; may be given again.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file of texts, one a line, or of one SSML document.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the recordings.")] = Path("out"),
    samples: Annotated[int, typer.Option(min=1, help="Recordings of each text; see synthesis.temperature.")] = 1,
    best: Annotated[
        int,
        typer.Option(min=1, help="Draw so many of each sentence and speak the likeliest, or the likeliest samples."),
    ] = 1,
    keep: Annotated[
        str | None,
        typer.Option(
            help="Words that keep their vectors, as in 2,5-7, while the others are drawn given them: those of "
            "--reference, or else of temperature 0.",
            show_default=False,
        ),
    ] = None,
    pace: Annotated[str | None, typer.Option(help="Factor of speed, as in 0.9 or 90%.", show_default=False)] = None,
    pitch: Annotated[str | None, typer.Option(help="Shift of F0, as in +2st or -10%.", show_default=False)] = None,
    pitch_range: Annotated[
        str | None, typer.Option(help="Factor of F0's excursions, as in 1.3; 0 is monotone.", show_default=False)
    ] = None,
    energy: Annotated[str | None, typer.Option(help="Change of level, as in +3dB.", show_default=False)] = None,
    word: Annotated[
        list[str] | None,
        typer.Option(
            help="Control words by number, as in 3:pace=0.8,pitch=+2st or 2-4:pause=300ms; may be given again."
        ),
    ] = None,
    phones: Annotated[
        list[str] | None,
        typer.Option(help="Phones of a text as --print-phones writes them; given again for each text."),
    ] = None,
    print_phones: Annotated[
        bool, typer.Option("--print-phones", help="Show the words' numbers and phones; speak nothing.")
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Copy the prosody of this recording: a file, or an utterance of the corpus.", show_default=False
        ),
    ] = None,
    reference_text: Annotated[
        str | None, typer.Option(help="What it says, if not the text to speak.", show_default=False)
    ] = None,
    textgrid: Annotated[
        Path | None, typer.Option(help="Times of its words and phones, instead of an aligner's.", show_default=False)
    ] = None,
    ssml: Annotated[bool, typer.Option("--ssml", help="Take texts as SSML even if they begin otherwise.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Write words, phones, times, F0 and energy beside.")] = False,
    picture: Annotated[bool, typer.Option("--picture", help="Draw mel, F0 and words beside.")] = False,
    workers: Workers = None,
) -> None:
    """Speak text with a system.

    Trains it first if need be; reads stdin where there is no --text or --file.
    """
    from prosody_tts.pipeline import check_speaks_text
    from prosody_tts.speaking.controls import read_control, read_span, read_words

    experiment = _experiment(arguments)
    kept = () if keep is None else read_words(keep)
    control, spans = read_control(pace, pitch, pitch_range, energy), tuple(map(read_span, word or ()))
    if reference is None and (reference_text is not None or textgrid is not None):
        raise UserError("--reference-text and --textgrid tell of a recording; name it with --reference")
    # What can be refused is refused before hours of training, not after.
    if reference is None and not print_phones:
        check_speaks_text(experiment)
    texts = _texts(text, file, ssml)
    if phones and len(phones) != len(texts):
        raise UserError(f"there are {len(texts)} texts and phones of {len(phones)}; give --phones once for each text")
    from data_modules.text.analysis import TextAnalyser
    from prosody_tts.speaking.drawing import Drawing, check_drawing
    from prosody_tts.speaking.reference import Reference, check_reference, check_utterance
    from prosody_tts.speaking.system import Request, read_request, synthesize

    drawing = Drawing(tuple(range(samples)), experiment.synthesis.temperature, best)
    check_drawing(experiment, drawing, bool(kept), reference is not None)
    copied = None if reference is None else Reference(reference, reference_text, textgrid)
    if copied is not None:
        check_reference(copied, experiment)
        if not kept:
            experiment = replace(experiment, vectors="recording")  # stage two has no say
    given: Sequence[str | None] = phones or [None] * len(texts)
    requests = [Request(one, control, spans, line, copied, ssml, kept) for one, line in zip(texts, given, strict=True)]
    analyser = TextAnalyser(experiment)
    scripts = [read_request(request, experiment, analyser) for request in requests]
    if print_phones:
        for script in scripts:
            print(script.phones)
        return
    if copied is not None:
        _run(experiment, workers, PREPARATION)
        check_utterance(copied, experiment, scripts)
    _run(experiment, workers, TRAINING)
    for path in synthesize(experiment, requests, out, samples, json, picture, scripts, analyser, best):
        print(path)


@app.command()
def evaluate(arguments: Arguments = None, workers: Workers = None) -> None:
    """Measure one system on held-out sentences.

    Trains what is missing.
    """
    experiment = _experiment(arguments)
    _run(experiment, workers)
    _print_metrics(experiment)


@app.command()
def probe(arguments: Arguments = None, workers: Workers = None) -> None:
    """Ask what a system's word vectors carry.

    Reads phones, F0, energy and duration from them, and swaps them between renditions. Trains stage one if need be.
    """
    experiment = _experiment(arguments)
    from prosody_tts.report.probes import build, check_probes

    check_probes(experiment)
    _run(experiment, workers, PREPARATION | {"acoustic"})
    from data_modules.corpora.contract import silent

    shown, folder = build(experiment, silent)
    output().print(shown)
    for path in sorted(folder.glob("*.*")):
        print(path)


@app.command()
def sweep(
    arguments: Arguments = None,
    workers: Workers = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show points and stages; run nothing.")] = False,
    seed: Seed = 0,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND/IDENTITY", help="Run just this stage, without a table; may be given again."),
    ] = None,
    slurm: Annotated[
        Path | None,
        typer.Option(
            help="Write Slurm scripts to this folder and run nothing; submit.sh submits them. Partition, account and "
            "time limit come from SBATCH_PARTITION, SBATCH_ACCOUNT and SBATCH_TIMELIMIT.",
            show_default=False,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run the stages on a Ray cluster that has prosody_tts and run.folder: HOST:PORT, auto, or local.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a W&B sweep file without a server.

    Trains each shared stage once, and makes the table of the points.
    """
    from prosody_tts.sweeping import Sweeping

    sweeping = Sweeping(arguments, None, seed)
    if only or slurm is not None or ray is not None:
        _sweep_in_parts(sweeping, workers, dry_run, only or (), slurm, ray)
    else:
        _sweep(sweeping, workers, dry_run)


@app.command()
def reproduce(
    arguments: Arguments = None,
    workers: Workers = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show points and stages; run nothing.")] = False,
) -> None:
    """Reproduce the papers' tables.

    From the corpus to the numbers; FILE is sweeps/paper_tables.yaml unless given.
    """
    from prosody_tts.sweeping import REPORT, Sweeping

    _sweep(Sweeping(arguments, PAPER_TABLES, 0), workers, dry_run, REPORT)


@app.command()
def table(arguments: Arguments = None, seed: Seed = 0) -> None:
    """Show a sweep's table of what is finished.

    Writes its page too; FILE is sweeps/paper_tables.yaml unless given.
    """
    from prosody_tts.sweeping import Sweeping

    Sweeping(arguments, PAPER_TABLES, seed).table()


@app.command()
def compare(
    one: Annotated[str, typer.Argument(help="An experiment, with settings of its own: 'camp sampler.prior=flow'.")],
    other: Annotated[str, typer.Argument(help="Another, likewise.")],
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="Settings of both.")] = None,
) -> None:
    """Compare two systems that have been evaluated.

    The settings that differ, every metric with its paired interval over sentences, and a page to hear them side by
    side.
    """
    from prosody_tts.comparing import compare_pair

    shown, page = compare_pair(one, other, arguments or ())
    output().print(shown)
    print(f"page: {page}")


@app.command()
def runs(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SWEEP]... [key=value]...", help="Sweeps whose tables need what they need."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only stages of a kind.", show_default=False)] = None,
    system: Annotated[str | None, typer.Option(help="Only stages first made for a system.", show_default=False)] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what no table of the SWEEPs needs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --prune: only say what would go.")] = False,
) -> None:
    """List the finished stages in run.folder.

    With disk use and time; with SWEEPs, who is needed for their tables.
    """
    from prosody_tts.comparing import list_runs

    output().print(list_runs(arguments or (), kind, system, prune, dry_run))


@app.command()
def rerun(
    folder: Annotated[Path, typer.Argument(help="A finished stage, RUNS/KIND/IDENTITY.")],
    out: Annotated[Path, typer.Option(help="Folder of runs to do it in.")] = Path("reruns"),
) -> None:
    """Do a finished stage again and say whether its figures agree.

    By what its folder says of itself, from the same inputs.
    """
    from data_modules.corpora.contract import silent
    from prosody_tts.comparing import again_shown
    from prosody_tts.rerunning import rerun as do_again

    again = do_again(folder, out, silent)
    output().print(again_shown(again))
    _check(OK if again.agrees else FAILED)


@app.command()
def settings(
    containing: Annotated[str, typer.Argument(help="Only settings whose names contain this.", show_default=False)] = "",
) -> None:
    """List all settings and what they mean."""
    from prosody_tts.settings import settings as all_settings

    found = [setting for setting in all_settings() if containing in setting.name]
    if not found:
        raise UserError(f"no setting contains '{containing}'; {nearest(containing, (s.name for s in all_settings()))}")
    shown = Table("setting", "default", "meaning", box=None, pad_edge=False)
    for setting in found:
        choices = f" One of: {', '.join(setting.choices)}." if setting.choices else ""
        shown.add_row(setting.name, setting.default, setting.help + choices)
    output().print(shown, markup=False, highlight=False)


@app.command()
def parameters(arguments: Arguments = None) -> None:
    """Count a system's parameters, module by module.

    FILE is experiments/camp.yaml unless given; nothing is built but the models.
    """
    from prosody_tts.parameters import PUBLISHED, count

    experiment = _experiment(arguments, "camp")
    counts = count(experiment)
    shown = Table("stage", "module", box=None, pad_edge=False)
    shown.add_column("parameters", justify="right")
    for item in counts:
        shown.add_row(item.stage, item.module, f"{item.parameters:,}")
    shown.add_row("", "all", f"{sum(item.parameters for item in counts):,}")
    output().print(shown, highlight=False)
    if experiment.size == "paper" and experiment.system in PUBLISHED:
        millions, where = PUBLISHED[experiment.system]
        print(f"published: {millions} million ({where})")


# What the verbs share ----------------------------------------------------------------------------------------------

PREPARATION = frozenset({"corpus", "text", "labels", "audio", "aligner", "alignment"})
TRAINED = frozenset({"acoustic", "sampler", "duration", "vocoder", "tokenizer", "language", "recogniser"})
TRAINING = PREPARATION | TRAINED | {"speech"}
#: Utterances left out that ``prepare`` lists.
LISTED = 100


class _Failed(Exception):
    """Stages failed, which has been told; carries the exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _experiment(arguments: Sequence[str] | None, default: str | None = None) -> Experiment:
    files, overrides = split_arguments(arguments or ())
    return load(one_file(files, default), overrides)


def _corpus_experiment(arguments: Sequence[str] | None) -> Experiment:
    """The settings of a corpus named by itself or by ``corpus=NAME``; no system has a say in it."""
    names, overrides = split_arguments(arguments or ())
    if len(names) > 1:
        raise UserError(f"give one corpus, not {len(names)} ({', '.join(names)}); an utterance is given by --utterance")
    if names and names[0] not in CORPORA:
        raise UserError(f"there is no corpus '{names[0]}'; {nearest(names[0], CORPORA)}")
    return load("baseline", [*(f"corpus={name}" for name in names), *overrides])


def _run(experiment: Experiment, workers: int | None, kinds: frozenset[str] | None = None) -> None:
    """Run a system's stages, or those of some kinds."""
    from prosody_tts.pipeline import plan, training_warnings
    from prosody_tts.schedule import run_all

    run = experiment.run
    stages = [stage for stage in plan(experiment) if kinds is None or stage.kind in kinds]
    _check(conclude(run_all(stages, run.workers if workers is None else workers, run.threads, progress=run.progress)))
    if any(stage.kind in {"acoustic", "sampler"} for stage in stages):
        for warning in training_warnings(experiment):
            print(f"warning: {warning}", file=sys.stderr)


def _check(status: int) -> None:
    if status != OK:
        raise _Failed(status)


def _sweep(sweeping: Sweeping, workers: int | None, dry_run: bool, place: str | None = None) -> None:
    """Run a sweep, or say what that would do."""
    if dry_run:
        sweeping.foretell(workers)
    else:
        _check(sweeping.run(workers, place))


def _sweep_in_parts(
    sweeping: Sweeping, workers: int | None, dry_run: bool, only: Sequence[str], slurm: Path | None, ray: str | None
) -> None:
    """Run some of a sweep's stages, or have all of them run by other machines."""
    from prosody_tts.clusters import commands

    commands.check_alone({"--dry-run": dry_run, "--only": only, "--slurm": slurm, "--ray": ray})
    if slurm is not None:
        print(commands.write_slurm(sweeping, slurm))
    elif ray is None:
        _check(conclude(commands.run_only(sweeping, only, workers)))
    else:
        _check(sweeping.conclude(commands.run_ray(sweeping, ray)))


def _print_corpus(experiment: Experiment) -> None:
    """Print what preparing made of the corpus, and the utterances left out."""
    from prosody_tts.inspect.build import left_out
    from prosody_tts.pipeline import folder, plan, read_result

    faults = left_out(experiment)
    warnings: list[str] = []
    made = Table("stage", "result", title=f"corpus {experiment.corpus}")
    for stage in plan(experiment):
        if stage.kind not in PREPARATION:
            continue
        metrics = read_result(stage)["metrics"]
        if (warning := metrics.pop("warning", None)) is not None:
            warnings.append(warning)
        made.add_row(stage.label, ", ".join(f"{name} {_number(value)}" for name, value in metrics.items()))
    output().print(made)
    _print_alignment(experiment)
    for warning in warnings:
        print(f"warning: {warning}")
    if faults:
        shown = Table("found by", "left out", "reason", title=f"{len(faults)} left out")
        for item in faults[:LISTED]:
            shown.add_row(item.stage, Text(item.fault.item), Text(item.fault.reason))
        output().print(shown)
        if len(faults) > LISTED:
            print(f"and {len(faults) - LISTED} more, in the faults.json of {folder(plan(experiment)[0])}")
    else:
        print("nothing was left out")


def _print_alignment(experiment: Experiment) -> None:
    """Print a line about how the alignment looks, where there is one."""
    from data_modules.alignment.report import read_suspicious, summary
    from prosody_tts.pipeline import folder, is_done, plan, read_result

    for stage in plan(experiment):
        if stage.kind == "alignment" and is_done(stage):
            print(summary(read_result(stage)["metrics"], read_suspicious(folder(stage))))


def _prepared(experiment: Experiment) -> FeatureStore:
    """The features of a prepared corpus of recordings."""
    from data_modules.store import FeatureStore
    from prosody_tts.pipeline import folder, plan

    at = {stage.kind: folder(stage) for stage in plan(experiment) if stage.kind in PREPARATION}
    return FeatureStore(at["corpus"], at["text"], at["audio"], at["alignment"] / "durations.json")


def _write_textgrids(experiment: Experiment, out: Path) -> None:
    """Write every utterance's alignment as a TextGrid."""
    from data_modules.alignment.export import write_textgrids

    try:
        count = write_textgrids(_prepared(experiment), out, experiment.audio)
    except OSError as error:
        raise UserError(f"cannot write TextGrids to {out}: {error.strerror or error}; give another folder") from None
    print(f"{count} TextGrids: {out}")


def _print_metrics(experiment: Experiment) -> None:
    from prosody_tts.pipeline import folder, plan, read_result

    stage = plan(experiment)[-1]
    shown = Table("metric", "value", title=f"{experiment.system} on {experiment.corpus}")
    for name, value in read_result(stage)["metrics"].items():
        shown.add_row(name, _number(value))
    output().print(shown)
    print(folder(stage))


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _texts(given: Sequence[str] | None, file: Path | None, ssml: bool = False) -> list[str]:
    """What to speak: --text, --file, or stdin, a text a line; an SSML document is one. Blank lines are no texts."""
    texts = list(given or ())
    try:
        if file is not None:
            texts += _lines(file.read_text(encoding="utf-8"), ssml)
        elif not texts:
            texts = _lines(sys.stdin.read(), ssml)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the text {file or 'on stdin'}: {error}") from None
    texts = [text.strip() for text in texts if text.strip()]
    if not texts:
        raise UserError("there is no text to speak; give --text 'A sentence.', --file FILE, or lines on stdin")
    return texts


def _lines(content: str, ssml: bool) -> list[str]:
    from prosody_tts.speaking.ssml import is_ssml

    return [content] if ssml or is_ssml(content) else content.splitlines()


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 failure, 2 the user's mistake, 130 stopped."""
    return guarded(lambda: _dispatch(sys.argv[1:] if arguments is None else list(arguments)))


def _dispatch(arguments: list[str]) -> int:
    from typer.exceptions import Abort, TyperException

    verbs = {command.callback.__name__ for command in app.registered_commands if command.callback is not None}
    verbs |= {group.name for group in app.registered_groups if group.name is not None}
    if arguments and not arguments[0].startswith("-") and arguments[0] not in verbs:
        raise UserError(f"unknown verb '{arguments[0]}'; {nearest(arguments[0], verbs)}")
    try:
        status = int(app(arguments or ["--help"], prog_name=PROGRAM, standalone_mode=False) or OK)
    except TyperException as error:
        complain(" ".join(error.format_message().split()))
        return MISTAKE
    except _Failed as failed:
        return failed.status
    except Abort:
        status = INTERRUPTED
    if status == INTERRUPTED:  # typer has caught the interrupt
        raise KeyboardInterrupt
    return status


def main() -> None:
    """Entry point of ``prosody-tts``."""
    sys.exit(run())


if __name__ == "__main__":
    main()
