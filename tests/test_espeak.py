"""The wrapper of eSpeak NG: words own the phones they are spoken with, and the times are those of the audio."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules import espeak
from data_modules.espeak import Manner
from prosody_tts.errors import UserError

TEXT = "The gentle farmer painted the garden gate."


def loudness(speech: espeak.Speech) -> float:
    return float(np.sqrt(np.mean(speech.samples**2)))


def mean_f0(speech: espeak.Speech) -> float:
    parselmouth = pytest.importorskip("parselmouth")
    pitch = parselmouth.Sound(speech.samples.astype(float), speech.rate).to_pitch_ac(pitch_floor=60, pitch_ceiling=500)
    values = pitch.selected_array["frequency"]
    return float(values[values > 0].mean())


def test_speech_is_a_waveform_with_events_in_order() -> None:
    speech = espeak.speak(TEXT)
    assert speech.rate == 22050
    assert speech.samples.dtype == np.float32
    assert 0.1 < np.abs(speech.samples).max() <= 1
    samples = [event.sample for event in speech.events]
    assert samples == sorted(samples)
    assert samples[-1] == len(speech.samples)
    assert sum(event.kind == "word" for event in speech.events) == 7


def test_pauses_are_silent_and_phones_are_not() -> None:
    speech = espeak.speak("The dog slept, the music stopped.")
    phones = [event for event in speech.events if event.kind == "phone"]
    pause = next(i for i, event in enumerate(phones) if event.label == espeak.PAUSE)
    silence = speech.samples[phones[pause].sample : phones[pause + 1].sample]
    assert len(silence) > 0.03 * speech.rate
    assert np.abs(silence).max() < 0.02
    vowel = next(i for i, event in enumerate(phones) if event.label.startswith("'"))
    assert np.abs(speech.samples[phones[vowel].sample : phones[vowel + 1].sample]).max() > 0.1


def test_manner_does_what_it_says() -> None:
    plain = espeak.speak(TEXT)
    assert len(espeak.speak(TEXT, Manner(rate=120)).samples) > 1.3 * len(plain.samples)
    assert loudness(espeak.speak(TEXT, Manner(volume=50))) == pytest.approx(loudness(plain) / 2, rel=0.1)
    assert mean_f0(espeak.speak(TEXT, Manner(pitch=80))) > 1.2 * mean_f0(plain)
    assert len(espeak.speak(TEXT).samples) == pytest.approx(len(plain.samples), rel=0.005)  # nothing is left behind


def test_ssml_is_relative_to_the_manner() -> None:
    whole = espeak.speak(TEXT, Manner(pitch=60))
    tagged = espeak.speak(f"<prosody pitch='150%'>{TEXT}</prosody>", Manner(pitch=40), ssml=True)
    assert mean_f0(tagged) == pytest.approx(mean_f0(whole), rel=0.02)


@pytest.mark.parametrize("manner", [Manner(pitch=101), Manner(rate=60), Manner(volume=-1), Manner(range=200)])
def test_values_that_would_be_clipped_are_refused(manner: Manner) -> None:
    with pytest.raises(ValueError, match="outside of eSpeak's"):
        espeak.speak(TEXT, manner)


def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(UserError, match="no voice 'xx-nowhere'"):
        espeak.speak(TEXT, voice="xx-nowhere")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The man of the house.", [["D", "@2"], ["m", "'a", "n"], ["V", "v"], ["D", "@2"], ["h", "'aU", "s"]]),
        ("It was a cat.", [["I", "t"], ["w", "V", "z"], ["a#"], ["k", "'a", "t"]]),
        ("Sing with the band!", [["s", "'I", "N"], ["w", "I", "D"], ["D", "@2"], ["b", "'a", "n", "d"]]),
    ],
)
def test_words_spoken_as_one_are_told_apart(text: str, words: list[list[str]]) -> None:
    assert espeak.phones_of(text) == words


def test_words_are_what_stands_between_spaces_less_punctuation() -> None:
    text = "\u201cDon't,\u201d he said \u2014 (well-known) 42."
    assert [text[a:b] for a, b in espeak.word_spans(text)] == ["Don't", "he", "said", "well-known", "42"]
    phones = espeak.phones_of(text)
    assert len(phones) == 5
    assert all(phones)


@pytest.mark.parametrize("text", ["", "  ", "... \u2014 !"])
def test_text_without_words_has_no_phones(text: str) -> None:
    assert espeak.phones_of(text) == []


PLAIN = "the a of in with man house gate baker because singer apple stopped umbrella was it".split()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(PLAIN), min_size=1, max_size=9))
def test_every_word_of_any_order_of_words_has_phones(words: list[str]) -> None:
    phones = espeak.phones_of(" ".join(words) + ".")
    assert len(phones) == len(words)
    assert all(phones)
    assert espeak.PAUSE not in {phone for word in phones for phone in word}


def test_phones_do_not_depend_on_earlier_calls() -> None:
    texts = [TEXT, "The dog slept, the music stopped.", "One of the best of them was a singer."]
    forward = [espeak.phones_of(text) for text in texts]
    espeak.speak("<prosody rate='50%' pitch='180%'>Something else.</prosody>", Manner(rate=300), ssml=True)
    assert [espeak.phones_of(text) for text in reversed(texts)] == forward[::-1]
    espeak.restart()
    assert [espeak.phones_of(text) for text in texts] == forward


def test_a_fresh_process_speaks_the_same_samples() -> None:
    code = (
        "import hashlib; from data_modules import espeak\n"
        f"for text in ({TEXT!r}, 'Again, it rained.'): print(hashlib.md5(espeak.speak(text).samples).hexdigest())"
    )
    root = Path(__file__).resolve().parent.parent
    runs = [subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.split()) == 2


def test_a_word_that_was_not_spoken_is_named() -> None:
    speech = espeak.speak("The garden.")
    text = "The garden gate."
    spans = espeak.word_spans(text)
    with pytest.raises(ValueError, match="the word"):
        espeak.words_of_phones(espeak.Speech(speech.samples, speech.rate, speech.events[:2]), spans, ["the word"] * 3)
