"""Where a report's figures come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Provenance:
    """What a reader needs to make the same table again.

    Attributes:
        corpus: name.
        split: ``dev`` or ``test``.
        seed: of training and data.
        vocoder: of synthesised audio and of ``copy_synthesis``; empty where nothing is synthesised.
        commit: git commit of the code, or None outside a repository.
        clean: whether the working tree had no changes, or None outside a repository.
        size: preset of widths and schedules.
        command: what makes the report again.
        identities: system -> identity of its evaluation.
        versions: library -> version.
        notes: further remarks, such as utterances left out, one sentence each.
        seeds: of the trainings, where a system has several.
    """

    corpus: str
    split: str
    seed: int
    vocoder: str
    commit: str | None = None
    clean: bool | None = None
    size: str = ""
    command: str = ""
    identities: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def seed_text(self) -> str:
        """The seed, or the seeds."""
        return ", ".join(map(str, self.seeds or (self.seed,)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def tree(self) -> str:
        """The commit in words."""
        if self.commit is None:
            return "no git commit"
        state = {True: "clean tree", False: "tree with uncommitted changes", None: "state of the tree unknown"}
        return f"commit {self.commit[:12]}, {state[self.clean]}"

    def line(self) -> str:
        """One line for a footer."""
        size = f", size {self.size}" if self.size else ""
        vocoder = f", vocoder {self.vocoder}" if self.vocoder else ""
        seeds = f"{'seeds' if self.seeds else 'seed'} {self.seed_text}"
        return f"corpus {self.corpus}, split {self.split}, {seeds}{size}{vocoder}; {self.tree()}"
