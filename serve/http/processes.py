"""Several processes that serve on one port, started again when one fails, and ended together."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

SYSTEM_QUEUE = 2048
"""Connections that wait in the system until a process accepts them."""
STEADY_S = 10.0
"""A process that fails within so many seconds is not started again: the next one would fail, too."""
END_S = 5.0
"""How long a process may take to end, beside the time in which it answers what it has accepted."""

LOOK_S = 0.2

_logger = logging.getLogger("graft.processes")
_spawn = multiprocessing.get_context("spawn")


def run_processes(
    count: int,
    work: Callable[[socket.socket], None],
    *,
    host: str,
    port: int,
    drain_s: float,
    ended: Callable[[int], None] = lambda _: None,
) -> None:
    """Call `work` in `count` processes, with one listening socket for all, until SIGTERM or Ctrl-C.

    In: `work` can be pickled, and ends on SIGTERM within `drain_s`. `ended` is called here with the number of
    each process that failed, before another is started.
    Raises: SystemExit(1) if a process fails within STEADY_S of its start.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with (
        socket.create_server(address[:2], family=family, backlog=SYSTEM_QUEUE) as listener,
        _signals() as end,
    ):
        _logger.info("%d processes serve on http://%s:%d", count, host, port)
        running = {each: time.monotonic() for each in (_start(work, listener) for _ in range(count))}
        try:
            while not end.is_set():
                for each in [each for each in running if not each.is_alive()]:
                    pid, code, age = each.pid, each.exitcode, time.monotonic() - running.pop(each)
                    if end.is_set():
                        break
                    _logger.error("process %s ended with %s after %.0f s", pid, code, age)
                    if age < STEADY_S:
                        raise SystemExit(1)
                    ended(pid or 0)
                    running[_start(work, listener)] = time.monotonic()
                wait([each.sentinel for each in running], timeout=LOOK_S)
        finally:
            _end(list(running), drain_s)


def _start(work: Callable[[socket.socket], None], listener: socket.socket) -> BaseProcess:
    process = _spawn.Process(target=_serve, args=(work, listener))
    process.start()
    return process


def _serve(work: Callable[[socket.socket], None], listener: socket.socket) -> None:
    """Work in a process that ends with the one that started it, however that ended."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work(listener)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _end(processes: list[BaseProcess], drain_s: float) -> None:
    for each in processes:
        each.terminate()
    last = time.monotonic() + drain_s + END_S
    for each in processes:
        each.join(max(0, last - time.monotonic()))
        each.kill()
        each.join()


@contextlib.contextmanager
def _signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and Ctrl-C set."""
    end = threading.Event()
    before = {each: signal.signal(each, lambda *_: end.set()) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield end
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
