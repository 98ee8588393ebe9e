"""Writes a plan as Slurm scripts: an array job for each level of dependence, and one that makes the table.

Nothing here talks to Slurm. A job that follows another waits until that is over, failed or not (``afterany``): a
stage whose needs failed says so and ends, and what needs other stages goes on.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prosody_tts.clusters.parts import levels
from prosody_tts.config import RunConfig
from prosody_tts.errors import UserError
from prosody_tts.files import digest, write_text
from prosody_tts.pipeline import Stage

#: Tasks of one array: Slurm's ``MaxArraySize`` is 1001 unless set, and the highest number must be below it.
MOST_TASKS = 1000

#: What is said at the head of every script.
OWN_VARIABLES = """\
# sbatch takes what no script says from its own variables:
# SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT and others (man sbatch)."""

STAGES = """\
#!/bin/bash
# One stage of {name}: the one whose key stands in line $SLURM_ARRAY_TASK_ID of the list that is given.
{variables}
{resources}

set -euo pipefail
cd -- {place}
key=$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" -- "$1")
if [ -z "$key" ]; then
    echo "$1 has no line $SLURM_ARRAY_TASK_ID; write the scripts again" >&2
    exit 2
fi
exec {sweep} --only "$key"
"""

TABLE = """\
#!/bin/bash
# The table of what is finished of {name}.
{variables}
#SBATCH --job-name={name}-table
#SBATCH --cpus-per-task=1

set -euo pipefail
cd -- {place}
exec {table}
"""

SUBMIT = """\
#!/bin/bash
# Submits the stages of {name}, level after level, and then its table.
{variables}
# Submitting again is harmless: a stage is done once, whoever comes second waits for it or finds it.

set -euo pipefail

submit() {{
    local answer
    answer=$(sbatch --parsable "$@") || return # bash forgets -e here
    echo "${{answer%%;*}}" # the name of the cluster may follow
}}

{jobs}
echo "submitted {count}; job $table makes the table"
"""


@dataclass(frozen=True)
class Scripts:
    """What the scripts are about.

    Attributes:
        name: of the sweep, a word without blanks.
        words: the sweep's file, settings and options, as on a command line; they mean the same on every machine.
        place: where relative paths among the settings start.
        folder: where the scripts are written, an absolute path.
        run: what the stages ask of a machine.
    """

    name: str
    words: Sequence[str]
    place: Path
    folder: Path
    run: RunConfig

    def command(self, verb: str, *more: str) -> str:
        """A verb of the command line about this sweep, quoted for a shell."""
        return shlex.join([sys.executable, "-m", "prosody_tts.cli", verb, *self.words, *more])

    def log(self, name: str) -> str:
        """A pattern of Slurm's for log files."""
        return f"{str(self.folder / 'logs').replace('%', '%%')}/{name}.txt"


def write_scripts(scripts: Scripts, stages: Sequence[Stage]) -> tuple[Path, int]:
    """Write ``stages.sbatch``, ``table.sbatch``, the lists of keys and ``submit.sh``, which submits them.

    Args:
        scripts: what they are about.
        stages: a plan; what is done already is left out.

    Returns:
        The path of ``submit.sh``, and how many stages it will submit.

    Raises:
        UserError: the folder cannot be written.
    """
    found, place, name = levels(stages), shlex.quote(str(scripts.place)), scripts.name
    common = {"name": name, "place": place, "variables": OWN_VARIABLES}
    count = sum(map(len, found))
    said = f"{count} stage{'' if count == 1 else 's'} in {len(found)} level{'' if len(found) == 1 else 's'}"
    submit = scripts.folder / "submit.sh"
    try:
        (scripts.folder / "logs").mkdir(parents=True, exist_ok=True)
        command = scripts.command("sweep", "--workers", "1")  # its own process, so that it tells how that died
        text = STAGES.format(**common, resources="\n".join(_resources(scripts)), sweep=command)
        write_text(scripts.folder / "stages.sbatch", text)
        write_text(scripts.folder / "table.sbatch", TABLE.format(**common, table=scripts.command("table")))
        jobs = "\n".join(_jobs(scripts, found))
        write_text(submit, SUBMIT.format(**common, jobs=jobs, count=said))
        submit.chmod(0o755)
    except OSError as error:
        raise UserError(
            f"cannot write scripts to {scripts.folder}: {error.strerror or error}; give another folder"
        ) from None
    return submit, count


def _resources(scripts: Scripts) -> list[str]:
    run = scripts.run
    wanted = [f"--job-name={scripts.name}", "--nodes=1", "--ntasks=1", f"--cpus-per-task={run.threads}"]
    if run.accelerator == "gpu":
        wanted.append(f"--gres=gpu:{run.devices}")
    return [f"#SBATCH {option}" for option in wanted]


def _jobs(scripts: Scripts, found: Sequence[Sequence[Stage]]) -> list[str]:
    """The lines that submit each level after the one before, and the table after all; lists are written on the way."""
    lines: list[str] = []
    before: list[str] = []
    for number, level in enumerate(found, 1):
        parts = [level[start : start + MOST_TASKS] for start in range(0, len(level), MOST_TASKS)]
        here = [f"level_{number}_{part}" for part in range(1, len(parts) + 1)]
        for job, part in zip(here, parts, strict=True):
            keys = [stage.key for stage in part]
            # By its content, since jobs that were submitted earlier may still have to read theirs.
            listed = scripts.folder / f"{job}-{digest(keys, 8)}.txt"
            write_text(listed, "".join(f"{key}\n" for key in keys))
            options = [f"--array=1-{len(part)}", f"--output={scripts.log(f'{job}-%A_%a')}"]
            lines.append(_line(job, options, before, [str(scripts.folder / "stages.sbatch"), str(listed)]))
        before = here
    options = [f"--output={scripts.log('table-%j')}"]
    lines.append(_line("table", options, before, [str(scripts.folder / "table.sbatch")]))
    return lines


def _line(job: str, options: Sequence[str], before: Sequence[str], script: Sequence[str]) -> str:
    words = [shlex.quote(option) for option in options]
    if before:
        words.append(f'"--dependency=afterany:{":".join(f"${{{other}}}" for other in before)}"')
    return f"{job}=$(submit {' '.join(words)} {shlex.join(script)})"
