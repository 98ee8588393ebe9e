"""A subset of SSML (W3C, Speech Synthesis Markup Language 1.1): what maps to words, phones, pauses and controls.

Read without document types or entities, so that a text can neither grow nor reach for files. What does not map is
refused by name, never ignored. What the labels (``slow``, ``x-high``, ``strong``) amount to is left open by the
standard (ours).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.parsers import expat

from prosody_tts.errors import UserError
from prosody_tts.speaking.controls import FORMS, Control
from prosody_tts.speaking.script import Markup, Run, Stretch

#: Longest document in characters, and the most elements that stand in each other.
MOST_CHARACTERS, DEEPEST = 100_000, 50
_SPACES = {"", "http://www.w3.org/2001/10/synthesis"}
_XML = "http://www.w3.org/XML/1998/namespace"
_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"

_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.75}
_PITCHES = {"x-low": -6.0, "low": -3.0, "medium": 0.0, "default": 0.0, "high": 3.0, "x-high": 6.0}
_RANGES = {"x-low": 0.25, "low": 0.6, "medium": 1.0, "default": 1.0, "high": 1.5, "x-high": 2.0}
_VOLUMES = {"x-soft": -12.0, "soft": -6.0, "medium": 0.0, "default": 0.0, "loud": 6.0, "x-loud": 12.0}
#: Seconds of pauses.
_STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.7, "x-strong": 1.2}
_LEVELS = {
    "none": Control(),
    "reduced": Control(pace=1.15, pitch=-1.0, energy=-2.0),
    "moderate": Control(pace=0.9, pitch=1.0, energy=2.0),
    "strong": Control(pace=0.8, pitch=2.5, energy=4.0),
}
#: Values of ``alphabet``, and the pronouncer whose phones they are.
_ALPHABETS = {"x-cmu": "cmudict", "x-espeak": "espeak"}


@dataclass(frozen=True)
class _Element:
    attributes: tuple[str, ...] = ()
    inside: bool = True
    """Whether other elements may stand in it."""


_ELEMENTS = {
    "speak": _Element(("version", "xml:lang", "xsi:schemaLocation")),
    "p": _Element(("xml:lang",)),
    "s": _Element(("xml:lang",)),
    "prosody": _Element(("rate", "pitch", "range", "volume")),
    "emphasis": _Element(("level",)),
    "break": _Element(("time", "strength"), inside=False),
    "phoneme": _Element(("alphabet", "ph"), inside=False),
    "sub": _Element(("alias",), inside=False),
}


def is_ssml(text: str) -> bool:
    """Whether a text is meant as SSML: it begins with ``<speak``, a declaration may stand before."""
    return re.match(r"\s*(?:<\?xml[^>]*\?>\s*)?<speak[\s>/]", text) is not None


def read_ssml(text: str) -> Markup:
    """Read a document.

    Raises:
        UserError: it is malformed, has a document type, or an element, attribute or value that does not map; names it
            and what does.
    """
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"the SSML has {len(text)} characters; give at most {MOST_CHARACTERS}")
    reader = _Reader()
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = reader.characters, _refuse_doctype
    try:
        parser.Parse(text.strip().encode("utf-8"), True)
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        raise UserError(f"the SSML is malformed: {what} in line {error.lineno}, column {error.offset + 1}") from None
    except UnicodeEncodeError:
        raise UserError("the SSML holds characters that are no text; save it as UTF-8") from None
    return reader.markup


def _refuse_doctype(*_: object) -> None:
    raise UserError("the SSML has a document type (<!DOCTYPE>), which is not read; leave it out, and entities with it")


class _Reader:
    """Makes a markup of a parser's events."""

    def __init__(self) -> None:
        self.markup = Markup()
        self._open: list[tuple[str, int, Control | None, Run | None]] = []
        self._text: list[str] = []
        self._block = 0

    def start(self, qualified: str, given: dict[str, str]) -> None:
        """An element begins."""
        name = _name(qualified)
        attributes = {_attribute(key): value for key, value in given.items()}
        parents = [element[0] for element in self._open]
        if len(parents) == DEEPEST:
            raise UserError(f"the SSML has more than {DEEPEST} elements in each other; take some out of the others")
        _check_place(name, parents)
        _check_attributes(name, attributes)
        self._flush()
        if name in ("p", "s"):
            self._block += 1
        if name == "break":
            self._break(attributes)
        control = run = None
        if name == "prosody":
            control = _prosody(attributes)
        elif name == "emphasis":
            control = _LEVELS[_label("emphasis", "level", attributes.get("level", "moderate"), _LEVELS)]
        elif name == "phoneme":
            alphabet = _label("phoneme", "alphabet", attributes.get("alphabet", ""), _ALPHABETS)
            run = Run("", phones=_needed("phoneme", "ph", attributes), alphabet=_ALPHABETS[alphabet])
        elif name == "sub":
            run = Run(_needed("sub", "alias", attributes))
        self._open.append((name, len(self.markup.runs), control, run))

    def end(self, qualified: str) -> None:
        """An element ends."""
        name = self._open[-1][0]
        self._flush()
        _, first, control, _ = self._open.pop()
        if control is not None:
            self.markup.stretches.append(Stretch(first, len(self.markup.runs), control))
        if name in ("p", "s"):
            self._block += 1
        # The outer one is applied first.
        if name == "speak":
            self.markup.stretches.reverse()

    def characters(self, text: str) -> None:
        """Text, perhaps not all that follows an element."""
        self._text.append(text)

    def _flush(self) -> None:
        """Make the text so far a run."""
        text, self._text = "".join(self._text), []
        if not self._open:
            return
        name, _, _, run = self._open[-1]
        if name == "break" and text.strip():
            raise UserError(f"<break> holds the text '{text.strip()[:40]}'; write <break time=\"300ms\"/>")
        if name == "phoneme" and not text.strip():
            raise UserError('<phoneme> holds no word; write <phoneme alphabet="x-cmu" ph="K AE1 T">cat</phoneme>')
        if not text and name != "sub":
            return
        whole = any(element[0] == "s" for element in self._open)
        words = run.text if run is not None and name == "sub" else text
        phones, alphabet = (None, "") if run is None else (run.phones, run.alphabet)
        self.markup.runs.append(Run(words, self._block, whole, phones, alphabet))

    def _break(self, attributes: Mapping[str, str]) -> None:
        if "time" in attributes:
            seconds = _value("break", "time", attributes["time"], "pause", {})
        else:
            seconds = _STRENGTHS[_label("break", "strength", attributes.get("strength", "medium"), _STRENGTHS)]
        self.markup.breaks.append((len(self.markup.runs), seconds))
        # What stands on its two sides is no one word.
        whole = any(element[0] == "s" for element in self._open)
        self.markup.runs.append(Run(" ", self._block, whole))


