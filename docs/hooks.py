"""What mkdocs asks while it builds: the tables of settings and verbs, written from the program itself."""

from __future__ import annotations

import html
from itertools import groupby
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from prosody_tts.cli import app
from prosody_tts.settings import Setting, settings

#: Columns of a verb's help.
WIDTH = 96


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what is written for a page where the page asks for it."""
    for mark, write in {"<!-- settings -->": settings_tables, "<!-- verbs -->": verbs_help}.items():
        if mark in markdown:
            markdown = markdown.replace(mark, write())
    return markdown


def settings_tables() -> str:
    """A table of settings for every group of them."""
    parts = []
    for group, members in groupby(settings(), key=lambda setting: setting.name.rpartition(".")[0]):
        lines = [f"## {group or 'An experiment'}", "", "| setting | default | meaning |", "|---|---|---|"]
        parts.append("\n".join([*lines, *map(_row, members), ""]))
    return "\n".join(parts)


def _row(setting: Setting) -> str:
    chosen = f" One of: {', '.join(f'`{choice}`' for choice in setting.choices)}." if setting.choices else ""
    text = html.escape(setting.help, quote=False).replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")
    return f"| `{setting.name}` | `{setting.default}` | {text}{chosen} |"


def verbs_help() -> str:
    """The help of every verb, and of the verbs of `listen`."""
    return "\n".join(f"## {' '.join(path)}\n\n```text\n{help_of(path)}\n```\n" for path in verbs())


def verbs() -> list[list[str]]:
    """Every verb as one writes it: a name, or two."""
    return _below(get_command(app), [])


def _below(command: Any, path: list[str]) -> list[list[str]]:
    found = [path] if path else []
    for name, member in getattr(command, "commands", {}).items():
        found += _below(member, [*path, name])
    return found


def help_of(path: list[str]) -> str:
    """What a verb says with ``--help``."""
    terminal = {"COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH)}
    asked = CliRunner().invoke(app, [*path, "--help"], prog_name="prosody-tts", env=terminal, terminal_width=WIDTH)
    if asked.exit_code != 0:
        raise RuntimeError(f"prosody-tts {' '.join(path)} --help failed: {asked.output}")
    return asked.output.strip()
