"""A disk that is full or may not be written costs one sentence and nothing that is finished."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from label_corpora import helsinki_corpus

from prosody_tts.disk import trouble

#: A disk of its own within the test, which needs no rights outside of it; some systems do not let users have one.
ALONE = ["unshare", "--user", "--map-root-user", "--mount"]


def can_mount() -> bool:
    try:
        made = subprocess.run([*ALONE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True)
    except OSError:
        return False
    return made.returncode == 0


SCRIPT = """
mount -t tmpfs -o size=64m tmpfs "$RUNS"
ask() { "$PYTHON" -m prosody_tts.cli "$@" "run.folder=$RUNS" >>"$SAID" 2>&1; echo "status $?" >>"$SAID"; }
ask prepare prominence_phones $SETTINGS --workers 1
find "$RUNS" -name result.json -exec stat -c '%n %Y %i' {} + | sort >"$SAID.before"
echo "== full" >>"$SAID"
cat /dev/zero >"$RUNS/ballast" 2>/dev/null
ask evaluate prominence_phones $SETTINGS --workers 1
ask evaluate prominence_phones $SETTINGS --workers 0
echo "== closed" >>"$SAID"
rm "$RUNS/ballast"
mount -o remount,ro "$RUNS"
ask evaluate prominence_phones $SETTINGS --workers 1
echo "== open" >>"$SAID"
mount -o remount,rw "$RUNS"
ask evaluate prominence_phones $SETTINGS --workers 1
find "$RUNS" -name result.json -exec stat -c '%n %Y %i' {} + | sort >"$SAID.after"
"""


@pytest.mark.slow
@pytest.mark.skipif(not can_mount(), reason="users may not mount a disk of their own here")
def test_a_full_disk_and_a_closed_one_are_told_and_nothing_finished_is_lost(tmp_path: Path) -> None:
    said, runs = tmp_path / "said.txt", tmp_path / "runs"
    runs.mkdir()
    settings = ["corpus=helsinki", f"corpus_path={helsinki_corpus(tmp_path)}", "size=smoke", "run.progress=false"]
    environment = {
        **os.environ,
        **{"PYTHON": sys.executable, "SAID": str(said), "RUNS": str(runs), "SETTINGS": " ".join(settings)},
    }
    subprocess.run([*ALONE, "sh", "-c", SCRIPT], env=environment, check=False)
    told = said.read_text()
    before, _, rest = told.partition("== full\n")
    full, _, rest = rest.partition("== closed\n")
    closed, _, opened = rest.partition("== open\n")
    assert before.endswith("status 0\n"), told
    assert full.count(f"the disk of {runs}") == 2 and full.count("is full; make room") == 2, full
    assert "cannot be written (Read-only file system); make it writable" in closed
    for part in (full, closed):
        assert "status 2" in part and "Traceback" not in part and "status 1" not in part and "status 0" not in part
    assert opened.endswith("status 0\n"), opened
    kept = Path(f"{said}.before").read_text().splitlines()
    assert kept and set(kept) <= set(Path(f"{said}.after").read_text().splitlines()), "a finished stage was made again"


def test_what_a_disk_did_not_cause_is_told_as_it_was(tmp_path: Path) -> None:
    assert trouble(ZeroDivisionError("no"), tmp_path / "not" / "there") is None
    assert trouble(OSError(errno.ENOENT, "No such file"), tmp_path) is None
    full = trouble(OSError(errno.ENOSPC, "No space left on device"), tmp_path / "stage")
    assert full is not None and full.startswith(f"the disk of {tmp_path} is full")
    closed = trouble(PermissionError(errno.EACCES, "Permission denied", "/x/log.txt"), tmp_path)
    assert closed is not None and closed.startswith("/x/log.txt cannot be written (Permission denied)")
