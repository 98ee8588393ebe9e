"""Inputs that parsers take, in their true formats: what attacks on them begin from."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0.0
xmax = 1.5
tiers? <exists>
size = 2
item []:
\titem [1]:
\t\tclass = "IntervalTier"
\t\tname = "words"
\t\txmin = 0.0
\t\txmax = 1.5
\t\tintervals: size = 2
\t\t\tintervals [1]:
\t\t\t\txmin = 0.0
\t\t\t\txmax = 0.5
\t\t\t\ttext = "the"
\t\t\tintervals [2]:
\t\t\t\txmin = 0.5
\t\t\t\txmax = 1.5
\t\t\t\ttext = "cat"
"""
SHORT_GRID = (
    '"ooTextFile"\n"TextGrid"\n0\n1.5\n<exists>\n2\n"IntervalTier"\n"words"\n0\n1.5\n2\n0\n0.5\n"the"\n0.5\n1.5\n"cat"\n'
    '"IntervalTier"\n"phones"\n0\n1.5\n3\n0\n0.5\n"DH"\n0.5\n1.0\n"K"\n1.0\n1.5\n"T"\n'
)
TEXTS = (
    "Dr. Smith paid $3.50, i.e. 1,200 yen, on 5/12/2019 at 5:30 p.m. in St. Ives.",
    "See http://www.example.com/a?b=c, mail a.b-c@example.org; 3/4 of 12 km/h, 2²; the 1990s, Henry VIII, no. 7!",
    "-5 °C, 007, 1.2.3, #tag #1, (555) 555-1234, 10-12, 5th of May 2001, ½ ٣ ① café naïve — “don’t” 😀",
)
SSML = (
    '<?xml version="1.0"?><speak version="1.1" xml:lang="en"><p><s>The <emphasis level="strong">cat</emphasis> '
    'sat.</s></p><prosody rate="slow" pitch="+2st" volume="-3dB">It <break time="300ms"/>is <sub alias="two">2</sub> '
    'and <phoneme alphabet="x-cmu" ph="K AE1 T">cat</phoneme>.</prosody></speak>'
)
EXPERIMENT = """family: camp
units: word
vectors: predicted
acoustic: {reference: deterministic, latent: 8}
sampler: {contexts: [bert, tags], prior: autoregressive}
data: &d {dev_share: 0.1, speeds: [0.9, 1.1]}
"""
SWEEP = """program: prosody_tts/train.py
name: a sweep
method: random
run_cap: 3
metric: {name: evaluate/log_f0_rmse, goal: minimize}
parameters:
  experiment: {values: [baseline, camp]}
  seed: {distribution: q_uniform, min: 1, max: 9, q: 2}
  sampler: {parameters: {width: {values: [8, 16], probabilities: [0.5, 0.5]}}}
"""
SETTINGS = (
    "size=smoke\nsampler.prior=flow\nsampler.contexts=[bert,tags]\nrun.group=None\nacoustic.latent=4",
    "corpus=folder\ncorpus_path=/x\ndata.speeds=[0.9,1.1]\nsynthesis.temperature=0.5\nrun.progress=false",
)
HELSINKI = "<file>\t84_121123_000007_000001.txt\nThe\t0\t0\t0.01\t0.2\ncat\t2\t1\t1.5\t0.9\n.\tNA\tNA\tNA\tNA\n" * 2
RATINGS = (
    "listener,item,system,score\na,s1,baseline,40\na,s1,camp,60\nb,s1,baseline,20\nb,s1,camp,55.5\n",
    "listener;item;baseline;camp\na;s1;40;60\nb;s1;20;\n",
    "session_test_id,session_uuid,trial_id,rating_stimulus,rating_score\nt,u,s1,C1,50\nt,u,s1,reference,100\n",
    "session_test_id,listener,trial_id,choice_reference,choice_non_reference,choice_answer\nt,u,s1,C1,C2,C2\n",
    "session_test_id,listener,trial_id,stimuli,stimuli_rating\nt,u,s1,C1,5\n",
)
CODES = ("ab12", "cd34", "ef56")
KEY: dict[str, Any] = {
    "kind": "mushra_like",
    "wording": {"title": "t", "question": "q", "instructions": "i", "consent": "c", "completion": None},
    "systems": ["baseline", "camp"],
    "items": [
        {
            "id": "s1",
            "text": "A",
            "codes": {"baseline": CODES[0], "camp": CODES[1]},
            "reference": None,
            "role": "rated",
        },
        {
            "id": "check-1",
            "text": "",
            "codes": {"camp": CODES[2], "check": "9a"},
            "role": "check",
            "asked": [90.0, 100.0],
        },
    ],
    "groups": [["s1"]],
    "sample_rate": 16000,
    "loudness": -23.0,
    "seed": 0,
    "origin": {"sweep": "x"},
}


def packed(files: Iterable[tuple[str, bytes]], how: str = "") -> bytes:
    """Files in a tar, compressed as ``tarfile`` names it, or in a zip."""
    stream = io.BytesIO()
    if how == "zip":
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files:
                archive.writestr(name, content)
        return stream.getvalue()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return {"": bytes, "gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}[how](stream.getvalue())


@cache
def wave(seconds: float = 0.2) -> bytes:
    """A WAV file of noise."""
    import numpy as np
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, np.random.default_rng(0).normal(0, 0.1, int(16000 * seconds)), 16000, format="WAV")
    return stream.getvalue()


def manifest() -> bytes:
    """Lines of lhotse: a recording, a supervision, and both as a cut."""
    source = [{"type": "file", "channels": [0], "source": "a.wav"}]
    recording = {"id": "r", "sources": source, "sampling_rate": 16000, "num_samples": 3200, "duration": 0.2}
    said = {"id": "s", "recording_id": "r", "start": 0.0, "duration": 0.2, "channel": 0, "text": "Hi.", "speaker": "a"}
    cut = {
        "id": "c",
        "start": 0,
        "duration": 0.2,
        "channel": 0,
        "supervisions": [{**said, "id": "t"}],
        "type": "MonoCut",
    }
    lines = [recording, said, {**cut, "recording": {**recording, "channel_ids": [0]}}]
    return "\n".join(map(json.dumps, lines)).encode()


def shard() -> bytes:
    """A cut whose recording lies in the shard's tar."""
    source = [{"type": "shar", "channels": [0], "source": ""}]
    recording = {"id": "r", "sources": source, "sampling_rate": 16000, "num_samples": 3200, "duration": 0.2}
    said = {
        "id": "s",
        "recording_id": "r",
        "start": 0.0,
        "duration": 0.2,
        "channel": 0,
        "text": "Hi.",
        "custom": {"split": "dev"},
    }
    cut = {"id": "c", "start": 0, "duration": 0.2, "channel": 0, "supervisions": [said], "type": "MonoCut"}
    return json.dumps({**cut, "recording": {**recording, "channel_ids": [0]}}).encode()


def saved() -> tuple[bytes, ...]:
    """An array, an array of objects, and a checkpoint."""
    import numpy as np
    import torch

    array, objects, checkpoint = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros((3, 2), np.float32))
    np.save(objects, np.array([{}], object), allow_pickle=True)
    torch.save({"state_dict": {"a": torch.zeros(2)}, "epoch": 1}, checkpoint)
    return array.getvalue(), objects.getvalue(), checkpoint.getvalue()


def encoded(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Texts as bytes."""
    return tuple(text.encode() for text in texts)
