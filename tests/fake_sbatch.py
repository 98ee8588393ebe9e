"""Takes the place of Slurm's ``sbatch``: keeps what it is given to submit, and answers with the number of the job.

As there, the script is copied, a job may wait for those before it, and the answer of ``--parsable`` has the cluster's
name. Every job is a line of ``jobs.jsonl`` beside this program; who reads it may run them.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(arguments: list[str]) -> None:
    options: dict[str, str] = {}
    while arguments[0].startswith("--"):
        name, _, value = arguments.pop(0)[2:].partition("=")
        options[name] = value
    if unknown := options.keys() - {"parsable", "array", "dependency", "output"}:
        sys.exit(f"sbatch: unrecognized option {unknown}")
    jobs = HERE / "jobs.jsonl"
    jobs.touch()
    job = len(jobs.read_text().splitlines()) + 1
    kind, *before = options.get("dependency", "afterany").split(":")
    if kind != "afterany" or not {int(other) for other in before} <= set(range(1, job)):
        sys.exit(f"sbatch: error: Job dependency problem: {options['dependency']}")
    script = shutil.copy(arguments[0], f"{HERE}/job-{job}")
    first, _, last = options.get("array", "").partition("-")
    tasks = list(range(int(first), int(last) + 1)) if first else None
    told = {"job": job, "script": script, "arguments": arguments[1:], "tasks": tasks, "output": options["output"]}
    with jobs.open("a") as stream:
        stream.write(json.dumps(told) + "\n")
    print(f"{job};somewhere")


if __name__ == "__main__":
    main(sys.argv[1:])
