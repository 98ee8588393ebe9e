"""A text becomes a checked sentence, or the user learns in one sentence why it cannot."""

from __future__ import annotations

import json
import os
from pathlib import Path

import networkx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.text import measure, read_texts
from data_modules.text.analysis import TextAnalyser
from data_modules.text.graph import diameter
from data_modules.text.parse import find_pipeline, load_pipeline, parser_identity
from data_modules.text.sentence import COMPOUND, NODE_LABELS, PAUSE, POS, PUNCTUATION, WORD_CLASSES, Sentence
from data_modules.text.words import MOST_CHARACTERS, clean, find_words, gaps
from prosody_tts.config import ROOT, Experiment, TextConfig
from prosody_tts.errors import UserError

TREE = "(S (NP (DT The) (NN dog)) (VP (VBD saw) (NP (DT the) (NN man)) (PP (IN with) (NP (DT a) (NN hat)))) (. .))"


def analyser(tree: str = "dependency", pronouncer: str = "cmudict") -> TextAnalyser:
    return TextAnalyser(Experiment(corpus="testbed", text=TextConfig(pronouncer=pronouncer, tree=tree)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def dependency() -> TextAnalyser:
    return analyser()


def analyse(text: str, tree: str = "dependency") -> Sentence:
    return analyser(tree).analyse([text])[0]


def named(sentence: Sentence, tag: str, names: tuple[str, ...]) -> list[str]:
    """Values of a tag on words, or on pause slots for punctuation."""
    values = sentence.tags[tag][::2] if tag == "punctuation" else sentence.tags[tag][1::2]
    return [names[value] for value in values]


# Words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't know.", ["I", "don't", "know"]),
        ("I don’t know.", ["I", "don’t", "know"]),
        ('"or "forty-two line Bible"', ["or", "forty-two", "line", "Bible"]),
        ("stop—now", ["stop", "now"]),
        ("stop--now", ["stop", "now"]),
        ("and/or", ["and", "or"]),
        ("wait...what…then", ["wait", "what", "then"]),
        ("at six p.m. (sharp)", ["at", "six", "p.m", "sharp"]),
        ("The end.Then more", ["The", "end", "Then", "more"]),
        ("AT&T owes $1,000.50", ["AT&T", "owes", "$1,000.50"]),
        ("[twelve:thirty]", ["twelve", "thirty"]),
        ("cafe\u0301 na\u00efve", ["café", "naïve"]),
        ("soft\u00adhy\u200bphen\x00\x1b", ["softhyphen"]),
        ("one\ttwo\n\u2028three\u00a0four", ["one", "two", "three", "four"]),
        ("fun 😀 times", ["fun", "times"]),
        ("dogs' tails", ["dogs", "tails"]),
    ],
)
def test_words_are_what_is_said(text: str, words: list[str]) -> None:
    assert [word.text for word in find_words(clean(text))] == words


