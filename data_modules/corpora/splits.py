"""Which sentences are held out: given by the user, by the corpus's makers, or decided by a hash.

The hash looks at nothing but a sentence and the seed, so that adding or losing one moves no other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data_modules.corpora.contract import SPLITS, Fault, Split, SplitSource, Utterance
from data_modules.corpora.lines import rows
from data_modules.corpora.screening import sentence_id
from prosody_tts.config import DataConfig
from prosody_tts.errors import UserError
from prosody_tts.files import digest, parse_json

#: File of a corpus's folder that lists the ids of each split; ``data.splits`` takes it back.
FILE = "splits.json"


def selection(data: DataConfig) -> dict[str, Any]:
    """The settings that decide which recordings of a real corpus are used, and for what; of given splits the content.

    Raises:
        UserError: as ``given_splits``.
    """
    names = ("seed", "dev_share", "test_share", "min_seconds", "max_seconds", "limit", "allowed_bad")
    given = given_splits(data)
    content = {} if given is None else {"splits": digest({split: ids and sorted(ids) for split, ids in given.items()})}
    counts = {name: getattr(data, name) for name in ("dev_count", "test_count") if getattr(data, name) is not None}
    return {**{name: getattr(data, name) for name in names}, **counts, **content}


def position(sentence: str, seed: int) -> float:
    """A number in [0, 1) that depends on nothing but the sentence's id and the seed."""
    name = hashlib.sha256(f"{seed}:{sentence}".encode()).digest()
    return int.from_bytes(name[:8], "big") / 2**64


def split_sentences(sentences: Sequence[str], data: DataConfig) -> dict[str, Split]:
    """Assign each distinct sentence id to a split by its ``position``.

    Shares are ``data.test_share`` and ``data.dev_share``, or those next in the order of the hash as ``data.test_count``
    and ``data.dev_count`` say. With three sentences or more each split with a positive share, and training, has at
    least one: where the hash gives none, the nearest sentence is taken.

    Raises:
        UserError: the counts leave nothing to train on.
    """
    order = sorted(set(sentences), key=lambda name: (position(name, data.seed), name))
    test = data.test_count or sum(position(name, data.seed) < data.test_share for name in order)
    if data.dev_count is None:
        start = position(order[test], data.seed) if data.test_count and test < len(order) else data.test_share
        held = sum(position(name, data.seed) < start + data.dev_share for name in order)
    else:
        held = test + data.dev_count
    if (data.test_count or data.dev_count) and held >= len(order):
        raise UserError(
            f"data.test_count and data.dev_count leave nothing to train on of {len(order)} sentences; give smaller ones"
        )
    return _in_order(order, test, held, data)


def _in_order(order: Sequence[str], test: int, held: int, data: DataConfig) -> dict[str, Split]:
    """The first ``test`` names are tested on, those up to ``held`` are for development; no wanted split is empty."""
    if len(order) >= 3:
        wanted_test, wanted_dev = int(data.test_share > 0), int(data.dev_share > 0)
        test = min(max(test, wanted_test), len(order) - 1 - wanted_dev)
        held = min(max(held, test + wanted_dev), len(order) - 1)
    return {name: "test" if row < test else "dev" if row < held else "train" for row, name in enumerate(order)}


def split_chapters(sizes: Mapping[str, int], data: DataConfig) -> dict[str, Split]:
    """Assign each chapter, of so many utterances, to a split, whole.

    In the order of their ``position`` chapters are tested on until they hold ``data.test_share`` of all utterances,
    then those for development follow: chapters are too few and too unlike in length for a hash alone to meet the
    shares. With three chapters or more each split with a positive share, and training, has at least one.
    """
    order = sorted(sizes, key=lambda name: (position(name, data.seed), name))
    ends = np.cumsum([sizes[name] for name in order])
    # A chapter goes where its middle lies.
    middles = (ends - np.array([sizes[name] / 2 for name in order])) / max(sum(sizes.values()), 1)
    test, held = (int((middles < share).sum()) for share in (data.test_share, data.test_share + data.dev_share))
    return _in_order(order, test, held, data)


def with_splits(
    utterances: Sequence[Utterance],
    faults: list[Fault],
    data: DataConfig,
    official: Mapping[str, Split] | None = None,
    chapters: Mapping[str, str] | None = None,
) -> tuple[tuple[Utterance, ...], SplitSource]:
    """Give every utterance its split, after keeping at most ``data.limit`` of them, and tell who decided.

    ``data.splits`` comes first, then the ``official`` split of each id, if all three splits have some, then the hash
    of the sentence, or of the chapter where ``chapters`` has that of each id: a chapter is then held out whole, and no
    sentence that is held out is trained on. An utterance in none of ``data.splits`` is left out and joins ``faults``,
    which are those found before.

    Raises:
        UserError: as ``given_splits``, or ``data.splits`` names an id that is neither an utterance nor faulty.
    """
    given = given_splits(data)
    assigned: Mapping[str, Split]
    source: SplitSource
    if given is not None:
        assigned, source = _assign(given, utterances, faults, data), "given"
    elif official is not None and {official[item.id] for item in utterances} == set(SPLITS):
        assigned, source = official, "official"
    else:
        kept = _limited(utterances, data, {})
        if chapters is not None:
            return _by_chapter(kept, chapters, faults, data), "hash"
        hashed = split_sentences([item.sentence for item in kept], data)
        return tuple(replace(item, split=hashed[item.sentence]) for item in kept), "hash"
    kept = _limited([item for item in utterances if item.id in assigned], data, assigned)
    return tuple(replace(item, split=assigned[item.id]) for item in kept), source


