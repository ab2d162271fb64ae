"""Run an application until SIGTERM or Ctrl-C, and end within a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from serve.http.processes import SYSTEM_QUEUE
from serve.http.protocol import make_protocol
from serve.limits import ServerLimits

BACKLOG = 128
"""Connections that are accepted in one turn of the loop."""
LAST_ANSWERS_S = 1.0
"""Time to send the last answers, after work that is not done was given up."""
QUIET_S = 60.0

_logger = logging.getLogger("uvicorn.error")


class BoundedServer(uvicorn.Server):
    """uvicorn's server, which gives up work at a deadline when it ends: `give_up` is called then.

    What `stop_beside` stops, in the same event loop, ends at the same time.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain_s: float,
        give_up: Callable[[], None],
        stop_beside: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(config)
        self._drain_s, self._give_up, self._stop_beside = drain_s, give_up, stop_beside

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Start; the lack of file descriptors is told once a minute, not at each try."""
        asyncio.get_running_loop().set_exception_handler(_QuietHandler())
        await super().startup(sockets)
        for server in self.servers if self.started else ():
            for each in server.sockets:
                # The system's queue costs no descriptors, and may be longer than a turn.
                with socket.fromfd(each.fileno(), each.family, each.type) as same:
                    same.listen(SYSTEM_QUEUE)

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Answer what was accepted, and give up at the deadline. Should even that hang, the process ends."""
        last_resort = _exit_after(self._drain_s + LAST_ANSWERS_S)
        asyncio.get_running_loop().call_later(self._drain_s - LAST_ANSWERS_S, self._give_up)
        beside = [] if self._stop_beside is None else [self._stop_beside()]
        await asyncio.gather(super().shutdown(sockets), *beside)
        last_resort.cancel()


def _most_files() -> int:
    """Return how many files this process may have open, connections included."""
    with contextlib.suppress(ImportError):  # Windows
        import resource

        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files != resource.RLIM_INFINITY:
            return files
    return 2**20


class _QuietHandler:
    """asyncio's handler of errors in the loop, where those of the system are told once a minute."""

    def __init__(self) -> None:
        self._told = -QUIET_S

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, OSError):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._told >= QUIET_S:
            self._told = time.monotonic()
            _logger.error("%s: %s", context.get("message"), error.strerror)


def make_server(
    app: ASGIApp,
    limits: ServerLimits,
    *,
    host: str,
    port: int,
    give_up: Callable[[], None] = lambda: None,
    stop_beside: Callable[[], Awaitable[None]] | None = None,
    log_level: str = "info",
    log: dict[str, Any] | None = None,
    shared: bool = False,
) -> BoundedServer:
    """Return a server for the application. `give_up` is called when accepted requests must end soon.

    `stop_beside` stops another server of the same application when this one begins to end.

    `log` are settings of `logging.config`, for an application that writes its own line for each request.
    `shared` is for a socket on which other processes listen, too: the one that is least busy accepts.
    """
    files = _most_files()
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        # Accepting must never fail: these leave enough for the connections of one turn, and for the work.
        http=make_protocol(replace(limits, connections=min(limits.connections, files // 2))),
        backlog=1 if shared else min(BACKLOG, files // 8),
        ws="none",
        timeout_keep_alive=limits.keep_alive_s,
        timeout_graceful_shutdown=limits.drain_s,
        log_level=log_level,
        log_config=log or uvicorn.config.LOGGING_CONFIG,
        access_log=log is None,
    )
    return BoundedServer(config, limits.drain_s, give_up, stop_beside)


def run_server(server: BoundedServer, listener: socket.socket | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C, answer what was accepted by then, and return.

    In: a listening socket in place of the server's host and port.
    The process must end soon afterwards: threads that still work are not waited for.
    """
    # uvicorn sends itself the signal again when all is done, which must not skip what comes after.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            server.run(None if listener is None else [listener])
    finally:
        signal.signal(signal.SIGTERM, before)
        _exit_after(LAST_ANSWERS_S)
    if not server.started:
        raise SystemExit(1)


def _exit_after(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()
    return timer
