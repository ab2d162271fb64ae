"""Parts of data sets: some of their images, in another order or repeated, without decoding them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetune.data import Split
from finetune.data.dataset import ImageDataset, collate
from finetune.data.pixels import Pixels, Room
from finetune.runtime.seeds import make_generator

Rows = NDArray[np.int64]


class PixelView(Pixels):
    """Pixels held by others: image i is image `rows[i]` of the parts, counted one after the other."""

    def __init__(self, parts: Sequence[Pixels], rows: Rows) -> None:
        super().__init__([image for part in parts for image in part.images], parts[0].preprocess, Room(0))
        self.shape = (len(rows), *self.shape[1:])
        self.parts, self.rows = parts, rows
        self.starts = np.cumsum([0] + [len(part.images) for part in parts])

    def share(self) -> None:
        """Keep the images of every part in memory that worker processes share."""
        for part in self.parts:
            part.share()

    def fill(self) -> None:
        """Decode the images of every part."""
        for part in self.parts:
            part.fill()

    def take(self, indices: Sequence[int]) -> list[Tensor]:
        """Return the images, each uint8 (3, height, width), from the parts that hold them.

        Raises: DataError.
        """
        rows = self.rows[np.asarray(indices, dtype=np.int64)]
        owners = np.searchsorted(self.starts, rows, side="right") - 1
        taken: dict[int, Tensor] = {}
        for owner in np.unique(owners):
            places = np.flatnonzero(owners == owner)
            images = self.parts[owner].take((rows[places] - self.starts[owner]).tolist())
            taken |= dict(zip(places.tolist(), images, strict=True))
        return [taken[place] for place in range(len(rows))]


def subset(dataset: ImageDataset, rows: Rows, *, seed: int) -> ImageDataset:
    """Return a data set of the given rows, which may repeat; each row draws its own augmentation."""
    pixels = PixelView([dataset.stored], rows)
    return replace(dataset, split=pick_rows([dataset.split], rows), pixels=pixels, seed=seed)


def join(first: ImageDataset, second: ImageDataset) -> ImageDataset:
    """Return a data set of the images of both, all augmented like those of the first."""
    rows = np.arange(len(first) + len(second))
    pixels = PixelView([first.stored, second.stored], rows)
    return replace(first, split=pick_rows([first.split, second.split], rows), pixels=pixels)


def pick_rows(parts: Sequence[Split], rows: Rows) -> Split:
    """Return the given rows of several splits, counted one after the other."""
    images = [image for part in parts for image in part.images]
    targets = np.concatenate([part.targets for part in parts])[rows]
    strata = np.concatenate([part.strata for part in parts])[rows]
    return Split(tuple(images[row] for row in rows), targets, strata)


def spread_rows(strata: NDArray[np.int64], count: int, *, seed: int) -> Rows:
    """Return at most `count` rows, taken from each stratum in turn; the order within a stratum is random.

    In: `strata` (N,), such as `Split.strata`. Out: (min(count, N),), each row once.
    """
    order = torch.randperm(len(strata), generator=make_generator(seed, "sample")).numpy()
    turn = np.empty(len(strata), np.int64)
    for stratum in np.unique(strata):
        rows = order[strata[order] == stratum]
        turn[rows] = np.arange(len(rows))
    chosen: Rows = order[np.argsort(turn[order], kind="stable")][:count]
    return chosen


def read_rows(dataset: ImageDataset, rows: Rows) -> tuple[Tensor, Tensor]:
    """Return these images without augmentation, uint8 (N, 3, height, width), and their targets."""
    return collate(replace(dataset, augment=None).__getitems__(rows.tolist()), dataset.target_dtype)
