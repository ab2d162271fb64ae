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
from pixels.limits import (
    LARGE_NICENESS,
    LARGE_PROCESSES,
    LARGE_WAITING,
    SMALL_CPU_S,
    SMALL_PIXELS,
    WAIT_S,
    DecodeLimits,
)
from pixels.processes import release_memory


class Decoder:
    """A pool of processes that decode, as many as `cores`, by default all. Safe to use from several threads.

    Half of them take images of up to SMALL_PIXELS. What has more, or takes longer there, is decoded by the
    others, which have a lower priority. So large or hostile images do not delay small ones. A process starts
    when it is first needed, or by `start`.
    """

    def __init__(self, limits: DecodeLimits | None = None, cores: int | None = None) -> None:
        limits, cores = limits or DecodeLimits(), cores or usable_cores()
        small = dataclasses.replace(
            limits,
            max_pixels=min(limits.max_pixels, SMALL_PIXELS),
            cpu_s=min(limits.cpu_s, SMALL_CPU_S),
        )
        others = min(LARGE_PROCESSES, max(1, cores // 2))
        large = dataclasses.replace(limits, niceness=LARGE_NICENESS)
        self._small = _Lane(small, processes=max(1, cores - others), places=cores, waiting=None)
        self._large = _Lane(large, processes=others, places=others, waiting=LARGE_WAITING)

    def start(self) -> None:
        """Start the processes without waiting until they are ready."""
        self._small.start()
        self._large.start()

    @contextlib.contextmanager
    def decoded(self, content: bytes, deadline: float | None = None) -> Iterator[NDArray[np.uint8]]:
        """Give the pixels of an encoded image, uint8 (height, width, 3), as `decode_rgb` does.

        `deadline`, by `time.monotonic`, is until when it may wait for its turn; WAIT_S from now by default.
        As many small images are worked on at a time as there are cores, and half as many large ones: what is
        done with the pixels in the `with` block counts.
        Raises: ImageError if it is no image or reaches a limit, BusyError if no process is free in time.
        """
        with contextlib.ExitStack() as stack:
            try:
                pixels = stack.enter_context(self._small.decoded(content, deadline))
            except (TooManyPixelsError, OverLimitError):
                stack.callback(release_memory)
                pixels = stack.enter_context(self._large.decoded(content, deadline))
            yield pixels

    @contextlib.contextmanager
    def place(self, pixels: int, deadline: float | None = None) -> Iterator[None]:
        """Take the place of an image of so many pixels that needs no decoding; BusyError as `decoded`."""
        lane = self._small if pixels <= SMALL_PIXELS else self._large
        with lane.place(deadline if deadline is not None else time.monotonic() + WAIT_S):
            yield

    def close(self) -> None:
        """End the processes. Those who wait get BusyError."""
        self._small.close()
        self._large.close()


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
    def place(self, deadline: float) -> Iterator[None]:
        """Wait for one of the places."""
        with contextlib.ExitStack() as stack:
            if self._waiting is not None:
                stack.enter_context(_acquired(self._waiting, 0))
            stack.enter_context(_acquired(self._places, deadline - time.monotonic()))
            yield

    @contextlib.contextmanager
    def decoded(self, content: bytes, deadline: float | None) -> Iterator[NDArray[np.uint8]]:
        deadline = deadline if deadline is not None else time.monotonic() + WAIT_S
        with self.place(deadline):
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
    if not (semaphore.acquire(timeout=timeout_s) if timeout_s > 0 else semaphore.acquire(blocking=False)):
        raise BusyError
    try:
        yield
    finally:
        semaphore.release()
