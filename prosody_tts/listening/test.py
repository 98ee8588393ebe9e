"""A listening test on disk: what is heard, by codes that tell nothing, and the key to them.

``key.json`` is for whoever analyses; listeners get the folder ``public`` alone, in which no name of a system stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import gcd
from pathlib import Path
from typing import Any, Literal

import soundfile

from prosody_tts.errors import UserError
from prosody_tts.files import atomic, read_json, write_json
from prosody_tts.listening.anchors import ANCHORS, anchor
from prosody_tts.listening.exchange import REFERENCE, Heard
from prosody_tts.listening.ratings import UNDECIDED
from prosody_tts.listening.stimuli import matched, read
from prosody_tts.report.figures import RECORDING

#: ``mushra``: after BS.1534-3, with an open and a hidden reference and anchors at 3.5 and 7 kHz; ``mos``: 1 to 5, the
#: systems of a sentence beside each other; ``preference``: two systems, or neither.
Kind = Literal["mushra", "mos", "preference"]
KINDS: tuple[Kind, ...] = ("mushra", "mos", "preference")
KEY, PUBLIC, STIMULI = "key.json", "public", "stimuli"
#: Most systems beside each other (BS.1534-3, section 5: twelve signals, the reference and two anchors among them).
MOST = 9


@dataclass(frozen=True)
class Item:
    """One sentence: its id, its text, and the code of each system's clip."""

    id: str
    text: str
    codes: dict[str, str]


@dataclass(frozen=True)
class ListeningTest:
    """A test.

    Attributes:
        kind: of the screens.
        title: shown to listeners.
        systems: rated ones, the recording among them where it is.
        items: sentences.
        groups: ids of the items that each group of listeners hears: every item in as many groups as any other.
        sample_rate: of the clips, in Hz.
        loudness: of the clips, in LUFS.
        origin: what the clips were made from, for the analysis's provenance.
    """

    kind: Kind
    title: str
    systems: tuple[str, ...]
    items: tuple[Item, ...]
    groups: tuple[tuple[str, ...], ...]
    sample_rate: int
    loudness: float
    origin: dict[str, str]

    @staticmethod
    def read(folder: Path) -> ListeningTest:
        """A test that was built.

        Raises:
            UserError: the folder holds none.
        """
        path = folder / KEY
        try:
            data = read_json(path)
            items = tuple(Item(**item) for item in data.pop("items"))
            groups = tuple(tuple(group) for group in data.pop("groups"))
            return ListeningTest(**{**data, "systems": tuple(data["systems"])}, items=items, groups=groups)
        except (OSError, TypeError, KeyError, ValueError, AttributeError):
            raise UserError(
                f"{folder} holds no listening test ({KEY}); build one with `prosody-tts listen build`"
            ) from None

    def write(self, folder: Path) -> None:
        """Write the key, atomically."""
        write_json(folder / KEY, asdict(self))

    def named(self, heard: Heard) -> Heard:
        """Ratings of codes as ratings of systems.

        Raises:
            UserError: a rating is of what is not in this test.
        """
        systems = {(item.id, code): system for item in self.items for system, code in item.codes.items()}
        # webMUSHRA's name of the hidden reference, and of the first of two.
        first = {"mushra": RECORDING, "preference": self.systems[0]}.get(self.kind)
        systems |= {(item.id, REFERENCE): first for item in self.items if first is not None}

        def name(item: str, code: str) -> str:
            if code == UNDECIDED:
                return code
            code = Path(code).stem
            if (item, code) not in systems:
                raise UserError(f"'{code}' of {item} is not in this test; give the results of this test, or no --test")
            return systems[item, code]

        return Heard(
            [replace(one, system=name(one.item, one.system)) for one in heard.scores],
            [
                replace(
                    one,
                    one=name(one.item, one.one),
                    other=name(one.item, one.other),
                    chosen=name(one.item, one.chosen),
                )
                for one in heard.choices
            ],
        )


def code_of(seed: int, item: str, system: str) -> str:
    """A name of a clip that tells nothing of its system."""
    return hashlib.sha256(f"{seed}\0{item}\0{system}".encode()).hexdigest()[:12]


def grouped(items: Sequence[str], each: int | None) -> tuple[tuple[str, ...], ...]:
    """Groups of ``each`` items, in which every item stands equally often.

    Items lie on a circle, and each group takes up where the one before ended, until it closes.
    """
    if each is None or each >= len(items):
        return (tuple(items),)
    groups = len(items) // gcd(len(items), each)
    return tuple(tuple(items[(group * each + step) % len(items)] for step in range(each)) for group in range(groups))


def build_test(
    folder: Path,
    kind: Kind,
    title: str,
    clips: Mapping[str, Mapping[str, Path]],
    texts: Mapping[str, str],
    each: int | None,
    sample_rate: int,
    loudness: float,
    seed: int,
    origin: Mapping[str, Any],
) -> ListeningTest:
    """Write clips and key.

    Args:
        folder: of the test; must not hold one.
        kind: of the screens.
        title: shown to listeners.
        clips: sentence -> system -> its recording; the same systems for each.
        texts: sentence -> what is said.
        each: sentences that one listener hears; none for all.
        sample_rate: of all clips in Hz: the systems', so that nothing but speech tells a recording from them.
        loudness: of all clips, in LUFS.
        seed: of the codes.
        origin: kept in the key.

    Raises:
        UserError: the kind and the systems do not fit, a clip cannot be used, or the folder has a test.
    """
    systems = tuple(next(iter(clips.values())))
    _check(folder, kind, systems, each, len(clips))
    items = []
    for name, of in clips.items():
        waves = {system: read(path, sample_rate) for system, path in of.items()}
        if kind == "mushra":
            waves |= {key: anchor(waves[RECORDING], cut_off, sample_rate) for key, cut_off in ANCHORS.items()}
        codes = {}
        for system, wave in matched(waves, sample_rate, loudness).items():
            codes[system] = code_of(seed, name, system)
            with atomic(folder / PUBLIC / STIMULI / f"{codes[system]}.wav") as temporary:
                soundfile.write(temporary, wave, sample_rate, format="WAV", subtype="PCM_16")
        items.append(Item(name, texts[name], codes))
    told = {key: str(value) for key, value in origin.items()}
    groups = grouped([item.id for item in items], each)
    test = ListeningTest(kind, title, systems, tuple(items), groups, sample_rate, loudness, told)
    test.write(folder)
    return test


def _check(folder: Path, kind: Kind, systems: Sequence[str], each: int | None, count: int) -> None:
    if (folder / KEY).exists():
        raise UserError(f"{folder} holds a listening test already, whose codes would change; give another --out")
    if kind == "mushra" and RECORDING not in systems:
        raise UserError(f"--kind mushra needs the reference; put {RECORDING} among --systems")
    if kind == "preference" and len(systems) != 2:
        raise UserError(f"--kind preference compares two systems, not {len(systems)}; give --systems ONE,OTHER")
    if len(systems) > MOST:
        raise UserError(
            f"{len(systems)} systems on one screen are too many to compare; give at most {MOST} by --systems"
        )
    if each is not None and each < 1:
        raise UserError(f"--each {each} gives a listener nothing to hear; give 1 to {count}")
