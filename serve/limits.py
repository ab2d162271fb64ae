"""The limits of the HTTP server. `docs/security.md` explains them, and those of `pixels/limits.py`."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 2**20


@dataclass(frozen=True)
class ServerLimits:
    """What clients may take of a server.

    `queue` is how many requests are answered or wait for it; one more gets 503. A request that is not
    answered `deadline_s` after its body arrived gets 503, too. `upload_mb` limits the body of one request,
    `held_mb` all bodies that are not answered yet, in MiB. A client must send a request, and take its
    answer, at `rate` bytes per second at least, measured over `patience_s`. After SIGTERM, accepted requests
    are answered for `drain_s`, and those that are still being sent have `last_bytes_s`.
    """

    queue: int = 128
    deadline_s: float = 30.0
    upload_mb: int = 32
    held_mb: int = 256
    connections: int = 512
    keep_alive_s: int = 5
    patience_s: float = 10.0
    rate: int = 8192
    drain_s: int = 8
    last_bytes_s: float = 2.0
    retry_after_s: int = 2
