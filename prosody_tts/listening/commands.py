"""``prosody-tts listen …``: listening tests from the command line."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prosody_tts.command import output
from prosody_tts.errors import UserError, nearest

if TYPE_CHECKING:
    from prosody_tts.listening.exchange import Columns
    from prosody_tts.listening.screening import Check

app = typer.Typer(
    help="Build and analyse listening tests.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", help="webMUSHRA's result files, or tables with a line a rating or a line a screen."
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="What a column is called: listener=NAME, item=NAME, system=NAME, score=NAME; may be given again.",
    ),
]
Lower = Annotated[str | None, typer.Option(help="System that gaps start from (default: baseline).", show_default=False)]
Upper = Annotated[
    str | None,
    typer.Option(help="System that gaps end at (default: recording, or else reference).", show_default=False),
]


@app.command()
def build(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="SWEEP [key=value]...", help="A sweep that has been run, and settings."),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="mushra (reference and anchors, BS.1534-3), mos (1 to 5) or preference (two systems).")
    ] = "mushra",
    systems: Annotated[
        str | None, typer.Option(help="Systems of the table, by commas; recording is the speaker (default: all).")
    ] = None,
    sentences: Annotated[int, typer.Option(min=1, help="Sentences, evenly spaced in the list of all.")] = 20,
    each: Annotated[
        int | None, typer.Option(min=1, help="Sentences that one listener hears (default: all).", show_default=False)
    ] = None,
    title: Annotated[str, typer.Option(help="What listeners read above the test.")] = "How natural does this sound?",
    loudness: Annotated[float, typer.Option(help="Loudness of all clips, in LUFS.")] = -23.0,
    seed: Annotated[int, typer.Option(help="Seed of the clips' codes.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the test.")] = Path("listening_test"),
) -> None:
    """Make a test of a sweep's systems.

    Clips of one loudness under names that tell nothing, in groups that hear every sentence equally often, and a
    configuration for webMUSHRA a group. Give `public` to listeners and keep `key.json`.
    """
    from prosody_tts.listening.gather import gather
    from prosody_tts.listening.test import KEY, KINDS, PUBLIC, build_test
    from prosody_tts.listening.webmushra import write_webmushra

    if kind not in KINDS:
        raise UserError(f"--kind {kind} is unknown; {nearest(kind, KINDS)}")
    wanted = None if systems is None else [name for name in systems.split(",") if name]
    found = gather(arguments or (), wanted, sentences)
    chosen = next(one for one in KINDS if one == kind)
    made = build_test(
        out, chosen, title, found.clips, found.texts, each, found.sample_rate, loudness, seed, found.origin
    )
    pages = write_webmushra(made, out)
    print(f"{len(made.items)} sentences of {len(made.systems)} systems, {len(made.groups)} groups of listeners")
    print(
        f"for listeners: {out / PUBLIC} ({', '.join(path.name for path in pages[:3])}{', …' if len(pages) > 3 else ''})"
    )
    print(f"for the analysis: {out / KEY}")


@app.command()
def analyse(
    files: Files,
    test: Annotated[
        Path | None, typer.Option(help="Folder of the test that `build` made, whose key names the systems.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of tables, figure and page.")] = Path("listening"),
    column: Column = None,
    lower: Lower = None,
    upper: Upper = None,
    reference: Annotated[
        str | None, typer.Option(help="Hidden reference, by which listeners are screened (default: reference).")
    ] = None,
    mid_anchor: Annotated[
        str | None, typer.Option(help="7 kHz anchor, by which listeners are screened (default: anchor70).")
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(help="A screen that checks attention: ITEM:SYSTEM=LOW-HIGH, who is outside is left out."),
    ] = None,
    keep_all: Annotated[bool, typer.Option("--keep-all", help="Screen no listener out.")] = False,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Coverage of intervals.")] = 0.95,
) -> None:
    """Say what ratings show.

    Means, gaps closed, every system against every other, who was left out, and how many listeners a gap needs.
    """
    from prosody_tts.listening.analysis import Question
    from prosody_tts.listening.analysis import analyse as answer
    from prosody_tts.listening.exchange import read_files
    from prosody_tts.listening.outcome import terminal, write_outcome
    from prosody_tts.pipeline import git_commit

    heard = read_files(files, _columns(column or ()))
    if test is not None:
        from prosody_tts.listening.test import RECORDING, ListeningTest

        built = ListeningTest.read(test)
        heard = built.named(heard)
        reference = reference or (RECORDING if built.kind == "mushra" else None)
    question = Question(
        lower=lower,
        upper=upper,
        reference=reference,
        mid_anchor=mid_anchor,
        checks=tuple(map(_check, check or ())),
        keep_all=keep_all,
        confidence=confidence,
    )
    found = answer(heard, question)
    command = shlex.join(["prosody-tts", *sys.argv[1:]])
    origin = [("Files", ", ".join(map(str, files))), ("Code", f"commit {git_commit()}"), ("Command", command)]
    write_outcome(out, found, "What listeners rated", origin)
    output().print(terminal(found))
    print(f"page: {out / 'index.html'}")


def _columns(given: Sequence[str]) -> Columns:
    """The names of columns that ``key=value`` options give."""
    from prosody_tts.listening.exchange import Columns

    known = [field.name for field in fields(Columns) if field.name != "systems"]
    named: dict[str, Any] = {}
    for option in given:
        key, equals, value = option.partition("=")
        if not equals or key not in known:
            raise UserError(f"--column {option} is of no column that is asked for; {nearest(key, known)}")
        named[key] = value
    return replace(Columns(), **named)


def _check(option: str) -> Check:
    """``ITEM:SYSTEM=LOW-HIGH``."""
    from prosody_tts.listening.screening import Check

    found = re.fullmatch(r"(.+):([^:=]+)=(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", option)
    if found is None:
        raise UserError(f"--check {option} is not of the form ITEM:SYSTEM=LOW-HIGH, such as check1:recording=90-100")
    item, system, low, high = found.groups()
    return Check(item, system, float(low), float(high))


@app.command()
def need(
    gap: Annotated[float, typer.Option(min=0.1, help="Points from the lower bound to the upper.")] = 14.6,
    share: Annotated[float, typer.Option(min=0.1, max=100.0, help="Share of it to be shown, in per cent.")] = 26.0,
    each: Annotated[
        int | None, typer.Option(min=2, help="Sentences that one listener rates (default: all).", show_default=False)
    ] = None,
    power: Annotated[float, typer.Option(min=0.05, max=0.999, help="Probability of showing it.")] = 0.8,
    pilot: Annotated[
        list[Path] | None, typer.Option(help="Ratings of an earlier test, which say how listeners vary.")
    ] = None,
    column: Column = None,
    lower: Lower = None,
    upper: Upper = None,
) -> None:
    """Say how many listeners and sentences a test needs.

    For a share of a gap to be shown by a test at the .05 level. Without an earlier test, listeners vary as CAMP's did.
    """
    from prosody_tts.listening.exchange import read_files
    from prosody_tts.listening.power import TYPICAL, components, listeners_needed
    from prosody_tts.listening.ratings import Ratings
    from prosody_tts.report.table import terminal_grid

    spread, source = TYPICAL, "variances with which CAMP's published interval comes about"
    if pilot:
        ratings = Ratings.of(read_files(pilot, _columns(column or ())).scores)
        spread = components(ratings, lower or "baseline", upper or "recording")
        source = f"variances of {', '.join(map(str, pilot))}"
    sentences = (10, 20, 30, 50, 75, 100, 150, 200)
    found = listeners_needed(share / 100 * gap, spread, sentences, each, power)
    lines = [(str(one.items), "over 1000" if one.listeners is None else str(one.listeners)) for one in found]
    told = (
        f"{share:g} % of {gap:g} points, power {power:g}, level .05; {source}: between listeners "
        f"{spread.listeners:.1f}, between sentences {spread.items:.1f}, of ratings {spread.rest:.0f} squared points."
    )
    output().print(terminal_grid(("sentences", "listeners"), lines, [told]))
