"""The papers' own figures, each with where it stands, to be printed beside ours.

Kathaka's and CAMP's are from listening tests; a gap closed by an objective metric is not the same quantity, only the
same question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KATHAKA = "Kathaka, arXiv 2011.02252"
CAMP = "CAMP, arXiv 2011.01175"


@dataclass(frozen=True)
class Figure:
    """A figure of a paper.

    Attributes:
        value: the figure.
        half: half the width of the 95 % interval printed with it, or None.
        source: paper and place.
    """

    value: float
    half: float | None
    source: str

    def __str__(self) -> str:
        """As papers print it: ``26 ± 7``."""
        return f"{self.value:g}" + ("" if self.half is None else f" ± {self.half:g}")


_GAP_KATHAKA = f"{KATHAKA}, gap reduction study: MUSHRA, 25 listeners, 50 samples"
_GAP_CAMP = f"{CAMP}, relative positions (Table 6.2 of Hodari's thesis): MUSHRA-like, 25 listeners, 96 sentences"
_MAIN_CAMP = f"{CAMP}, main listening test: MUSHRA-like, 25 listeners, 96 sentences"
_ABLATION_CAMP = f"{CAMP}, ablation of context encoders: MUSHRA-like without reference, 20 listeners, 96 sentences"
_PREFERENCE_CAMP = f"{CAMP}, preference test of Tacotron-2 against DurIAN+: 15 listeners, 96 sentences"

#: Share of the gap between baseline and recordings closed, in per cent. CAMP's main test had its BERT variant only.
GAP_CLOSED: dict[str, Figure] = {
    "kathaka": Figure(13.2, None, _GAP_KATHAKA),
    "kathaka_oracle": Figure(29.19, None, _GAP_KATHAKA),
    "camp_bert": Figure(26, 7, _GAP_CAMP),
    "camp_oracle": Figure(69, 6, _GAP_CAMP),
}

#: Share of the gap between baseline and the system's own oracle closed, in per cent.
GAP_TO_ORACLE: dict[str, Figure] = {"camp_bert": Figure(38, 10, _GAP_CAMP)}

#: Mean MUSHRA score of CAMP's main listening test; ``recording`` is natural speech.
MUSHRA: dict[str, Figure] = {
    "baseline": Figure(58.5, 0.99, _MAIN_CAMP),
    "camp_bert": Figure(62.3, 0.97, _MAIN_CAMP),
    "camp_oracle": Figure(68.6, 0.90, _MAIN_CAMP),
    "recording": Figure(73.1, 0.86, _MAIN_CAMP),
}

#: Mean MUSHRA score of CAMP's ablation of context encoders.
MUSHRA_ABLATION: dict[str, Figure] = {
    "camp_syntax": Figure(63.9, 1.21, _ABLATION_CAMP),
    "camp_bert": Figure(66.5, 1.21, _ABLATION_CAMP),
    "camp": Figure(66.3, 1.19, _ABLATION_CAMP),
}

#: Share of preferences of CAMP's test of attention against a duration model, in per cent, 96 sentences.
PREFERENCE: dict[str, Figure] = {
    "s2s": Figure(25.9, None, _PREFERENCE_CAMP),
    "baseline": Figure(63.1, None, _PREFERENCE_CAMP),
}

_TALMAN = "Talman et al. 2019, arXiv 1908.02262: Helsinki Prosody Corpus, trained on train-360, its test set"

#: Two-way and three-way accuracy of prominence in per cent, by what predicts it.
PROMINENCE: dict[str, tuple[Figure, Figure]] = {
    name: (Figure(two, None, _TALMAN), Figure(three, None, _TALMAN))
    for name, two, three in (
        ("BERT", 83.2, 68.6),
        ("BiLSTM", 82.1, 66.4),
        ("commonest class of each word", 80.2, 62.4),
        ("commonest class", 52.0, 48.0),
    )
}

#: Which system hears the recording and so bounds another's stage two from above, by the start of the system's name.
ORACLES: dict[str, str] = {name: f"{name}_oracle" for name in ("kathaka", "camp", "word", "phone", "explicit")}


def oracle_of(system: str, oracles: Mapping[str, str] = ORACLES) -> str | None:
    """The oracle of a system, None for oracles themselves and systems without one; the longest prefix decides."""
    if system in oracles.values():
        return None
    prefixes = [prefix for prefix in oracles if system == prefix or system.startswith(f"{prefix}_")]
    return oracles[max(prefixes, key=len)] if prefixes else None
