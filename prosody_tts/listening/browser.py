"""What a listener's browser gets: the page, and the parts of a test that tell nothing of its systems."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from prosody_tts.listening.kinds import KINDS
from prosody_tts.listening.ordering import Screen
from prosody_tts.listening.test import ListeningTest

#: The page's files, whoever takes the answers.
PAGE = ("index.html", "icon.svg", "style.css", "player.js", "app.js")
#: What the page calls the file that says where answers go: ``online.js``, or ``static.js`` without a server.
TRANSPORT = "transport.js"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def asset(name: str) -> bytes:
    """A file of the page."""
    return (files("prosody_tts.listening") / "page" / name).read_bytes()


def wording(test: ListeningTest) -> dict[str, Any]:
    """What listeners read, and the scale."""
    design, said = KINDS[test.kind], test.wording
    return {
        "title": said.title,
        "question": said.question,
        "instructions": said.instructions,
        "consent": said.consent,
        "scale": design.scale,
        "grades": design.grades,
        "reference": design.reference,
    }


def shown(screen: Screen) -> dict[str, Any]:
    """A screen, by codes. That it is a check, its listener hears, and nothing else tells."""
    return {
        "training": screen.item.role == "training",
        "text": screen.item.text,
        "reference": screen.item.reference,
        "versions": list(screen.codes),
    }
