"""The papers' own figures, each with where it stands, to be printed beside ours.

Kathaka's and CAMP's are from listening tests; a gap closed by an objective metric is not the same quantity, only the
same question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

_ZHANG = (
    "Zhang et al. 2023, arXiv 2307.16679: log F0 and duration of phones of 116 speakers in 200 h, predicted by "
    "regression (L2), a flow at temperature 0.4 and diffusion at 0.8"
)
_LI = "Li et al. 2023, arXiv 2305.16749: prosody of phones by FastSpeech 2's regression and by diffusion"

#: Distributions of predicted phones: by what predicts them, SD of durations (frames), SD and SD of steps of log F0, JSD
#: to the recordings of durations and of log F0. The papers print no bins.
DISTRIBUTIONS: dict[str, tuple[Figure | None, ...]] = {
    name: tuple(None if value is None else Figure(value, None, source) for value in values)
    for name, source, values in (
        ("recordings (Zhang)", _ZHANG, (4.49, 0.24, 0.19, None, None)),
        ("regression (Zhang)", _ZHANG, (4.03, 0.14, 0.09, 0.112, 0.163)),
        ("flow (Zhang)", _ZHANG, (4.12, 0.19, 0.14, 0.067, 0.073)),
        ("diffusion (Zhang)", _ZHANG, (4.27, 0.21, 0.15, 0.041, 0.057)),
        ("regression (Li)", _LI, (None, None, None, 0.119, 0.199)),
        ("diffusion (Li)", _LI, (None, None, None, 0.056, 0.085)),
    )
}
DISTRIBUTION_HEADS = ("SD duration (frames)", "SD log F0", "SD of steps, log F0", "JSD duration", "JSD log F0")

#: What the ablations of contexts found, in words.
CAMP_FOUND = (
    "CAMP found syntax tags below BERT (Wilcoxon, Holm), and BERT with tags no better than BERT alone; its listeners "
    "heard speech, here timing is measured, so read the order and not the distance."
)
CAMP_FOUND_HEARD = (
    "CAMP's listeners found syntax tags below BERT (Wilcoxon, Holm), and both together no better than BERT."
)
KATHAKA_FOUND = (
    "Kathaka found its samplers from BERT, from the parse graph and from both all above the baseline, and none of the "
    "three better than another."
)


@dataclass(frozen=True)
class Beside:
    """A table of papers' figures that answers the same question as one of ours.

    Attributes:
        title: of the table.
        heads: of its columns.
        lines: of cells.
        notes: what was found, and how it is to be read.
        sources: where the figures stand.
    """

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    sources: tuple[str, ...]

    @staticmethod
    def of(title: str, heads: Sequence[str], table: Mapping[str, Sequence[Figure | None]], *notes: str) -> Beside:
        """Lay figures by name out as a table."""
        lines = tuple(
            (name, *("—" if figure is None else str(figure) for figure in figures)) for name, figures in table.items()
        )
        found = dict.fromkeys(figure.source for figures in table.values() for figure in figures if figure is not None)
        return Beside(title, tuple(heads), lines, notes, tuple(found))


def beside(dimensions: Sequence[str]) -> list[Beside]:
    """The papers' tables beside a table on labels of these dimensions."""
    found = []
    if "timing" in dimensions:
        ablation = {name: (figure,) for name, figure in MUSHRA_ABLATION.items()}
        found.append(Beside.of("contexts", ("system", "MUSHRA-like score"), ablation, CAMP_FOUND))
        note = "Phones there, words here; what compares is how far draws come down from the regression."
        found.append(Beside.of("distributions", ("predicted by", *DISTRIBUTION_HEADS), DISTRIBUTIONS, note))
    if "prominence" in dimensions:
        note = (
            "Accuracy of prominence in per cent. The paper trains classifiers on 116,262 sentences and tests them on "
            "the corpus's own test set."
        )
        found.append(Beside.of("prominence", ("predicted by", "two-way", "three-way"), PROMINENCE, note))
    return found


def beside_speech(systems: Sequence[str]) -> list[Beside]:
    """The papers' tables and findings beside a table of these speaking systems."""
    found = []
    if any(name.startswith("camp") for name in systems):
        ablation = {name: (figure,) for name, figure in MUSHRA_ABLATION.items()}
        found.append(Beside.of("CAMP's ablation", ("system", "MUSHRA-like score"), ablation, CAMP_FOUND_HEARD))
    if any(name.startswith("kathaka") for name in systems):
        closed = {name: (figure,) for name, figure in GAP_CLOSED.items() if name.startswith("kathaka")}
        found.append(Beside.of("Kathaka's ablation", ("system", "gap closed (%)"), closed, KATHAKA_FOUND))
    if any("sampler.prior" in name for name in systems):
        note = "Phones of real speech there; what compares is how far draws come down from the regression."
        found.append(Beside.of("distributions", ("predicted by", *DISTRIBUTION_HEADS), DISTRIBUTIONS, note))
    return found


#: Which system hears the recording and so bounds another's stage two from above, by the start of the system's name.
ORACLES: dict[str, str] = {name: f"{name}_oracle" for name in ("kathaka", "camp", "word", "phone", "explicit")}
ORACLES["spectrum_lm"] = "spectrum_oracle"


def oracle_of(system: str, oracles: Mapping[str, str] = ORACLES) -> str | None:
    """The oracle of a system, None for oracles themselves and systems without one; the longest prefix decides."""
    if system in oracles.values():
        return None
    prefixes = [prefix for prefix in oracles if system == prefix or system.startswith(f"{prefix}_")]
    return oracles[max(prefixes, key=len)] if prefixes else None
