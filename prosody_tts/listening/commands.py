"""``prosody-tts listen …``: listening tests from the command line."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prosody_tts.command import output
from prosody_tts.errors import UserError, nearest

if TYPE_CHECKING:
    from prosody_tts.listening.exchange import Columns
    from prosody_tts.listening.screening import Check

app = typer.Typer(
    help="Listening tests with people: build, serve, analyse.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FILE]...",
        help="What listeners sent back (.json), webMUSHRA's results, or tables; none takes what --test has stored.",
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
    kind: Annotated[str, typer.Option(help="mushra, mushra_like, bs2132, mos or preference.")] = "mushra",
    systems: Annotated[
        str | None, typer.Option(help="Systems of the table, by commas; recording is the speaker (default: all).")
    ] = None,
    sentences: Annotated[int, typer.Option(min=1, help="Sentences, evenly spaced in the list of all.")] = 20,
    each: Annotated[
        int | None, typer.Option(min=1, help="Sentences that one listener hears (default: all).", show_default=False)
    ] = None,
    training: Annotated[int, typer.Option(min=0, help="Sentences more at the beginning, which do not count.")] = 1,
    checks: Annotated[int, typer.Option(min=0, help="Screens on which one version says what to give it.")] = 1,
    title: Annotated[str, typer.Option(help="What listeners read above the test.")] = "How natural does this sound?",
    question: Annotated[str | None, typer.Option(help="What every screen asks (default: the kind's).")] = None,
    instructions: Annotated[
        Path | None, typer.Option(help="File of what listeners read first (default: the kind's).", show_default=False)
    ] = None,
    consent: Annotated[
        Path | None, typer.Option(help="File of what they agree to (default: a plain one).", show_default=False)
    ] = None,
    completion: Annotated[
        str | None, typer.Option(help="Code shown to whoever has heard all, as Prolific asks for.", show_default=False)
    ] = None,
    show_text: Annotated[bool, typer.Option("--text/--no-text", help="Show listeners what is said.")] = True,
    loudness: Annotated[float, typer.Option(help="Loudness of all clips, in LUFS.")] = -23.0,
    seed: Annotated[int, typer.Option(help="Seed of the order in which listeners hear.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the test.")] = Path("listening_test"),
) -> None:
    """Make a test of a sweep's systems.

    Clips of one loudness under names that tell nothing, in groups that hear every sentence equally often. Kinds:
    mushra, beside a reference and with anchors (BS.1534-3); mushra_like, without (CAMP); bs2132, of one attribute
    without a reference; mos, 1 to 5; preference, of two systems. `serve` or `export` it, or give `public` to
    webMUSHRA, and keep `key.json`.
    """
    from prosody_tts.listening.gather import gather
    from prosody_tts.listening.kinds import KINDS
    from prosody_tts.listening.test import KEY, PUBLIC, Plan, Wording, build_test
    from prosody_tts.listening.webmushra import write_webmushra

    chosen = next((one for one in KINDS if one == kind), None)
    if chosen is None:
        raise UserError(f"--kind {kind} is unknown; {nearest(kind, KINDS)}")
    wanted = None if systems is None else [name for name in systems.split(",") if name]
    wording = Wording(title, question or "", _text(instructions), completion=completion)
    plan = Plan(
        kind=chosen,
        wording=wording if consent is None else replace(wording, consent=_text(consent)),
        each=each,
        training=training,
        checks=checks,
        loudness=loudness,
        seed=seed,
        show_text=show_text,
    )
    found = gather(arguments or (), wanted, sentences + training)
    plan = replace(plan, sample_rate=found.sample_rate, origin=found.origin)
    made = build_test(out, plan, found.clips, found.texts)
    pages = write_webmushra(made, out)
    print(f"{len(made.rated)} sentences of {len(made.systems)} systems, {len(made.groups)} groups of listeners")
    print(f"look at it: prosody-tts listen serve {out} --preview")
    if pages:
        print(f"for webMUSHRA: {out / PUBLIC} ({', '.join(path.name for path in pages[:3])}{', …' * (len(pages) > 3)})")
    print(f"for the analysis: {out / KEY}")


def _text(path: Path | None) -> str:
    """What a file says, or nothing."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}); give a file of text in UTF-8") from None


