"""The server of a listening test: its page, its clips, and where answers go. Nothing else can be reached through it.

A listener is known by a token, which the page sends with every request; it stands in no address that a log would keep.
The browser gets codes of clips and never a system's name, the text of an item, and what to read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from prosody_tts.listening.answers import Refused, answer_of
from prosody_tts.listening.browser import PAGE, TRANSPORT, TYPES, asset, shown, wording
from prosody_tts.listening.ordering import Screen
from prosody_tts.listening.storage import Conflict, Listener, Store
from prosody_tts.listening.test import PUBLIC, STIMULI

#: Largest body of a request, in bytes.
LARGEST = 64 * 1024
PARTICIPANT = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
#: Address -> a file of the page.
ASSETS = {
    **{"/" if name == "index.html" else f"/{name}": name for name in PAGE},
    f"/{TRANSPORT}": "online.js",
}
#: What the last page may ask, and the longest answer, in characters.
QUESTIONS, LONGEST = ("device", "remarks"), 2000
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True)
class Serving:
    """How a test is served.

    Attributes:
        store: its answers.
        folder: of the test.
        open: whether people may come uninvited.
        most: how many may, together with those invited; none for any number.
        preview: whether screens may be skipped; answers to a preview are kept in memory.
    """

    store: Store
    folder: Path
    open: bool = False
    most: int | None = None
    preview: bool = False


class Guard:
    """Refuses large bodies while they come, and adds the headers that keep a browser within this page."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > LARGEST:
                raise HTTPException(413, "This is too much at once.")
            return message

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((key.lower().encode(), value.encode()) for key, value in HEADERS.items()),
                ]
            await send(message)

        await self.app(scope, counted, headed)


def application(serving: Serving, hosts: list[str] | None = None) -> Starlette:
    """The server of a test, for the names by which it may be asked for; none allows any."""
    handlers = _Handlers(serving)
    routes = [
        *(Route(path, _page(name)) for path, name in ASSETS.items()),
        Route("/api/test", handlers.test),
        Route("/api/listeners", handlers.enrol, methods=["POST"]),
        Route("/api/consent", handlers.consent, methods=["POST"]),
        Route("/api/session", handlers.session),
        Route("/api/screens/{screen}", handlers.answer, methods=["PUT"]),
        Route("/api/finish", handlers.finish, methods=["PUT"]),
        Route("/clips/{code:str}.wav", handlers.clip),
    ]
    middleware = [Middleware(Guard)]
    if hosts is not None:
        # A page of another name that resolves to this machine gets nothing.
        middleware.insert(0, Middleware(TrustedHostMiddleware, allowed_hosts=hosts))
    return Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: _refused})


def _page(name: str) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        return Response(asset(name), media_type=TYPES[Path(name).suffix])

    return endpoint


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