@given(st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_words_and_gaps_cover_any_text_once(text: str) -> None:
    text = clean(text)
    try:
        words = find_words(text)
    except UserError:
        assert not any(character.isalnum() for character in text)
        return
    assert all(text[word.start : word.end] == word.text for word in words)
    slots = gaps(text, words)
    rebuilt = text[slice(*slots[0])]
    for word, slot in zip(words, slots[1:], strict=True):
        rebuilt += word.text + text[slice(*slot)]
    assert rebuilt == text
    assert not any(character.isalnum() for slot in slots for character in text[slice(*slot)])
    assert clean(text) == text


@pytest.mark.parametrize("text", ["", "   ", "...?!", "😀😀", "\u200b\x00", "&", "—", "\ud800"])
def test_a_text_without_words_is_the_users_to_mend(text: str, dependency: TextAnalyser) -> None:
    with pytest.raises(UserError, match="no word to speak"):
        dependency.analyse([text])


def test_a_book_is_no_sentence(dependency: TextAnalyser) -> None:
    with pytest.raises(UserError, match="split it into sentences"):
        dependency.analyse(["word " * (MOST_CHARACTERS // 5 + 1)])


# Sentences -------------------------------------------------------------------------------------------------------

FRAGMENTS = """
    don't won’t it's dog's dogs' 'tis rock'n'roll o'clock forty-two mother-in-law e-mail p.m. U.S.A. Mr. Ph.D.
    AT&T 50% $5 £3.50 1,000 3.14 12:30 C++ https://www.example.com/a-b?c=d&e=f#g me@example.org #tag @you a/b …
    ... — -- ' " “ ” ( ) [ ] 😀 👩\u200d👩\u200d👧 ☃ ™ naïve Müller Brzęczyszczykiewicz ﬁne Ⅳ ½ ² ① ß İ Ǆ x̂y
    Москва 你好 שלום مرحبا हिन्दी ٣ _ __a__ a_b * ** \\ XYZ QRSTUV NASA read lead the a I and of saw man with
    telescope which , . ; : ? !
""".split()
PIECES = st.one_of(st.sampled_from(FRAGMENTS), st.sampled_from(FRAGMENTS), st.text(max_size=8))
TEXTS = st.lists(
    st.tuples(PIECES, st.sampled_from((" ", " ", " ", "", "\n", "\u200f", "\x07", "\u00a0"))), max_size=14
).map(lambda parts: "".join(piece + gap for piece, gap in parts))


def assert_sound(sentence: Sentence) -> None:
    """What every consumer relies on, beyond ``Sentence.check``."""
    sentence.check()
    assert len(sentence.phones) == sentence.tokens // 2 + 1 + sum(phone != PAUSE for phone in sentence.phones)
    graph = networkx.Graph(sentence.graph.edges)
    graph.add_nodes_from(range(len(sentence.graph.labels)))
    assert networkx.is_tree(graph)
    assert networkx.diameter(graph) == sentence.graph.diameter
    assert sentence.tags["pos"][::2] == (POS.index("PAUSE"),) * (len(sentence.words) + 1)
    assert Sentence.from_dict(json.loads(json.dumps(sentence.to_dict()))) == sentence


@pytest.mark.parametrize(("tree", "pronouncer"), [("dependency", "cmudict"), ("constituency", "espeak")])
@given(text=TEXTS)
@example(text=" ".join(["supercalifragilistic", "don't"] * 150))
@example(text="a" * 300)
@example(text="\u202eright to left\u202c שלום")
@example(text="'''''''word''''''' \"\"")
@example(text="--a--'--b")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_analysed_or_refused(tree: str, pronouncer: str, text: str) -> None:
    (result,) = analyser(tree, pronouncer).analyse_each([text])
    if isinstance(result, Sentence):
        assert_sound(result)
    else:
        assert isinstance(result, UserError) and len(str(result).splitlines()) == 1


def test_other_scripts_are_named(dependency: TextAnalyser) -> None:
    with pytest.raises(UserError, match="cannot pronounce 'Москва'"):
        dependency.analyse(["We flew to Москва."])


def test_one_bad_text_does_not_spoil_its_batch(dependency: TextAnalyser) -> None:
    good = ["One fine day.", "Another one."]
    first, bad, last = dependency.analyse_each([good[0], "你好", good[1]])
    assert isinstance(bad, UserError)
    assert [first, last] == dependency.analyse(good)


def test_sentences_do_not_depend_on_their_company(dependency: TextAnalyser) -> None:
    texts = [
        f"The {noun} didn't see number {n}, did it?" for n in ("four", "nine") for noun in ("man", "old cat", "dog")
    ]
    assert dependency.analyse(texts) == [dependency.analyse([text])[0] for text in texts]


def test_phones_lie_between_pauses(dependency: TextAnalyser) -> None:
    sentence = dependency.analyse(["Go on."])[0]
    assert sentence.phones == (PAUSE, "G", "OW1", PAUSE, "AA1", "N", PAUSE)
    assert sentence.phone_to_word == (0, 1, 1, 2, 3, 3, 4)


def test_given_phones_are_kept(dependency: TextAnalyser) -> None:
    sentence, other = dependency.analyse(["Go on.", "Go on."], phones=[[["x"], ["y", "z"]], None])
    assert sentence.phones == (PAUSE, "x", PAUSE, "y", "z", PAUSE)
    assert other.phones[1] == "G"


@pytest.mark.parametrize("phones", [[["x"]], [["x"], ["y"], ["z"]], [["x"], []], [["x"], [PAUSE]]])
def test_given_phones_must_fit_the_words(phones: list[list[str]], dependency: TextAnalyser) -> None:
    with pytest.raises(UserError, match=r"Go on\."):
        dependency.analyse(["Go on."], phones=[phones])


# Tags ------------------------------------------------------------------------------------------------------------


def test_tags_of_a_contraction_come_from_its_verb() -> None:
    sentence = analyse("They don't like forty-two lines, really.")
    assert named(sentence, "pos", POS) == ["PRP", "VBP", "VB", "CD", "NNS", "RB"]
    assert named(sentence, "word_class", WORD_CLASSES) == ["closed", "closed", "open", "closed", "open", "open"]


def test_compound_nouns_have_modifier_and_head() -> None:
    sentence = analyse("The school bus was late again.")
    roles = dict(zip([word.text for word in sentence.words], named(sentence, "compound", COMPOUND), strict=True))
    assert roles["school"] == "modifier" and roles["bus"] == "head"
    assert {role for word, role in roles.items() if word not in ("school", "bus")} == {"none"}


def test_punctuation_stands_on_its_pause_slot() -> None:
    sentence = analyse('"Yes," he said; why: so—no! At five p.m. we "left" (early) … Mr. Fox ran?')
    assert list(
        zip([""] + [word.text for word in sentence.words], named(sentence, "punctuation", PUNCTUATION), strict=True)
    ) == [
        *(("", "quote"), ("Yes", "comma"), ("he", "none"), ("said", "semicolon"), ("why", "colon"), ("so", "dash")),
        *(("no", "exclamation"), ("At", "none"), ("five", "none"), ("p.m", "none"), ("we", "quote"), ("left", "quote")),
        *(("early", "full_stop"), ("Mr", "none"), ("Fox", "none"), ("ran", "question")),
    ]


# Graphs ----------------------------------------------------------------------------------------------------------


def label(sentence: Sentence, token: int) -> str:
    return NODE_LABELS[sentence.graph.labels[sentence.graph.word_to_node[token]]]


def test_dependency_nodes_are_tokens_with_punctuation() -> None:
    sentence = analyse("The dog didn't bark, sadly.")
    assert [NODE_LABELS[i] for i in sentence.graph.labels] == ["DT", "NN", "VBD", "RB", "VB", ",", "RB", "."]
    nodes = sentence.graph.word_to_node
    # Slots without a mark share the node of the word before, the first slot that of the word after.
    assert nodes[0] == nodes[1] == nodes[2] == 0
    assert nodes[5] == nodes[6] == 2  # "didn't" is its verb
    assert [label(sentence, token) for token in (8, 9, 10)] == [",", "RB", "."]


def test_phrases_are_projected_from_dependencies() -> None:
    sentence = analyse("The old dog chased cats that slept.", "constituency")
    # S: subject, then the VP of what follows it; a relative clause is SBAR over S.
    assert brackets(sentence) == "(S (NP DT JJ NN) (VP VBD (NP NNS (SBAR (S (NP WDT) (VP VBD)))) .))"
    assert [label(sentence, token) for token in range(1, sentence.tokens, 2)] == [
        "DT",
        "JJ",
        "NN",
        "VBD",
        "NNS",
        "WDT",
        "VBD",
    ]


def brackets(sentence: Sentence) -> str:
    """The tree read depth first, which is the order of its nodes."""
    children: dict[int, list[int]] = {}
    for a, b in sentence.graph.edges:
        children.setdefault(a, []).append(b)

    def write(node: int) -> str:
        name = NODE_LABELS[sentence.graph.labels[node]]
        return f"({' '.join([name, *map(write, children[node])])})" if node in children else name

    return write(0)


def test_gold_trees_lose_their_words_only() -> None:
    text = "The dog saw the man with a hat."
    sentence = analyser("gold").analyse([text], trees=[TREE])[0]
    assert brackets(sentence) == "(S (NP DT NN) (VP VBD (NP DT NN) (PP IN (NP DT NN))) .)"
    assert [label(sentence, token) for token in (0, 1, 2, 3, 15, 16)] == ["DT", "DT", "DT", "NN", "NN", "."]
    assert sentence.graph.diameter == 6
    # Labels beyond ours are mapped; marks may be missing, contractions may be split.
    loose = "(ROOT (S (NP-SBJ (PRP I)) (VP (VBP do) (RB n't) (VP (VB know)))))"
    sentence = analyser("gold").analyse(['"I don\'t know!"'], trees=[loose])[0]
    assert brackets(sentence) == "(S (S (NP PRP) (VP VBP RB (VP VB))))"
    assert [label(sentence, token) for token in range(7)] == ["PRP", "PRP", "PRP", "VBP", "VBP", "VB", "VB"]


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        (None, "without a gold tree"),
        ("(S (NP (DT The) (NN dog))", "not closed"),
        ("", "no leaves"),
        ("word", "outside of brackets"),
        ("(S (NP (DT The) (NN cat)) (VP (VBD ran)))", "at 'cat'"),
        ("(S (NP (DT The) (NN dog)))", "ends before 'ran.'"),
        ("(S The (NN dog) (VBD ran))", "'The' stands beside"),
    ],
)
def test_a_gold_tree_must_be_the_texts(tree: str | None, why: str) -> None:
    with pytest.raises(UserError, match=why.replace(".", r"\.")):
        analyser("gold").analyse(["The dog ran."], trees=[tree])


@pytest.mark.parametrize("tree", ["dependency", "constituency"])
def test_several_sentences_hang_together(tree: str) -> None:
    sentence = analyse("One came. Two went. Three stayed at home with a very old friend!", tree)
    assert_sound(sentence)


@given(st.lists(st.integers(0, 10**6), max_size=40))
def test_diameter_is_the_longest_shortest_path(parents: list[int]) -> None:
    edges = [(parent % (child + 1), child + 1) for child, parent in enumerate(parents)]
    graph = networkx.Graph(edges)
    graph.add_node(0)
    assert diameter(len(parents) + 1, edges) == networkx.diameter(graph)


def test_an_unconnected_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="not connected"):
        diameter(3, [(0, 1)])


# Pipelines -------------------------------------------------------------------------------------------------------


def test_a_missing_pipeline_says_what_to_install() -> None:
    with pytest.raises(UserError, match=r"text\.parser=de_core_news_sm .*pip install de-core-news-sm"):
        find_pipeline("de_core_news_sm")


def test_a_pipeline_without_a_parser_is_refused(tmp_path) -> None:
    import spacy

    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(UserError, match="has no parser and no tagger"):
        load_pipeline(str(tmp_path / "blank"))


def test_a_pipeline_can_be_a_folder_and_is_known_by_its_content(tmp_path) -> None:
    import shutil

    copy = shutil.copytree(find_pipeline("en_core_web_sm"), tmp_path / "mine")
    same, original = parser_identity(str(copy)), parser_identity("en_core_web_sm")
    assert same == original
    (copy / "meta.json").write_text((copy / "meta.json").read_text() + " ")
    assert parser_identity(str(copy)) != original


def test_tags_match_the_whole_pipeline() -> None:
    """Leaving components out for speed changes neither tags nor dependencies."""
    import spacy

    text = "Wasn't the 2nd-floor office of Mr. Smith's lawyers, who'd left at 5 p.m., really empty?"
    whole = spacy.load(find_pipeline("en_core_web_sm"))(text)
    lean = load_pipeline("en_core_web_sm")(text)
    assert [(t.text, t.tag_, t.dep_, t.head.i) for t in lean] == [(t.text, t.tag_, t.dep_, t.head.i) for t in whole]


def test_identity_tells_settings_apart() -> None:
    identities = [
        analyser().identity(),
        analyser("constituency").identity(),
        analyser(pronouncer="espeak").identity(),
        TextAnalyser(Experiment(text=TextConfig(pronouncer="cmudict", bert_layer=0))).identity(),
    ]
    texts = [json.dumps(identity, sort_keys=True) for identity in identities]
    assert len(set(texts)) == len(texts)
    assert json.dumps(analyser().identity(), sort_keys=True) == texts[0]


def test_the_testbed_is_pronounced_by_its_own_voice() -> None:
    assert TextAnalyser(Experiment(corpus="testbed")).inventory() is None
    assert len(TextAnalyser(Experiment(corpus="folder", corpus_path="x")).inventory() or ()) == 69


# Full scale ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_transcripts_of_a_corpus_have_no_failure() -> None:
    shared = Path(os.environ.get("PROSODY_TTS_SHARED", ROOT.parent / "shared"))
    metadata = shared / "data" / "ljspeech-metadata.csv"
    if not metadata.is_file():
        pytest.skip(f"{metadata} is missing")
    result = measure(read_texts(metadata, limit=1310))
    assert result.sentences == 1310 and result.failures == []
    assert result.unknown < 0.03 * result.words
    assert {tree: len(found) for tree, found in result.diameters.items()} == {"dependency": 1310, "constituency": 1310}
