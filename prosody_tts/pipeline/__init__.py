"""Which stages an experiment needs, what each depends on, and what is there already.

A stage's identity is a hash of the resolved settings that can change its result, of its inputs' identities and of the
version of its code; its folder is ``runs/<kind>/<identity>``. Asking again reuses or resumes it. Planning loads
neither torch nor spaCy, so a finished run answers at once.
"""

from __future__ import annotations

from prosody_tts.pipeline.plans import check_speaks_text, plan, plan_all, vocoder_label
from prosody_tts.pipeline.reads import IN_STEPS, vocoder_files, vocoder_source
from prosody_tts.pipeline.running import git_commit, run_stage, versions
from prosody_tts.pipeline.stage import COPY, LEARNING, RESULT, SETTINGS, VERSIONS, Stage, folder, is_done, read_result
from prosody_tts.pipeline.tables import Evaluated, evaluated, pool_seeds, report, training_warnings

__all__ = [
    "COPY",
    "IN_STEPS",
    "LEARNING",
    "RESULT",
    "SETTINGS",
    "VERSIONS",
    "Evaluated",
    "Stage",
    "check_speaks_text",
    "evaluated",
    "folder",
    "git_commit",
    "is_done",
    "plan",
    "plan_all",
    "pool_seeds",
    "read_result",
    "report",
    "run_stage",
    "training_warnings",
    "versions",
    "vocoder_files",
    "vocoder_label",
    "vocoder_source",
]
