"""Takes the place of Slurm's ``sbatch``: does at once, task after task, what it is given to submit.

As there, the script is copied, tasks of an array get their numbers, a job may wait for those before it, a pattern names
the log of each task, and the answer of ``--parsable`` has the cluster's name. Every task that ends is a line of
``tasks.txt`` beside this program: ``job number status``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(arguments: list[str]) -> int:
    options: dict[str, str] = {}
    while arguments[0].startswith("--"):
        name, _, value = arguments.pop(0)[2:].partition("=")
        options[name] = value
    if unknown := options.keys() - {"parsable", "array", "dependency", "output"}:
        sys.exit(f"sbatch: unrecognized option {unknown}")
    told = HERE / "tasks.txt"
    told.touch()
    over = [line.split()[0] for line in told.read_text().splitlines()]
    kind, *before = options.get("dependency", "afterany").split(":")
    if kind != "afterany" or not set(before) <= set(over):
        sys.exit(f"sbatch: error: Job dependency problem: {options['dependency']}")
    job = str(len(set(over)) + 1)
    script = shutil.copy(arguments[0], HERE / f"job-{job}")
    first, _, last = options.get("array", "0-0").partition("-")
    for number in range(int(first), int(last) + 1):
        variables = {"SLURM_JOB_ID": job}
        if "array" in options:
            variables |= {"SLURM_ARRAY_JOB_ID": job, "SLURM_ARRAY_TASK_ID": str(number)}
        log = options["output"].replace("%%", "\0")
        for letter, value in {"A": job, "a": str(number), "j": job}.items():
            log = log.replace(f"%{letter}", value)
        with open(log.replace("\0", "%"), "w") as stream:
            done = subprocess.run(
                ["bash", script, *arguments[1:]],
                cwd="/",
                env=os.environ | variables,
                stdout=stream,
                stderr=subprocess.STDOUT,
                check=False,
            )
        with told.open("a") as stream:
            stream.write(f"{job} {number} {done.returncode}\n")
    print(f"{job};somewhere")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
