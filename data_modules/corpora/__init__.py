"""Corpora: one registry, one contract (``contract.CorpusBuilder``), utterances out."""

from __future__ import annotations

from collections.abc import Callable

from data_modules.corpora.contract import CorpusBuilder


def _testbed() -> CorpusBuilder:
    from data_modules.corpora.testbed import Testbed

    return Testbed()


def _allison() -> CorpusBuilder:
    from data_modules.corpora.allison import Allison

    return Allison()


def _folder() -> CorpusBuilder:
    from data_modules.corpora.folder import Folder

    return Folder()


def _ljspeech() -> CorpusBuilder:
    from data_modules.corpora.ljspeech import LJSpeech
    from data_modules.corpora.recipes import Recorded

    return Recorded(LJSpeech())


def _libritts(restored: bool = False) -> CorpusBuilder:
    from data_modules.corpora.libritts import LibriTTS
    from data_modules.corpora.recipes import Recorded

    return Recorded(LibriTTS(restored))


def _vctk() -> CorpusBuilder:
    from data_modules.corpora.recipes import Recorded
    from data_modules.corpora.vctk import VCTK

    return Recorded(VCTK())


def _cutset() -> CorpusBuilder:
    from data_modules.corpora.cutset import Cuts

    return Cuts()


def _shar() -> CorpusBuilder:
    from data_modules.corpora.shar import Shar

    return Shar()


def _ljspeech_timing() -> CorpusBuilder:
    from data_modules.corpora.ljspeech_timing import LjspeechTiming

    return LjspeechTiming()


def _helsinki() -> CorpusBuilder:
    from data_modules.corpora.helsinki import Helsinki

    return Helsinki()


#: Corpus by name (``config.CorpusName``); each entry imports and makes its builder when it is called.
CORPORA: dict[str, Callable[[], CorpusBuilder]] = {
    "testbed": _testbed,
    "allison": _allison,
    "folder": _folder,
    "ljspeech": _ljspeech,
    "libritts": _libritts,
    "libritts_r": lambda: _libritts(restored=True),
    "vctk": _vctk,
    "cutset": _cutset,
    "shar": _shar,
    "ljspeech_timing": _ljspeech_timing,
    "helsinki": _helsinki,
}
