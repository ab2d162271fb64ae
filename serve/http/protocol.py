"""A connection that ends when its client is too slow, and gives way when there are too many.

uvicorn limits how long a connection may be idle between two requests, but neither how slowly a request is
sent, nor how slowly its answer is taken, nor how many connections there are.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from serve.limits import ServerLimits


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn with a least speed. `make_protocol` sets the limits of a subclass."""

    limits: ClassVar[ServerLimits]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Watch the connection; if there are too many, close the one that has been quiet longest."""
        super().connection_made(transport)
        self._bytes = 0
        self._since = self.last_active = self.loop.time()
        self._unsent = 0
        self._timer = self.loop.call_later(self.limits.patience_s, self._check)
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what arrives."""
        self._bytes += len(data)
        self.last_active = self.loop.time()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Begin to watch how fast the next request is sent."""
        self._restart()
        super().on_response_complete()

    def shutdown(self) -> None:
        """Finish what was accepted; a request that is still being sent has a moment to become that."""
        super().shutdown()
        self.loop.call_later(self.limits.last_bytes_s, self._leave)

    @property
    def waits(self) -> bool:
        """Whether the server waits for this client to send a request, or the rest of one."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _make_room(self) -> None:
        """Close the connection that has been quiet longest if there are too many, this one if all work."""
        there = [each for each in self.connections if not each.transport.is_closing()]
        if len(there) > self.limits.connections:
            quiet = [each for each in there if isinstance(each, BoundedProtocol) and each.waits]
            min(quiet, key=lambda each: each.last_active, default=self).transport.abort()

    def _leave(self) -> None:
        if self.waits:
            self.transport.abort()

    def _restart(self) -> None:
        self._bytes, self._since = 0, self.loop.time()

    def _check(self) -> None:
        """Close the connection if its client was too slow since the last time."""
        patience = self.limits.patience_s
        left = self._since + patience - self.loop.time()
        if left <= 0:
            least, unsent = self.limits.rate * patience, self.transport.get_write_buffer_size()
            sends_slowly = self.waits and self._bytes < least
            takes_slowly = self._unsent > 0 and unsent > 0 and self._unsent - unsent < least
            if sends_slowly or takes_slowly:
                self.transport.abort()
                return
            self._unsent, left = unsent, patience
            self._restart()
        self._timer = self.loop.call_later(left, self._check)


def make_protocol(limits: ServerLimits) -> type[BoundedProtocol]:
    """Return the class of a server's connections."""
    return type("Connection", (BoundedProtocol,), {"limits": limits})
