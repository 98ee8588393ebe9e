"""Models that guess what listeners would say of a system's speech, without a reference.

They were trained on noisy calls and older synthesis, and say little of prosody: read them as a check that audio is
clean, never as naturalness.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from prosody_tts.config import Experiment
from prosody_tts.errors import UserError


class Rater(Protocol):
    """A model that scores speech: samples [n] of a rate in Hz, full scale at 1, to named scores from 1 to 5."""

    def __call__(self, wave: NDArray[np.float32], sample_rate: int) -> dict[str, float]: ...


#: speechmos's names of scores -> ours.
DNSMOS = {
    "ovrl_mos": "dnsmos_overall",
    "sig_mos": "dnsmos_signal",
    "bak_mos": "dnsmos_background",
    "p808_mos": "dnsmos_p808",
}


class Dnsmos:
    """DNSMOS P.835 and P.808 (Reddy et al., arXiv 2110.01763, 2010.15258), by speechmos, which brings the weights."""

    sample_rate = 16000

    def __call__(self, wave: NDArray[np.float32], sample_rate: int) -> dict[str, float]:
        from speechmos import dnsmos

        if sample_rate != self.sample_rate:
            import soxr

            wave = soxr.resample(wave, sample_rate, self.sample_rate)
        if not len(wave):
            return {}
        found = dnsmos.run(np.clip(wave, -1.0, 1.0).astype(np.float32), self.sample_rate, return_df=False)
        return {ours: float(found[theirs]) for theirs, ours in DNSMOS.items()}


@dataclass(frozen=True)
class _Kind:
    package: str
    needs: tuple[str, ...]
    make: Callable[[], Rater]


#: Models by the value of ``evaluation.quality``.
RATERS: dict[str, _Kind] = {"dnsmos": _Kind("speechmos", ("speechmos", "onnxruntime"), Dnsmos)}


def identity(experiment: Experiment) -> dict[str, Any]:
    """What tells the experiment's rater from others; empty where nobody rates.

    Raises:
        UserError: what it needs is not installed.
    """
    name = experiment.evaluation.quality
    if name == "none":
        return {}
    kind = RATERS[name]
    missing = [package for package in kind.needs if find_spec(package) is None]
    if missing:
        raise UserError(
            f"evaluation.quality={name} needs {' and '.join(missing)}; "
            "run pip install -e '.[quality]' -c constraints.txt, or leave it out"
        )
    return {"quality": {"kind": name, "version": version(kind.package)}}


def load(experiment: Experiment) -> Rater | None:
    """The experiment's rater; none where nobody rates."""
    name = experiment.evaluation.quality
    return None if name == "none" else RATERS[name].make()
