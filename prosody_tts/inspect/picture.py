"""One utterance in one picture: parse, words, tags, spectrogram, phones, F0 and energy on one time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from data_modules.text.sentence import PAUSE
from prosody_tts.inspect.labels import drawable, levels, rows
from prosody_tts.inspect.scene import Scene
from prosody_tts.report.drawing import CHARACTER, FONT, HUES, INK, MUTED, PAPER, RULE, blank, hertz, settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches beside the time axis, left and right.
LEFT, RIGHT = 1.1, 0.15
#: Narrowest time axis in inches, inches a second, and how much wider crowded labels may make it.
NARROWEST, A_SECOND, STRETCH = 8.75, 2.0, 1.6
#: Points of phones, tags and relations.
SMALL = FONT - 2.2
#: Rows that labels of words and of phones may take.
MOST_ROWS = 2
#: Decibels of a neper.
DECIBELS = 20 / np.log(10)
#: Hertz named beside the spectrogram.
_KILOHERTZ = (250, 500, 1000, 2000, 4000, 8000)
_BLUE, _ORANGE, _GREEN, _PURPLE = (HUES[i][0] for i in (0, 1, 2, 3))


@dataclass(frozen=True)
class Panel:
    """A part of the picture: its name at the left, its height in inches, and what draws it."""

    name: str
    height: float
    draw: Callable[[Axes, Scene, float], None]


def picture(scene: Scene) -> Figure:
    """Draw an utterance; its panels, from the top, share one time axis in seconds.

    The figure is as wide as the utterance is long, and wider where words would not find room on two rows.
    """
    from matplotlib.ticker import MultipleLocator

    wide = time_inches(scene)
    scale = wide / scene.seconds
    panels = [
        Panel("parse", 0.3 + 0.2 * max(_levels(scene, scale), default=1), _parse),
        Panel("words", 0.08 + 0.31 * (1 + max(_word_rows(scene, scale))), _words),
        Panel("tags", 0.05 + 0.155 * len(_features(scene)), _tags),
        Panel("mel (kHz)", 1.4, _mel),
        Panel("phones", 0.06 + 0.15 * (1 + max(_phone_rows(scene, scale))), _phones),
        Panel("F0 (Hz)", 1.05, _f0),
        Panel("energy (dB)", 0.6, _energy),
    ]
    gap, header, footer = 0.07, 0.5, 0.42
    height = header + footer + sum(panel.height + gap for panel in panels)
    with settings():
        figure = blank(LEFT + wide + RIGHT, height)
        _header(figure, scene, height)
        bottom, first = height - header, None
        for panel in panels:
            bottom -= panel.height
            place = (LEFT / figure.get_figwidth(), bottom / height, wide / figure.get_figwidth(), panel.height / height)
            axes = figure.add_axes(place, sharex=first, label=panel.name)
            first = first or axes
            _frame(axes, "" if panel.name == "tags" else panel.name, last=panel is panels[-1])
            panel.draw(axes, scene, scale)
            _bounds(axes, scene)
            bottom -= gap
        figure.axes[0].set_xlim(0.0, scene.seconds)
        figure.axes[0].xaxis.set_major_locator(MultipleLocator(0.5 if scene.seconds > 2 else 0.25))
    return figure


def time_inches(scene: Scene) -> float:
    """Inches of the time axis."""
    least = max(NARROWEST, A_SECOND * scene.seconds)
    for step in range(10):
        wide = least * (1 + step * (STRETCH - 1) / 9)
        rows_taken = [*_word_rows(scene, wide / scene.seconds), *_phone_rows(scene, wide / scene.seconds)]
        if max(rows_taken) < MOST_ROWS:
            break
    return wide


def time_place(scene: Scene) -> tuple[float, float]:
    """Left and right end of the time axis, as shares of the picture's width."""
    wide = time_inches(scene)
    total = LEFT + wide + RIGHT
    return LEFT / total, (LEFT + wide) / total


def _header(figure: Figure, scene: Scene, height: float) -> None:
    utterance = scene.recording.utterance
    facts = [
        *([utterance.split] if utterance.audio is not None else []),  # what was synthesised is in none
        *([f"speaker {utterance.speaker}"] if utterance.speaker else []),
        f"{scene.seconds:.2f} s",
    ]
    facts += [f"{name} {value}" for name, value in scene.planted.items()]
    where = LEFT / figure.get_figwidth()
    for text, inches, size, colour in (
        (utterance.id, 0.09, FONT + 2, INK),
        ("  ·  ".join(facts), 0.3, FONT - 1, MUTED),
    ):
        figure.text(where, 1 - inches / height, drawable(text), va="top", fontsize=size, color=colour, parse_math=False)


