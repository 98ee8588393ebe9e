"""A recogniser that was trained here (``recogniser.hears``), by the folder of its stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prosody_tts.config import EvaluationConfig, read_stored
from prosody_tts.errors import UserError
from prosody_tts.evaluation.listeners.contract import Kind
from prosody_tts.files import file_digest

#: Files of the stage's folder.
SETTINGS, BEST = "settings.json", "best.ckpt"


class Own:
    """A trained ``nn.recogniser.Recogniser`` with the analysis and the search of its own settings, on the CPU."""

    def __init__(self, folder: Path) -> None:
        from prosody_tts.evaluation.hearers import load_recogniser
        from prosody_tts.nn.recogniser import BeamSearch, greedy

        experiment = read_stored(folder / SETTINGS)
        self.audio, self.sample_rate = experiment.audio, experiment.audio.sample_rate
        beams = experiment.recogniser.beams
        self._decode = greedy if beams == 1 else BeamSearch(beams)
        self._model, spec = load_recogniser(folder)
        self._mean, self._scale = np.array(spec.mel_mean, np.float32), np.array(spec.mel_scale, np.float32)

    def hear(self, wave: NDArray[np.float32]) -> str:
        import torch

        from data_modules.audio import mel_spectrogram

        mel = torch.from_numpy((mel_spectrogram(wave, self.audio) - self._mean) / self._scale)
        with torch.inference_mode():
            scores, steps = self._model(mel[None], torch.tensor([len(mel)]))
            return self._decode(scores, steps)[0]


def find(settings: EvaluationConfig) -> Path:
    """The stage's folder.

    Raises:
        UserError: none is given, or it holds no trained recogniser.
    """
    given = settings.recogniser_path
    if given is None:
        raise UserError(
            "evaluation.recogniser=ours needs evaluation.recogniser_path=FOLDER, that of a trained recogniser "
            "(runs/recogniser/IDENTITY)"
        )
    folder = Path(given).expanduser()
    if not all((folder / name).is_file() for name in (SETTINGS, BEST)):
        raise UserError(
            f"evaluation.recogniser_path={given} holds no trained recogniser ({SETTINGS}, {BEST}); train one, such as "
            "asr_on_recordings, and give its folder runs/recogniser/IDENTITY"
        )
    return folder


def identity(settings: EvaluationConfig) -> dict[str, Any]:
    """The content of its checkpoint."""
    return {"checkpoint": file_digest(find(settings) / BEST)}


def load(settings: EvaluationConfig, threads: int) -> Own:
    """The recogniser of the settings; torch has its threads from the worker."""
    return Own(find(settings))


KIND = Kind(identity, load)
