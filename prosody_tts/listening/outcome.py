"""An analysis on paper: the terminal, Markdown, LaTeX, CSV, and one page that opens from disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prosody_tts.evaluation.pairs import LEVEL
from prosody_tts.evaluation.statistics import Interval
from prosody_tts.files import write_json, write_text
from prosody_tts.listening.analysis import Analysis, Standing
from prosody_tts.listening.pairwise import Difference, Test
from prosody_tts.listening.power import TYPICAL, listeners_needed
from prosody_tts.report import grids as tables
from prosody_tts.report.boxes import Box
from prosody_tts.report.boxes import boxes as draw_boxes
from prosody_tts.report.drawing import HUES, write_png
from prosody_tts.report.figures import Style, styles, svg
from prosody_tts.report.grids import Grid
from prosody_tts.report.page import safe, template
from prosody_tts.report.papers import GAP_CLOSED, MUSHRA, MUSHRA_ABLATION, PREFERENCE, Figure
from prosody_tts.report.table import p_value, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing
    from rich.console import Group

#: How many sentences the table of power has.
SENTENCES = (20, 50, 100, 200)
MEANINGS = (
    ("score", "Mean of all ratings ± half its interval; listeners and sentences are both clusters of ratings."),
    (
        "gap closed",
        "100 (S − L) / (U − L) of mean scores, from the lower bound L to the upper bound U, with Fieller's interval "
        "over listeners and sentences; beside it the percentile bootstrap that draws both.",
    ),
    (
        "p",
        "Two-sided, Holm-adjusted over all pairs: Wilcoxon's signed-rank test over ratings, as CAMP and Kathaka have "
        "it; the paired t-test over ratings; and Student's t with listeners and sentences as clusters, which alone "
        "holds for other listeners and other sentences.",
    ),
    (
        "effect",
        "Matched-pairs rank-biserial correlation: from −1, all ratings for the second, to 1, all for the first.",
    ),
)


def points(value: float) -> str:
    """A score or a difference of scores."""
    return f"{value:.1f}" if abs(value) >= 0.05 else "0.0"


def _half(interval: Interval) -> str:
    low, high = interval.ends
    return "" if low is None or high is None else f" ± {(high - low) / 2:.1f}"


def _ends(interval: Interval, form: str = "{:.1f}") -> str:
    low, high = interval.ends
    return "—" if low is None or high is None else f"[{form.format(low)}, {form.format(high)}]"


def _percents(of: Interval) -> str:
    low, high = of.ends
    return "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"


def _paper(figure: Figure | None) -> str:
    return "—" if figure is None else str(figure)


def standings(analysis: Analysis) -> Grid:
    """Systems by their scores."""
    published = {**MUSHRA_ABLATION, **MUSHRA}
    heads = ["system", "score", "median [quartiles]", "n"]
    gaps = analysis.lower is not None and analysis.upper is not None
    if gaps:
        heads += ["gap closed", "bootstrap"]
    heads += ["paper's score"] + (["paper's gap"] if gaps else [])
    lines = []
    for row in analysis.standings:
        cells = [row.system, points(row.mean) + _half(row.interval), _spread(row), str(row.n)]
        if gaps:
            cells += [percent(row.gap.value, *row.gap.interval.ends), _ends(row.bootstrap, "{:.0f}")]
        cells.append(_paper(published.get(row.system)))
        if gaps:
            cells.append(_paper(GAP_CLOSED.get(row.system)))
        lines.append(tuple(cells))
    return Grid("Scores", tuple(heads), tuple(lines))


def _spread(row: Standing) -> str:
    return f"{row.median:.0f} [{row.quartiles[0]:.0f}, {row.quartiles[1]:.0f}]"


def pairs(analysis: Analysis) -> Grid:
    """Every two systems."""
    heads = ("pair", "difference", "interval", "p, clusters", "p, Wilcoxon", "p, t", "effect", "n")
    return Grid("Pairs", heads, tuple(_pair(row) for row in analysis.pairs))


def _pair(row: Difference) -> tuple[str, ...]:
    order: tuple[Test, ...] = ("clustered", "wilcoxon", "t")
    effect = "—" if row.effect is None else f"{row.effect:.2f}"
    tested = (p_value(row.p[test]) for test in order)
    return (f"{row.one} − {row.other}", points(row.mean), _ends(row.interval), *tested, effect, str(row.n))


def readings(analysis: Analysis) -> Grid:
    """What tests say of each pair on every scale: whether a finding hangs on how listeners use the scale."""
    heads = ("pair", "as given", *analysis.readings)
    lines = []
    for place, row in enumerate(analysis.pairs):
        said = [_verdict(of[place]) for of in (analysis.pairs, *analysis.readings.values())]
        lines.append((f"{row.one} − {row.other}", *said))
    return Grid("On other scales", heads, tuple(lines))


def _verdict(row: Difference) -> str:
    p = row.p["wilcoxon"]
    if p is None:
        return "—"
    sign = "=" if p >= LEVEL else "▲" if row.mean > 0 else "▼"
    return f"{sign} {p_value(p)}"


def chosen(analysis: Analysis) -> Grid:
    """Preferences."""
    heads = ("pair", "first", "no preference", "second", "p, sign test", "p, clusters", "n", "paper: first, second")
    lines = []
    for row in analysis.preferences:
        shares = [f"{100 * share:.1f} %{_percents(of)}" for share, of in zip(row.shares, row.intervals, strict=True)]
        papers = [_paper(PREFERENCE.get(name)) for name in (row.one, row.other)]
        lines.append(
            (
                f"{row.one} | {row.other}",
                *shares,
                p_value(row.p),
                p_value(row.clustered),
                str(row.n),
                ", ".join(papers),
            )
        )
    return Grid("Preferences", heads, tuple(lines))


def needs(analysis: Analysis) -> Grid:
    """How many listeners would show a share of the gap as wide as that between these bounds."""
    means = {row.system: row.mean for row in analysis.standings}
    assert analysis.lower is not None and analysis.upper is not None
    gap = means[analysis.upper] - means[analysis.lower]
    spread = analysis.spread or TYPICAL
    heads = ("share of the gap to show", *(f"{count} sentences" for count in SENTENCES))
    lines = []
    for share in (10, 13.2, 26, 50):
        found = listeners_needed(share / 100 * gap, spread, SENTENCES)
        lines.append((f"{share:g} %", *("over 1000" if one.listeners is None else str(one.listeners) for one in found)))
    return Grid("Listeners needed (power .8, level .05)", heads, tuple(lines))


def grids(analysis: Analysis) -> list[Grid]:
    """All tables that the ratings fill."""
    found = []
    if analysis.standings:
        found += [standings(analysis), pairs(analysis), readings(analysis)]
    if analysis.preferences:
        found.append(chosen(analysis))
    if analysis.lower is not None and analysis.upper is not None and analysis.spread is not None:
        found.append(needs(analysis))
    if analysis.excluded:
        lines = tuple((one.listener, one.reason) for one in analysis.excluded)
        found.append(Grid("Listeners left out", ("listener", "reason"), lines))
    return found


def notes(analysis: Analysis) -> list[str]:
    """What the figures are of, a sentence each."""
    lines = []
    if analysis.ratings is not None:
        kept, items = len(analysis.ratings.listeners), len(analysis.ratings.items)
        lines.append(
            f"{kept} of {analysis.listeners} listeners, {items} sentences, {len(analysis.ratings.screens)} screens; "
            f"{100 * analysis.confidence:g} % intervals with listeners and sentences as clusters."
        )
    if analysis.choices:
        people = len({choice.listener for choice in analysis.choices})
        sentences = len({choice.item for choice in analysis.choices})
        lines.append(f"{len(analysis.choices)} preferences of {people} listeners on {sentences} sentences.")
    if analysis.lower is not None and analysis.upper is not None:
        lines.append(f"Gaps lie between {analysis.lower} and {analysis.upper}.")
    published = [*MUSHRA_ABLATION.values(), *MUSHRA.values(), *GAP_CLOSED.values()]
    named = {row.system for row in analysis.standings}
    shown = [*MUSHRA_ABLATION, *MUSHRA, *GAP_CLOSED]
    lines += dict.fromkeys(figure.source for name, figure in zip(shown, published, strict=True) if name in named)
    return lines


def terminal(analysis: Analysis) -> Group:
    """The tables, and what they are of."""
    return tables.terminal(grids(analysis), notes(analysis))


def boxes(analysis: Analysis, style: dict[str, Style]) -> Drawing:
    """Ratings of every system."""
    assert analysis.ratings is not None
    ratings = analysis.ratings
    found = {
        row.system: Box(ratings.scores[:, ratings.column(row.system)], row.mean, *row.interval.ends)
        for row in analysis.standings
    }
    return draw_boxes(found, style, "score")


def write_outcome(folder: Path, analysis: Analysis, title: str, origin: Sequence[tuple[str, str]]) -> None:
    """Write the tables (Markdown, LaTeX, CSV, JSON), the figure and the page; each atomically.

    Args:
        folder: made where it is missing.
        analysis: what ratings show.
        title: of the page.
        origin: lines of its end: files, command, code.
    """
    found = grids(analysis)
    meanings = [f"{name}: {meaning}" for name, meaning in MEANINGS]
    write_text(folder / "table.md", tables.markdown(found, [*notes(analysis), *meanings], titled=True))
    write_text(folder / "table.tex", tables.latex(found, notes(analysis)[:1]))
    for grid in found:
        name = grid.title.split(" (")[0].lower().replace(" ", "_")
        write_text(folder / f"{name}.csv", tables.as_csv(grid.heads, grid.lines))
    write_json(
        folder / "analysis.json",
        {
            "notes": notes(analysis),
            "tables": [{"title": grid.title, "heads": grid.heads, "lines": grid.lines} for grid in found],
            "excluded": [{"listener": one.listener, "reason": one.reason} for one in analysis.excluded],
        },
    )
    drawn = None
    if analysis.standings:
        style = styles([row.system for row in analysis.standings])
        figure = boxes(analysis, style)
        write_png(figure, folder / "boxes.png")
        drawn = safe(svg(figure, "boxes", "Ratings by system", style=style))
    page = template("listening.html").render(
        title=title,
        findings=_findings(analysis),
        facts=[("listeners", analysis.listeners - len(analysis.excluded)), ("left out", len(analysis.excluded))],
        figure=drawn,
        grids=found,
        meanings=MEANINGS,
        provenance=origin,
        notes=notes(analysis),
        hues=HUES,
    )
    write_text(folder / "index.html", page)


def _findings(analysis: Analysis) -> list[str]:
    """The widest gap that is closed, in a sentence."""
    closed = [row for row in analysis.standings if row.gap.value is not None]
    if not closed:
        return []
    best = max(closed, key=lambda row: row.gap.value or 0.0)
    share = percent(best.gap.value, *best.gap.interval.ends)
    return [f"{best.system} closes {share} of the gap between {analysis.lower} and {analysis.upper}."]
