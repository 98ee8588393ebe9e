"""Speaks a corpus in one fresh process: clips from JSON lines on its input, what was spoken on its output.

eSpeak's audio depends on the calls made before, so a corpus is spoken in a fixed order by a process of its own.
"""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

import data_modules
from data_modules import espeak
from data_modules.corpora.contract import PhoneTime
from data_modules.espeak import Manner
from prosody_tts.errors import UserError
from prosody_tts.files import atomic

#: Seconds of silence before and after a clip.
MARGIN = 0.05
#: Near full scale eSpeak turns its own gain down, and what was planted in loudness is no longer there.
LOUDEST = 0.95
#: What stands before a tag, one attempt after the other: about one clip in 600 loses words without the mark, and fewer
#: than one in 50 with it, but not the same ones.
GUARDS = ("", "<mark name='word'/>")


@dataclass(frozen=True)
class Clip:
    """What to speak and where to write it.

    ``attributes`` are SSML's, in per cent of ``manner``, one dict a word of ``text``; ``voice`` is eSpeak's.
    """

    id: str
    path: str
    text: str
    manner: Manner
    attributes: tuple[dict[str, int], ...]
    voice: str = espeak.VOICE


@dataclass(frozen=True)
class Spoken:
    """The exact alignment of a clip, or the ``fault`` for which it was left out."""

    id: str
    phones: tuple[PhoneTime, ...] = ()
    fault: str = ""


def markup(clip: Clip, guard: str = GUARDS[0]) -> tuple[str, list[tuple[int, int]]]:
    """SSML of a clip and its words' offsets in it.

    A tag spans neighbours with equal attributes and their punctuation: too many tags make eSpeak drop words, and a
    full stop outside of a tag is read aloud.
    """
    ssml, spans = "", []
    current: dict[str, int] = {}
    tokens = clip.text.split()
    for token, wanted in zip(tokens, clip.attributes, strict=True):
        if wanted != current:
            ssml += "</prosody>" if current else ""
            ssml += " " if ssml else ""
            ssml += guard + _opening(wanted) if wanted else ""
            current = wanted
        else:
            ssml += " " if ssml else ""
        ((start, end),) = espeak.word_spans(token)
        spans.append((len(ssml) + start, len(ssml) + end))
        ssml += html.escape(token, quote=False)
    return ssml + ("</prosody>" if current else ""), spans


def _opening(attributes: dict[str, int]) -> str:
    return "<prosody" + "".join(f" {name}='{value}%'" for name, value in attributes.items()) + ">"


def speak(clip: Clip, guard: str = GUARDS[0]) -> tuple[np.ndarray, int, tuple[PhoneTime, ...]]:
    """Speak a clip: samples, Hz, and phones that cover it without gaps.

    Raises:
        ValueError: eSpeak spoke other words or phones than those of the plain text, or too loudly.
    """
    ssml, spans = markup(clip, guard)
    words = [clip.text[start:end] for start, end in espeak.word_spans(clip.text)]
    speech = espeak.speak(ssml, clip.manner, ssml=True, voice=clip.voice)
    owners = espeak.words_of_phones(speech, spans, words)
    events = [event for event in speech.events if event.kind == "phone"]
    spoken = [[e.label for e, owner in zip(events, owners, strict=True) if owner == word] for word in range(len(words))]
    if spoken != _plain(clip.text):
        raise ValueError(f"with prosody, '{clip.text}' is not spoken with the phones it has without")
    if np.abs(speech.samples).max() >= LOUDEST:
        raise ValueError(f"'{clip.text}' is too loud for what is planted to be heard")
    margin = round(MARGIN * speech.rate)
    voiced = [index for index, event in enumerate(events) if event.label != espeak.PAUSE]
    first, last = events[voiced[0]], events[voiced[-1] + 1]
    samples = np.concatenate([np.zeros(margin), speech.samples[first.sample : last.sample], np.zeros(margin)])
    starts = [(margin + e.sample - first.sample, e.label, o) for e, o in zip(events, owners, strict=True)]
    marks = _merge([(0, espeak.PAUSE, -1), *starts[voiced[0] : voiced[-1] + 2], (len(samples), "", 0)])
    times = [
        PhoneTime(label, start / speech.rate, end / speech.rate, word)
        for (start, label, word), (end, _, _) in pairwise(marks)
    ]
    return samples.astype(np.float32), speech.rate, tuple(times)


@lru_cache(maxsize=16)
def _plain(text: str) -> list[list[str]]:
    return espeak.phones_of(text)  # renditions of a sentence follow each other


def _merge(marks: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    """Join neighbouring pauses, and drop what has no duration."""
    merged: list[tuple[int, str, int]] = []
    for mark in marks:
        if mark[1] == espeak.PAUSE and merged and merged[-1][1] == espeak.PAUSE:
            continue
        merged.append(mark)
    for (start, label, _), (end, _, _) in pairwise(merged):
        if label != espeak.PAUSE and end <= start:
            raise ValueError(f"phone '{label}' has no duration")
    return [m for m, following in zip(merged, [*merged[1:], (-1, "", 0)], strict=True) if m[0] != following[0]]


def speak_all(clips: Sequence[Clip]) -> Iterator[Spoken]:
    """Speak clips in order in a fresh process, write 16-bit wavs, and yield each alignment as it comes.

    Raises:
        UserError: the process failed; gives its last line.
    """
    root = str(Path(data_modules.__file__).resolve().parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryFile("w+", encoding="utf-8") as plan, tempfile.TemporaryFile("w+") as log:
        plan.writelines(json.dumps(asdict(clip)) + "\n" for clip in clips)
        plan.seek(0)
        command = [sys.executable, "-m", "data_modules.corpora.testbed.render"]
        environment = {**os.environ, "PYTHONPATH": path}
        process = subprocess.Popen(
            command, stdin=plan, stdout=subprocess.PIPE, stderr=log, env=environment, encoding="utf-8"
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                data = json.loads(line)
                yield Spoken(data["id"], tuple(PhoneTime(*phone) for phone in data["phones"]), data["fault"])
            if process.wait() != 0:
                log.seek(0)
                reason = (log.read().strip().splitlines() or ["no message"])[-1]
                raise UserError(f"the testbed's speaking process failed ({reason}); see that espeakng-loader works")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def main() -> None:
    """Read clips from standard input, write their wavs, and print what was spoken."""
    for line in sys.stdin:
        data = json.loads(line)
        clip = Clip(**{**data, "manner": Manner(**data["manner"]), "attributes": tuple(data["attributes"])})
        spoken = _write(clip)
        phones = [(phone.label, phone.start, phone.end, phone.word) for phone in spoken.phones]
        print(json.dumps({"id": spoken.id, "phones": phones, "fault": spoken.fault}), flush=True)


def _write(clip: Clip) -> Spoken:
    import soundfile

    reason = ""
    for guard in GUARDS:
        try:
            samples, rate, phones = speak(clip, guard)
        except ValueError as error:
            reason = str(error)
            espeak.restart()  # a broken call may leave traces in the next ones
            continue
        with atomic(Path(clip.path)) as temporary:
            soundfile.write(temporary, samples, rate, subtype="PCM_16")
        return Spoken(clip.id, phones)
    return Spoken(clip.id, fault=reason)


if __name__ == "__main__":
    main()
