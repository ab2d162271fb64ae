"""Splits as torch data sets: images at the network's size, with the same augmentation in every run."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from finetune.data import Split
from finetune.data.pixels import Pixels, Room, one_thread
from finetune.data.shared_memory import limit_workers
from finetune.runtime.seeds import derive_seed, make_generator
from finetune.transforms.preprocess import Preprocess
from pixels import usable_cores

Augment = Callable[..., Any]  # of an image; of an image and its mask where there are masks
Item = tuple[Tensor, Any]


class EpochDataset(Dataset[Item], ABC):
    """A split that may show something else in every epoch."""

    target_dtype: torch.dtype = torch.int64
    """The type of the targets in a batch."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items."""

    @abstractmethod
    def set_epoch(self, epoch: int) -> None:
        """Show the items of this epoch from now on."""

    @abstractmethod
    def fill(self) -> None:
        """Load into memory what is kept there."""

    def share(self, workers: int, batch_size: int) -> int:
        """Keep in shared memory what is kept; return how many of the workers find room for their batches."""
        return workers


@dataclass(eq=False)
class ImageDataset(EpochDataset):
    """A split at the network's size; item i is (uint8 (3, height, width), target).

    The random numbers of `augment` depend on (seed, epoch, i) alone: with worker processes or without,
    resumed or not, an epoch shows the same pixels. Copies made by `dataclasses.replace` share the `pixels`.
    """

    split: Split
    preprocess: Preprocess
    room: Room = field(default_factory=Room)
    augment: Augment | None = None
    seed: int = 0
    epoch: int = 0
    pixels: Pixels | None = None

    stored_dtype: ClassVar[torch.dtype] = torch.int64
    """The smallest type that holds the targets, for those that are kept in memory."""

    def __post_init__(self) -> None:
        if self.pixels is None:
            self.pixels = Pixels(self.split.images, self.preprocess, self.room)

    @property
    def stored(self) -> Pixels:
        """The pixels, shared with copies of this data set."""
        assert self.pixels is not None
        return self.pixels

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Item]:
        """Return the items of a batch."""
        taken = self.stored.take(indices)
        with one_thread():
            return [self.pair(image, i) for image, i in zip(taken, indices, strict=True)]

    def pair(self, image: Tensor, index: int) -> Item:
        """Return the augmented image and its target. In: the image, uint8 (3, height, width)."""
        if self.augment is not None:
            with self.drawing(index):
                image = self.augment(image)
        return image, self.split.targets[index]

    def set_epoch(self, epoch: int) -> None:
        """Draw the augmentation of this epoch from now on."""
        self.epoch = epoch

    def fill(self) -> None:
        """Decode all images now, if they fit into memory."""
        self.stored.fill()

    def share(self, workers: int, batch_size: int) -> int:
        """Keep the images where that many processes share them; return 0 where batches find no room."""
        batch_bytes = batch_size * 3 * self.preprocess.height * self.preprocess.width
        workers = limit_workers(workers, batch_bytes)
        if workers:
            self.stored.share()
        return workers

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Yield every image without augmentation, uint8 (3, height, width), in order."""
        self.fill()
        for i in range(len(self)):
            yield self.stored.take([i])[0].numpy()

    def class_counts(self, classes: int) -> list[int]:
        """Count the images of each class."""
        return self.split.counts(classes)

    @contextlib.contextmanager
    def drawing(self, index: int) -> Iterator[None]:
        """Seed torch's random numbers for this image in this epoch; afterwards they continue as before."""
        state = torch.get_rng_state()  # of the CPU alone: no device is initialised
        torch.default_generator.manual_seed(derive_seed(self.seed, self.epoch, index, "augment"))
        try:
            yield
        finally:
            torch.set_rng_state(state)


def loader(
    dataset: EpochDataset,
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    epoch: int = 0,
    workers: int = 0,
    start_batch: int = 0,
    drop_last: bool = False,
    chances: Tensor | None = None,
) -> DataLoader[Any]:
    """Return one epoch in batches of images, uint8 (B, 3, height, width), and targets (B, …).

    The order depends on (shuffle_seed, epoch) alone; None keeps the order of the data. `start_batch` skips
    the batches before it and changes nothing about the others. `drop_last` skips a last batch that is not
    full, unless it is the only one. `chances` as `batch_indices`. Torch's global random numbers are not used.
    """
    dataset.set_epoch(epoch)
    workers = dataset.share(workers, batch_size)
    dataset.fill()
    batches = batch_indices(len(dataset), batch_size, shuffle_seed, epoch, chances)
    if drop_last and len(batches) > 1 and len(batches[-1]) < batch_size:
        batches.pop()
    return DataLoader(
        dataset,
        batch_sampler=batches[start_batch:],
        num_workers=min(workers, usable_cores()),
        collate_fn=partial(collate, dtype=dataset.target_dtype),
        generator=torch.Generator(),  # else each epoch draws from the global one
    )


def batch_indices(
    count: int, batch_size: int, shuffle_seed: int | None, epoch: int, chances: Tensor | None = None
) -> list[list[int]]:
    """Return the indices 0 to count - 1 in batches, shuffled by (shuffle_seed, epoch).

    With `chances` (count,), as many are drawn with replacement, each with its chance. A single image that is
    left over joins the batch before it: batch norm cannot train on one image.
    """
    if shuffle_seed is None:
        order = torch.arange(count)
    elif chances is not None:
        order = torch.multinomial(
            chances, count, replacement=True, generator=make_generator(shuffle_seed, epoch, "draw")
        )
    else:
        order = torch.randperm(count, generator=make_generator(shuffle_seed, epoch, "order"))
    batches = [batch.tolist() for batch in torch.split(order, batch_size)] if count else []
    if len(batches) > count_batches(count, batch_size):
        left_over = batches.pop()
        batches[-1] += left_over
    return batches


def equal_chances(strata: NDArray[np.int64]) -> Tensor:
    """Return the chance of each image, (N,), with which all classes are drawn equally often.

    In: the class of each image (N,).
    """
    return torch.from_numpy(1 / np.bincount(strata)[strata])


def count_batches(count: int, batch_size: int) -> int:
    """Return the number of batches of that many items."""
    whole, left_over = divmod(count, batch_size)
    return whole + (left_over > 1 or (left_over == 1 and not whole))


def collate(items: Sequence[Item], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the items as one batch of images and targets, the targets of that type."""
    images, targets = zip(*items, strict=True)
    with one_thread():
        return torch.stack(images), torch.stack([torch.as_tensor(target) for target in targets]).to(dtype)