def _frame(axes: Axes, name: str, last: bool) -> None:
    # Names of panels with a scale stand left of its ticks.
    inches = 0.4 if "(" in name else 0.08
    axes.annotate(
        name.replace(" (", "\n("),
        (0, 0.5),
        xycoords="axes fraction",
        xytext=(-72 * inches, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=MUTED,
        fontsize=FONT - 0.5,
    )
    axes.spines["bottom"].set_visible(last)
    axes.tick_params(axis="x", labelbottom=last, bottom=last)
    axes.tick_params(axis="y", labelsize=SMALL, labelcolor=MUTED, pad=2)
    axes.set_yticks([])
    if last:
        axes.set_xlabel("time (s)", color=MUTED)


def _bounds(axes: Axes, scene: Scene) -> None:
    """Shade pauses and mark the ends of words."""
    for start, end in scene.pauses:
        axes.axvspan(start, end, color=RULE, alpha=0.45, linewidth=0, zorder=0.5)
    if axes.get_label() == "parse":
        return
    for bound in np.unique(scene.token_bounds):
        axes.axvline(bound, color=MUTED, linewidth=0.5, alpha=0.55, zorder=1.5)


def _middles(spans: Sequence[tuple[float, float]]) -> list[float]:
    return [(start + end) / 2 for start, end in spans]


def _inches(text: str, size: float) -> float:
    """Width of a label, on the safe side."""
    return CHARACTER * size / FONT * len(text) + 0.05


# Parse -------------------------------------------------------------------------------------------------------------


def _relations(scene: Scene) -> tuple[list[tuple[float, float]], list[str]]:
    """Ends in seconds and label of every arc but the roots'."""
    middles = _middles(scene.word_spans)
    links = [arc for arc in scene.arcs if arc.head is not None]
    ends = [sorted((middles[arc.head or 0], middles[arc.dependent])) for arc in links]
    return [(left, right) for left, right in ends], [arc.label for arc in links]


def _levels(scene: Scene, scale: float) -> list[int]:
    spans, labels = _relations(scene)
    return levels(spans, [_inches(label, SMALL) / scale for label in labels])


def _parse(axes: Axes, scene: Scene, scale: float) -> None:
    """Arcs from heads to dependents, arrow at the dependent, higher ones over those inside them."""
    spans, labels = _relations(scene)
    heights = _levels(scene, scale)
    middles = _middles(scene.word_spans)
    links = [arc for arc in scene.arcs if arc.head is not None]
    shift = 0.035 / scale  # arcs of one word leave it side by side
    for arc, (left, right), label, height in zip(links, spans, labels, heights, strict=True):
        ends = [left + shift, right - shift]
        axes.plot(
            [ends[0], ends[0], ends[1], ends[1]],
            [0, height, height, 0],
            color=_BLUE,
            linewidth=0.9,
            solid_joinstyle="round",
            zorder=2,
        )
        at = ends[0] if middles[arc.dependent] == left else ends[1]
        axes.plot([at], [0.06], marker="v", markersize=3.4, color=_BLUE, linestyle="none", clip_on=False, zorder=3)
        _label(axes, (left + right) / 2, height, label, INK, SMALL, background=True)
    top = max(heights, default=1) + 0.75
    for arc in scene.arcs:
        if arc.head is None:
            axes.plot([middles[arc.dependent]] * 2, [0, top - 0.3], color=_ORANGE, linewidth=0.9, zorder=2)
            _label(axes, middles[arc.dependent], top - 0.35, "root", _ORANGE, SMALL, background=True)
    axes.set_ylim(-0.08, top)


def _label(
    axes: Axes, x: float, y: float, text: str, colour: str, size: float, background: bool = False, va: str = "center"
) -> None:
    axes.text(
        x,
        y,
        drawable(text),
        ha="center",
        va=va,
        fontsize=size,
        color=colour,
        parse_math=False,  # a text may hold dollars
        clip_on=False,
        zorder=4,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6} if background else None,
    )


# Words and tags ----------------------------------------------------------------------------------------------------


def _word_rows(scene: Scene, scale: float) -> list[int]:
    widths = [max(_inches(e.word, FONT + 0.5), _inches(e.pos, SMALL)) / scale for e in scene.entries]
    return rows(_middles(scene.word_spans), widths)


def _words(axes: Axes, scene: Scene, scale: float) -> None:
    """Every word with its part of speech below it."""
    places = _word_rows(scene, scale)
    for place, entry, middle in zip(places, scene.entries, _middles(scene.word_spans), strict=True):
        top = 0.06 + 0.31 * place
        _label(axes, middle, top, entry.word, INK, FONT + 0.5, va="top", background=True)
        _label(axes, middle, top + 0.155, entry.pos, MUTED, SMALL, va="top")
    axes.set_ylim(0.08 + 0.31 * (1 + max(places)), 0)


def _features(scene: Scene) -> list[tuple[str, list[str], str]]:
    """Rows of the panel of tags: name, what stands in the cell of every word (empty: no cell), colour."""
    found = [
        ("open class", [" " if entry.word_class == "open" else "" for entry in scene.entries], _BLUE),
        ("compound", ["" if entry.compound == "none" else entry.compound for entry in scene.entries], _GREEN),
        ("punctuation", scene.marks[1:], INK),
    ]
    for name, values in scene.planted_words.items():
        found.append((f"planted {name}", [_shown(value) for value in values], _PURPLE))
    return found


