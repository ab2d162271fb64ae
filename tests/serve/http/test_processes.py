"""Several processes on one port: they share the requests, start again, and end together."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import process_kit
import pytest
from digits_kit import DigitsModel
from prometheus_client.parser import text_string_to_metric_families


@contextlib.contextmanager
def started(*command: str | Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A program whose arguments hold PORT, and its port once something listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, *(str(port) if word == "PORT" else str(word) for word in command)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        try:
            until(lambda: socket.create_connection(("127.0.0.1", port)).close() is None)
            yield program, port
        finally:
            program.kill()


def until(found: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            if found():
                return
        time.sleep(0.05)
    raise AssertionError("it never came")


def asked(port: int, word: bytes = b"bye") -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        number = int(client.recv(20))
        client.sendall(word)
    return number


def seen(port: int, count: int) -> set[int]:
    """The numbers of `count` processes that answer; held clients keep those that have answered busy."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(count)]
        return {int(client.recv(20)) for client in held}


def test_a_process_that_fails_is_started_again() -> None:
    with started(process_kit.__file__, "PORT", "0") as (program, port):
        before = seen(port, 2)
        dead = asked(port, b"die")
        after = seen(port, 2)
        assert len(before) == len(after) == 2
        assert dead in before and dead not in after
        program.terminate()
        assert program.wait(10) == 0
        assert not any(is_there(number) for number in after)


def test_processes_that_fail_at_their_start_end_the_server() -> None:
    with started(process_kit.__file__, "PORT", "60") as (program, port):
        others = seen(port, 2) - {asked(port, b"die")}
        assert program.wait(20) == 1
        assert not any(is_there(number) for number in others)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_processes_end_with_the_one_that_started_them() -> None:
    with started(process_kit.__file__, "PORT", "0") as (program, port):
        numbers = seen(port, 2)
        program.kill()
        until(lambda: not any(is_there(number) for number in numbers))


def test_a_server_of_two_processes(digits_model: DigitsModel) -> None:
    command = ("-m", "serve", "serve", digits_model.folder, "--port", "PORT", "--processes", "2")
    with started(*command) as (program, port):
        until(lambda: samples(port).get("graft_model_loads_total") == 2)  # both have loaded it
        for _ in range(6):
            ask(port, "/models")
        until(lambda: samples(port, "/models").get("graft_requests_total") == 6)
        # A request is counted just after its answer. Whichever process is asked has the requests of both.
        assert all(samples(port, "/models").get("graft_requests_total") == 6 for _ in range(4))
        assert json.loads(ask(port, "/health"))["status"] == "ok"
        program.terminate()
        assert program.wait(20) == 0


def ask(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
        return bytes(answer.read())


def samples(port: int, path: str | None = None) -> dict[str, float]:
    """The sum of each metric over its labels, or over those of a path."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(ask(port, "/metrics").decode()):
        for one in family.samples:
            if path in (None, one.labels.get("path")):
                found[one.name] = found.get(one.name, 0) + one.value
    return found


def is_there(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{number}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
