"""A server of models in a process of its own, for measurements."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"


@contextlib.contextmanager
def running_server(model: Path, files: int, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start `graft serve` with so many files that it may open. Out: the process and its port."""
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    command = f'ulimit -n {files}; exec "$0" -m graft serve "$1" --port {port}'
    with log.open("wb") as file:
        arguments = ["sh", "-c", command, sys.executable, str(model)]
        server = subprocess.Popen(arguments, stdout=file, stderr=file)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                break
            if server.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield server, port
    finally:
        server.kill()
        server.wait()


def memory_mb(pid: int) -> list[float]:
    """Return the resident memory of a process and of each of its children. Only on Linux."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    found = [Path(f"/proc/{each}/status").read_text().partition("VmRSS:")[2] for each in (pid, *children)]
    return [int(status.split()[0]) / 1024 for status in found]
