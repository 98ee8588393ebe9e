"""Controls, phones and SSML: what is written is understood or refused by name, and written back as it was."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_modules.text.analysis import TextAnalyser
from prosody_tts.config import load
from prosody_tts.errors import UserError
from prosody_tts.speaking.controls import FORMS, Control, Span, read_control, read_span
from prosody_tts.speaking.phones import phones_of, read_phones, write_phones
from prosody_tts.speaking.script import Script, plain, script_of
from prosody_tts.speaking.ssml import is_ssml, read_ssml
from prosody_tts.speaking.system import tokens_of


def within(name: str) -> st.SearchStrategy[float]:
    return st.floats(FORMS[name].lowest, FORMS[name].highest)


controls = st.builds(
    Control, pace=within("pace"), pitch=within("pitch"), pitch_range=within("pitch-range"), energy=within("energy")
)
spans = st.tuples(st.integers(1, 10**6), st.integers(0, 50)).flatmap(
    lambda at: st.builds(
        Span, st.just(at[0]), st.just(sum(at)), controls, st.one_of(st.none(), st.floats(0, FORMS["pause"].highest))
    )
)


@given(spans)
def test_a_control_is_written_as_it_is_read(span):
    assert read_span(str(span)) == span


@given(st.sampled_from(sorted(FORMS)), st.data())
def test_a_value_is_written_as_it_is_read(name, data):
    value = data.draw(within(name))
    assert FORMS[name].read(FORMS[name].write(value)) == value


def test_nothing_below_zero_is_nothing():
    assert FORMS["energy"].write(-0.0) == "+0dB" and FORMS["energy"].read("-0dB") == 0


@pytest.mark.parametrize(
    ("written", "control"),
    [
        ({"pace": ".9"}, Control(pace=0.9)),
        ({"pace": "90%"}, Control(pace=0.9)),
        ({"pitch": "+2st"}, Control(pitch=2)),
        ({"pitch": "-2ST"}, Control(pitch=-2)),
        ({"pitch": "+100%"}, Control(pitch=12)),
        ({"pitch": "-50%"}, Control(pitch=-12)),
        ({"pitch_range": "1.3", "energy": "+3dB"}, Control(pitch_range=1.3, energy=3)),
        ({"pace": 0.5, "pitch": -3}, Control(pace=0.5, pitch=-3)),
    ],
)
def test_values_mean_what_people_write(written, control):
    assert read_control(**written) == control


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"pace": "fast"}, "pace=fast is not understood; write it as in 0.9"),
        ({"pace": "0"}, "pace=0 is out of bounds; give 0.25 to 4"),
        ({"pace": math.nan}, "out of bounds"),
        ({"pace": "1e999"}, "out of bounds"),
        ({"pitch": "2"}, r"pitch=2 is not understood; write it as in \+2st"),
        ({"pitch": "10%"}, "pitch=10% is not understood"),
        ({"pitch": "-100%"}, "out of bounds"),
        ({"energy": "+3"}, "energy=.3 is not understood"),
        ({"pitch": "+200st"}, r"give -24st to \+24st"),
    ],
)
def test_a_wrong_value_is_one_sentence(written, words):
    with pytest.raises(UserError, match=words):
        read_control(**written)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("pace=1", "no control of words"),
        ("3", "no control of words"),
        ("x:pace=1", "no control of words"),
        ("0:pace=0.9", "words count from 1"),
        ("5-3:pace=0.9", "words count from 1"),
        ("3:", "controls nothing"),
        ("3:pich=1", "did you mean 'pitch'"),
        ("3:pace", "has no value"),
        ("3:pace=1,pace=2", "gives pace twice"),
        ("3:pause=-1s", "out of bounds"),
    ],
)
def test_a_malformed_control_is_one_sentence(written, words):
    with pytest.raises(UserError, match=words):
        read_span(written)


# Phones

phone = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=3).filter(
    lambda label: label not in ("|", "=", "sil")
)
word = st.text(st.characters(categories=["L"]), min_size=1, max_size=8)


@given(st.lists(st.tuples(word, st.lists(phone, min_size=1, max_size=6)), min_size=1, max_size=8))
def test_phones_are_read_as_they_are_written(pairs):
    words, phones = [pair[0] for pair in pairs], [tuple(pair[1]) for pair in pairs]
    assert read_phones(write_phones(words, phones), words) == phones
    bare = " | ".join(" ".join(spoken) for spoken in phones)
    assert read_phones(bare, words) == phones


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("DH AH0", "are of 1 words and the text has 2"),
        ("DH AH0 | K AE1 T | S", "are of 3 words"),
        ("DH AH0 | ", "word 2, 'cat', none"),
        ("DH AH0 | K sil T", "word 2, 'cat', a pause"),
        ("1:The = DH AH0 | 2:dog = D AO1 G", "word 2 as '2:dog' and the text as 'cat'"),
    ],
)
def test_phones_that_do_not_fit_are_refused(line, words):
    with pytest.raises(UserError, match=words):
        read_phones(line, ["The", "cat"])


# SSML


@pytest.fixture(scope="module")
def analyser() -> TextAnalyser:
    return TextAnalyser(load("camp", ["corpus=folder", "corpus_path=x"]))


def script(text: str, analyser: TextAnalyser) -> Script:
    return script_of(read_ssml(text), analyser)


def texts(found: Script) -> list[str]:
    return [sentence.text for sentence in found.sentences]


def test_ssml_is_known_by_its_beginning():
    assert is_ssml(' <?xml version="1.0"?>\n<speak version="1.1">Hi.</speak>') and is_ssml("<speak>Hi.</speak>")
    assert not is_ssml("I <speak> Hi.") and not is_ssml("<speaker>Hi.</speaker>")


def test_nested_prosody_multiplies_and_adds(analyser):
    found = script(
        '<speak>One <prosody rate="80%" pitch="+2st">two <prosody rate="50%" pitch="-1st" volume="+6dB">three</prosody>'
        " four</prosody> five.</speak>",
        analyser,
    )
    assert texts(found) == ["One two three four five."]
    assert found.spans == (
        Span(2, 4, Control(pace=0.8, pitch=2)),
        Span(3, 3, Control(pace=0.5, pitch=-1, energy=6)),
    )


def test_labels_and_changes_of_ssml(analyser):
    found = script(
        '<speak><prosody rate="slow">a</prosody> <prosody rate="+10%">b</prosody> <prosody range="-50%">c</prosody> '
        '<prosody pitch="high" volume="x-soft">d</prosody> <emphasis level="none">e</emphasis></speak>',
        analyser,
    )
    assert {span.first: span.control for span in found.spans} == {
        1: Control(pace=0.75),
        2: Control(pace=1.1),
        3: Control(pitch_range=0.5),
        4: Control(pitch=3, energy=-12),
        5: Control(),
    }


def test_breaks_stand_after_the_word_before_them(analyser):
    found = script(
        '<speak><break time="1s"/>Well<break time="250ms"/>done, <break/> my <s>Friend.</s>'
        '<break strength="none"/><break strength="strong"/><p>Go.</p></speak>',
        analyser,
    )
    assert texts(found) == ["Well done, my", "Friend.", "Go."]
    assert found.pauses == {0: 1.0, 1: 0.25, 2: 0.4, 4: 0.7}


def test_sentences_are_split_and_forced(analyser):
    found = script("<speak>He came. She left. <s>One. Two.</s><p>Three. Four.</p></speak>", analyser)
    assert texts(found) == ["He came.", "She left.", "One. Two.", "Three.", "Four."]


def test_aliases_phonemes_and_numbers_are_spoken(analyser):
    found = script(
        '<speak>The <sub alias="World Wide Web">WWW</sub> paid $20 for a '
        '<phoneme alphabet="x-cmu" ph="T AH0 M AA1 T OW2">tomato</phoneme>.</speak>',
        analyser,
    )
    assert texts(found) == ["The World Wide Web paid twenty dollars for a tomato."]
    spoken = phones_of(found.sentences[0])
    assert spoken[-1] == ("T", "AH0", "M", "AA1", "T", "OW2")
    plainly = script_of(plain(found.sentences[0].text), analyser)
    assert spoken[:-1] == phones_of(plainly.sentences[0])[:-1]


def test_text_without_marks_is_the_text(analyser):
    text = 'Dr. Smith paid $20 & left. "Really?" he said.'
    marked = script("<speak>" + text.replace("&", "&amp;") + "<!-- quietly --></speak>", analyser)
    assert marked == script_of(plain(text), analyser)
    assert texts(marked) == [part for parts in analyser.prepare([text]) for part in parts]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("<speak>Hi", "malformed: no element found"),
        ("<speak>Hi</p></speak>", "malformed: mismatched tag in line 1"),
        ("Hi", "malformed"),
        ("<p>Hi</p>", "must begin with <speak>"),
        ("<speak><audio src='x.wav'/></speak>", "<audio> is not supported; supported are speak, p, s"),
        ("<speak xmlns='urn:other'>Hi</speak>", "<speak> is not supported"),
        ("<speak><prosody contour='(0%,+20Hz)'>Hi</prosody></speak>", "contour of <prosody> is not supported"),
        ("<speak><prosody pitch='120Hz'>Hi</prosody></speak>", "pitch=120Hz of <prosody> is not supported"),
        ("<speak><prosody rate='quick'>Hi</prosody></speak>", "rate=quick .*x-slow, slow, medium"),
        ("<speak><prosody rate='+900%'>Hi</prosody></speak>", "from 0.25 to 4"),
        ("<speak><break time='soon'/>Hi</speak>", "time=soon of <break>"),
        ("<speak><break time='1h'/>Hi</speak>", "time=1h of <break>"),
        ("<speak><break>Hi</break></speak>", "<break> holds the text"),
        ("<speak><emphasis level='huge'>Hi</emphasis></speak>", "level=huge of <emphasis>"),
        ("<speak><phoneme alphabet='ipa' ph='a'>Hi</phoneme></speak>", "alphabet=ipa .*x-cmu, x-espeak"),
        ("<speak><phoneme alphabet='x-cmu'>Hi</phoneme></speak>", "<phoneme> has no ph"),
        ("<speak><phoneme alphabet='x-cmu' ph='HH AY1'/></speak>", "<phoneme> holds no word"),
        ("<speak><phoneme alphabet='x-cmu' ph='HH AY1'>Hi there</phoneme></speak>", "are of 1 words"),
        ("<speak><phoneme alphabet='x-espeak' ph='h aI'>Hi</phoneme></speak>", "phones of espeak"),
        ("<speak><sub alias='x'><s>Hi</s></sub></speak>", "<s> stands in <sub>"),
        ("<speak><s><s>Hi</s></s></speak>", "<s> stands in <s>"),
        ("<speak xml:lang='fr'>Salut</speak>", "xml:lang=fr of <speak> is not supported"),
        ("<speak>un<prosody rate='slow'>believable</prosody></speak>", "inside the word 'unbelievable'"),
        ("<speak> ... </speak>", "no word to speak"),
        ("<speak/>", "no word to speak"),
        ("<!DOCTYPE speak [<!ENTITY a 'b'>]><speak>&a;</speak>", "document type"),
        ("<!DOCTYPE speak SYSTEM 'file:///etc/passwd'><speak>Hi</speak>", "document type"),
        ("<speak>&secret;</speak>", "malformed: undefined entity"),
        ("<speak>\ud800</speak>", "no text"),
    ],
)
def test_what_does_not_map_is_refused_by_name(analyser, document, words):
    with pytest.raises(UserError, match=words):
        script(document, analyser)


@given(st.text(max_size=60))
def test_any_text_is_a_markup_or_one_sentence(text):
    try:
        read_ssml(f"<speak>{text}</speak>")
    except UserError as error:
        assert "\n" not in str(error)


# Words and tokens


def test_a_word_that_is_not_there_is_told_with_those_that_are(analyser):
    found = script_of(plain("The cat sat. It slept."), analyser)
    assert found.words == ["The", "cat", "sat", "It", "slept"]
    assert found.asking(Control(), [Span(5, 5)]).spans == (Span(5, 5),)
    with pytest.raises(UserError, match=r"no word 6 in .*which has 5: 1:The 2:cat"):
        found.asking(Control(), [Span(2, 6)])


@given(st.integers(1, 12), st.integers(0, 11), st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_a_span_holds_its_words_and_what_lies_between(first, more, sentences):
    """Over all sentences, a span's tokens are one stretch from its first word to its last."""
    total = sum(sentences)
    first = min(first, total)
    span = Span(first, min(first + more, total))
    held, axis, start = [], [], 1
    for words in sentences:
        tokens = list(range(1 + 2 * words))
        a, b = tokens_of(span, start, words)
        held += [a <= token < b for token in tokens]
        axis += [start + token // 2 if token % 2 else 0 for token in tokens]
        start += words
    chosen = [place for place, inside in enumerate(held) if inside]
    assert chosen == list(range(chosen[0], chosen[-1] + 1))
    assert (axis[chosen[0]], axis[chosen[-1]]) == (span.first, span.last)
