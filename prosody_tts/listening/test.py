"""A listening test on disk: what is heard, by codes that tell nothing, and the key to them.

``key.json`` is for whoever analyses; listeners get the folder ``public`` alone, in which no name of a system stands.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import gcd
from pathlib import Path
from typing import Any, Literal

import soundfile

from prosody_tts.errors import UserError
from prosody_tts.evaluation.measure import Floats
from prosody_tts.evaluation.names import RECORDING
from prosody_tts.files import atomic, digest, read_json, write_json
from prosody_tts.listening.anchors import ANCHORS, anchor
from prosody_tts.listening.exchange import REFERENCE, Heard
from prosody_tts.listening.instructions import asked_of, spoken
from prosody_tts.listening.kinds import KINDS, Design, Kind
from prosody_tts.listening.ratings import UNDECIDED
from prosody_tts.listening.screening import Check
from prosody_tts.listening.stimuli import matched, read
from prosody_tts.typed import conforms

KEY, PUBLIC, STIMULI = "key.json", "public", "stimuli"
#: What a code looks like: it names a file, and must name none elsewhere.
CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: Among the versions of a screen that checks attention, the one that says what to give it.
CHECK = "check"

#: ``rated`` items count; ``training`` ones come first and do not; a ``check`` says aloud what it wants to be given.
Role = Literal["rated", "training", "check"]
CONSENT = (
    "You take part voluntarily and may stop at any time by closing this page. What is stored are your answers, how "
    "long they took, and the number or name under which you were invited. They are used for research on synthetic "
    "speech."
)


@dataclass(frozen=True)
class Item:
    """One sentence.

    Attributes:
        id: of the sentence.
        text: of it; a listener reads it, unless it is empty.
        codes: system -> the code of its clip.
        reference: code of the open reference's clip, which is not the hidden one's.
        role: what its ratings are for.
        asked: of a check, the lowest and the highest score that the version ``check`` may get.
    """

    id: str
    text: str
    codes: dict[str, str]
    reference: str | None = None
    role: Role = "rated"
    asked: tuple[float, float] | None = None


@dataclass(frozen=True)
class Wording:
    """What listeners read: a title, a question above every screen, what to do, and what they agree to.

    ``completion`` is a code that whoever has heard all gets at the end (as Prolific has it).
    """

    title: str = "How natural does this sound?"
    question: str = ""
    instructions: str = ""
    consent: str = CONSENT
    completion: str | None = None

    def of_kind(self, kind: Kind) -> Wording:
        """With what a kind asks wherever nothing else is said."""
        design = KINDS[kind]
        return replace(
            self,
            question=self.question or design.question,
            instructions=self.instructions or design.instructions,
        )


@dataclass(frozen=True)
class ListeningTest:
    """A test.

    Attributes:
        kind: of the screens.
        wording: what listeners read.
        systems: rated ones, the recording among them where it is.
        items: sentences of all roles.
        groups: ids of the rated items that each group of listeners hears: every item in as many groups as any other.
        sample_rate: of the clips, in Hz.
        loudness: of the clips, in LUFS.
        seed: of the order in which listeners hear items and versions.
        origin: what the clips were made from, for the analysis's provenance.
    """

    kind: Kind
    wording: Wording
    systems: tuple[str, ...]
    items: tuple[Item, ...]
    groups: tuple[tuple[str, ...], ...]
    sample_rate: int
    loudness: float
    seed: int
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
            items = tuple(_item(**item) for item in data.pop("items"))
            groups = tuple(tuple(group) for group in data.pop("groups"))
            wording = Wording(**data.pop("wording"))
            systems = tuple(data.pop("systems"))
            test = ListeningTest(**data, systems=systems, wording=wording, items=items, groups=groups)
            if not conforms(test, ListeningTest) or not _is_whole(test):
                raise ValueError(test.kind)
        except (OSError, TypeError, KeyError, ValueError, AttributeError, IndexError, OverflowError):
            raise UserError(
                f"{folder} holds no listening test ({KEY}); build one with `prosody-tts listen build`"
            ) from None
        return test

    def write(self, folder: Path) -> None:
        """Write the key, atomically."""
        write_json(folder / KEY, asdict(self))

    @property
    def identity(self) -> str:
        """A name that no other test has."""
        return digest([item.codes for item in self.items])

    @property
    def rated(self) -> tuple[Item, ...]:
        """Items whose ratings count."""
        return tuple(item for item in self.items if item.role == "rated")

    @property
    def checks(self) -> tuple[Check, ...]:
        """What listeners' attention is judged by."""
        return tuple(Check(item.id, CHECK, *item.asked) for item in self.items if item.asked is not None)

    def named(self, heard: Heard) -> Heard:
        """Ratings of codes as ratings of systems, without those of training.

        Raises:
            UserError: a rating is of what is not in this test.
        """
        systems = {(item.id, code): system for item in self.items for system, code in item.codes.items()}
        # webMUSHRA's name of the hidden reference, and of the first of two.
        first = RECORDING if KINDS[self.kind].reference else self.systems[0] if self.kind == "preference" else None
        systems |= {(item.id, REFERENCE): first for item in self.items if first is not None}
        training = {item.id for item in self.items if item.role == "training"}

        def name(item: str, code: str) -> str:
            if code == UNDECIDED:
                return code
            code = Path(code).stem
            if (item, code) not in systems:
                raise UserError(f"'{code}' of {item} is not in this test; give the results of this test, or no --test")
            return systems[item, code]

        return Heard(
            [replace(one, system=name(one.item, one.system)) for one in heard.scores if one.item not in training],
            [
                replace(
                    one,
                    one=name(one.item, one.one),
                    other=name(one.item, one.other),
                    chosen=name(one.item, one.chosen),
                )
                for one in heard.choices
                if one.item not in training
            ],
        )


