"""Memory that the processes that load images share, where there is room for it."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

SHARED_MEMORY = Path("/dev/shm")
"""Where Linux keeps shared memory; containers often have 64 MiB of it. Other systems set no limit."""
LARGEST_SHARE = 0.5
"""Of what is free, for images: batches travel through the same memory."""
BATCHES_PER_WORKER = 2
"""What a DataLoader prepares ahead."""
MIB = 1 << 20


def free_bytes() -> float:
    """Return how much shared memory is free."""
    try:
        found = os.statvfs(SHARED_MEMORY)
    except (OSError, AttributeError):
        return math.inf
    return found.f_bavail * found.f_frsize


def fits_shared(size_bytes: int) -> bool:
    """Return whether images of that size may be kept in shared memory."""
    return size_bytes <= LARGEST_SHARE * free_bytes()


def allocate_shared(shape: Sequence[int]) -> Tensor:
    """Return an uint8 tensor that other processes may share: in shared memory, or else in a deleted file.

    Where neither has room it is in ordinary memory, of which each process may need a copy.
    """
    size_bytes = math.prod(shape)
    if fits_shared(size_bytes):
        with contextlib.suppress(RuntimeError):  # somebody else was faster
            shared: Tensor = torch.empty(shape, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
            return shared
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(prefix="graft-images-") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, size_bytes))  # a full disk is an error now, not later
        mapped = torch.from_file(file.name, shared=True, size=size_bytes, dtype=torch.uint8)
        return mapped.reshape(shape)
    return torch.empty(shape, dtype=torch.uint8)


def limit_workers(workers: int, batch_bytes: int) -> int:
    """Return the number of processes that may load batches of that size; 0 where they find no room."""
    needed = batch_bytes * (1 + BATCHES_PER_WORKER * workers)
    if workers == 0 or needed <= free_bytes():
        return workers
    warnings.warn(
        f"{SHARED_MEMORY} has {free_bytes() / MIB:.0f} MiB free and the batches of {workers} workers need "
        f"{needed / MIB:.0f}: the main process loads the images (in Docker, --shm-size=2g gives more)",
        stacklevel=2,
    )
    return 0


def shared_memory_warning(size_bytes: int, workers: int) -> str | None:
    """Return a warning where the images that workers share have no room in shared memory."""
    if workers == 0 or fits_shared(size_bytes):
        return None
    return (
        f"{SHARED_MEMORY} has {free_bytes() / MIB:.0f} MiB free and the images for data.workers: {workers} "
        f"take {size_bytes / MIB:.0f}: they are kept in a file in {tempfile.gettempdir()} (in Docker, "
        "--shm-size=2g gives more shared memory)"
    )
