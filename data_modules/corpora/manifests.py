"""Whether what lhotse made of a line of a manifest has the types it declares; lhotse itself looks at few of them."""

from __future__ import annotations

import math
from typing import Any

from prosody_tts.files import is_text

#: Numbers of seconds, samples and Hz that mean something are smaller.
_MOST = 1e12


def wrong_with(item: Any) -> str | None:
    """Which part of a recording, a supervision or a cut is not what it must be; none where all are.

    What is none of the three is not looked at.
    """
    from lhotse import MonoCut, Recording, SupervisionSegment

    if isinstance(item, Recording):
        return _recording(item)
    if isinstance(item, SupervisionSegment):
        return _supervision(item)
    if isinstance(item, MonoCut):
        return _cut(item)
    return None


def _recording(item: Any) -> str | None:
    from lhotse import AudioSource

    checks = {
        "id": _is_text(item.id),
        "sampling_rate": _is_number(item.sampling_rate) and item.sampling_rate > 0,
        "num_samples": _is_number(item.num_samples),
        "duration": _is_number(item.duration),
        "sources": isinstance(item.sources, list)
        and all(isinstance(one, AudioSource) and _is_text(one.type) for one in item.sources)
        and all(_is_text(one.source) or one.type != "file" for one in item.sources),
        "channel_ids": isinstance(item.channel_ids, list),
        "transforms": item.transforms is None or isinstance(item.transforms, list),
    }
    return _first(checks)


def _supervision(item: Any) -> str | None:
    custom = item.custom or {}
    checks = {
        "id": _is_text(item.id),
        "recording_id": _is_text(item.recording_id),
        "start": _is_number(item.start),
        "duration": _is_number(item.duration),
        "text": item.text is None or _is_text(item.text),
        "speaker": item.speaker is None or _is_text(item.speaker),
        "custom": isinstance(custom, dict)
        and all(_is_text(custom[key]) for key in ("normalized_text", "split") if custom.get(key) is not None),
    }
    return _first(checks)


def _cut(item: Any) -> str | None:
    from lhotse import Recording, SupervisionSegment

    checks = {
        "id": _is_text(item.id),
        "start": _is_number(item.start),
        "duration": _is_number(item.duration),
        "supervisions": isinstance(item.supervisions, list)
        and all(isinstance(one, SupervisionSegment) for one in item.supervisions),
        "recording": item.recording is None or isinstance(item.recording, Recording),
    }
    parts = [] if item.recording is None else [item.recording]
    return _first(checks) or next(filter(None, map(wrong_with, [*parts, *item.supervisions])), None)


def _first(checks: dict[str, bool]) -> str | None:
    return next((name for name, right in checks.items() if not right), None)


def _is_text(value: Any) -> bool:
    """Text that a file can hold: JSON can write halves of characters."""
    return isinstance(value, str) and is_text(value)


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST and math.isfinite(value)
    )