class _Handlers:
    """What is answered to each request; none of them blocks another, for they run in threads."""

    def __init__(self, serving: Serving) -> None:
        self.serving, self.store = serving, serving.store
        test = self.store.test
        self.codes = {code for item in test.items for code in item.codes.values()}
        self.codes |= {item.reference for item in test.items if item.reference is not None}

    async def test(self, request: Request) -> Response:
        """What anybody may read before they take part."""
        return JSONResponse({**wording(self.store.test), "open": self.serving.open, "preview": self.serving.preview})

    async def enrol(self, request: Request) -> Response:
        """A new listener, where people may come uninvited."""
        body = await _body(request, {"participant"})
        participant = body["participant"]
        if not self.serving.open:
            raise HTTPException(403, "This test is for those invited: open the link that you were sent.")
        if participant is not None and not (isinstance(participant, str) and PARTICIPANT.fullmatch(participant)):
            raise HTTPException(422, "A participant's name has up to 64 letters, digits and . _ @ -")
        token = await _threaded(lambda: self.store.enrol(participant, self.serving.most))
        return JSONResponse({"token": token}, 201)

    async def consent(self, request: Request) -> Response:
        """A listener agrees, and is told what to hear."""
        listener = await self._listener(request)
        return await self._session(await _threaded(lambda: self.store.begin(listener)))

    async def session(self, request: Request) -> Response:
        """Where a listener is."""
        return await self._session(await self._listener(request))

    async def answer(self, request: Request) -> Response:
        """An answer to one screen."""
        listener = await self._listener(request)
        if listener.group is None:
            raise HTTPException(409, "Agree to take part first.")
        screens = {str(number): screen for number, screen in enumerate(self.store.screens(listener))}
        if (asked := request.path_params["screen"]) not in screens:
            raise HTTPException(404, "There is no such screen.")
        number, screen = int(asked), screens[asked]
        try:
            answer = answer_of(self.store.test.kind, screen, await _body(request))
        except Refused as error:
            raise HTTPException(422, str(error)) from None
        status = await _threaded(lambda: self.store.answer(listener, number, screen.codes, answer))
        return JSONResponse({"answered": number + 1}, 201 if status == "new" else 200)

    async def finish(self, request: Request) -> Response:
        """The last page's questions."""
        listener = await self._listener(request)
        body = await _body(request, set(QUESTIONS))
        if listener.group is None:
            raise HTTPException(409, "Agree to take part first.")
        if not all(isinstance(value, str) and len(value) <= LONGEST for value in body.values()):
            raise HTTPException(422, f"An answer has at most {LONGEST} characters.")
        await _threaded(lambda: self.store.finish(listener, body))
        return await self._session(await self._listener(request))

    async def clip(self, request: Request) -> Response:
        """A clip, by its code; of files nothing but codes of this test is looked for."""
        code = request.path_params["code"]
        if code not in self.codes:
            raise HTTPException(404, "There is no such clip.")
        path = self.serving.folder / PUBLIC / STIMULI / f"{code}.wav"
        if not path.is_file():
            raise HTTPException(404, "The clip is missing; tell whoever sent you the link.")
        # Codes are drawn anew with every test, so what a browser keeps is never another's.
        return FileResponse(path, media_type="audio/wav")

    async def _listener(self, request: Request) -> Listener:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        found = None
        if scheme.lower() == "bearer" and 0 < len(token) <= 128:
            found = await _threaded(lambda: self.store.listener(token))
        if found is None:
            raise HTTPException(
                401, "This link is not valid: open the one that you were sent.", {"WWW-Authenticate": "Bearer"}
            )
        return found

    async def _session(self, listener: Listener) -> Response:
        if listener.group is None:
            return JSONResponse({"begun": False})
        screens: list[Screen] = self.store.screens(listener)
        return JSONResponse(
            {
                "begun": True,
                "screens": [shown(screen) for screen in screens],
                "answered": await _threaded(lambda: self.store.answered(listener)),
                "finished": listener.finished,
                "completion": self.store.test.wording.completion if listener.finished else None,
            }
        )


async def _threaded(action: Callable[[], Any]) -> Any:
    """Run what waits for the disk in a thread."""
    from starlette.concurrency import run_in_threadpool

    try:
        return await run_in_threadpool(action)
    except Conflict as error:
        raise HTTPException(409, str(error)) from None


async def _body(request: Request, keys: set[str] | None = None) -> Any:
    """A request's JSON; with ``keys``, an object of just these."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "Send application/json.")
    try:
        body = json.loads(await request.body(), parse_constant=_no_constant)
        # Escapes can write what is no character, and no file could hold (UnicodeEncodeError).
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise HTTPException(400, "This is not JSON.") from None
    if keys is not None and (not isinstance(body, dict) or set(body) != keys):
        raise HTTPException(422, f"Send an object of {', '.join(sorted(keys))}.")
    return body


def _no_constant(name: str) -> Any:
    raise ValueError(name)
