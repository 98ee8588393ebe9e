"""Tables of text, whatever they are of: for the terminal, as Markdown, as LaTeX, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prosody_tts.files import write_text

if TYPE_CHECKING:
    from rich.console import Group


@dataclass(frozen=True)
class Grid:
    """A table of text.

    Attributes:
        title: of it.
        heads: of its columns.
        lines: its cells, the first of each line to the left.
        notes: how to read it, a sentence each.
    """

    title: str
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def terminal(grids: Sequence[Grid], notes: Sequence[str] = ()) -> Group:
    """A rich renderable: tables, each after the first below its title, then their notes and others, dim."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = []
    for place, grid in enumerate(grids):
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", title=grid.title if place else None)
        shown.title_justify, shown.title_style = "left", "italic"
        for index, head in enumerate(grid.heads):
            shown.add_column(Text(head), justify="left" if index == 0 else "right", no_wrap=index == 0)
        for line in grid.lines:
            shown.add_row(*map(Text, line))
        parts.append(shown)
    told = [*(note for grid in grids for note in grid.notes), *notes]
    return Group(*parts, *(Text(line, style="dim") for line in told))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def markdown_lines(grid: Grid) -> list[str]:
    """A table's lines, without title and notes."""
    rows = [grid.heads, ["---"] + ["---:"] * (len(grid.heads) - 1), *grid.lines]
    return ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows]


def markdown(grids: Sequence[Grid], notes: Sequence[str] = (), titled: bool = False) -> str:
    """Tables one below the other, each with its notes; the first without its title unless it is ``titled``."""
    lines: list[str] = []
    for place, grid in enumerate(grids):
        lines += [f"## {grid.title}", ""] if place or titled else []
        lines += [*markdown_lines(grid), ""]
        lines += [*(f"- {_escaped(note)}" for note in grid.notes), *([""] if grid.notes else [])]
    lines += [f"- {_escaped(note)}" for note in notes]
    return "\n".join(lines).rstrip() + "\n"


#: Characters that LaTeX takes for its own, or has not, and what is written for them.
_TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "—": "---",
    "|": r"$|$",
    "<": "$<$",
    "×": r"$\times$",
    "²": "$^2$",
    "Δ": r"$\Delta$",
    "≥": r"$\geq$",
    "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "→": r"$\rightarrow$",
    "\u00a0": "~",
    "\u202f": "~",
}


def tex(text: str) -> str:
    """Text as LaTeX."""
    return "".join(_TEX.get(character, character) for character in text)


def latex(grids: Sequence[Grid], notes: Sequence[str] = ()) -> str:
    """Every table as one of booktabs (and amssymb's arrows), its notes and others in its caption."""
    return "\n".join(_latex(grid, notes) for grid in grids)


def _latex(grid: Grid, notes: Sequence[str]) -> str:
    caption = " ".join(tex(text) for text in (f"{grid.title}.", *grid.notes, *notes))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(grid.heads) - 1)}}}",
            r"\toprule",
            " & ".join(map(tex, grid.heads)) + r" \\",
            r"\midrule",
            *(" & ".join(map(tex, line)) + r" \\" for line in grid.lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def as_csv(heads: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """Cells as CSV; nothing for None."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([heads, *lines])
    return stream.getvalue()


def write_tables(
    folder: Path, grids: Sequence[Grid], rows: Sequence[Mapping[str, Any]], printed: Sequence[Grid] | None = None
) -> None:
    """Write ``table.md``, ``table.tex`` and, of plain rows with the numbers as they are, ``table.csv``; atomically.

    Args:
        folder: of the report.
        grids: every table.
        rows: what they are made of, all with the same keys.
        printed: those that a paper would print; none for all.
    """
    write_text(folder / "table.md", markdown(grids))
    write_text(folder / "table.tex", latex(grids if printed is None else printed))
    heads = list(rows[0]) if rows else []
    write_text(folder / "table.csv", as_csv(heads, [[row[name] for name in heads] for row in rows]))
