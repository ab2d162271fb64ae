"""Work that takes too long is stopped once, and other work is not."""

from __future__ import annotations

import threading
import time

from serve.watchdog import stop_after


def test_what_takes_too_long_is_stopped() -> None:
    stopped = threading.Event()
    start = time.monotonic()
    with stop_after(0.01, stopped.set):
        assert stopped.wait(5)
    assert 0.01 <= time.monotonic() - start < 1


def test_what_ends_in_time_is_not_stopped() -> None:
    stopped: list[int] = []
    for _ in range(3):
        with stop_after(0.02, lambda: stopped.append(1)):
            pass
    other = threading.Event()
    with stop_after(0.1, other.set):  # the thread looks at them before
        assert other.wait(5)
    assert stopped == []


def test_a_late_stop_comes_once() -> None:
    stopped: list[int] = []
    with stop_after(0.0, lambda: stopped.append(1)):
        time.sleep(0.2)
    assert stopped == [1]
