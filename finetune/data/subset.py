"""Parts of data sets: some of their images, in another order or repeated, without decoding them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetune.data import Split
from finetune.data.dataset import ImageDataset, Pixels, Progress, collate
from finetune.runtime.seeds import make_generator

Rows = NDArray[np.int64]


class PixelView(Pixels):
    """Pixels held by others: image i is image `rows[i]` of the parts, counted one after the other."""

    def __init__(self, parts: Sequence[Pixels], rows: Rows) -> None:
        super().__init__([image for part in parts for image in part.images], parts[0].preprocess, 0)
        self.shape = (len(rows), *self.shape[1:])
        self.parts, self.rows = parts, rows
        self.starts = np.cumsum([0] + [len(part.images) for part in parts])

    def fill(self, progress: Progress | None = None) -> None:
        """Decode the images of every part."""
        for part in self.parts:
            part.fill(progress)

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
    picked: dict[str, object] = {}
    for each in fields(Split):
        values = [getattr(part, each.name) for part in parts]
        if isinstance(values[0], np.ndarray):
            picked[each.name] = np.concatenate(values)[rows]
        else:
            joined = [item for value in values for item in value]
            picked[each.name] = tuple(joined[row] for row in rows) if joined else ()
    return Split(**picked)  # type: ignore[arg-type]


def spread_rows(targets: NDArray[np.int64], count: int, *, seed: int) -> Rows:
    """Return at most `count` rows, taken from each class in turn; the order within a class is random.

    In: `targets` (N,). Out: (min(count, N),), each row once.
    """
    order = torch.randperm(len(targets), generator=make_generator(seed, "sample")).numpy()
    turn = np.empty(len(targets), np.int64)
    for label in np.unique(targets):
        rows = order[targets[order] == label]
        turn[rows] = np.arange(len(rows))
    chosen: Rows = order[np.argsort(turn[order], kind="stable")][:count]
    return chosen


def read_rows(dataset: ImageDataset, rows: Rows) -> tuple[Tensor, Tensor]:
    """Return these images without augmentation, uint8 (N, 3, height, width), and their targets."""
    return collate(replace(dataset, augment=None).__getitems__(rows.tolist()))
