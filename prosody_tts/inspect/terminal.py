"""The figures of a corpus, and the analysis of texts, as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_modules.text.sentence import Sentence
from prosody_tts.inspect.lexicon import in_cmudict
from prosody_tts.inspect.numbers import COMMONEST, Summary
from prosody_tts.inspect.parse import Arc
from prosody_tts.inspect.words import Entry, entries
from prosody_tts.report.table import number

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

#: Suspicious utterances and faults that the terminal names; the page has all.
SHOWN = 12


def facts(summary: Summary) -> list[tuple[str, str]]:
    """What a corpus holds, by name."""
    parts = summary.parts
    lines = [
        (
            f"{name} split",
            f"{_hours(part.hours)}, {_count(part.utterances, 'utterance')}, {_count(part.sentences, 'sentence')}",
        )
        for name, part in parts.items()
    ]
    whole = f"{_hours(sum(part.hours for part in parts.values()))}, {_count(summary.utterances, 'utterance')}"
    speakers = ", ".join(f"{name or 'unnamed'} ({count})" for name, count in list(summary.speakers.items())[:SHOWN])
    more = f" and {len(summary.speakers) - SHOWN} more" if len(summary.speakers) > SHOWN else ""
    commonest = ", ".join(f"{word} {count}" for word, count in list(summary.unknown.items())[:COMMONEST])
    spoken = sum(summary.unknown.values())
    return [
        ("whole", whole),
        *lines,
        (_count(len(summary.speakers), "speaker"), speakers + more),
        ("words", f"{summary.words}, {summary.distinct_words} distinct"),
        ("phones", f"{summary.phones}, {summary.distinct_phones} distinct"),
        ("not in CMUdict", f"{_percent(summary.unknown_share)} of words ({spoken}, {len(summary.unknown)} distinct)"),
        *([("  the commonest", commonest)] if commonest else []),
        ("aligned", f"{_percent(summary.aligned_share)} of utterances ({summary.aligned})"),
        ("suspicious", _count(len(summary.suspects), "utterance")),
        ("left out", f"{len(summary.left_out)}, {sum(item.fault.bad for item in summary.left_out)} of them faulty"),
        *((name.replace("_", " "), _commonest(values)) for name, values in summary.tags.items() if values),
        ("graph diameters", ", ".join(f"{size} edges: {count}" for size, count in summary.diameters.items())),
    ]


def summary_tables(summary: Summary) -> Group:
    """A corpus's figures as rich tables."""
    from rich.console import Group

    holds = _table(f"corpus {summary.corpus}", "what", "how much")
    for row in facts(summary):
        _add(holds, *row)
    measured = _table("measured", "what", "unit", "n", "mean", "5 %", "median", "95 %", "largest")
    for item in summary.distributions.values():
        spread = item.spread
        if spread is not None:
            values = (spread.mean, spread.p5, spread.median, spread.p95, spread.maximum)
            _add(measured, item.label, item.unit, str(spread.n), *map(number, values))
    tables = [holds, measured]
    if summary.suspects:
        tables.append(_table(_some("suspicious", len(summary.suspects)), "utterance", "why"))
        for suspect in summary.suspects[:SHOWN]:
            _add(tables[-1], suspect.id, "; ".join(suspect.reasons))
    if summary.left_out:
        tables.append(_table(_some("left out", len(summary.left_out)), "found by", "what", "why"))
        # What is faulty first: the rest was left out by a setting.
        for found in sorted(summary.left_out, key=lambda found: not found.fault.bad)[:SHOWN]:
            _add(tables[-1], found.stage, found.fault.item, found.fault.reason)
    return Group(*tables)


def text_table(sentence: Sentence, arcs: Sequence[Arc]) -> Table:
    """What the text analysis makes of a text: a row a word."""
    table = _table(sentence.text, "word", "phones", "in CMUdict", *HEADINGS[1:])
    for word, entry in zip(sentence.words, entries(sentence, arcs), strict=True):
        known = "yes" if in_cmudict(sentence.text, word) else "no"
        _add(table, entry.word, " ".join(entry.phones), known, *cells(entry)[1:])
    return table


#: Headings of ``cells``.
HEADINGS = ("word", "part of speech", "class", "compound", "punctuation after", "relation", "of")


def cells(entry: Entry) -> tuple[str, ...]:
    """A word's tags and its place in the parse, in words."""
    compound = "" if entry.compound == "none" else entry.compound
    after = "" if entry.punctuation == "none" else entry.punctuation.replace("_", " ")
    return (entry.word, entry.pos, entry.word_class, compound, after, entry.relation, entry.head)


def _commonest(values: dict[str, float]) -> str:
    return ", ".join(f"{value} {_percent(share)}" for value, share in list(values.items())[:SHOWN])


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _hours(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 1 else f"{60 * hours:.1f} min"


def _some(what: str, count: int) -> str:
    return f"{count} {what}" if count <= SHOWN else f"{count} {what}, the first {SHOWN}"


def _table(title: str, *headings: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _add(table: Table, *row: str) -> None:
    from rich.text import Text

    table.add_row(*map(Text, row))  # not markup: texts may hold brackets
