"""The images of a split at the network's size, decoded once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from finetune.data.images import DataError, ImageSource
from finetune.data.shared_memory import MIB, allocate_shared
from finetune.transforms.preprocess import Preprocess
from pixels import ImageError, usable_cores

IMAGES_PER_CHUNK = 16


class Pixels:
    """Images at the network's size; from the first use they stay in memory, if they fit into `cache_mb`."""

    def __init__(self, images: Sequence[ImageSource], preprocess: Preprocess, cache_mb: int) -> None:
        self.images, self.preprocess = images, preprocess
        self.shape = (len(images), 3, preprocess.height, preprocess.width)
        self.fits = math.prod(self.shape) <= cache_mb * MIB
        self.cache: Tensor | None = None
        self.shared = False

    @property
    def kept_bytes(self) -> int:
        """The size of the images that are kept in memory."""
        return math.prod(self.shape) if self.fits else 0

    def share(self) -> None:
        """Keep the images in memory that worker processes share, so that they hold no copies."""
        if self.cache is not None and not self.shared:
            self.cache = allocate_shared(self.shape).copy_(self.cache)
        self.shared = True

    def fill(self) -> None:
        """Decode all images in threads, if they fit and it was not done before. Raises: DataError."""
        if self.cache is not None or not self.fits:
            return
        cache = allocate_shared(self.shape) if self.shared else torch.empty(self.shape, dtype=torch.uint8)

        def decode(start: int) -> None:
            for i in range(start, min(start + IMAGES_PER_CHUNK, len(cache))):
                cache[i] = self._read(i)

        with one_thread(), ThreadPoolExecutor(max_workers=usable_cores()) as threads:
            list(threads.map(decode, range(0, len(cache), IMAGES_PER_CHUNK)))
        self.cache = cache

    def take(self, indices: Sequence[int]) -> list[Tensor]:
        """Return the images, each uint8 (3, height, width), from memory or decoded now. Raises: DataError."""
        if self.cache is not None:
            return [self.cache[i] for i in indices]
        if len(indices) == 1:
            return [self._read(indices[0])]
        with one_thread(), ThreadPoolExecutor(max_workers=usable_cores()) as threads:
            return list(threads.map(self._read, indices))

    def _read(self, index: int) -> Tensor:
        with changed_since_scan():
            pixels = self.images[index].read()
        return self.preprocess.resize(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]


@contextlib.contextmanager
def changed_since_scan() -> Iterator[None]:
    """Turn the error of a file that was readable in the scan into a DataError."""
    try:
        yield
    except ImageError as error:
        raise DataError(f"{error}. It could be read when it was checked; did it change?") from error


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread, here and in threads that start here.

    The work on one image is too small to divide: on busy processors, waiting for a second thread made it
    twenty times slower.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
