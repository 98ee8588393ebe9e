"""The clips of a test, from the evaluations of a sweep's systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prosody_tts.command import one_file, split_arguments
from prosody_tts.errors import UserError, nearest
from prosody_tts.evaluation.names import RECORDING
from prosody_tts.evaluation.results import read_results
from prosody_tts.report.page import choose


@dataclass(frozen=True)
class Gathered:
    """Clips by utterance and system, texts by utterance, the systems' sample rate in Hz, and where they come from."""

    clips: dict[str, dict[str, Path]]
    texts: dict[str, str]
    sample_rate: int
    origin: dict[str, str]


def gather(arguments: Sequence[str], systems: Sequence[str] | None, sentences: int) -> Gathered:
    """Find the clips of so many sentences, one rendition of each.

    Args:
        arguments: a sweep and settings.
        systems: names in the sweep's table, and ``recording``; none takes the recording and all of them, without copy
            synthesis.
        sentences: at most so many.

    Raises:
        UserError: a system is not in the table or has not been evaluated, or the sweep's systems do not speak.
    """
    from data_modules.store import Clips, CorpusStore
    from prosody_tts.pipeline import COPY, evaluated, folder, git_commit, pool_seeds, vocoder_label
    from prosody_tts.sweeps import experiments_of, load_sweep

    files, overrides = split_arguments(arguments)
    sweep = load_sweep(one_file(files, "paper_tables"))
    experiments = {name: experiment for name, (_, experiment) in experiments_of(sweep, overrides, 0).items()}
    first = next(iter(experiments.values()))
    if first.measures != "speech":
        raise UserError(f"the systems of {sweep.name} do not speak; give a sweep of systems that do")
    # Of several seeds listeners hear the first.
    pooled = {name: seeds[0] for name, seeds in pool_seeds(experiments).items()}
    known = [RECORDING, COPY, *pooled]
    wanted = list(systems) if systems is not None else [RECORDING, *pooled]
    for name in wanted:
        if name not in known:
            raise UserError(f"--systems has '{name}', not in the table of {sweep.name}; {nearest(name, known)}")
    if len(set(wanted)) < max(len(wanted), 2) or not set(wanted) & set(pooled):
        raise UserError("--systems needs a system of the sweep and another, each once; such as recording,baseline")
    found = evaluated({name: experiment for name, experiment in pooled.items() if name in wanted})
    results = {name: {one.id: one for one in read_results(path)} for name, path in found.first.items()}
    recordings = Clips(CorpusStore(folder(found.corpus)))
    heard = next(iter(results.values()))
    clips = {}
    for name in choose(list(heard.values()), sentences):
        clips[name] = {
            system: recordings[name] if system == RECORDING else found.first[system] / results[system][name].audio
            for system in wanted
        }
    origin = {
        "sweep": sweep.name,
        "corpus": first.corpus,
        "split": first.evaluation.split,
        "vocoder": vocoder_label(first),
        "commit": git_commit(),
        **{f"evaluation of {name}": found.identities[name] for name in wanted if name != RECORDING},
    }
    return Gathered(clips, {name: heard[name].text for name in clips}, first.audio.sample_rate, origin)