def _is_whole(test: ListeningTest) -> bool:
    """Whether every screen can be shown, every answer named, and every code is the name of a file and no path."""
    known = {item.id for item in test.items}
    rated = {item.id for item in test.rated}
    codes = [code for item in test.items for code in (*item.codes.values(), item.reference) if code is not None]
    design = KINDS[test.kind]
    return (
        len(known) == len(test.items)
        and all(CODE.fullmatch(code) for code in codes)
        and bool(test.groups)
        and all(group and set(group) <= rated for group in test.groups)
        and all(item.codes and (item.role == "check") == (item.asked is not None) for item in test.items)
        and all(set(test.systems) <= set(item.codes) for item in test.items if item.role != "check")
        and (design.scale is not None or all(len(item.codes) == 2 for item in test.items))
        and (not design.reference or all(item.reference and RECORDING in item.codes for item in test.items))
        and bool(test.systems)
        and test.sample_rate > 0
    )


def _item(asked: Sequence[float] | None = None, **data: Any) -> Item:
    return Item(**data, asked=None if asked is None else (float(asked[0]), float(asked[1])))


def grouped(items: Sequence[str], each: int | None) -> tuple[tuple[str, ...], ...]:
    """Groups of ``each`` items, in which every item stands equally often.

    Items lie on a circle, and each group takes up where the one before ended, until it closes.
    """
    if each is None or each >= len(items):
        return (tuple(items),)
    groups = len(items) // gcd(len(items), each)
    return tuple(tuple(items[(group * each + step) % len(items)] for step in range(each)) for group in range(groups))


@dataclass(frozen=True)
class Plan:
    """What is asked for when a test is built.

    Attributes:
        kind: of the screens.
        wording: what listeners read.
        each: sentences that one listener hears; none for all.
        training: sentences at the beginning that do not count, of those given.
        checks: screens that check attention.
        sample_rate: of all clips in Hz: the systems', so that nothing but speech tells a recording from them.
        loudness: of all clips, in LUFS.
        seed: of the order in which listeners hear.
        show_text: whether listeners read what is said.
        origin: kept in the key.
    """

    kind: Kind
    wording: Wording = Wording()
    each: int | None = None
    training: int = 0
    checks: int = 0
    sample_rate: int = 16000
    loudness: float = -23.0
    seed: int = 0
    show_text: bool = True
    origin: Mapping[str, Any] = field(default_factory=dict)


