"""What is noted of each request: an id, a line in the log, and a count."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
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
        number = scope["request_id"] = choose_id(Headers(scope=scope).get(REQUEST_ID, ""))

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
            client = scope["client"][0] if scope.get("client") else None
            log_request(number, client, method=method, path=scope["path"], status=status, seconds=seconds)


def choose_id(given: str) -> str:
    """Return a client's id of its request, or a new one if that is none."""
    return given if GOOD_ID.fullmatch(given) else uuid.uuid4().hex


def log_request(
    number: str, client: str | None, *, method: str, path: str, status: int | str, seconds: float
) -> None:
    """Write the line of an answered request."""
    if _logger.isEnabledFor(logging.INFO):
        fields = {
            "request_id": number,
            "client": client,
            "method": method,
            "path": quote(path[:SHOWN]),
            "status": status,
            "seconds": round(seconds, 6),
        }
        _logger.info("%(client)s %(method)s %(path)s %(status)s", fields, extra={"fields": fields})
