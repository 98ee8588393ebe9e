"""Letters to sounds for words that no dictionary has: eSpeak NG's rules for American English, in ARPAbet.

The library keeps its state in globals, and the testbed's audio depends on the calls made before; so this loads a
private copy of it, which leaves ``data_modules.espeak`` undisturbed.
"""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from prosody_tts.errors import UserError

_VOICE = b"en-us"
_TEXT_ONLY = 1  # AUDIO_OUTPUT_RETRIEVAL: no sound device is opened
_UTF8 = 1
_IPA = 2

#: IPA as eSpeak's American English writes it -> ARPAbet; vowels, the first of a list, take the stress.
ARPABET = {
    **{"iː": "IY", "i": "IY", "ɪ": "IH", "ᵻ": "IH", "eɪ": "EY", "e": "EH", "ɛ": "EH", "æ": "AE", "a": "AE"},
    **{"ɑː": "AA", "ɑ": "AA", "ɒ": "AA", "ɔː": "AO", "ɔ": "AO", "oː": "AO", "oʊ": "OW", "o": "OW", "əʊ": "OW"},
    **{"ʊ": "UH", "uː": "UW", "u": "UW", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ɜː": "ER", "ɜ": "ER", "ɚ": "ER"},
    **{"aɪ": "AY", "aʊ": "AW", "ɔɪ": "OY", "y": "UW", "yː": "UW", "ø": "ER", "øː": "ER", "œ": "ER", "ɝ": "ER"},
    **{"iə": "IY AH", "aɪə": "AY AH", "aɪɚ": "AY ER", "aʊɚ": "AW ER", "eə": "EH R", "ʊə": "UH R", "ææ": "AE"},
    **{"iːː": "IY", "ɑːɹ": "AA R", "ɔːɹ": "AO R", "oːɹ": "AO R", "ɛɹ": "EH R", "ɪɹ": "IH R", "ʊɹ": "UH R"},
    **{"əl": "AH L", "n̩": "AH N", "m̩": "AH M", "l̩": "AH L", "ɹ̩": "ER"},
    **{"p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G", "g": "G", "ɾ": "T", "ʔ": "T", "q": "K"},
    **{"f": "F", "v": "V", "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "h": "HH", "x": "K"},
    **{"ç": "HH", "ɣ": "G", "tʃ": "CH", "dʒ": "JH", "ts": "T S", "m": "M", "n": "N", "ŋ": "NG", "ɲ": "N Y"},
    **{"l": "L", "ɫ": "L", "ɬ": "L", "ʎ": "L Y", "ɹ": "R", "r": "R", "ʁ": "R", "w": "W", "ʍ": "W", "j": "Y"},
}
_LONGEST = max(map(len, ARPABET))
_VOWELS = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())  # noqa: SIM905
_STRESS = {"ˈ": "1", "ˌ": "2"}


def letters_to_sounds(word: str) -> tuple[str, ...]:
    """ARPAbet phones of a written word, stress digits on vowels; empty if eSpeak says nothing.

    Raises:
        UserError: eSpeak NG cannot be loaded.
    """
    return _arpabet(_ipa(word))


def _ipa(word: str) -> str:
    library = _library()
    text = ctypes.c_char_p(word.encode())
    spoken = []
    while text.value:
        phonemes = library.espeak_TextToPhonemes(ctypes.byref(text), _UTF8, _IPA)
        spoken.append((phonemes or b"").decode())
    return "".join(spoken)


def _arpabet(ipa: str) -> tuple[str, ...]:
    """Longest match first; a stress mark holds for the next vowel; length and other diacritics alone say nothing."""
    phones: list[str] = []
    stress = "0"
    at = 0
    while at < len(ipa):
        if ipa[at] == "(":  # eSpeak marks a change of language, as in "(fr)"
            at = ipa.find(")", at) + 1 or len(ipa)
            continue
        stress = _STRESS.get(ipa[at], stress)
        for size in range(min(_LONGEST, len(ipa) - at), 0, -1):
            match = ARPABET.get(ipa[at : at + size])
            if match is not None:
                for phone in match.split():
                    if phone in _VOWELS:
                        phone, stress = phone + stress, "0"
                    phones.append(phone)
                at += size
                break
        else:
            at += 1
    return tuple(phones)


@lru_cache(maxsize=1)
def _library() -> Any:
    import espeakng_loader

    path = Path(espeakng_loader.get_library_path())
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            library = ctypes.CDLL(shutil.copy(path, folder))
    except OSError as error:
        raise UserError(f"cannot load eSpeak NG from {path}: {error}; reinstall espeakng-loader") from None
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = (ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int)
    data = str(espeakng_loader.get_data_path()).encode()
    if library.espeak_Initialize(_TEXT_ONLY, 0, data, 0) <= 0 or library.espeak_SetVoiceByName(_VOICE) != 0:
        raise UserError(f"eSpeak NG cannot read its data in {data.decode()}; reinstall espeakng-loader")
    return library
