"""Pages of a corpus and of an utterance: one HTML file each, which asks the network for nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data_modules.alignment import report
from prosody_tts.files import write_text
from prosody_tts.inspect.numbers import Summary
from prosody_tts.inspect.picture import time_place
from prosody_tts.inspect.scene import Scene
from prosody_tts.inspect.spread import Spread
from prosody_tts.inspect.terminal import HEADINGS, cells, facts
from prosody_tts.report.drawing import HUES
from prosody_tts.report.page import audio_data, template
from prosody_tts.report.table import number

_TEMPLATES = Path(__file__).parent / "templates"
#: Dots of a picture that make one pixel of the page, on which it may be larger than the window.
_DENSITY = 1.45


def write_corpus_page(path: Path, summary: Summary, plots: Mapping[str, Path], command: str) -> None:
    """Write the page of a corpus, atomically.

    Args:
        path: of the HTML file.
        summary: its figures.
        plots: name -> PNG.
        command: that shows one utterance.
    """
    page = template("corpus.html", _TEMPLATES).render(
        title=f"The corpus {summary.corpus}",
        facts=facts(summary),
        measured=[
            (item.label, item.unit, spread.n, *map(number, _shown(spread)))
            for item in summary.distributions.values()
            if (spread := item.spread) is not None
        ],
        plots=[{"name": name.replace("_", " "), "image": image_data(file)} for name, file in plots.items()],
        suspects=[(suspect.id, "; ".join(suspect.reasons)) for suspect in summary.suspects],
        longest_phone=f"{report.LONGEST_PHONE:g}",
        longest_pause=f"{report.LONGEST_PAUSE:g}",
        rate_factor=f"{report.RATE_FACTOR:g}",
        command=command,
        faults=[
            (item.fault.item, item.stage, "faulty" if item.fault.bad else "excluded", item.fault.reason)
            for item in sorted(summary.left_out, key=lambda item: not item.fault.bad)
        ],
        hues=HUES,
    )
    write_text(path, page)


def write_utterance_page(path: Path, scene: Scene, picture: Path, recording: Path) -> None:
    """Write the page of an utterance, atomically.

    Args:
        path: of the HTML file.
        scene: what is shown.
        picture: its PNG.
        recording: its audio.

    Raises:
        UserError: the audio cannot be read.
    """
    utterance = scene.recording.utterance
    left, right = time_place(scene)
    chips = [("split", utterance.split), ("seconds", f"{scene.seconds:.2f}"), ("words", len(scene.sentence.words))]
    chips += [("speaker", utterance.speaker)] if utterance.speaker else []
    chips += [("graph diameter", scene.sentence.graph.diameter)]
    chips += [(f"planted {name}", value) for name, value in scene.planted.items()]
    planted = scene.planted_words
    page = template("utterance.html", _TEMPLATES).render(
        title=utterance.id,
        text=scene.sentence.text,
        facts=chips,
        audio=audio_data(recording),
        image=image_data(picture),
        width=round(_pixels(picture) / _DENSITY),
        left=f"{left:.5f}",
        right=f"{right:.5f}",
        seconds=f"{scene.seconds:.5f}",
        heads=[HEADINGS[0], "from (s)", "to (s)", "phones", "F0 (Hz)", *HEADINGS[1:], *planted],
        rows=[
            [
                entry.word,
                *(f"{time:.3f}" for time in span),
                " ".join(entry.phones),
                f"{f0:.0f}" if np.isfinite(f0) else "—",
                *cells(entry)[1:],
                *(values[place] for values in planted.values()),
            ]
            for place, (entry, span, f0) in enumerate(zip(scene.entries, scene.word_spans, scene.word_f0, strict=True))
        ],
        hues=HUES,
    )
    write_text(path, page)


def image_data(path: Path) -> str:
    """A PNG as a ``data:`` address."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _pixels(path: Path) -> int:
    """Width of a PNG: the first number of its first chunk."""
    with path.open("rb") as stream:
        return int.from_bytes(stream.read(20)[16:], "big")


def _shown(spread: Spread) -> tuple[float, ...]:
    return spread.mean, spread.p5, spread.median, spread.p95, spread.maximum
