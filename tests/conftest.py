"""What all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# The same examples every time, so that a change is judged by what it changed; --hypothesis-profile=default seeks more.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

# Several test processes share the machine; set before a numeric library is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"


@pytest.fixture(autouse=True)
def _no_wandb_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests never reach a W&B server, whatever the environment they are started in says."""
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
