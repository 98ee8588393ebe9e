"""What `sweep`, `reproduce` and `table` do with a sweep file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from prosody_tts.board import Outcome
from prosody_tts.command import OK, PROGRAM, conclude, one_file, output, split_arguments
from prosody_tts.config import Experiment
from prosody_tts.errors import UserError
from prosody_tts.pipeline import is_done, plan, report
from prosody_tts.sweeps import (
    Point,
    Search,
    experiments_of,
    load_sweep,
    overview,
    proposed,
    run_search,
    run_sweep,
    to_slug,
)
from prosody_tts.sweeps.failures import failures
from prosody_tts.sweeps.found import found_lines

REPORT = "report"


class Sweeping:
    """A sweep file with the settings of a command line.

    Args:
        arguments: the file and settings on top of it.
        default: the file where none is given.
        seed: of a random sweep's points, or of a search.

    Raises:
        UserError: there is no such file, or something in it cannot be run.
    """

    def __init__(self, arguments: Sequence[str] | None, default: str | None, seed: int) -> None:
        files, self.overrides = split_arguments(arguments or ())
        if not files and default is None:
            raise UserError("name a sweep file, such as sweeps/paper_tables.yaml")
        self.file = one_file(files, default)
        self.sweep, self.seed = load_sweep(self.file), seed
        self.search = Search(self.sweep, self.overrides, seed) if self.sweep.method == "bayes" else None
        self.name = to_slug(self.sweep.name)

    def experiments(self) -> dict[str, Experiment]:
        """Name of a point -> its settings; of a search those proposed so far."""
        named = self._fixed if self.search is None else proposed(self.search)
        return {name: experiment for name, (_, experiment) in named.items()}

    @cached_property
    def _fixed(self) -> dict[str, tuple[Point, Experiment]]:
        """The points of a grid or of random draws, which stay what they are."""
        return experiments_of(self.sweep, self.overrides, self.seed)

    def foretell(self, workers: int | None) -> None:
        """Print what running it would do."""
        experiments = self.experiments()
        for shown in overview(experiments, workers) if experiments else ():
            output().print(shown)
        if self.search is not None:
            count = self.search.cap - len(self.search.trials())
            print(f"{count} more of {self.search.cap} points are proposed by what the others come to")

    def run(self, workers: int | None, place: str | None = None) -> int:
        """Run what is missing, print what failed and the table of what is finished; return the exit status."""
        if self.search is None:
            return self.conclude(run_sweep(self.experiments(), workers), place)
        return self.conclude(run_search(self.search, workers), place)

    def conclude(self, outcomes: Sequence[Outcome], place: str | None = None) -> int:
        """Print what failed of what was run and the table of what is finished; return the exit status."""
        status = conclude(outcomes)
        experiments = self.experiments()
        if status != OK:
            self._tell_failures(experiments, outcomes)
        self._print_report(experiments, place)
        self._tell_uploads(experiments)
        return status

    def table(self) -> None:
        """Print the table of what is finished, and write its page."""
        self._print_report(self.experiments())

    def _tell_failures(self, experiments: Mapping[str, Experiment], outcomes: Sequence[Outcome]) -> None:
        for line in failures(experiments, outcomes):
            print(line, file=sys.stderr)

    def _print_report(self, experiments: Mapping[str, Experiment], place: str | None = None) -> None:
        """Print the table, and where its page is: ``place`` in the run folder, or by the sweep's name."""
        finished = {key: value for key, value in experiments.items() if is_done(plan(value)[-1])}
        if not finished:
            raise UserError(f"nothing of {self.name} is finished yet; run it with `{PROGRAM} sweep {self.name}`")
        first = next(iter(experiments.values()))
        named = "-".join([self.name, first.corpus, first.size])
        folder = Path(first.run.folder) / (place or f"reports/{named}")
        command = shlex.join([PROGRAM, "sweep", self.file, *self.overrides])
        output().print(report(finished, folder, command))
        if self.search is not None:
            for shown in found_lines(self.search, folder):
                output().print(shown)
        for page in sorted(folder.glob("*.html")):
            print(f"page: {page}")
        if first.measures != "speech":
            print(f"table: {folder / 'table.md'}")

    def _tell_uploads(self, experiments: Mapping[str, Experiment]) -> None:
        """Say how what W&B logged without a server gets there."""
        run = next(iter(experiments.values())).run
        logged = Path(run.folder) / "wandb"
        if run.wandb == "offline" and any(logged.glob("offline-run-*")):
            print(f"to W&B, under the group {run.group}: wandb sync {shlex.quote(str(logged))}")
