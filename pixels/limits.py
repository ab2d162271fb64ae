"""The limits for images, which may come from strangers. `docs/security.md` explains them.

They are checked on the header of a file, before its pixels are decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_PIXELS = 100_000_000
"""Pixels of one image for training; decoding one takes up to 1.3 GB."""
MAX_SIDE = 32_768
"""Pixels of one side. Resizing an image of 6 pixels by 8 million would take 13 GB."""
MAX_SCANS = 100
"""Passes over a JPEG file, each of which takes time for every pixel. Progressive photos have about 10."""

SMALL_PIXELS = 4_000_000
"""Larger images of strangers wait in a queue of their own: photos of a phone, and what takes seconds."""
SMALL_CPU_S = 1.0
"""Processor time after which an image of a stranger counts as a large one."""
LARGE_PROCESSES = 4
"""Most processes for large images; each takes up to 2 GB, with the model that answers."""
LARGE_WAITING = 16
"""Large images that may wait for their turn."""
LARGE_NICENESS = 5
"""How much lower the priority of the processes for large images is."""
WAIT_S = 10.0
"""How long an image may wait for its turn, unless its request has a deadline."""


@dataclass(frozen=True)
class DecodeLimits:
    """What decoding one image may take in a process of its own.

    `cpu_s` is processor time, `wall_s` time by the clock, and `memory_bytes` counts beside what the process
    takes when idle. `niceness` lowers its priority; 0 is that of other processes.
    """

    max_pixels: int = 50_000_000
    cpu_s: float = 10.0
    wall_s: float = 30.0
    memory_bytes: int = 1_200_000_000
    niceness: int = 0

    def __post_init__(self) -> None:
        for name in ("max_pixels", "cpu_s", "wall_s", "memory_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: found {getattr(self, name)}; expected more than 0")
