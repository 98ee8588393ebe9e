"""Words written alike and spoken differently, told apart by their Penn tag. CMUdict lists the variants unlabelled."""

from __future__ import annotations

from collections.abc import Sequence

Phones = tuple[str, ...]

#: Word -> tag, or its first two letters, or ``*`` for any other -> phones. The longest key that fits decides.
HOMOGRAPHS: dict[str, dict[str, str]] = {
    "a": {"DT": "AH0", "*": "EY1"},
    "abuse": {"VB": "AH0 B Y UW1 Z", "*": "AH0 B Y UW1 S"},
    "abuses": {"VB": "AH0 B Y UW1 Z IH0 Z", "*": "AH0 B Y UW1 S IH0 Z"},
    "aged": {"JJ": "EY1 JH IH0 D", "*": "EY1 JH D"},
    "bass": {"*": "B EY1 S"},
    "blessed": {"JJ": "B L EH1 S IH0 D", "*": "B L EH1 S T"},
    "bow": {"VB": "B AW1", "*": "B OW1"},
    "bows": {"VB": "B AW1 Z", "*": "B OW1 Z"},
    "bowed": {"*": "B AW1 D"},
    "close": {"VB": "K L OW1 Z", "*": "K L OW1 S"},
    "content": {"NN": "K AA1 N T EH0 N T", "*": "K AH0 N T EH1 N T"},
    "does": {"NN": "D OW1 Z", "*": "D AH1 Z"},
    "dove": {"VB": "D OW1 V", "*": "D AH1 V"},
    "dr": {"*": "D AA1 K T ER0"},
    "excuse": {"VB": "IH0 K S K Y UW1 Z", "*": "IH0 K S K Y UW1 S"},
    "excuses": {"VB": "IH0 K S K Y UW1 Z IH0 Z", "*": "IH0 K S K Y UW1 S IH0 Z"},
    "house": {"VB": "HH AW1 Z", "*": "HH AW1 S"},
    "houses": {"*": "HH AW1 Z IH0 Z"},
    "invalid": {"NN": "IH1 N V AH0 L IH0 D", "*": "IH2 N V AE1 L AH0 D"},
    "lead": {"NN": "L EH1 D", "*": "L IY1 D"},
    "learned": {"JJ": "L ER1 N IH0 D", "*": "L ER1 N D"},
    "live": {"VB": "L IH1 V", "*": "L AY1 V"},
    "lives": {"VB": "L IH1 V Z", "*": "L AY1 V Z"},
    "minute": {"JJ": "M AY0 N UW1 T", "*": "M IH1 N AH0 T"},
    "object": {"VB": "AH0 B JH EH1 K T", "*": "AA1 B JH EH0 K T"},
    "objects": {"VB": "AH0 B JH EH1 K T S", "*": "AA1 B JH EH0 K T S"},
    "perfect": {"VB": "P ER0 F EH1 K T", "*": "P ER1 F IH2 K T"},
    "polish": {"NNP": "P OW1 L IH0 SH", "JJ": "P OW1 L IH0 SH", "*": "P AA1 L IH0 SH"},
    "read": {"VBD": "R EH1 D", "VBN": "R EH1 D", "*": "R IY1 D"},
    "refuse": {"NN": "R EH1 F Y UW2 Z", "*": "R AH0 F Y UW1 Z"},
    "resume": {"NN": "R EH1 Z AH0 M EY2", "*": "R IH0 Z UW1 M"},
    "row": {"*": "R OW1"},
    "sow": {"NN": "S AW1", "*": "S OW1"},
    "st": {"NNP": "S EY1 N T", "*": "S T R IY1 T"},
    "tear": {"VB": "T EH1 R", "*": "T IH1 R"},
    "tears": {"VB": "T EH1 R Z", "*": "T IH1 R Z"},
    "use": {"VB": "Y UW1 Z", "*": "Y UW1 S"},
    "uses": {"VB": "Y UW1 Z IH0 Z", "*": "Y UW1 S IH0 Z"},
    "wind": {"VB": "W AY1 N D", "*": "W IH1 N D"},
    "winds": {"VB": "W AY1 N D Z", "*": "W IH1 N D Z"},
    "wound": {"VBD": "W AW1 N D", "VBN": "W AW1 N D", "*": "W UW1 N D"},
}

#: Nouns stressed early whose verbs are stressed late: "a record", "to record". Plural and third person follow.
STRESS_PAIRS = frozenset(
    """abstract accent addict affix ally annex attribute combine commune compact compound compress concert conduct
    confines conflict conscript console construct contest contract contrast converse convert convict costume decrease
    defect desert digest discharge discount escort essay excerpt exploit extract ferment impact implant import impress
    imprint incense incline increase insert insult intrigue misprint overflow permit pervert present produce progress
    project protest rebel recall recess record refill refund regress reject reset rewrite segment subject supplement
    survey suspect torment transfer transform transplant transport traverse update upgrade upset""".split()  # noqa: SIM905
)


def choose(word: str, tag: str, variants: Sequence[Phones]) -> Phones:
    """Pronunciation of a lower-case word with a Penn tag, from its variants in CMUdict (one or more).

    The table first; then noun and verb of ``STRESS_PAIRS`` by the place of the main stress, and words in -ate by their
    last vowel (full in verbs, reduced in others); else the dictionary's first.
    """
    entry = HOMOGRAPHS.get(word)
    if entry is not None:
        return tuple((entry.get(tag) or entry.get(tag[:2]) or entry.get("*") or " ".join(variants[0])).split())
    if len(variants) > 1:
        verb = tag.startswith("VB") or tag == "MD"
        if word in STRESS_PAIRS or word.removesuffix("s") in STRESS_PAIRS:
            places = [_main_stress(phones) for phones in variants]
            return variants[places.index(max(places) if verb else min(places))]
        if word.endswith(("ate", "ates")):
            full = ["EY2" in phones or "EY1" in phones for phones in variants]
            if verb in full:
                return variants[full.index(verb)]
    return variants[0]


def _main_stress(phones: Phones) -> int:
    """Which vowel carries the main stress."""
    vowels = [phone for phone in phones if phone[-1].isdigit()]
    return next((place for place, phone in enumerate(vowels) if phone.endswith("1")), 0)
