"""The images of a split at the network's size, decoded once where memory allows it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from finetune.data.decoded import DECODED, resize
from finetune.data.images import DataError, ImageSource
from finetune.data.shared_memory import MIB, allocate_shared
from finetune.data.slabs import Slabs
from finetune.transforms.preprocess import Preprocess
from pixels import ImageError, usable_cores

IMAGES_PER_CHUNK = 256


class Room:
    """The memory for images of all splits of a run: `data.cache_mb`."""

    def __init__(self, size_mb: int = 2048) -> None:
        self.left = size_mb * MIB

    def take(self, size_bytes: int) -> bool:
        """Take that much, if it is left; return whether it was."""
        fits = size_bytes <= self.left
        self.left -= size_bytes if fits else 0
        return fits


class Pixels:
    """Images at the network's size; each stays in memory from its first use, if there is `room` for all."""

    def __init__(self, images: Sequence[ImageSource], preprocess: Preprocess, room: Room) -> None:
        self.images, self.preprocess = images, preprocess
        self.shape = (len(images), 3, preprocess.height, preprocess.width)
        self.fits = room.take(math.prod(self.shape))
        self.kept: dict[int, Tensor] = {}
        self._slabs = Slabs(self.shape[1:])
        self._shared: Tensor | None = None

    @property
    def kept_bytes(self) -> int:
        """The size of the images that are kept in memory."""
        return math.prod(self.shape) if self.fits else 0

    def share(self) -> None:
        """Keep the images in memory that worker processes share, so that they hold no copies."""
        if self.fits and self._shared is None:
            self._shared = allocate_shared(self.shape)
            for row in self.kept:
                self.kept[row] = self._shared[row].copy_(self.kept[row])

    def fill(self) -> None:
        """Decode all images that were not used yet, if all fit into memory. Raises: DataError."""
        if self.fits:
            self._keep(range(len(self.images)))

    def take(self, indices: Sequence[int]) -> list[Tensor]:
        """Return the images, each uint8 (3, height, width), from memory or decoded now. Raises: DataError."""
        if not self.fits:
            return self._decode(indices)
        self._keep(indices)
        return [self.kept[i] for i in indices]

    def _keep(self, indices: Iterable[int]) -> None:
        """Decode those of the images that are not in memory yet."""
        missing = [i for i in dict.fromkeys(indices) if i not in self.kept]
        for start in range(0, len(missing), IMAGES_PER_CHUNK):
            rows = missing[start : start + IMAGES_PER_CHUNK]
            for row, image in zip(rows, self._decode(rows), strict=True):
                self.kept[row] = image if self._shared is None else self._shared[row].copy_(image)

    def _decode(self, indices: Sequence[int]) -> list[Tensor]:
        """Decode images in threads."""
        if len(indices) == 1:
            return [self._read(indices[0])]
        with one_thread(), ThreadPoolExecutor(max_workers=usable_cores()) as threads:
            return list(threads.map(self._read, indices))

    def _read(self, index: int) -> Tensor:
        image = self.images[index]
        decoded = DECODED.take(image.sha256, self.preprocess)
        if decoded is not None:
            return decoded
        with changed_since_scan():
            resized = resize(image.read(), self.preprocess)
        return self._slabs.add(resized) if self.fits else resized


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
