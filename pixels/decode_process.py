"""One process that decodes images within limits, seen from outside."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import select
import signal
import subprocess
import threading
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from pixels.errors import BusyError, ImageError, TooManyPixelsError
from pixels.limits import MAX_SIDE, DecodeLimits
from pixels.processes import command, environment
from pixels.worker import ERROR, HEAD, LENGTH, NO_MEMORY, PIXELS, TOO_MANY

PROGRAM = "from pixels.worker import main; main()"
PIPE_BYTES = 2**20
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
"""glibc would give the memory of each photo back, and take it again for the next, which takes as long as to
decode it. So up to 64 MiB are kept."""
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, on Linux


class OverLimitError(ImageError):
    """An image that took more time or memory to decode than it may."""


class DecodeProcess:
    """A process that starts when it is needed, and again after a limit ended it. For one thread at a time."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # of what is not decoding: start and close
        self._closed = False

    def start(self) -> None:
        """Start the process if it does not run, without waiting until it is ready.

        Raises: BusyError if it is closed, or the system cannot start one now.
        """
        with self._lock:
            if self._closed:
                raise BusyError
            if self._process is not None and self._process.poll() is None:
                return
            if self._process is not None:
                self._end(self._process)
                self._process = None
            try:
                self._process = self._open()
            except OSError as error:  # no file descriptor, process or memory is left
                raise BusyError from error

    def decode(self, content: bytes) -> NDArray[np.uint8]:
        """Return the pixels of an encoded image, uint8 (height, width, 3).

        Raises: ImageError, of which TooManyPixelsError and OverLimitError are for an image over the limits;
        BusyError if the process is closed or cannot be started.
        """
        self.start()
        process = self._process
        assert process is not None
        try:
            return self._ask(process, content)
        except ImageError:
            raise
        except TimeoutError:
            self._end(process)
            raise OverLimitError(f"takes over {self._limits.wall_s:g} s to decode") from None
        except (OSError, EOFError, ValueError):  # ValueError: closed by another thread
            self._end(process)
            if self._closed:
                raise BusyError from None
            raise self._explain(process.returncode) from None
        finally:
            if process.poll() is not None:
                with contextlib.suppress(BusyError):
                    self.start()  # so that the next image need not wait for it

    def close(self) -> None:
        """End the process for good; a `decode` in another thread raises BusyError."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._end(self._process)

    def _open(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command(PROGRAM, json.dumps(dataclasses.asdict(self._limits))),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries complain there of damaged files, without end
            env=environment() | KEEP_MEMORY,
        )
        _widen(process)
        return process

    def _ask(self, process: subprocess.Popen[bytes], content: bytes) -> NDArray[np.uint8]:
        requests, replies = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
        for part in (LENGTH.pack(len(content)), content):
            left = memoryview(part)
            while left:
                left = left[requests.write(left) :]
        if not _readable(replies, self._limits.wall_s):
            raise TimeoutError
        kind, first, second = HEAD.unpack(_read(replies, HEAD.size))
        if kind == PIXELS and max(first, second) <= MAX_SIDE and first * second <= self._limits.max_pixels:
            pixels = np.empty((first, second, 3), np.uint8)
            _read_into(replies, pixels.data.cast("B"))
            return pixels
        if kind == NO_MEMORY:
            raise OverLimitError(self._too_much_memory)
        if kind not in (ERROR, TOO_MANY):
            raise EOFError  # the decoder no longer does what it should
        message = _read(replies, first).decode(errors="replace")
        raise (TooManyPixelsError if kind == TOO_MANY else ImageError)(message)

    def _explain(self, code: int) -> ImageError:
        """Return the error for an image that ended its decoder."""
        if code == -getattr(signal, "SIGPROF", 0):
            return OverLimitError(f"takes over {self._limits.cpu_s:g} s of processor time to decode")
        return OverLimitError(f"ended its decoder ({_name(code)})")

    @property
    def _too_much_memory(self) -> str:
        return f"takes over {self._limits.memory_bytes / 1e9:.1f} GB of memory to decode"

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


def _name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _widen(process: subprocess.Popen[bytes]) -> None:
    """Let the pipes hold more, which is faster. Only on Linux."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            fcntl.fcntl(pipe.fileno(), SET_PIPE_SIZE, PIPE_BYTES)


def _readable(pipe: BinaryIO, timeout_s: float) -> bool:
    poll = select.poll()  # unlike select, for any number of a file
    poll.register(pipe.fileno(), select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def _read(pipe: BinaryIO, size: int) -> bytes:
    content = bytearray(size)
    _read_into(pipe, memoryview(content))
    return bytes(content)


def _read_into(pipe: BinaryIO, left: memoryview) -> None:
    while left:
        count = pipe.readinto(left)  # type: ignore[attr-defined]  # a raw file has it
        if not count:
            raise EOFError
        left = left[count:]
