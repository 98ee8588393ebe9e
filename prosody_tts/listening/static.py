"""A test as a folder that opens from a disk: answers stay in the browser until they are sent back as a file."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prosody_tts.errors import UserError
from prosody_tts.files import read_json, write_text
from prosody_tts.listening.answers import Refused, add, answer_of
from prosody_tts.listening.browser import PAGE, TRANSPORT, asset, shown, wording
from prosody_tts.listening.exchange import Heard
from prosody_tts.listening.ordering import Screen, screens_of
from prosody_tts.listening.test import PUBLIC, STIMULI, ListeningTest


def screens_of_number(test: ListeningTest, number: int) -> list[Screen]:
    """What the listener of a number (from 1) hears: one group after the other, so that all are heard equally often."""
    ordinal, group = divmod(number - 1, len(test.groups))
    return screens_of(test, group, ordinal)


def export(test: ListeningTest, folder: Path, out: Path, listeners: int) -> None:
    """Write the folder that listeners get.

    Args:
        test: with its key, which stays behind.
        folder: of the test.
        out: the folder to write; must be empty or new.
        listeners: how many numbers there are.

    Raises:
        UserError: there is something at ``out`` already, or a clip is missing.
    """
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; give a new folder by --out")
    plans = [screens_of_number(test, number) for number in range(1, listeners + 1)]
    codes = {code for plan in plans for screen in plan for code in (*screen.codes, screen.item.reference) if code}
    for code in sorted(codes):
        clip = folder / PUBLIC / STIMULI / f"{code}.wav"
        try:
            wave = clip.read_bytes()
        except OSError as error:
            raise UserError(f"cannot read the clip {clip} ({error.strerror}); build the test again") from None
        # From a disk a page may load scripts, and nothing else.
        write_text(out / "clips" / f"{code}.js", f'clip("{code}", "{base64.b64encode(wave).decode()}");\n')
    data = {"id": test.identity, "test": wording(test), "plans": [[shown(screen) for screen in plan] for plan in plans]}
    write_text(out / TRANSPORT, f"const DATA = {_script(data)};\n{asset('static.js').decode()}")
    for name in PAGE:
        write_text(out / name, asset(name).decode())


def _script(data: Any) -> str:
    """Data as JavaScript that ends no script and no line early."""
    text = json.dumps(data, ensure_ascii=False)
    for letter in "<>\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def returned(test: ListeningTest, paths: Sequence[Path]) -> Heard:
    """The ratings, of codes, in files that listeners sent back.

    Raises:
        UserError: one cannot be read, is of another test, or was not written by the page; names it.
    """
    heard = Heard()
    seen: dict[int, Path] = {}
    for path in paths:
        try:
            data = read_json(path)
            identity, number, answers = data["test"], data["listener"], data["answers"]
            if isinstance(number, bool) or not isinstance(number, int) or number < 1 or not isinstance(answers, list):
                raise ValueError(number)
        except OSError as error:
            raise UserError(f"cannot read {path} ({error.strerror}); give a file that a listener sent back") from None
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is not what the page saves; ask its listener to send it again") from None
        if identity != test.identity:
            raise UserError(f"{path} is of another test; leave it out, or give its --test")
        if number in seen:
            raise UserError(f"{path} and {seen[number]} are both of listener {number}; leave one out")
        seen[number] = path
        screens = screens_of_number(test, number)
        for place, (screen, body) in enumerate(zip(screens, answers, strict=False)):
            try:
                answer = answer_of(test.kind, screen, body)
            except Refused as error:
                raise UserError(f"{path}, screen {place + 1}: {error}; ask its listener to send it again") from None
            add(heard, test.kind, f"listener {number}", screen, answer.scores)
    return heard
