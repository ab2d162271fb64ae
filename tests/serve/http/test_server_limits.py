"""Slow, half-sent and too many connections end; what was accepted is answered; GET never waits."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest
from server_kit import ask, connect, read_all, running
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from serve.http.admission import Admission
from serve.http.server import _QuietHandler
from serve.limits import MEBIBYTE, ServerLimits

HEAD = b"POST /work HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
QUICK = {"patience_s": 0.3, "rate": 100, "last_bytes_s": 0.2, "drain_s": 3}


class Work:
    """An application whose POST requests wait until they are told to go on; `begun` counts them."""

    def __init__(self, limits: ServerLimits) -> None:
        self.go = asyncio.Event()
        self.begun = threading.Semaphore(0)
        self.loop: asyncio.AbstractEventLoop | None = None
        routes = [
            Route("/", lambda _: PlainTextResponse("well")),
            Route("/work", self.work, methods=["POST"]),
            Route("/long", lambda _: StreamingResponse(iter([b"x" * MEBIBYTE] * 64))),
        ]
        self.app = Starlette(routes=routes, middleware=[Middleware(Admission, limits=limits)])

    async def work(self, request: Request) -> Response:
        body = await request.body()
        self.loop = asyncio.get_running_loop()
        self.begun.release()
        await self.go.wait()
        return PlainTextResponse(f"{len(body)} bytes")

    def release(self) -> None:
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.go.set)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHost", HEAD, HEAD + b"half of it"],
    ids=["nothing", "half a head", "no body", "half a body"],
)
def test_a_client_that_does_not_send_is_left(sent: bytes) -> None:
    limits = ServerLimits(**QUICK)
    with running(Work(limits).app, limits) as (_, port):
        start = time.monotonic()
        assert read_all(connect(port, sent)) == b""
        assert 0.25 < time.monotonic() - start < 5


def test_a_client_that_sends_fast_enough_is_answered() -> None:
    limits = ServerLimits(**QUICK)
    work = Work(limits)
    work.go.set()
    with running(work.app, limits) as (_, port):
        client = connect(
            port, HEAD.replace(b"100", b"1000").replace(b"Host: x", b"Host: x\r\nConnection: close")
        )
        for _ in range(10):
            client.sendall(b"x" * 100)
            time.sleep(0.08)  # in all, longer than the patience
        assert read_all(client).endswith(b"1000 bytes")


def test_a_client_that_does_not_take_its_answer_is_left() -> None:
    limits = ServerLimits(**QUICK)
    with running(Work(limits).app, limits) as (server, port):
        client = connect(port, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.2)
        assert len(server.server_state.connections) == 1
        deadline = time.monotonic() + 10
        while server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not server.server_state.connections
        client.close()


def test_of_too_many_connections_the_one_that_was_quiet_longest_gives_way() -> None:
    limits = ServerLimits(connections=3)
    work = Work(limits)
    with running(work.app, limits) as (_, port):
        busy = connect(port, HEAD + b"x" * 100)
        assert work.begun.acquire(timeout=10)
        quiet = []
        for _ in range(3):
            quiet.append(connect(port, b"GET"))
            time.sleep(0.05)  # so that the server sees them one after the other
        assert ask(port).endswith(b"well")
        start = time.monotonic()
        assert [read_all(client) for client in quiet[:2]] == [b"", b""]
        assert time.monotonic() - start < 5  # long before the patience ends
        quiet[2].close()
        work.release()
        assert busy.recv(1000).startswith(b"HTTP/1.1 200")  # it had been accepted
        busy.close()


def test_a_full_queue_is_told_at_once_and_get_does_not_wait() -> None:
    limits = ServerLimits(queue=2)
    work = Work(limits)
    with running(work.app, limits) as (_, port):
        accepted = [connect(port, HEAD + b"x" * 100) for _ in range(2)]
        slow = connect(port, HEAD + b"x")  # takes no place in the queue
        for _ in accepted:
            assert work.begun.acquire(timeout=10)
        start = time.monotonic()
        refused = ask(port, "/work", b"x")
        assert refused.startswith(b"HTTP/1.1 503") and b"retry-after: 2\r\n" in refused
        assert refused.endswith(b'{"error":"the server is busy; try again later"}')
        assert ask(port).endswith(b"well")
        assert time.monotonic() - start < 3
        work.release()
        for client in accepted:
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            client.close()
        slow.close()
        assert ask(port, "/work", b"x").endswith(b"1 bytes")


def test_bodies_are_bounded_alone_and_together() -> None:
    limits = ServerLimits(upload_mb=1, held_mb=1)
    work = Work(limits)
    with running(work.app, limits) as (_, port):
        assert b"413" in ask(port, "/work", b"x" * (MEBIBYTE + 1)).splitlines()[0]
        held = connect(port, HEAD.replace(b"100", b"1000000") + b"x" * 900_000)
        time.sleep(0.3)
        assert b"503" in ask(port, "/work", b"x" * 900_000).splitlines()[0]
        held.close()
        time.sleep(0.3)
        work.go.set()
        assert ask(port, "/work", b"x" * 900_000).endswith(b"900000 bytes")


def test_the_end_answers_what_was_accepted_and_leaves_who_only_sends() -> None:
    limits = ServerLimits(**QUICK | {"patience_s": 30})
    work = Work(limits)
    with running(work.app, limits) as (server, port):
        accepted, half = connect(port, HEAD + b"x" * 100), connect(port, HEAD + b"x")
        last = connect(port, HEAD + b"x" * 99)
        assert work.begun.acquire(timeout=10)
        start = time.monotonic()
        server.should_exit = True
        time.sleep(0.15)
        last.sendall(b"x")  # in time
        time.sleep(0.3)
        work.release()
        assert accepted.recv(1000).startswith(b"HTTP/1.1 200")
        assert last.recv(1000).startswith(b"HTTP/1.1 200")
        assert read_all(half) == b""
        accepted.close()
        last.close()
    assert time.monotonic() - start < 3


def test_work_without_end_is_given_up() -> None:
    limits = ServerLimits(**QUICK | {"drain_s": 2})
    work = Work(limits)
    with running(work.app, limits) as (server, port):
        server._give_up = work.release
        accepted = connect(port, HEAD + b"x" * 100)
        assert work.begun.acquire(timeout=10)
        server.should_exit = True
        assert accepted.recv(1000).startswith(b"HTTP/1.1 200")
        accepted.close()


def test_the_lack_of_descriptors_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    handler, loop = _QuietHandler(), asyncio.new_event_loop()
    with caplog.at_level(logging.ERROR):
        for _ in range(1000):
            handler(
                loop,
                {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many")},
            )
    assert caplog.messages == ["socket.accept() out of system resource: Too many"]
    handler(loop, {"message": "another", "exception": ValueError("x")})
    assert "another" in caplog.messages[-1]
    loop.close()
