"""Whisper (arXiv 2212.04356) by faster-whisper: a recogniser that has heard nothing of any corpus here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_modules.text.installed import folder_digest, package_folders
from prosody_tts.config import EvaluationConfig
from prosody_tts.errors import UserError
from prosody_tts.evaluation.listeners.contract import Kind

#: What listens unless ``evaluation.recogniser_path`` says so: an identifier on the Hugging Face hub.
HUB = "Systran/faster-whisper-tiny.en"
#: How it decodes: a beam search at temperature 0, weights of 8 bits, each sentence by itself.
BEAMS, WEIGHTS = 5, "int8"
#: Files without which a folder holds no model of CTranslate2.
FILES = ("config.json", "model.bin", "tokenizer.json")


class Whisper:
    """A Whisper model of CTranslate2, on the CPU.

    Nothing is taken for silence or heard again at a higher temperature, so that what is heard is the same every time.
    """

    sample_rate = 16000

    def __init__(self, source: str, threads: int) -> None:
        from faster_whisper import WhisperModel

        try:
            self._model = WhisperModel(source, device="cpu", compute_type=WEIGHTS, cpu_threads=threads)
        except Exception as error:  # the library's, the hub's and the transport's errors share no base
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise UserError(
                f"evaluation.recogniser=whisper cannot load {source} ({reason}); give "
                f"evaluation.recogniser_path=FOLDER with {', '.join(FILES)}, as the hub's {HUB} has them, or an "
                "installed package that holds such a folder"
            ) from None

    def hear(self, wave: NDArray[np.float32]) -> str:
        pieces, _ = self._model.transcribe(
            wave,
            language="en",
            beam_size=BEAMS,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
        )
        return " ".join(" ".join(piece.text for piece in pieces).split())


def find(settings: EvaluationConfig) -> Path | str:
    """Folder of the model, named as such or by an installed package that holds it, or an identifier on the hub.

    Raises:
        UserError: the folder holds no model, or there is no such folder, package or identifier.
    """
    name = settings.recogniser_path or HUB
    place = Path(name).expanduser()
    roots = [place] if place.is_dir() else package_folders(name)
    for root in roots:
        found = [path.parent for path in sorted(root.rglob(FILES[1])) if all((path.parent / f).exists() for f in FILES)]
        if found:
            return found[0].resolve()
    if roots:
        raise UserError(
            f"evaluation.recogniser_path={name} holds no model of faster-whisper; give a folder with {', '.join(FILES)}"
        )
    if name.startswith(("/", ".", "~")) or name.count("/") != 1:
        raise UserError(
            f"evaluation.recogniser_path={name} is no folder and no installed package; give one that holds a model of "
            f"faster-whisper, or a hub identifier such as {HUB}"
        )
    return name


def identity(settings: EvaluationConfig) -> dict[str, Any]:
    """The content of the model's folder, or its name on the hub, and how it decodes."""
    if find_spec("faster_whisper") is None:
        raise UserError(
            "evaluation.recogniser=whisper needs a package that is not installed; "
            "'pip install -e '.[asr]' -c constraints.txt', or leave it out"
        )
    source = find(settings)
    model = {"folder": folder_digest(source)} if isinstance(source, Path) else {"hub": source}
    return {**model, "beams": BEAMS, "weights": WEIGHTS}


def load(settings: EvaluationConfig, threads: int) -> Whisper:
    """The model of the settings."""
    return Whisper(str(find(settings)), threads)


KIND = Kind(identity, load)
