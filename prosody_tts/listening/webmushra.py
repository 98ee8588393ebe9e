"""A test as webMUSHRA's configurations: one for each group of listeners, beside the clips.

webMUSHRA (Schoeffler et al. 2018, audiolabs/webMUSHRA) is not part of this project; its format is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from prosody_tts.files import write_text
from prosody_tts.listening.kinds import GRADES, Kind
from prosody_tts.listening.test import PUBLIC, RECORDING, STIMULI, Item, ListeningTest


def _clip(item: Item, system: str) -> str:
    return f"{STIMULI}/{item.codes[system]}.wav"


def _mushra(test: ListeningTest, item: Item) -> dict[str, Any]:
    rated = [name for name in item.codes if name != RECORDING]
    return {
        "type": "mushra",
        "reference": _clip(item, RECORDING),
        "createAnchor35": False,
        "createAnchor70": False,
        "randomize": True,
        "showConditionNames": False,
        "enableLooping": True,
        "showWaveform": False,
        "strict": False,
        "stimuli": {item.codes[name]: _clip(item, name) for name in rated},
    }


def _mos(test: ListeningTest, item: Item) -> dict[str, Any]:
    return {
        "type": "likert_multi_stimulus",
        "mustRate": True,
        "mustPlayback": "ended",
        "stimuli": {code: _clip(item, name) for name, code in item.codes.items()},
        "response": [{"value": 5 - place, "label": grade} for place, grade in enumerate(GRADES)],
    }


def _preference(test: ListeningTest, item: Item) -> dict[str, Any]:
    # webMUSHRA calls one of the two the reference; which of them is first is drawn by it.
    one, other = test.systems
    return {
        "type": "paired_comparison",
        "reference": _clip(item, one),
        "stimuli": {item.codes[other]: _clip(item, other)},
        "unforced": "no preference",
    }


#: Kind of a test -> the page of one sentence, for the kinds that webMUSHRA has.
PAGES: dict[Kind, Callable[[ListeningTest, Item], dict[str, Any]]] = {
    "mushra": _mushra,
    "mos": _mos,
    "preference": _preference,
}


def configuration(test: ListeningTest, group: int) -> dict[str, Any]:
    """What webMUSHRA reads, for one group of listeners."""
    items = {item.id: item for item in test.items}
    wanted = [items[name] for name in test.groups[group]]
    pages = [{"id": item.id, "name": "", "content": item.text, **PAGES[test.kind](test, item)} for item in wanted]
    return {
        "testname": test.wording.title,
        "testId": f"prosody_tts_{test.kind}_{group + 1}",
        "bufferSize": 2048,
        "stopOnErrors": True,
        "showButtonPreviousPage": True,
        "remoteService": "service/write.php",
        "pages": [
            {"type": "generic", "id": "instructions", "name": test.wording.title, "content": test.wording.instructions},
            {
                "type": "volume",
                "id": "volume",
                "name": "Loudness",
                "content": "Put on headphones, and set a loudness at which you listen well.",
                "stimulus": _clip(wanted[0], test.systems[0]),
                "defaultVolume": 0.5,
            },
            ["random", *pages],
            {
                "type": "finish",
                "name": "Thank you",
                "content": "These are all sentences. Send your ratings:",
                "showResults": False,
                "writeResults": True,
                "questionnaire": [{"type": "text", "label": "Your number or name in this study", "name": "listener"}],
            },
        ],
    }


def write_webmushra(test: ListeningTest, folder: Path) -> list[Path]:
    """Write ``public/group-N.yaml``, each atomically; return their paths: none for a kind that webMUSHRA has not."""
    found: list[Path] = []
    if test.kind not in PAGES:
        return found
    for group in range(len(test.groups)):
        path = folder / PUBLIC / f"group-{group + 1}.yaml"
        write_text(path, yaml.safe_dump(configuration(test, group), sort_keys=False, allow_unicode=True))
        found.append(path)
    return found
