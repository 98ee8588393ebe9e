"""A trained system, ready to speak: the Python interface, and what the command line calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from data_modules.collate import TextItem, no_states, text_batch, text_item
from data_modules.store import PADDING, UNKNOWN
from data_modules.text.analysis import TextAnalyser
from data_modules.text.sentence import PAUSE, Sentence
from prosody_tts import pipeline
from prosody_tts.config import Experiment, load
from prosody_tts.language_synthesis import CodeSpeaker
from prosody_tts.nn.priors import Known
from prosody_tts.speaking.controls import Control, Span, read_control, read_span, read_words
from prosody_tts.speaking.drawing import Drawing, check_drawing, draw, predicted, units_of
from prosody_tts.speaking.phones import check_phones
from prosody_tts.speaking.reference import Reference, check_reference, fit_vectors, read_reference
from prosody_tts.speaking.script import Script, plain, script_of
from prosody_tts.speaking.shaping import Layer, hush, shape
from prosody_tts.speaking.spoken import Spoken, SpokenSentence
from prosody_tts.speaking.ssml import is_ssml, read_ssml
from prosody_tts.synthesis import Speech, Synthesizer, Timing, choose_speaker

#: Sentences rendered together; changes speed only.
BATCH = 16
#: Texts held in memory before they are written.
TOGETHER = 64


@dataclass(frozen=True)
class Request:
    """One text to speak and what is asked of it.

    Attributes:
        text: plain text, or SSML where ``ssml`` says so or it begins with ``<speak``.
        control: of the whole text.
        spans: of words, counted from 1 over the whole text.
        phones: of all its words, as a line (``speaking.phones``); none has the system pronounce it.
        reference: a recording whose prosody is copied; none has the system predict it.
        ssml: whether the text is SSML whatever it begins with.
        keep: words, with the pauses between those of a span, that keep their vectors while the others are drawn: the
            reference's where there is one, else the prediction at temperature 0.
    """

    text: str
    control: Control = field(default_factory=Control)
    spans: tuple[Span, ...] = ()
    phones: str | None = None
    reference: Reference | None = None
    ssml: bool = False
    keep: tuple[Span, ...] = ()


def read_request(request: Request, experiment: Experiment, analyser: TextAnalyser) -> Script:
    """Analyse a request; needs nothing that is trained.

    Raises:
        UserError: the text, its markup, phones, controls or reference are wrong.
    """
    markup = read_ssml(request.text) if request.ssml or is_ssml(request.text) else plain(request.text)
    # A corpus takes each of its texts as one sentence, and so do the vectors of its words.
    whole = request.reference is not None and experiment.units != "utterance"
    script = script_of(markup, analyser, request.phones, whole).asking(request.control, request.spans)
    script.asking(request.control, request.keep)  # there are such words
    return script


@dataclass(frozen=True)
class _Line:
    """One sentence ready to be rendered; ``text`` is the number of the request, ``place`` its place in it.

    ``vectors`` [1, U, D] are copied, all of them or those of units that are ``kept`` [1, U]; without vectors these keep
    the prediction at temperature 0.
    """

    text: int
    place: int
    sentence: Sentence
    item: TextItem
    pace: Tensor
    pauses: Tensor
    vectors: Tensor | None
    kept: Tensor | None


class System:
    """A trained system that speaks; see ``load_system``."""

    def __init__(
        self, experiment: Experiment, synthesizer: Synthesizer | CodeSpeaker, analyser: TextAnalyser | None = None
    ) -> None:
        self.experiment = experiment
        self.synthesizer = synthesizer
        self.analyser = TextAnalyser(experiment) if analyser is None else analyser

    @staticmethod
    def load(experiment: Experiment, analyser: TextAnalyser | None = None) -> System:
        """Load the trained stages of an experiment.

        Raises:
            UserError: a stage has not been trained, or the system cannot speak.
        """
        if experiment.measures != "speech" or (experiment.backbone == "tokens" and experiment.vectors == "recording"):
            pipeline.check_speaks_text(experiment)
        voice = CodeSpeaker if experiment.backbone == "tokens" else Synthesizer
        return System(experiment, voice.load(experiment), analyser)

    @cached_property
    def voice(self) -> str:
        """The speaker of ``synthesis.speaker``."""
        return choose_speaker(self.synthesizer.sampler_specification, self.experiment.synthesis.speaker)

    def say(
        self,
        text: str,
        *,
        pace: str | float = 1.0,
        pitch: str | float = 0.0,
        pitch_range: str | float = 1.0,
        energy: str | float = 0.0,
        words: Mapping[int, str] | Sequence[Span] = (),
        phones: str | None = None,
        reference: Reference | Path | str | None = None,
        temperature: float | None = None,
        seed: int | None = None,
        best: int = 1,
        keep: str | int | Sequence[int] = (),
    ) -> Spoken:
        """Speak one text, plain or SSML.

        Args:
            text: what to say; SSML where it begins with ``<speak``.
            pace: factor of speed.
            pitch: semitones, or as in ``"+2st"`` or ``"-10%"``.
            pitch_range: factor of the excursions of log-F0.
            energy: dB, or as in ``"+3dB"``.
            words: controls of words by number, counted from 1, as in ``{3: "pace=0.8,pitch=+2st"}``; or spans.
            phones: phones of all words as a line, as ``prosody-tts synthesize --print-phones`` writes it.
            reference: a recording whose prosody is copied: a file, an id of the corpus, or more (``Reference``).
            temperature: scale of the sampler's spread; none is ``synthesis.temperature``.
            seed: of the sampler's draw; none is the experiment's.
            best: draws of each sentence of which the likeliest is spoken; needs a prior with a likelihood.
            keep: numbers of words that keep their vectors while the others are drawn given them, as in ``"2,5-7"`` or
                ``[2, 5]``: the reference's vectors where there is one, else those of temperature 0. How far the others
                hear them depends on the prior (``nn.priors``).

        Raises:
            UserError: something of it cannot be done; says what, and what to do.
        """
        spans = (
            tuple(read_span(f"{number}:{written}") for number, written in words.items())
            if isinstance(words, Mapping)
            else tuple(words)
        )
        if reference is not None and not isinstance(reference, Reference):
            reference = Reference(str(reference))
        written = keep if isinstance(keep, str) else ",".join(map(str, [keep] if isinstance(keep, int) else keep))
        kept = read_words(written) if written else ()
        request = Request(text, read_control(pace, pitch, pitch_range, energy), spans, phones, reference, keep=kept)
        (spoken,) = self.say_all([request], temperature, seed, best)
        return spoken

    def say_all(
        self,
        requests: Sequence[Request],
        temperature: float | None = None,
        seed: int | None = None,
        best: int = 1,
    ) -> list[Spoken]:
        """Speak several texts, their sentences rendered together; each sounds as it does alone."""
        scripts = [read_request(request, self.experiment, self.analyser) for request in requests]
        seeds = [self.experiment.seed if seed is None else seed]
        return next(self.speak(requests, scripts, seeds, temperature, best))

    def speak(
        self,
        requests: Sequence[Request],
        scripts: Sequence[Script],
        seeds: Sequence[int],
        temperature: float | None = None,
        best: int = 1,
    ) -> Iterator[list[Spoken]]:
        """Speak requests that have been read (``read_request``), once for each seed of the sampler's draw.

        With ``best`` above 1 as many are drawn, from the first seed on, and the likeliest are spoken, in order.
        """
        if any(request.reference is None for request in requests):
            pipeline.check_speaks_text(self.experiment)
        temperature = self.experiment.synthesis.temperature if temperature is None else temperature
        drawing = Drawing(tuple(seeds), temperature, best)
        for request in requests:
            check_drawing(self.experiment, drawing, bool(request.keep), request.reference is not None)
        lines = self._lines(requests, scripts)
        lines.sort(key=lambda line: (len(line.sentence.phones), line.text, line.place))
        for chosen in range(len(seeds)):
            speeches: dict[tuple[int, int], Speech] = {}
            for start in range(0, len(lines), BATCH):
                batch = lines[start : start + BATCH]
                rendered = self._rendered(batch, drawing, chosen)
                speeches |= {(line.text, line.place): speech for line, speech in zip(batch, rendered, strict=True)}
            yield [
                self._spoken(request, script, [speeches[number, place] for place in range(len(script.sentences))])
                for number, (request, script) in enumerate(zip(requests, scripts, strict=True))
            ]

    def _lines(self, requests: Sequence[Request], scripts: Sequence[Script]) -> list[_Line]:
        """Every sentence of every request, its phones checked."""
        spec = self.synthesizer.sampler_specification
        known = set(spec.inventory) - {PADDING, UNKNOWN}
        sentences = [s for script in scripts for s in self.analyser.in_context(script.sentences)]
        for sentence in sentences:
            check_phones(sentence, known - {PAUSE})
        tuned = self.experiment.tunes_bert
        reader = self.analyser.bert.reader if tuned else None
        if not self.synthesizer.reads_bert or tuned:  # a trained one is stage two's own
            states = iter([no_states(sentence) for sentence in sentences])
        else:
            states = iter(self.analyser.states(sentences))
        read = iter(sentences)
        lines = []
        for number, (request, script) in enumerate(zip(requests, scripts, strict=True)):
            vectors = None
            if request.reference is not None:
                vectors = self._copied(request.reference, script)
            for place, sentence in enumerate(script.sentences):
                item = text_item(f"{number}-{place}", next(read), next(states), spec, self.voice, reader)
                pace, pauses = self._timing(script, place)
                own = None if vectors is None else fit_vectors(vectors, sentence, self.experiment.units)
                kept = self._kept(request, script, place, item)
                lines.append(_Line(number, place, sentence, item, pace, pauses, own, kept))
        return lines

    def _kept(self, request: Request, script: Script, place: int, item: TextItem) -> Tensor | None:
        """Units [1, U] of a sentence that keep their vectors, where the request has such."""
        if not request.keep:
            return None
        first, count = script.firsts[place], len(script.sentences[place].words)
        return units_of(item, [tokens_of(span, first, count) for span in request.keep], self.experiment.units)

    def _copied(self, reference: Reference, script: Script) -> Tensor:
        check_reference(reference, self.experiment)
        assert isinstance(self.synthesizer, Synthesizer)  # no system of codes has a reference encoder
        text = " ".join(sentence.text for sentence in script.sentences)
        return read_reference(reference, self.experiment, self.synthesizer, self.analyser, text, self.voice)

    def _timing(self, script: Script, place: int) -> tuple[Tensor, Tensor]:
        """Pace of every token [W] of a sentence, and the frames of pause slots that are asked for, else -1."""
        sentence, first = script.sentences[place], script.firsts[place]
        pace = torch.full((sentence.tokens,), script.whole.pace)
        for span in script.spans:
            start, end = tokens_of(span, first, len(sentence.words))
            pace[start:end] *= span.control.pace
        pauses = torch.full((sentence.tokens,), -1)
        audio = self.experiment.audio
        for slot, seconds in script.slots(place).items():
            pauses[slot] = round(seconds * audio.sample_rate / audio.hop)
        return pace, pauses

    def _rendered(self, batch: Sequence[_Line], drawing: Drawing, chosen: int) -> list[Speech]:
        text = text_batch([line.item for line in batch])
        timing = Timing(
            pad_sequence([line.pace for line in batch], batch_first=True, padding_value=1.0),
            pad_sequence([line.pauses for line in batch], batch_first=True, padding_value=-1),
        )
        if isinstance(self.synthesizer, CodeSpeaker):
            return self.synthesizer.speak(text, timing, drawing.temperature, drawing.seeds[chosen])
        return self.synthesizer.speak(text, self._vectors(self.synthesizer, batch, drawing, chosen), timing)

    def _vectors(
        self, synthesizer: Synthesizer, batch: Sequence[_Line], drawing: Drawing, chosen: int
    ) -> Tensor | None:
        """Vectors of the lines [B, U, D], copied or predicted, each with a draw of its own: company changes none."""
        if self.experiment.vectors == "none":
            return None
        if drawing.temperature == 0 and all(line.vectors is None for line in batch):
            return synthesizer.predict(text_batch([line.item for line in batch]), 0.0, drawing.seeds[chosen])
        return pad_sequence([self._of_line(synthesizer, line, drawing, chosen) for line in batch], batch_first=True)

    def _of_line(self, synthesizer: Synthesizer, line: _Line, drawing: Drawing, chosen: int) -> Tensor:
        """Vectors [U, D] of one line."""
        if line.kept is None and line.vectors is not None:
            return line.vectors[0]
        known = None
        if line.kept is not None:
            known = Known(predicted(synthesizer, line.item) if line.vectors is None else line.vectors, line.kept)
        return draw(synthesizer, line.item, drawing, chosen, known)

    def _spoken(self, request: Request, script: Script, speeches: Sequence[Speech]) -> Spoken:
        audio = self.experiment.audio
        sentences = []
        for place, (sentence, first, speech) in enumerate(zip(script.sentences, script.firsts, speeches, strict=True)):
            plain_speech = SpokenSentence(sentence, speech, audio, first)
            bounds = plain_speech.token_bounds()
            layers = [Layer(-np.inf, np.inf, script.whole)]
            for span in script.spans:
                start, end = tokens_of(span, first, len(sentence.words))
                if end > start:
                    layers.append(Layer(float(bounds[start]), float(bounds[end]), span.control))
            pauses = [(float(bounds[slot]), float(bounds[slot + 1])) for slot in script.slots(place)]
            wave = hush(shape(speech.wave, layers, audio), pauses, audio.sample_rate)
            sentences.append(replace(plain_speech, speech=replace(speech, wave=wave)))
        return Spoken(request.text, tuple(sentences), self.experiment)


def tokens_of(span: Span, first: int, words: int) -> tuple[int, int]:
    """First token and the one after the last that a span holds of a sentence whose words begin with number ``first``.

    The pauses between words of a span are its own, also where they part two sentences.
    """
    if span.last < first or span.first >= first + words:
        return 0, 0
    start = 2 * (span.first - first) + 1 if span.first >= first else 0
    end = 2 * (span.last - first) + 2 if span.last < first + words else 1 + 2 * words
    return start, end


def load_system(name: str | Path, *settings: str) -> System:
    """Load a trained system by the name of its experiment, ready to ``say`` texts.

        system = load_system("camp", "corpus=testbed")
        system.say("The charming sailor found the garden gate.", pace=0.9).save("out.wav")

    Args:
        name: an experiment in ``experiments/``, or a file.
        settings: as on the command line, ``key=value``; those it was trained with.

    Raises:
        UserError: there is no such experiment or setting, or the system has not been trained.
    """
    return System.load(load(name, settings))


def synthesize(
    experiment: Experiment,
    requests: Sequence[Request],
    out: Path,
    samples: int = 1,
    json: bool = False,
    picture: bool = False,
    scripts: Sequence[Script] | None = None,
    analyser: TextAnalyser | None = None,
    best: int = 1,
) -> list[Path]:
    """Speak requests with a trained system; write ``out/001.wav`` and so on, or ``001-2.wav`` for further samples.

    With ``best`` above 1 the samples are the likeliest of as many draws, the first the likeliest.

    ``scripts`` are the requests as ``read_request`` reads them, and ``analyser`` what it read them with, where that
    has been done; ``json`` and ``picture`` are ``Spoken.save``'s.

    Raises:
        UserError: the system is not trained, is an oracle without a recording to copy, has no speaker as
            ``synthesis.speaker`` says, or a request cannot be fulfilled.
    """
    if any(request.reference is None for request in requests):
        pipeline.check_speaks_text(experiment)
    system = System.load(experiment, analyser)
    if scripts is None:
        scripts = [read_request(request, experiment, system.analyser) for request in requests]
    paths: dict[tuple[int, int], Path] = {}
    seeds = [experiment.seed + sample for sample in range(samples)]
    for start in range(0, len(requests), TOGETHER):
        chosen = slice(start, start + TOGETHER)
        for sample, speech in enumerate(system.speak(requests[chosen], scripts[chosen], seeds, best=best), 1):
            for number, spoken in enumerate(speech, start=start + 1):
                name = f"{number:03d}.wav" if sample == 1 else f"{number:03d}-{sample}.wav"
                paths[number, sample] = spoken.save(out / name, json, picture)
    return [paths[key] for key in sorted(paths)]
