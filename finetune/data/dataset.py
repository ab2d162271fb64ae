"""Splits as torch sees them: pixels at the network's size, decoded once, augmented alike every time."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from finetune.data import DataError, ImageSource, Split
from finetune.runtime.seeds import derive_seed, make_generator
from finetune.transforms.preprocess import Preprocess
from pixels import ImageError

MIB = 1 << 20
CHUNK = 16  # images a thread takes at a time

Augment = Callable[..., Any]  # of an image; of an image and its mask where there are masks
Progress = Callable[[int, int], None]


class Pixels:
    """Images at the network's size: all in memory once they were needed, where they fit into `cache_mb`."""

    def __init__(self, images: Sequence[ImageSource], preprocess: Preprocess, cache_mb: int) -> None:
        self.images, self.preprocess = images, preprocess
        self.shape = (len(images), 3, preprocess.height, preprocess.width)
        self.fits = int(np.prod(self.shape)) <= cache_mb * MIB
        self.cache: Tensor | None = None

    def fill(self, progress: Progress | None = None) -> None:
        """Decode everything, in threads, if it fits and has not been done.

        The memory is shared, so that worker processes hold no copies. Raises: DataError.
        """
        if self.cache is not None or not self.fits:
            return
        cache = torch.empty(self.shape, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
        chunks = [range(i, min(i + CHUNK, len(cache))) for i in range(0, len(cache), CHUNK)]

        def decode(chunk: range) -> int:
            for i in chunk:
                cache[i] = self._read(i)
            return chunk.stop

        with one_thread(), ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            for done in threads.map(decode, chunks):
                if progress is not None:
                    progress(done, len(cache))
        self.cache = cache

    def take(self, indices: Sequence[int]) -> list[Tensor]:
        """Each uint8 (3, height, width), from memory or decoded now. Raises: DataError."""
        if self.cache is not None:
            return [self.cache[i] for i in indices]
        if len(indices) == 1:
            return [self._read(indices[0])]
        with one_thread(), ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
            return list(threads.map(self._read, indices))

    def _read(self, index: int) -> Tensor:
        try:
            pixels = self.images[index].read()
        except ImageError as error:
            raise DataError(
                f"{error}. It could be read when the images were checked; did it change?"
            ) from error
        return self.preprocess.resize(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]


class EpochDataset(Dataset[tuple[Tensor, int | Tensor]], ABC):
    """A split that may show something else in every epoch: what a loader gives batches of."""

    @abstractmethod
    def __len__(self) -> int:
        """How many items there are."""

    @abstractmethod
    def set_epoch(self, epoch: int) -> None:
        """Show what belongs to this epoch from now on."""

    @abstractmethod
    def fill(self) -> None:
        """Bring into memory now what is kept there."""


@dataclass(eq=False)
class ImageDataset(EpochDataset):
    """A split at the network's size; item i is (uint8 (3, height, width), target).

    `augment` draws random numbers that follow from (seed, epoch, i) alone: with worker processes or without,
    resumed or not, an epoch shows the same pixels. Copies made by `dataclasses.replace` share the `pixels`.
    """

    split: Split
    preprocess: Preprocess
    cache_mb: int = 2048
    augment: Augment | None = None
    seed: int = 0
    epoch: int = 0
    pixels: Pixels | None = None

    def __post_init__(self) -> None:
        if self.pixels is None:
            self.pixels = Pixels(self.split.images, self.preprocess, self.cache_mb)

    @property
    def stored(self) -> Pixels:
        """The pixels, shared with copies of this data set."""
        assert self.pixels is not None
        return self.pixels

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, int | Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int | Tensor]]:
        """A batch at once: what is not in memory is decoded in threads."""
        taken = self.stored.take(indices)
        with one_thread():
            images = [self._augment(image, i) for image, i in zip(taken, indices, strict=True)]
        return [(image, int(self.split.targets[i])) for image, i in zip(images, indices, strict=True)]

    def set_epoch(self, epoch: int) -> None:
        """Draw the augmentation of this epoch from now on."""
        self.epoch = epoch

    def fill(self, progress: Progress | None = None) -> None:
        """Decode all images now, if they fit into memory; `progress` is told how many of how many are."""
        self.stored.fill(progress)

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Every image without augmentation, uint8 (3, height, width), in order."""
        self.fill()
        for i in range(len(self)):
            yield self.stored.take([i])[0].numpy()

    def class_counts(self, classes: int) -> list[int]:
        """Count the images of each class."""
        return self.split.counts(classes)

    @contextlib.contextmanager
    def drawing(self, index: int) -> Iterator[None]:
        """Torch's random numbers in here are those of this image in this epoch; outside they stay."""
        state = torch.get_rng_state()  # of the CPU alone: no device is woken
        torch.default_generator.manual_seed(derive_seed(self.seed, self.epoch, index, "augment"))
        try:
            yield
        finally:
            torch.set_rng_state(state)

    def _augment(self, image: Tensor, index: int) -> Tensor:
        if self.augment is None:
            return image
        with self.drawing(index):
            augmented: Tensor = self.augment(image)
        return augmented


def loader(
    dataset: EpochDataset,
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    epoch: int = 0,
    workers: int = 0,
    start_batch: int = 0,
    drop_last: bool = False,
) -> DataLoader[Any]:
    """One epoch in batches: of images, uint8 (B, 3, height, width) and int64 (B,).

    The order follows from (shuffle_seed, epoch) alone; None keeps the data's order. `start_batch` leaves out
    the batches before it and changes nothing about the others. `drop_last` leaves out a last batch that is
    not full, unless it is the only one. Torch's random numbers outside are left as they are.
    """
    dataset.set_epoch(epoch)
    dataset.fill()
    batches = batch_indices(len(dataset), batch_size, shuffle_seed, epoch)
    if drop_last and len(batches) > 1 and len(batches[-1]) < batch_size:
        batches.pop()
    return DataLoader(
        dataset,
        batch_sampler=batches[start_batch:],
        num_workers=workers,
        collate_fn=collate,
        generator=torch.Generator(),  # else each epoch draws from the global one
    )


def batch_indices(count: int, batch_size: int, shuffle_seed: int | None, epoch: int) -> list[list[int]]:
    """Indices 0 to count - 1 in batches, shuffled by (shuffle_seed, epoch).

    A single image that would be left over joins the batch before it: a batch norm cannot go by one.
    """
    if shuffle_seed is None:
        order = torch.arange(count)
    else:
        order = torch.randperm(count, generator=make_generator(shuffle_seed, epoch, "order"))
    batches = [batch.tolist() for batch in torch.split(order, batch_size)] if count else []
    if len(batches) > count_batches(count, batch_size):
        left_over = batches.pop()
        batches[-1] += left_over
    return batches


def count_batches(count: int, batch_size: int) -> int:
    """How many batches so many items make."""
    whole, left_over = divmod(count, batch_size)
    return whole + (left_over > 1 or (left_over == 1 and not whole))


def collate(items: Sequence[tuple[Tensor, int | Tensor]]) -> tuple[Tensor, Tensor]:
    """Items of a data set to one batch; targets are class numbers, or masks."""
    images, targets = zip(*items, strict=True)
    with one_thread():
        return torch.stack(images), torch.stack([torch.as_tensor(target) for target in targets]).long()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread in here and in threads begun here.

    The work on one image is too small to share out: where processors are busy, waiting for a second thread
    made it twenty times slower.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