def _name(qualified: str) -> str:
    space, _, name = qualified.rpartition(" ")
    if space not in _SPACES or name not in _ELEMENTS:
        raise UserError(f"the SSML element <{name}> is not supported; supported are {', '.join(_ELEMENTS)}")
    return name


def _attribute(qualified: str) -> str:
    space, _, name = qualified.rpartition(" ")
    return {"": name, _XML: f"xml:{name}", _SCHEMA: f"xsi:{name}"}.get(space, f"{space}:{name}")


def _check_place(name: str, parents: list[str]) -> None:
    if not parents and name != "speak":
        raise UserError(f"the SSML begins with <{name}>; it must begin with <speak>")
    if not parents:
        return
    barred = {"speak": set(_ELEMENTS), "p": {"p", "s"}, "s": {"s"}}.get(name, set())
    wrong = next((parent for parent in parents if parent in barred), None)
    if not _ELEMENTS[parents[-1]].inside:
        wrong = parents[-1]
    if wrong is not None:
        raise UserError(f"<{name}> stands in <{wrong}>, where it cannot")


def _check_attributes(name: str, given: Mapping[str, str]) -> None:
    known = _ELEMENTS[name].attributes
    for key in given:
        if key not in known:
            raise UserError(f"the attribute {key} of <{name}> is not supported; supported are {', '.join(known)}")
    language = given.get("xml:lang", "en")
    if language.lower().split("-")[0] != "en":
        raise UserError(f"xml:lang={language} of <{name}> is not supported; this system speaks English")


def _needed(element: str, attribute: str, given: Mapping[str, str]) -> str:
    if not given.get(attribute, "").strip():
        raise UserError(f'<{element}> has no {attribute}; write <{element} {attribute}="…">')
    return given[attribute]


def _label(element: str, attribute: str, value: str, labels: Mapping[str, object]) -> str:
    if value.strip() not in labels:
        raise UserError(f"{attribute}={value} of <{element}> is not supported; supported are {', '.join(labels)}")
    return value.strip()


def _value(element: str, attribute: str, written: str, form: str, labels: Mapping[str, float]) -> float:
    """A label's value, or a number as the control of that name has it."""
    written = written.strip()
    if written in labels:
        return labels[written]
    try:
        if form in ("pace", "pitch-range") and re.fullmatch(r"[+-].*%", written):
            # A change, as SSML has it.
            return FORMS[form].read(1 + float(written[:-1]) / 100)
        return FORMS[form].read(written)
    except (ValueError, UserError):
        lowest, highest = (FORMS[form].write(bound) for bound in (FORMS[form].lowest, FORMS[form].highest))
        names = f", or {', '.join(labels)}" if labels else ""
        raise UserError(
            f"{attribute}={written} of <{element}> is not supported; give a value such as {FORMS[form].example} from "
            f"{lowest} to {highest}{names}"
        ) from None


_PROSODY: dict[str, tuple[str, str, dict[str, float]]] = {
    "rate": ("pace", "pace", _RATES),
    "pitch": ("pitch", "pitch", _PITCHES),
    "range": ("pitch_range", "pitch-range", _RANGES),
    "volume": ("energy", "energy", _VOLUMES),
}


def _prosody(attributes: Mapping[str, str]) -> Control:
    values = {}
    for name, written in attributes.items():
        field, form, labels = _PROSODY[name]
        values[field] = _value("prosody", name, written, form, labels)
    return Control(**values)
