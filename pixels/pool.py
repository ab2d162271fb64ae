"""Decode images of strangers in processes of their own, which are ended and replaced at a limit."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pixels.cores import usable_cores
from pixels.decode_process import DecodeProcess, OverLimitError
from pixels.errors import BusyError, TooManyPixelsError
from pixels.limits import QUICK_CPU_S, QUICK_PIXELS, SLOW_NICENESS, SLOW_WAITING, WAIT_S, DecodeLimits


class Decoder:
    """A pool of processes that decode. Safe to use from several threads.

    Images of up to QUICK_PIXELS go to the quick processes, of which there are `processes`, by default one
    less than the cores. What has more pixels, or takes longer there, is decoded again by one slow process of
    low priority. So a few large or hostile images do not delay the others. A process starts when it is first
    needed, or by `start`.
    """

    def __init__(self, limits: DecodeLimits | None = None, processes: int | None = None) -> None:
        limits = limits or DecodeLimits()
        cores = usable_cores()
        quick = dataclasses.replace(
            limits,
            max_pixels=min(limits.max_pixels, QUICK_PIXELS),
            cpu_s=min(limits.cpu_s, QUICK_CPU_S),
        )
        slow = dataclasses.replace(limits, niceness=SLOW_NICENESS)
        self._quick = _Lane(quick, processes or max(1, cores - 1), places=cores, waiting=None)
        self._slow = _Lane(slow, processes=1, places=1, waiting=SLOW_WAITING)

    def start(self) -> None:
        """Start the processes without waiting until they are ready."""
        self._quick.start()
        self._slow.start()

    @contextlib.contextmanager
    def decoded(self, content: bytes) -> Iterator[NDArray[np.uint8]]:
        """Give the pixels of an encoded image, uint8 (height, width, 3), as `decode_rgb` does.

        As many images are worked on at a time as there are cores, and one that is large: what is done with
        the pixels in the `with` block counts.
        Raises: ImageError if it is no image or reaches a limit, BusyError if no process is free in time.
        """
        with contextlib.ExitStack() as stack:
            try:
                pixels = stack.enter_context(self._quick.decoded(content))
            except (TooManyPixelsError, OverLimitError):
                pixels = stack.enter_context(self._slow.decoded(content))
            yield pixels

    def close(self) -> None:
        """End the processes. Those who wait get BusyError."""
        self._quick.close()
        self._slow.close()


class _Lane:
    """Processes of equal limits, and the images that wait for one: at most `waiting`."""

    def __init__(self, limits: DecodeLimits, processes: int, places: int, waiting: int | None) -> None:
        self._places = threading.Semaphore(places)
        self._waiting = None if waiting is None else threading.Semaphore(places + waiting)
        self._processes = [DecodeProcess(limits) for _ in range(processes)]
        self._free: queue.LifoQueue[DecodeProcess] = queue.LifoQueue()  # the one used last is in the caches
        for process in self._processes:
            self._free.put(process)

    def start(self) -> None:
        for process in self._processes:
            process.start()

    @contextlib.contextmanager
    def decoded(self, content: bytes) -> Iterator[NDArray[np.uint8]]:
        deadline = time.monotonic() + WAIT_S
        with contextlib.ExitStack() as stack:
            if self._waiting is not None:
                stack.enter_context(_acquired(self._waiting, 0))
            stack.enter_context(_acquired(self._places, WAIT_S))
            try:
                process = self._free.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise BusyError from None
            try:
                pixels = process.decode(content)
            finally:
                self._free.put(process)
            yield pixels

    def close(self) -> None:
        for process in self._processes:
            process.close()


@contextlib.contextmanager
def _acquired(semaphore: threading.Semaphore, timeout_s: float) -> Iterator[None]:
    if not semaphore.acquire(blocking=timeout_s > 0, timeout=timeout_s or None):
        raise BusyError
    try:
        yield
    finally:
        semaphore.release()
