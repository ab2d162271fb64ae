"""Requests that have one of the keys of a file."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LEAST = 16
"""Characters of a key, so that it cannot be guessed."""
BEARER = "bearer "

NEEDED = "a key is needed: send Authorization: Bearer KEY, or X-API-Key: KEY"


class KeyRing:
    """The keys of a server, of which only hashes are kept."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._hashes = [_hash(key) for key in keys]

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Say whether the headers of a request, by names in small letters, hold one of the keys."""
        bearer = headers.get("authorization", "")
        given = bearer[len(BEARER) :] if bearer.lower().startswith(BEARER) else headers.get("x-api-key", "")
        found = _hash(given)
        # All are compared, in constant time, so that the time says nothing.
        return bool(sum(hmac.compare_digest(found, each) for each in self._hashes))


class Keys:
    """ASGI middleware: a request without one of the keys gets 401, before its body is read.

    A key is sent as `Authorization: Bearer KEY` or `X-API-Key: KEY`. The paths in `open_paths` need none.
    """

    def __init__(self, app: ASGIApp, keys: Iterable[str], open_paths: frozenset[str]) -> None:
        self.app, self.open_paths = app, open_paths
        self._ring = KeyRing(keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        closed = scope["type"] == "http" and scope["path"] not in self.open_paths
        if closed and not self._ring.knows(Headers(scope=scope)):
            refusal = JSONResponse({"error": NEEDED}, 401, headers={"www-authenticate": "Bearer"})
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def read_keys(path: Path) -> list[str]:
    """Return the keys of a file, one on each line; empty lines and those that begin with # do not count.

    Raises: ValueError if there is none, or one is short; OSError.
    """
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise ValueError(f"{path}: no key; expected one on each line")
    if any(len(key) < LEAST or not key.isascii() for key in keys):
        raise ValueError(f"{path}: a key is too short, or not ASCII; expected {LEAST} characters or more")
    return keys


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
