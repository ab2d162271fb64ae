"""Processes of this program: which there are, how they are started, and what they may take."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

PAGES = "/proc/self/statm"
CALM = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""numpy would reserve memory for a thread on each core."""


def command(program: str, *arguments: str) -> list[str]:
    """Return the command of a Python process that runs a program of this package's."""
    return [sys.executable, "-P", "-c", program, *arguments]


def environment() -> dict[str, str]:
    """Return an environment in which such a process finds the packages."""
    here = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    return {**os.environ, **CALM, "PYTHONPATH": path}


def release_memory() -> None:
    """Give free memory, which the C library may keep, back to the system. Only with glibc."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def limit_memory(more_bytes: int) -> None:
    """Let this process take so much more memory than it has now. Only on Linux."""
    with contextlib.suppress(ImportError, OSError):
        import resource

        pages = int(Path(PAGES).read_text().split()[0])
        most = pages * resource.getpagesize() + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def is_running(number: int) -> bool:
    """Return whether there is a process of that number on this machine; True where it cannot be known."""
    if os.name == "nt":  # os.kill would end it there
        return True
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user
        return True
    return True
