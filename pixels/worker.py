"""The process in which images of strangers are decoded: bytes in, pixels out, within limits that end it.

Started as `python -c "from pixels.worker import main; main()" LIMITS`, and asked through its standard input:
the length of the file as 8 bytes, then the file. The reply begins with HEAD: its kind and two numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO

from pixels.decode import decode_rgb
from pixels.errors import ImageError, TooManyPixelsError
from pixels.limits import DecodeLimits
from pixels.processes import limit_memory

LENGTH = struct.Struct("<Q")
HEAD = struct.Struct("<cQQ")
PIXELS, ERROR, TOO_MANY, NO_MEMORY = b"P", b"E", b"L", b"M"
"""Kinds of replies: height, width and pixels; the length of a message, and the message; nothing more."""


def main() -> None:
    """Answer until the input ends."""
    limits = DecodeLimits(**json.loads(sys.argv[1]))
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0) as replies:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what libraries print is no reply
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent ends this
        if hasattr(os, "nice"):  # not on Windows
            os.nice(limits.niceness)
        limit_memory(limits.memory_bytes)
        with contextlib.suppress(BrokenPipeError):
            while head := requests.read(LENGTH.size):
                content = requests.read(*LENGTH.unpack(head))
                with _limited_time(limits.cpu_s):
                    _answer(content, limits, replies)


def _answer(content: bytes, limits: DecodeLimits, replies: BinaryIO) -> None:
    try:
        pixels = decode_rgb(content, max_pixels=limits.max_pixels)
    except ImageError as error:
        if isinstance(error.__cause__, MemoryError):
            replies.write(HEAD.pack(NO_MEMORY, 0, 0))
        else:
            message = error.reason.encode(errors="replace")
            kind = TOO_MANY if isinstance(error, TooManyPixelsError) else ERROR
            replies.write(HEAD.pack(kind, len(message), 0) + message)
        return
    height, width, _ = pixels.shape
    replies.write(HEAD.pack(PIXELS, height, width))
    left = pixels.data.cast("B")
    while left:
        left = left[replies.write(left) :]


@contextlib.contextmanager
def _limited_time(cpu_s: float) -> Iterator[None]:
    """End this process if it computes for longer, also in the middle of a library. Not on Windows."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
