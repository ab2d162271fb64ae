"""A real server on a free port, in a thread, and clients that speak to it byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from starlette.types import ASGIApp

from serve.http.server import BoundedServer, make_server
from serve.limits import ServerLimits


@contextlib.contextmanager
def running(app: ASGIApp, limits: ServerLimits) -> Iterator[tuple[BoundedServer, int]]:
    """A server and its port; it is ended when the block is left."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = make_server(app, limits, host="127.0.0.1", port=port, log_level="error")
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield server, port
    finally:
        server.should_exit = True
        thread.join()


def connect(port: int, sent: bytes = b"") -> socket.socket:
    """A connection on which something was sent already."""
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(sent)
    return client


def read_all(client: socket.socket) -> bytes:
    """What the server sends until it closes; it may close without a word."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := client.recv(2**16):
            parts.append(part)
    client.close()
    return b"".join(parts)


def ask(port: int, path: str = "/", body: bytes | None = None) -> bytes:
    """The whole answer to one request, headers included."""
    first = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1"
    head = f"{first}\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body or b'')}\r\n\r\n"
    return read_all(connect(port, head.encode() + (body or b"")))
