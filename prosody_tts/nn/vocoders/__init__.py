from prosody_tts.nn.vocoders.contract import ClipVocoder, MelFormat, Vocoder
from prosody_tts.nn.vocoders.griffin_lim import GriffinLim
from prosody_tts.nn.vocoders.source_filter import SourceFilter

__all__ = ["ClipVocoder", "GriffinLim", "MelFormat", "SourceFilter", "Vocoder"]
