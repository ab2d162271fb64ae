"""Which requests are accepted: bodies of bounded size, received whole, and a queue of bounded length."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.limits import MEBIBYTE, ServerLimits

BUSY = "the server is busy; try again later"


def busy_response(limits: ServerLimits) -> JSONResponse:
    """Return what a client gets that should try again later."""
    headers = {"retry-after": str(limits.retry_after_s)}
    return JSONResponse({"error": BUSY}, status_code=503, headers=headers)


@dataclass
class Load:
    """What a server holds: requests that run or wait for it, and bytes of bodies."""

    running: int = 0
    held: int = 0

    def is_full(self, limits: ServerLimits) -> bool:
        """Say whether one more request is too many."""
        return self.running >= limits.queue or self.held > limits.held_mb * MEBIBYTE


class Admission:
    """ASGI middleware: a request is passed on once its whole body is here and the queue has room.

    So slow clients take no place in the queue. A body over `upload_mb` gets 413, whether or not its length is
    declared; a full queue, or too many bytes held for all clients, gets 503 at once. Requests that have no
    body, such as GET, do not queue. `scope["deadline"]`, by `time.monotonic`, is until when to answer.
    """

    def __init__(self, app: ASGIApp, limits: ServerLimits, load: Load | None = None) -> None:
        self.app = app
        self.limits = limits
        self.load = load or Load()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        body = _Body(self)
        try:
            refusal = await body.collect(scope, receive)
            if refusal is not None:
                await refusal(scope, receive, send)
            elif body.whole:
                self.load.running += 1
                scope["deadline"] = time.monotonic() + self.limits.deadline_s
                try:
                    await self.app(scope, body.give, send)
                finally:
                    self.load.running -= 1
        finally:
            self.load.held -= body.size


class _Body:
    """The parts of one body; `whole` once the client has sent all of it."""

    def __init__(self, owner: Admission) -> None:
        self.owner = owner
        self.parts: deque[bytes] = deque()
        self.size = 0
        self.whole = False

    async def collect(self, scope: Scope, receive: Receive) -> JSONResponse | None:
        """Receive the body. Out: the answer if the request is refused."""
        limits, load = self.owner.limits, self.owner.load
        most = limits.upload_mb * MEBIBYTE
        length = Headers(scope=scope).get("content-length", "0")
        declared = int(length) if length.isdecimal() else 0
        while declared <= most and self.size <= most:
            if load.is_full(limits):
                return busy_response(limits)
            if self.whole:
                return None
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            self.parts.append(part)
            self.size += len(part)
            load.held += len(part)
            self.whole = not message.get("more_body", False)
        error = f"upload too large: at most {limits.upload_mb:g} MiB in one request"
        return JSONResponse({"error": error}, status_code=413)

    async def give(self) -> Message:
        """Return the next part, as ASGI's receive. Others have their turn in between."""
        await asyncio.sleep(0)
        part = self.parts.popleft() if self.parts else b""
        return {"type": "http.request", "body": part, "more_body": bool(self.parts)}
