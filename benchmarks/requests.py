"""Requests to the server of a listening test, as bytes: a line of method and address, headers, a blank line, a body."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

from prosody_tts.listening.server import Serving, application
from prosody_tts.listening.storage import Store
from prosody_tts.listening.test import ListeningTest

#: Stands for the token of a listener who has begun.
TOKEN = b"TOKEN"
_HEAD = b"content-type: application/json\nauthorization: Bearer TOKEN\nhost: testserver\n"
_ANSWER = json.dumps({"scores": {"ab12": 5, "cd34": 60}, "heard": ["ab12", "cd34"], "seconds": 1.5}).encode()
SEEDS: tuple[bytes, ...] = (
    b"GET /\n" + _HEAD + b"\n",
    b"POST /api/listeners\n" + _HEAD + b'\n{"participant": "ann"}',
    b"POST /api/consent\n" + _HEAD + b"\n{}",
    b"GET /api/session\n" + _HEAD + b"\n",
    b"PUT /api/screens/0\n" + _HEAD + b"\n" + _ANSWER,
    b"PUT /api/screens/1\n" + _HEAD + b"\n" + _ANSWER.replace(b"ab12", b"ef56").replace(b"cd34", b"9a"),
    b"PUT /api/finish\n" + _HEAD + b'\n{"device": "headphones", "remarks": "none"}',
    b"GET /clips/ab12.wav\nrange: bytes=0-10\nif-range: x\n" + _HEAD + b"\n",
    b"GET /clips/../../key.json\nrange: bytes=0-,5-,-3\n" + _HEAD + b"\n",
)


class Broken(AssertionError):
    """The server answered with its own failure, or not at all."""


def ask(data: bytes, test: ListeningTest) -> int:
    """Send a request; its status.

    Raises:
        Broken: the server failed.
    """
    head, _, body = data.partition(b"\n\n")
    lines = head.split(b"\n")
    method, _, address = lines[0].partition(b" ")
    application, token = _served(test.identity, test)
    path, _, query = address.replace(TOKEN, token).partition(b"?")
    pairs = [tuple(part.strip() for part in line.replace(TOKEN, token).partition(b":")[::2]) for line in lines[1:]]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method.decode("latin-1").upper()[:20] or "GET",
        "scheme": "http",
        "path": path.decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        # The server before it refuses what is no name of a header.
        "headers": [(name.lower(), value) for name, value in pairs if name.replace(b"-", b"").isalnum()],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    parts = [body[place : place + 16384] for place in range(0, len(body), 16384)] or [b""]
    return asyncio.run(_answered(application, scope, parts))


async def _answered(application: Any, scope: dict[str, Any], parts: list[bytes]) -> int:
    waiting = list(parts)
    status: list[int] = []

    async def receive() -> dict[str, Any]:
        if not waiting:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    await application(scope, receive, send)
    if not status or status[0] >= 500:
        raise Broken(f"status {status}")
    return status[0]


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="requests-")


_SERVED: dict[str, tuple[Any, bytes]] = {}


def _served(identity: str, test: ListeningTest) -> tuple[Any, bytes]:
    """The application of a test, and the token of somebody who takes part; answers stay in memory."""
    if identity not in _SERVED:
        folder = Path(_folder().name)
        for item in test.items:
            for code in item.codes.values():
                path = folder / "public" / "stimuli" / f"{code}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(bytes(range(100)))
        store = Store(test, ":memory:")
        token = store.enrol(None)
        listener = store.listener(token)
        assert listener is not None
        store.begin(listener)
        _SERVED[identity] = application(Serving(store, folder, open=True), ["testserver"]), token.encode()
    return _SERVED[identity]
