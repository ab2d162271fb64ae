"""What keeps a file from being written, in one line: the file, the reason, the disk."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout
from safetensors import SafetensorError

from zoo.errors import GraftError

FULL = 1 << 20
"""A disk with fewer free bytes is full."""
REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of disk space is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
}


class WriteError(GraftError):
    """A file that cannot be written; `folder` is the run that continues once it can."""

    folder: Path | None = None


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Raises: WriteError, in one line, for a file that cannot be written."""
    try:
        yield
    except Timeout:  # of a lock
        raise
    except (OSError, SafetensorError, RuntimeError) as error:
        place = _existing_parent(path)
        full = shutil.disk_usage(place).free < FULL or "No space left" in str(error)
        if isinstance(error, RuntimeError) and not full:  # torch has no error of its own for a full disk
            raise
        number = errno.ENOSPC if full else getattr(error, "errno", None)
        raise WriteError(describe_write_error(path, number, str(error))) from error


def describe_write_error(path: Path, number: int | None, otherwise: str = "") -> str:
    """Say in one line why a file cannot be written, and on which disk. In: the number of the error."""
    place = _existing_parent(path)
    reason = REASONS.get(number or 0) or (os.strerror(number) if number else otherwise)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        reason += f": {format_bytes(shutil.disk_usage(place).free)} are free on {_mount_point(place)}"
    return f"{path}: cannot be written: {reason}"


def require_space(path: Path, needed: int, what: str) -> None:
    """Raises: WriteError unless so many bytes are free on the disk of `path`."""
    place = _existing_parent(path)
    free = shutil.disk_usage(place).free
    if free < needed:
        raise WriteError(
            f"{path}: {what} needs about {format_bytes(needed)}, and {format_bytes(free)} are free on "
            f"{_mount_point(place)}\n  expected: more free space there, or a folder on another disk"
        )


def require_writable(folder: Path) -> None:
    """Make the folder. Raises: WriteError unless files can be written in it."""
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / f".{os.getpid()}.trial"
        trial.write_bytes(b"x")
        trial.unlink()


def format_bytes(count: int) -> str:
    """Return such as `12.3 MB`."""
    value, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:  # noqa: PLR2004
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def _existing_parent(path: Path) -> Path:
    path = Path(os.path.abspath(path))  # noqa: PTH100  links stay
    return next(place for place in (path, *path.parents) if place.exists())


def _mount_point(path: Path) -> Path:
    resolved = path.resolve()
    return next(place for place in (resolved, *resolved.parents) if place.is_mount())