def _by_chapter(
    utterances: Sequence[Utterance], chapters: Mapping[str, str], faults: list[Fault], data: DataConfig
) -> tuple[Utterance, ...]:
    hashed = split_chapters(Counter(chapters[item.id] for item in utterances), data)
    placed = [replace(item, split=hashed[chapters[item.id]]) for item in utterances]
    tested = {item.sentence for item in placed if item.split == "test"}
    held = tested | {item.sentence for item in placed if item.split == "dev"}
    found = []
    for item in placed:
        if (item.split == "train" and item.sentence in held) or (item.split == "dev" and item.sentence in tested):
            faults.append(Fault(item.id, "says what a sentence of a chapter that is held out says", bad=False))
        else:
            found.append(item)
    return tuple(found)


def given_splits(data: DataConfig) -> dict[Split, list[str] | None] | None:
    """The ids of each split in ``data.splits``, none for a training split that is the rest; none where it is not set.

    Raises:
        UserError: there is no such folder or file, it does not have the form ``config.DataConfig.splits`` tells, a
            split is empty, or an id stands in two of them.
    """
    if data.splits is None:
        return None
    path = Path(data.splits).expanduser()
    if not path.exists():
        raise UserError(f"there is no data.splits={data.splits}; give a folder with dev.txt and test.txt, or a {FILE}")
    found = _of_folder(path) if path.is_dir() else _of_file(path)
    where: dict[str, str] = {}
    for split, names in found.items():
        if names is not None and not names:
            raise UserError(f"data.splits={data.splits} has no id in its {split} split; give each split some")
        for name in names or []:
            if where.setdefault(name, split) != split:
                raise UserError(
                    f"data.splits={data.splits} has {name} in {where[name]} and in {split}; keep one of them"
                )
    return found


def listed(utterances: Sequence[Utterance]) -> dict[str, list[str]]:
    """The ids of each split, in the corpus's order: what is written to ``FILE``."""
    return {split: [item.id for item in utterances if item.split == split] for split in SPLITS}


def leaking(utterances: Sequence[Utterance]) -> dict[str, tuple[str, ...]]:
    """Texts that stand in more than one split, and in which; punctuation and capitals do not tell texts apart."""
    found: dict[str, tuple[str, set[str]]] = {}
    for item in utterances:
        found.setdefault(sentence_id(item.text), (item.text, set()))[1].add(item.split)
    return {text: tuple(s for s in SPLITS if s in splits) for text, splits in found.values() if len(splits) > 1}


def leak_warning(leaks: Mapping[str, Sequence[str]]) -> str:
    """One line on the sentences that ``leaking`` found."""
    text, splits = next(iter(leaks.items()))
    many = f"{len(leaks)} sentences stand" if len(leaks) > 1 else "1 sentence stands"
    return f"{many} in more than one split, such as '{text}' in {' and '.join(splits)}"


def _limited(utterances: Sequence[Utterance], data: DataConfig, assigned: Mapping[str, Split]) -> Sequence[Utterance]:
    """Keep those lowest in a second hash, the first of each assigned split before all: a larger limit only adds."""
    if data.limit is None or len(utterances) <= data.limit:
        return utterances
    ranked = sorted(utterances, key=lambda item: (position(f"limit:{item.id}", data.seed), item.id))
    first = {assigned[item.id]: item.id for item in reversed(ranked) if item.id in assigned}.values()
    ranked.sort(key=lambda item: item.id not in first)
    chosen = {item.id for item in ranked[: data.limit]}
    return [item for item in utterances if item.id in chosen]


def _assign(
    given: Mapping[Split, list[str] | None], utterances: Sequence[Utterance], faults: list[Fault], data: DataConfig
) -> dict[str, Split]:
    assigned = {name: split for split, names in given.items() for name in names or []}
    known = {item.id for item in utterances} | {fault.item for fault in faults}
    unknown = [name for name in assigned if name not in known]
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise UserError(
            f"data.splits={data.splits} names {unknown[0]}{more}, which the corpus does not have; remove it"
        )
    rest = [item.id for item in utterances if item.id not in assigned]
    if given["train"] is None:
        return {**assigned, **dict.fromkeys(rest, SPLITS[0])}
    faults += [Fault(name, "is in no split of data.splits", bad=False) for name in rest]
    return assigned


def _of_folder(folder: Path) -> dict[Split, list[str] | None]:
    found: dict[Split, list[str] | None] = {}
    for split in SPLITS:
        path = folder / f"{split}.txt"
        if path.is_file():
            found[split] = [text.strip() for _, text, _ in rows(path)]
        elif split == "train":
            found[split] = None
        else:
            raise UserError(
                f"data.splits={folder} has no {path.name}; list the ids of the {split} split in it, one a line"
            )
    return found


def _of_file(path: Path) -> dict[Split, list[str] | None]:
    wanted = f"data.splits={path} is not of the form " + '{"train": [id, ...], "dev": [...], "test": [...]}'
    try:
        content = parse_json(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(f"{wanted}: {error}") from None
    if not isinstance(content, dict) or not {"dev", "test"} <= set(content) <= set(SPLITS):
        raise UserError(wanted)
    lists = [names for names in content.values() if isinstance(names, list)]
    if len(lists) < len(content) or not all(isinstance(name, str) for names in lists for name in names):
        raise UserError(wanted)
    return {split: content.get(split) for split in SPLITS}