def _shown(value: object) -> str:
    """A planted value: nothing for none, a bare cell for a mark, else what it is."""
    return "" if not value else " " if value in (1, True) else str(value)


def _tags(axes: Axes, scene: Scene, scale: float) -> None:
    """A row a tag: a cell over every word it holds for; punctuation at its place between words."""
    features = _features(scene)
    for row, (name, cells, colour) in enumerate(features):
        axes.axhline(row, color=RULE, linewidth=0.5, zorder=1)
        for (start, end), cell in zip(scene.word_spans, cells, strict=True):
            if name == "punctuation":
                _label(axes, end, row, cell, colour, FONT + 1, background=bool(cell))
            elif cell:
                axes.fill_between([start, end], row - 0.36, row + 0.36, color=colour, alpha=0.85, linewidth=0, zorder=2)
                if _inches(cell, SMALL) < (end - start) * scale:
                    _label(axes, (start + end) / 2, row, cell, PAPER, SMALL)
    axes.set_ylim(len(features) - 0.5, -0.5)
    axes.set_yticks(range(len(features)), [name for name, _, _ in features])


# Sound -------------------------------------------------------------------------------------------------------------


def _mel(axes: Axes, scene: Scene, scale: float) -> None:
    """Log-mel spectrogram; a frame reaches half a hop to either side of its centre."""
    from librosa import mel_frequencies

    mel, audio = scene.recording.mel, scene.audio
    frames, channels = mel.shape
    low, high = np.percentile(mel, [3, 99.7])
    axes.imshow(
        mel.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap="GnBu",
        vmin=low,
        vmax=high,
        extent=(-scene.hop / 2, (frames - 0.5) * scene.hop, -0.5, channels - 0.5),
        zorder=1,
    )
    _phone_lines(axes, scene)
    centres = mel_frequencies(n_mels=channels + 2, fmin=audio.mel_low, fmax=audio.mel_high)[1:-1]
    shown = [value for value in _KILOHERTZ if centres[0] <= value <= centres[-1] * 1.02]
    axes.set_yticks(np.interp(shown, centres, np.arange(channels)), [f"{value / 1000:g}" for value in shown])


def _phone_lines(axes: Axes, scene: Scene) -> None:
    across = axes.get_xaxis_transform()
    lines = axes.vlines(scene.phone_bounds, 0, 1, transform=across, color=INK, linewidth=0.35, alpha=0.5, zorder=1.4)
    lines.set_gid("phone-bounds")


def _phone_rows(scene: Scene, scale: float) -> list[int]:
    labels, middles = _sounded(scene, scale)
    return rows(middles, [_inches(label, SMALL) / scale for label in labels]) or [0]


def _sounded(scene: Scene, scale: float) -> tuple[list[str], list[float]]:
    """Label and middle in seconds of every phone, and the length in seconds of every pause with room for it."""
    labels, middles = [], []
    bounds = scene.phone_bounds.tolist()
    for label, start, end in zip(scene.sentence.phones, bounds[:-1], bounds[1:], strict=True):
        shown = f"{end - start:.2f}" if label == PAUSE else label
        if label != PAUSE or _inches(shown, SMALL) <= (end - start) * scale:
            labels.append(shown)
            middles.append((start + end) / 2)
    return labels, middles


def _phones(axes: Axes, scene: Scene, scale: float) -> None:
    """Phones between their bounds; of pauses the length in seconds."""
    labels, middles = _sounded(scene, scale)
    places = _phone_rows(scene, scale)
    for place, label, middle in zip(places, labels, middles, strict=True):
        _label(axes, middle, 0.08 + 0.15 * place, label, MUTED if label[0].isdigit() else INK, SMALL)
    axes.set_ylim(0.06 + 0.15 * (1 + max(places)), 0)
    _phone_lines(axes, scene)


def _f0(axes: Axes, scene: Scene, scale: float) -> None:
    """F0 of voiced frames, and the mean of every word across it."""
    f0 = scene.recording.f0
    axes.plot(scene.times, np.where(f0 > 0, f0, np.nan), color=_BLUE, linewidth=1.6, solid_capstyle="round", zorder=3)
    # A voiced frame between unvoiced ones makes no line.
    axes.plot(scene.times, np.where(f0 > 0, f0, np.nan), linestyle="none", marker=".", markersize=2.2, color=_BLUE)
    for (start, end), mean in zip(scene.word_spans, scene.word_f0.tolist(), strict=True):
        if np.isfinite(mean):
            axes.plot([start, end], [mean, mean], color=_ORANGE, linewidth=2.4, alpha=0.75, solid_capstyle="butt")
    hertz(axes)


def _energy(axes: Axes, scene: Scene, scale: float) -> None:
    """Frames' level in decibels of full scale."""
    from matplotlib.ticker import MaxNLocator

    level = scene.recording.energy.astype(np.float64) * DECIBELS
    axes.plot(scene.times, level, color=_GREEN, linewidth=1.2, zorder=3)
    low, high = float(level.min()), float(level.max())
    axes.set_ylim(max(low, high - 60) - 2, high + 3)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.grid(axis="y", color=RULE, linewidth=0.5)
