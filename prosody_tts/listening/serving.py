"""Runs the server of a test."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from prosody_tts.errors import UserError
from prosody_tts.listening.server import Serving, application
from prosody_tts.listening.storage import Store
from prosody_tts.listening.test import ListeningTest


@dataclass(frozen=True)
class Address:
    """Where to listen: a host and a port, 0 for a free one."""

    host: str
    port: int

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def serve_test(
    folder: Path, address: Address, open_to_all: bool, most: int | None, preview: bool, say: Callable[[str], None]
) -> None:
    """Serve a test until somebody stops it.

    Args:
        folder: of the test.
        address: where to listen.
        open_to_all: whether people may come uninvited.
        most: how many, at most.
        preview: whether nothing is stored.
        say: told, in a line each, where it is served and for whom.

    Raises:
        UserError: there is no test, or nothing can be served at the address.
    """
    import uvicorn

    test = ListeningTest.read(folder)
    store = Store(test, ":memory:") if preview else Store.of(test, folder)
    # Whoever asks this machine for another name than its own is led here by somebody else's page.
    hosts = ["localhost", "127.0.0.1", "[::1]", address.host] if address.local else None
    app = application(Serving(store, folder, open_to_all, most, preview), hosts)
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
    except (OSError, OverflowError) as error:
        raise UserError(
            f"nothing can be served at {address.host} port {address.port} ({error}); give another --host or --port"
        ) from None
    port = listening.getsockname()[1]
    shown = f"[{address.host}]" if ":" in address.host else address.host
    say(f"serving {test.wording.title!r} at http://{shown}:{port}/")
    if preview:
        say("a preview: nothing is stored")
    else:
        came, began, finished = store.standing()
        say(f"{came} listeners, of whom {began} have begun and {finished} have finished")
        if not open_to_all:
            say("for those with a link of `prosody-tts listen invite`")
    if not address.local:
        say("other machines can reach it; put it behind a server with TLS, so that nobody reads along")
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=5
    )
    uvicorn.Server(config).run(sockets=[listening])
