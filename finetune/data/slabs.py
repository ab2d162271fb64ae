"""Memory for many images of one size, apart from that of everything else."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SLAB_BYTES = 16 << 20


class Slabs:
    """Copies images into slabs of 16 MiB; the system gets a slab back when none of its images is used.

    Kept one by one, among the arrays that decoding needs for a moment, 10,000 images of 96 pixels took three
    times their size.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        self._slab: Tensor | None = None
        self._used = 0
        self._lock = Lock()

    def add(self, image: Tensor) -> Tensor:
        """Return a copy of the image, uint8 of the shape of all."""
        with self._lock:
            if self._slab is None:
                self._slab, self._used = self._new_slab(), 0
            place = self._slab[self._used]
            self._used += 1
            if self._used == len(self._slab):
                self._slab = None
        return place.copy_(image)

    def _new_slab(self) -> Tensor:
        import torch  # not needed to find images

        size = math.prod(self._shape)
        count = max(1, SLAB_BYTES // size)
        slab = torch.frombuffer(mmap.mmap(-1, count * size), dtype=torch.uint8)
        return slab.reshape(count, *self._shape)
