"""eSpeak NG through ctypes: text to waveform with the exact times of words and phones.

The library is one global machine per process: parameters, voice and generators of noise live in it, so that the same
call gives the same phones but audio that differs by some samples with the calls made before. Whatever needs the same
audio again makes its calls in the same order in a fresh process.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from prosody_tts.errors import UserError

LANGUAGE = "en-us"
#: American English in a voice an octave above the default: its harmonics stand apart in a mel spectrogram.
VOICE = f"{LANGUAGE}+f1"
#: Label of phone events that are pauses.
PAUSE = "sil"

_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1
_UTF8 = 1
_SSML = 0x10
_BUFFER_MS = 200
_KINDS: dict[int, Literal["word", "phone", "end"]] = {1: "word", 5: "end", 7: "phone"}
_PARAMETERS = {"rate": 1, "volume": 2, "pitch": 3, "range": 4}
_STRESS = str.maketrans("", "", "',%=")


@dataclass(frozen=True)
class Manner:
    """What holds for a whole call, on eSpeak's own scales.

    ``rate`` in words per minute (80 to 450), ``volume`` 0 to 200, ``pitch`` and ``range`` 0 to 100. SSML per cents are
    relative to these; a word's pitch saturates where the product reaches 100.
    """

    pitch: int = 50
    range: int = 50
    rate: int = 175
    volume: int = 100

    def check(self) -> None:
        """Raise ``ValueError`` naming the value that eSpeak would silently clip."""
        limits = {"pitch": (0, 100), "range": (0, 100), "rate": (80, 450), "volume": (0, 200)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}={value} is outside of eSpeak's {low} to {high}")


@dataclass(frozen=True)
class Event:
    """Something that begins at ``sample``: a word, a phone or pause, or the end of a clause.

    ``position`` is the character of the spoken text, counted from 0, that a word begins with; ``label`` is the name of
    a phone with its stress mark (``'aI``), or ``PAUSE``, and empty on words and ends.
    """

    kind: Literal["word", "phone", "end"]
    sample: int
    position: int
    label: str = ""


@dataclass(frozen=True)
class Speech:
    """A waveform, float32 [samples] in -1 to 1, its rate in Hz, and its events in order of time."""

    samples: np.ndarray
    rate: int
    events: tuple[Event, ...]


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Engine:
    """The process's one eSpeak NG."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._library: Any = None
        self._voice = ""
        self._rate = 0
        self._audio: list[np.ndarray] = []
        self._events: list[Event] = []
        self._callback = _Callback(self._receive)

    def speak(self, text: str, manner: Manner, ssml: bool, voice: str) -> Speech:
        with self.lock:
            library = self._open()
            if voice != self._voice:
                if library.espeak_SetVoiceByName(voice.encode()) != 0:
                    raise UserError(f"eSpeak NG has no voice '{voice}'; use a language with or without a variant")
                self._voice = voice
            for name, number in _PARAMETERS.items():
                library.espeak_SetParameter(number, getattr(manner, name), 0)
            self._audio, self._events = [], []
            data = text.encode()
            flags = _UTF8 | (_SSML if ssml else 0)
            buffer = ctypes.create_string_buffer(data)
            failed = library.espeak_Synth(buffer, len(data) + 1, 0, 1, 0, flags, None, None)
            if failed or library.espeak_Synchronize():
                raise RuntimeError(f"eSpeak NG failed on '{text}'")
            audio = np.concatenate(self._audio) if self._audio else np.zeros(0, np.int16)
            return Speech((audio / np.float32(32768)).astype(np.float32), self._rate, tuple(self._events))

    def restart(self) -> None:
        """Forget everything: malformed SSML of an earlier call can leave traces."""
        with self.lock:
            if self._library is not None:
                self._library.espeak_Terminate()
            self._library, self._voice = None, ""

    def _open(self) -> Any:
        if self._library is None:
            import espeakng_loader

            path = Path(espeakng_loader.get_library_path())
            try:
                library = ctypes.CDLL(str(path))
            except OSError as error:
                raise UserError(f"cannot load eSpeak NG from {path}: {error}; reinstall espeakng-loader") from None
            library.espeak_Synth.argtypes = (
                *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
                *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
            )
            data = str(espeakng_loader.get_data_path()).encode()
            self._rate = library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data, _PHONEME_EVENTS)
            if self._rate <= 0:
                raise UserError(f"eSpeak NG cannot read its data in {data.decode()}; reinstall espeakng-loader")
            library.espeak_SetSynthCallback(self._callback)
            self._library = library
        return self._library

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if count > 0 and wave:
            self._audio.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != 0:
            event = events[index]
            kind = _KINDS.get(event.type)
            if kind is not None:
                label = event.id.string.decode() if kind == "phone" else ""
                if kind == "phone" and (not label or label.startswith("_")):
                    label = PAUSE
                self._events.append(Event(kind, event.sample, event.text_position - 1, label))
            index += 1
        return 0


_ENGINE = _Engine()


