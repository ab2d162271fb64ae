"""Clients of a server over HTTP/1.1, light enough not to disturb what they measure."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from bench.server_process import HOST

LOST = 0
"""Status of a request that got no answer."""


@dataclass
class Answers:
    """Statuses of requests, the seconds that those with 200 took, and the time of all."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    slowest_s: float = 0.0
    wall_s: float = 0.0

    @property
    def per_s(self) -> float:
        """Requests answered with 200 per second."""
        return self.statuses[200] / self.wall_s

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the seconds, in milliseconds."""
        return float(np.quantile(self.seconds, share)) * 1000

    def note(self, status: int, seconds: float) -> None:
        """Count one request."""
        self.statuses[status] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        if status == 200:  # noqa: PLR2004
            self.seconds.append(seconds)


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Return the bytes of a request."""
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def multipart(path: str, picture: bytes) -> bytes:
    """Return the bytes of a request with one picture."""
    head = b'--X\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    return post(path, head + picture + b"\r\n--X--\r\n", "Content-Type: multipart/form-data; boundary=X")


async def closed_loop(port: int, requests: list[bytes], clients: int, seconds: float) -> Answers:
    """Let so many clients ask, each again as soon as it is answered."""
    found, start = Answers(), time.perf_counter()
    end = start + seconds

    async def ask(first: int) -> None:
        connection = _Connection(port)
        number = first
        while time.perf_counter() < end:
            began = time.perf_counter()
            status = await connection.ask(requests[number % len(requests)])
            found.note(status, time.perf_counter() - began)
            number += 1
        connection.close()

    await asyncio.gather(*map(ask, range(clients)))
    found.wall_s = time.perf_counter() - start
    return found


async def open_loop(port: int, requests: list[bytes], per_s: float, seconds: float) -> Answers:
    """Ask at random moments, so many times a second, whether or not earlier requests are answered."""
    found, rng, idle = Answers(), np.random.default_rng(0), list[_Connection]()
    tasks = []

    async def ask(number: int, due: float) -> None:
        connection = idle.pop() if idle else _Connection(port)
        status = await connection.ask(requests[number % len(requests)])
        found.note(status, time.perf_counter() - due)
        idle.append(connection)

    start = due = time.perf_counter()
    for number in range(int(per_s * seconds)):
        due += rng.exponential(1 / per_s)
        await asyncio.sleep(max(0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(number, due)))
    await asyncio.gather(*tasks)
    found.wall_s = time.perf_counter() - start
    for connection in idle:
        connection.close()
    return found


class _Connection:
    """One connection that is kept, and opened again where the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """Send a request and read the answer. Out: the status."""
        for _ in range(2):  # a kept connection may have been closed meanwhile
            kept = self._pair is not None
            try:
                return await self._exchange(request)
            except (OSError, asyncio.IncompleteReadError):
                self.close()
                if not kept:
                    break
        return LOST

    async def _exchange(self, request: bytes) -> int:
        if self._pair is None:
            self._pair = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._pair
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"\r\ncontent-length: ")[2].split(b"\r\n", 1)[0]))
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        """Close it."""
        if self._pair is not None:
            with contextlib.suppress(OSError):
                self._pair[1].close()
        self._pair = None