Test = Annotated[Path, typer.Argument(metavar="TEST", help="Folder that `build` made.")]


@app.command()
def serve(
    folder: Test = Path("listening_test"),
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.", show_default=True)
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    open_to_all: Annotated[bool, typer.Option("--open", help="Let people in who were not invited.")] = False,
    most: Annotated[
        int | None,
        typer.Option(min=1, help="Listeners at most, with --open (default: any number).", show_default=False),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Look at the test; nothing is stored.")] = False,
) -> None:
    """Put a test before listeners.

    Every answer is in TEST/ratings.db before its listener goes on, and stays when this is stopped, or the machine is:
    serve again, and everybody goes on where they were. Only those with a link of `listen invite` get in, unless --open.
    """
    from prosody_tts.listening.serving import Address, serve_test

    serve_test(folder, Address(host, port), open_to_all or preview, most, preview, partial(print, flush=True))


@app.command()
def invite(
    folder: Test = Path("listening_test"),
    count: Annotated[int, typer.Option(min=1, help="How many listeners.")] = 1,
    url: Annotated[str, typer.Option(help="Address at which the test is served.")] = "http://127.0.0.1:8000/",
    out: Annotated[Path | None, typer.Option(help="File of the links (default: print them).")] = None,
) -> None:
    """Make links for listeners, one each; whoever has it can go on from any browser."""
    from prosody_tts.files import write_text
    from prosody_tts.listening.storage import Store
    from prosody_tts.listening.test import ListeningTest

    if out is not None and out.exists():
        raise UserError(f"{out} is there already, and its links would be lost; give another --out")
    made = Store.of(ListeningTest.read(folder), folder).invite(count)
    lines = [f"listener {number},{url.rstrip('/')}/#{token}" for number, token in made]
    if out is None:
        print("\n".join(lines))
    else:
        write_text(out, "\n".join(["listener,link", *lines]) + "\n")
        print(f"{count} links: {out}")


@app.command()
def export(
    folder: Test = Path("listening_test"),
    listeners: Annotated[int, typer.Option(min=1, help="How many there are; each gets a number from 1 on.")] = 24,
    out: Annotated[Path, typer.Option(help="Folder that listeners get.")] = Path("listening_files"),
) -> None:
    """Write a test as files that open without a server.

    Every listener opens index.html, gives a number, and sends back the file that the page saves at the end;
    `listen analyse --test TEST ratings-*.json` reads them.
    """
    from prosody_tts.listening.static import export as write
    from prosody_tts.listening.test import ListeningTest

    write(ListeningTest.read(folder), folder, out, listeners)
    print(f"for listeners 1 to {listeners}: {out}")


@app.command()
def analyse(
    files: Files = None,
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

    checks = tuple(map(_check, check or ()))
    if test is None:
        heard = read_files(files or (), _columns(column or ()))
    else:
        from prosody_tts.listening.results import checks_of, of_test, reference_of
        from prosody_tts.listening.test import ListeningTest

        built = ListeningTest.read(test)
        heard = of_test(built, test, files or (), _columns(column or ()))
        reference = reference or reference_of(built)
        checks += checks_of(built, heard)
    question = Question(
        lower=lower,
        upper=upper,
        reference=reference,
        mid_anchor=mid_anchor,
        checks=checks,
        keep_all=keep_all,
        confidence=confidence,
    )
    found = answer(heard, question)
    command = shlex.join(["prosody-tts", *sys.argv[1:]])
    sources = ", ".join(map(str, files)) if files else f"what {test} has stored"
    origin = [("Ratings", sources), ("Code", f"commit {git_commit()}"), ("Command", command)]
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
    from prosody_tts.report.grids import Grid, terminal

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
    output().print(terminal([Grid("Listeners needed", ("sentences", "listeners"), lines)], [told]))
