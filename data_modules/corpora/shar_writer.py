"""A prepared corpus written in lhotse's Shar format, for ``corpus=shar`` and every other tool that reads lhotse."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from data_modules.audio import load_audio
from data_modules.corpora.contract import SPLITS, Progress, Utterance
from data_modules.corpora.shar import SPLIT
from data_modules.store import FeatureStore
from prosody_tts.errors import UserError

if TYPE_CHECKING:
    from lhotse import MonoCut

#: Cuts of a shard.
SHARD = 1000


def write_shar(store: FeatureStore, folder: Path, progress: Progress) -> int:
    """Write the usable utterances to a new ``folder``, whole or not at all, and return how many.

    Recordings become FLAC of 16 bits at their own rate; text, speaker and split stand in a cut's supervision.

    Raises:
        UserError: the folder holds something, or cannot be written to.
    """
    from lhotse.shar import SharWriter

    names = store.ids(*SPLITS)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"--shar {folder} is there already; give a new folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            with SharWriter(str(temporary), fields={"recording": "flac"}, shard_size=SHARD) as writer:
                for done, name in enumerate(names, start=1):
                    writer.write(_cut(store, store.utterances[name]))
                    progress(done, len(names), "writing Shar")
            temporary.chmod(0o755)  # mkdtemp makes it private to the user
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}; give another folder") from None
    return len(names)


def _cut(store: FeatureStore, utterance: Utterance) -> MonoCut:
    """The utterance alone, its recording in memory."""
    import soundfile
    from lhotse import AudioSource, MonoCut, Recording, SupervisionSegment

    wave, rate = load_audio(store.corpus.audio(utterance), utterance.start, utterance.seconds)
    content, name, seconds = io.BytesIO(), utterance.id, len(wave) / rate
    soundfile.write(content, wave, rate, format="WAV", subtype="FLOAT")
    source = AudioSource("memory", [0], content.getvalue())
    segment = SupervisionSegment(
        name,
        name,
        0.0,
        seconds,
        text=utterance.text,
        speaker=utterance.speaker or None,
        custom={SPLIT: utterance.split},
    )
    recording = Recording(name, [source], rate, len(wave), seconds, channel_ids=[0])
    return MonoCut(name, 0.0, seconds, 0, [segment], recording=recording)
