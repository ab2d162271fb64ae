"""Work that is stopped from another thread when it takes too long: one thread for all, at next to no cost."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache

CHECK_S = 0.05
"""How often the thread looks, so how late it may stop something."""

_running: dict[object, tuple[float, Callable[[], object]]] = {}


@contextlib.contextmanager
def stop_after(seconds: float, stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` once from another thread if the block takes longer, at most CHECK_S late."""
    _start()
    key = object()
    _running[key] = time.monotonic() + seconds, stop
    try:
        yield
    finally:
        _running.pop(key, None)


@cache
def _start() -> None:
    threading.Thread(target=_watch, name="watchdog", daemon=True).start()


def _watch() -> None:
    while True:
        time.sleep(CHECK_S)
        now = time.monotonic()
        for key, (deadline, stop) in list(_running.items()):
            if now >= deadline and _running.pop(key, None) is not None:
                stop()
