"""What offline W&B runs left, read back without a server."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def records(root: Path) -> list[dict[str, Any]]:
    """What offline runs left, as plain data.

    W&B's client no longer ships a reader of its files: 7 bytes, then LevelDB's log format (blocks of 32 KiB; a chunk is
    checksum, length, type, data) of one protocol buffer a record.
    """
    import wandb
    from google.protobuf.json_format import MessageToDict
    from wandb.proto import wandb_internal_pb2

    wandb.teardown()  # W&B's own process writes the files, and has written them all when it has ended
    found = []
    for path in sorted(root.glob("wandb/offline-run-*/*.wandb")):
        content, place, data = path.read_bytes(), 7, b""
        while place < len(content):
            if 32768 - place % 32768 < 7:
                place += 32768 - place % 32768
            _, length, kind = struct.unpack_from("<IHB", content, place)
            data += content[place + 7 : place + 7 + length]
            place += 7 + length
            if kind in {1, 4}:  # a whole record, or the last part of one
                record = wandb_internal_pb2.Record.FromString(data)
                found.append(MessageToDict(record, preserving_proto_field_name=True))
                data = b""
    return found


def config_of(run: dict[str, Any]) -> dict[str, Any]:
    """The settings a run began with."""
    return {item["key"]: json.loads(item["value_json"]) for item in run["config"]["update"]}


def logged(found: Sequence[dict[str, Any]], kind: str = "history") -> dict[str, Any]:
    """The last value under every name, of the history or of the summary; parts of one value by names below its own."""
    part = "item" if kind == "history" else "update"
    items = [item for record in found for item in record.get(kind, {}).get(part, [])]
    return {"/".join(item.get("nested_key", [])) or item.get("key"): json.loads(item["value_json"]) for item in items}