def build_test(
    folder: Path, plan: Plan, clips: Mapping[str, Mapping[str, Path]], texts: Mapping[str, str]
) -> ListeningTest:
    """Write clips and key.

    Args:
        folder: of the test; must not hold one.
        plan: what is asked for.
        clips: sentence -> system -> its recording; the same systems for each. The last sentences are for training.
        texts: sentence -> what is said.

    Raises:
        UserError: the kind and the systems do not fit, a clip cannot be used, or the folder has a test.
    """
    systems = tuple(next(iter(clips.values())))
    names = list(clips)
    rated = names[: len(names) - plan.training]
    _check(folder, plan, systems, len(rated))
    made = _Clips(folder / PUBLIC / STIMULI, plan)
    items = []
    for name in names:
        role: Role = "rated" if name in rated else "training"
        items.append(made.item(name, texts[name] if plan.show_text else "", clips[name], role))
    for number in range(plan.checks):
        beside = rated[number % len(rated)]
        items.append(made.check(number, texts[beside] if plan.show_text else "", clips[beside]))
    told = {key: str(value) for key, value in plan.origin.items()}
    groups = grouped(rated, plan.each)
    test = ListeningTest(
        plan.kind,
        plan.wording.of_kind(plan.kind),
        systems,
        tuple(items),
        groups,
        plan.sample_rate,
        plan.loudness,
        plan.seed,
        told,
    )
    test.write(folder)
    return test


@dataclass(frozen=True)
class _Clips:
    """Writes the clips of one test after another, each under a code of its own that is drawn and not computed."""

    folder: Path
    plan: Plan

    def item(self, name: str, text: str, of: Mapping[str, Path], role: Role) -> Item:
        """A sentence's."""
        return Item(name, text, *self._coded(self._waves(of)), role)

    def check(self, number: int, text: str, of: Mapping[str, Path]) -> Item:
        """A screen like a sentence's, in which one version says what it is to be given."""
        waves = self._waves(of)
        recording = waves.get(RECORDING)
        said, low, high = asked_of(self.plan.kind, number)
        replaced = sorted(set(waves) - ({RECORDING} if self.design.reference else set()))
        speaks = replaced[number % len(replaced)]
        shown = {CHECK if name == speaks else name: wave for name, wave in waves.items()}
        shown[CHECK] = spoken(said, self.plan.sample_rate)
        return Item(f"check-{number + 1}", text, *self._coded(shown, recording), "check", (low, high))

    @property
    def design(self) -> Design:
        """The kind's."""
        return KINDS[self.plan.kind]

    def _waves(self, of: Mapping[str, Path]) -> dict[str, Floats]:
        """Every version of a screen."""
        waves = {system: read(path, self.plan.sample_rate) for system, path in of.items()}
        if self.design.anchors:
            anchors = {key: anchor(waves[RECORDING], high, self.plan.sample_rate) for key, high in ANCHORS.items()}
            waves |= anchors
        return waves

    def _coded(self, waves: Mapping[str, Floats], recording: Floats | None = None) -> tuple[dict[str, str], str | None]:
        """Codes of versions, and of the open reference, which is not the hidden one's: a browser sees codes."""
        if not self.design.reference:
            return self._write(waves), None
        shown = "the open reference"
        codes = self._write({**waves, shown: waves[RECORDING] if recording is None else recording})
        return {name: code for name, code in codes.items() if name != shown}, codes[shown]

    def _write(self, waves: Mapping[str, Floats]) -> dict[str, str]:
        """Codes of clips that are made equally loud and long."""
        found = {}
        for system, wave in matched(waves, self.plan.sample_rate, self.plan.loudness).items():
            found[system] = secrets.token_hex(8)
            with atomic(self.folder / f"{found[system]}.wav") as temporary:
                soundfile.write(temporary, wave, self.plan.sample_rate, format="WAV", subtype="PCM_16")
        return found


def _check(folder: Path, plan: Plan, systems: Sequence[str], count: int) -> None:
    design = KINDS[plan.kind]
    if (folder / KEY).exists():
        raise UserError(f"{folder} holds a listening test already, whose codes would change; give another --out")
    if design.reference and RECORDING not in systems:
        raise UserError(f"--kind {plan.kind} needs the reference; put {RECORDING} among --systems")
    if plan.kind == "preference" and len(systems) != 2:
        raise UserError(f"--kind preference compares two systems, not {len(systems)}; give --systems ONE,OTHER")
    if not design.systems[0] <= len(systems) <= design.systems[1]:
        raise UserError(
            f"{len(systems)} systems on one screen are too many to compare, or too few; give {design.systems[0]} to "
            f"{design.systems[1]} by --systems"
        )
    if count < 1:
        raise UserError(f"all sentences are for training; give fewer than {plan.training} by --training")
    if plan.each is not None and plan.each < 1:
        raise UserError(f"--each {plan.each} gives a listener nothing to hear; give 1 to {count}")