def speak(text: str, manner: Manner | None = None, *, ssml: bool = False, voice: str = VOICE) -> Speech:
    """Speak plain text, or SSML whose attributes are per cents of ``manner``.

    Raises:
        ValueError: a value of ``manner`` is out of range.
        UserError: eSpeak NG or the voice is missing.
        RuntimeError: the library refused the text.
    """
    manner = manner or Manner()
    manner.check()
    return _ENGINE.speak(text, manner, ssml, voice)


def restart() -> None:
    """Start the library afresh on the next call."""
    _ENGINE.restart()


def word_spans(text: str) -> list[tuple[int, int]]:
    """Character offsets, end excluded, of whitespace-delimited words without the punctuation around them."""
    spans = []
    for match in re.finditer(r"\S+", text):
        inside = [match.start() + i for i, character in enumerate(match.group()) if character.isalnum()]
        if inside:
            spans.append((inside[0], inside[-1] + 1))
    return spans


def words_of_phones(speech: Speech, spans: Sequence[tuple[int, int]], words: Sequence[str]) -> list[int]:
    """Return the index of the word each phone event of ``speech`` belongs to, -1 for pauses.

    ``spans`` are the words' offsets in the text as it was given, tags included. eSpeak speaks some pairs of function
    words as one ("of the"); these are split where their parts are nearest to the words' pronunciations alone.

    Raises:
        ValueError: a word was not spoken, or words came out of order; names the words.
    """
    owners: list[int] = []
    current = -1
    heard: list[int] = []
    for event in speech.events:
        if event.kind == "word":
            current = _locate(event.position, spans, current)
            if not heard or heard[-1] != current:
                heard.append(current)
        elif event.kind == "phone":
            owners.append(-1 if event.label == PAUSE else current)
    if -1 in heard or heard != sorted(set(heard)):
        raise ValueError(f"words were spoken out of order in '{' '.join(words)}'")
    labels = [event.label for event in speech.events if event.kind == "phone"]
    for first, following in zip(heard, [*heard[1:], len(spans)], strict=True):
        if following - first > 1:
            _split(owners, labels, first, words[first:following])
    missing = [words[index] for index in range(len(spans)) if index not in owners]
    if missing:
        raise ValueError(f"eSpeak NG did not speak '{' '.join(missing)}' in '{' '.join(words)}'")
    return owners


def _locate(position: int, spans: Sequence[tuple[int, int]], current: int) -> int:
    """Index of the last word that begins at or before ``position``; expansions may lie inside a word or after it."""
    best = current
    for index, (start, _) in enumerate(spans):
        if start <= position:
            best = index
    return max(best, 0) if current < 0 else best


def _split(owners: list[int], labels: Sequence[str], first: int, words: Sequence[str]) -> None:
    """Give the phones of a merged word event to its words."""
    places = [index for index, owner in enumerate(owners) if owner == first]
    spoken = [labels[index] for index in places]
    if len(spoken) < len(words):
        raise ValueError(f"eSpeak NG did not speak all of '{' '.join(words)}'")
    alone = [_alone(word) for word in words]
    begin = 0
    for count in range(len(words) - 1, 0, -1):
        word = len(words) - 1 - count
        rest = [phone for other in alone[word + 1 :] for phone in other]
        ends = range(begin + 1, len(spoken) - count + 1)
        end = min(ends, key=lambda e: _distance(spoken[begin:e], alone[word]) + _distance(spoken[e:], rest))
        for index in places[end:]:
            owners[index] = first + word + 1
        begin = end


def _distance(one: Sequence[str], other: Sequence[str]) -> float:
    """Edit distance of phones without stress; a vowel for a vowel costs half, for reduction changes vowels."""
    a, b = ([phone.translate(_STRESS) for phone in phones] for phones in (one, other))
    row = [float(j) for j in range(len(b) + 1)]
    for i, left in enumerate(a, 1):
        previous, row = row, [float(i)]
        for j, right in enumerate(b, 1):
            cost = 0.0 if left == right else 0.5 if _is_vowel(left) == _is_vowel(right) else 1.5
            row.append(min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + cost))
    return row[-1]


def _is_vowel(phone: str) -> bool:
    return phone[:1] in tuple("aAeEiIoOuUV@03")


@lru_cache(maxsize=4096)
def _alone(word: str) -> tuple[str, ...]:
    return tuple(event.label for event in speak(word).events if event.kind == "phone" and event.label != PAUSE)


def phones_of(text: str) -> list[list[str]]:
    """Pronounce plain text: the phones, stress marks included, of every word of ``word_spans(text)``.

    Raises:
        ValueError: a word of the text is not spoken.
    """
    spans = word_spans(text)
    words = [text[start:end] for start, end in spans]
    if not words:
        return []
    speech = speak(text)
    labels = [event.label for event in speech.events if event.kind == "phone"]
    phones: list[list[str]] = [[] for _ in spans]
    for owner, label in zip(words_of_phones(speech, spans, words), labels, strict=True):
        if owner >= 0:
            phones[owner].append(label)
    return phones
