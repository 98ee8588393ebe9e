"""Representations of prosody, predicted from text by different priors, compared on the same data.

from prosody_tts import load_system

system = load_system("camp", "corpus=testbed")
system.say("The charming sailor found the garden gate.", pace=0.9).save("out.wav")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prosody_tts.speaking.system import System, load_system

__version__ = "0.1.0"
__all__ = ["System", "load_system"]


def __getattr__(name: str) -> Any:
    """Load what speaks, and torch with it, when it is asked for."""
    if name in __all__:
        from prosody_tts.speaking import system

        return getattr(system, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
