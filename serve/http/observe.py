"""What is noted of each request: an id, a line in the log, and a count."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "x-request-id"
GOOD_ID = re.compile(r"[\w.:+/=-]{1,128}", re.ASCII)
METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH")
OTHER = "other"
SHOWN = 200
"""Characters of a path that are written to the log."""
FAILED, CLOSED = 500, 499
"""Status in log and counts of a fault of the server, and of a client that left before its answer."""

_logger = logging.getLogger("graft.access")


class Observe:
    """ASGI middleware, the outermost. `X-Request-ID` of a client is kept, or made, and echoed.

    `count` gets the method, the endpoint's path, the status and the seconds of each request.
    """

    def __init__(self, app: ASGIApp, count: Callable[[str, str, int, float], None]) -> None:
        self.app, self.count = app, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how it was answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), CLOSED
        method = scope["method"] if scope["method"] in METHODS else OTHER
        given = Headers(scope=scope).get(REQUEST_ID, "")
        number = scope["request_id"] = given if GOOD_ID.fullmatch(given) else uuid.uuid4().hex

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = number
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception:
            status = FAILED  # which is answered further out
            raise
        finally:
            seconds = time.perf_counter() - start
            self.count(method, getattr(scope.get("route"), "path", OTHER), status, seconds)
            if _logger.isEnabledFor(logging.INFO):
                fields = _fields(scope, number, method, status, seconds)
                _logger.info("%(client)s %(method)s %(path)s %(status)d", fields, extra={"fields": fields})


def _fields(scope: Scope, number: str, method: str, status: int, seconds: float) -> dict[str, Any]:
    client = scope.get("client")
    return {
        "request_id": number,
        "client": client[0] if client else None,
        "method": method,
        "path": quote(scope["path"][:SHOWN]),
        "status": status,
        "seconds": round(seconds, 6),
    }
