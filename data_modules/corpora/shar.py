"""A corpus in lhotse's Shar format: cuts in shards, each beside a tar of its recordings, which stay where they are.

A shard is read as a stream, its cuts and its tar in step, one recording in memory at a time; later stages read a
recording at its place in the tar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data_modules.corpora.archives import Archive
from data_modules.corpora.contract import SPLITS, Corpus, Fault, Progress, Split, Utterance
from data_modules.corpora.cutset import check, deserialised, items, pieces_of
from data_modules.corpora.screening import content_digest, screen
from data_modules.corpora.splits import selection, with_splits
from data_modules.members import Member
from prosody_tts.config import CORPUS_PATHS, DataConfig, Experiment
from prosody_tts.errors import UserError

VERSION = 1
#: Key of a supervision's ``custom`` that says which split it is in; all have it, or it says nothing.
SPLIT = "split"

_SUFFIXES = (".jsonl.gz", ".jsonl")


class Shar:
    """The corpus in ``experiment.corpus_path``: ``cuts.NNNNNN.jsonl.gz`` beside ``recording.NNNNNN.tar``.

    Each supervision of a cut becomes an utterance. Recordings stand in the order of their cuts, as
    ``lhotse.shar.SharWriter`` writes them. Slashes in ids become hyphens. Where every supervision names its split in
    ``custom``, as ``prosody-tts prepare --shar`` writes it, those are the corpus's own.
    """

    def identity(self, experiment: Experiment) -> dict[str, Any]:
        """Names and contents of the cuts and the tars, and the settings that choose among the utterances.

        Raises:
            UserError: there are no cuts, or a file cannot be read.
        """
        cuts = _cuts(experiment)
        files = [path for path in [*cuts, *map(_archive, cuts), *_strays(cuts)] if path.is_file()]
        try:
            content = content_digest([(path.name, path) for path in files], Path(experiment.run.folder))
        except OSError as error:
            raise UserError(f"cannot read {error.filename}: {error.strerror or error}") from None
        return {"corpus": "shar", "version": VERSION, "content": content, "data": selection(experiment.data)}

    def build(self, experiment: Experiment, folder: Path, progress: Progress) -> Corpus:
        """Check every cut and its recording.

        Raises:
            UserError: nothing usable, more faults than ``data.allowed_bad`` allows, or as for ``identity``.
        """
        data = experiment.data
        shards = _cuts(experiment)
        total = sum(1 for cuts in shards for _ in items(cuts))
        utterances: dict[str, Utterance] = {}
        official: dict[str, Split] = {}
        faults = [Fault(path.name, "has no cuts beside it") for path in _strays(shards)]
        done = 0
        for cuts in shards:
            for found, split in _shard(cuts, data):
                if isinstance(found, Fault):
                    faults.append(found)
                elif found.id in utterances:
                    faults.append(Fault(f"{found.id} ({cuts.name})", "repeats an earlier id"))
                else:
                    utterances[found.id] = found
                    if split in SPLITS:
                        official[found.id] = split
                done = min(done + 1, total)
                progress(done, total, "recordings checked")
        screen(str(experiment.corpus_path), list(utterances.values()), faults, folder, data)
        own = official if len(official) == len(utterances) else None
        chosen, splits = with_splits(list(utterances.values()), faults, data, own)
        return Corpus("shar", folder, chosen, tuple(faults), splits)


def _cuts(experiment: Experiment) -> list[Path]:
    """The manifests of all shards."""
    wanted = CORPUS_PATHS["shar"]
    if experiment.corpus_path is None:
        raise UserError(f"corpus=shar needs corpus_path=PATH, {wanted}")
    path = Path(experiment.corpus_path).expanduser().resolve()
    if not path.is_dir():
        raise UserError(f"corpus_path={experiment.corpus_path} is not {wanted}")
    found = [file for file in sorted(path.iterdir()) if file.name.startswith("cuts.") and file.name.endswith(_SUFFIXES)]
    if not found:
        raise UserError(f"{path} holds no cuts.NNNNNN.jsonl.gz; give {wanted}")
    return found


def _archive(cuts: Path) -> Path:
    """The tar of a shard's recordings."""
    suffix = next(suffix for suffix in _SUFFIXES if cuts.name.endswith(suffix))
    return cuts.with_name(f"recording{cuts.name.removeprefix('cuts').removesuffix(suffix)}.tar")


def _strays(shards: Sequence[Path]) -> list[Path]:
    """Tars of recordings that belong to no shard."""
    return sorted(set(shards[0].parent.glob("recording.*tar")) - set(map(_archive, shards)))


def _shard(cuts: Path, data: DataConfig) -> Iterator[tuple[Utterance | Fault, Any]]:
    """What becomes of every supervision of a shard, with the split it names; then the recordings that no cut names."""
    from lhotse import MonoCut

    archive = Archive(_archive(cuts))
    named: set[str] = set()
    place = 0
    for number, content in items(cuts):
        line = f"{cuts.name} line {number}"
        cut = deserialised(content, line)
        if not isinstance(cut, MonoCut):
            name = str(getattr(cut, "id", line))
            named.add(name)
            yield cut if isinstance(cut, Fault) else Fault(name, f"is a {type(cut).__name__}, not a MonoCut"), None
            continue
        named.add(cut.id)
        source = archive.members.get(cut.id, archive.missing())
        if isinstance(source, Member):
            if source.first < place:
                source = f"has its recording in {archive.path} before an earlier cut's; write both in one order"
            else:
                place = source.first
        pieces = pieces_of(cut, cuts)
        if isinstance(pieces, Fault):
            yield pieces, None
            continue
        for piece in pieces:
            yield check(piece, data, partial(_located, source), kind="shar"), (piece.segment.custom or {}).get(SPLIT)
    for name, left in archive.members.items():
        if name not in named:
            yield (
                Fault(name, left if isinstance(left, str) else f"is a recording in {archive.path} without a cut"),
                None,
            )


def _located(source: Member | str) -> Member:
    if isinstance(source, str):
        raise UserError(source)
    return source
