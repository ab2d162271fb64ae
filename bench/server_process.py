"""A server of models in a process of its own, for measurements."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"


@contextlib.contextmanager
def running_server(
    model: Path, files: int, log: Path, processes: int = 1
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start `graft serve` with so many files that it may open. Out: the process and its port."""
    command = f'ulimit -n {files}; exec "$0" -m graft serve "$1" --processes {processes} --port "$2"'
    with running(["sh", "-c", command, sys.executable, str(model)], log) as found:
        yield found


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a server whose last argument is its port, until it listens. Out: the process and the port."""
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    with log.open("wb") as file:
        server = subprocess.Popen([*command, str(port)], stdout=file, stderr=file, start_new_session=True)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                break
            if server.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield server, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # with the processes that it started
        server.wait()


def processor_s(pid: int) -> float:
    """Return the seconds of the processor that a process and all below it have used. Only on Linux."""
    ticks = 0
    for each in _family(pid):
        with contextlib.suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> list[float]:
    """Return the resident memory of a process and of all below it. Only on Linux."""
    found = [Path(f"/proc/{each}/status").read_text().partition("VmRSS:")[2] for each in _family(pid)]
    return [int(status.split()[0]) / 1024 for status in found]


def _family(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))
